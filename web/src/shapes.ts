// What the control plane answers, as docs/formats.md ("Control plane HTTP: shapes") fixes it. Times are microseconds since 1970.

export interface List<T> {
  items: T[];
  next: string | null;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  field?: string;
  errors?: { field?: string; line?: number; detail: string }[];
}

export interface Fault {
  class: string;
  message: string;
  hint?: string;
  log_tail?: string[];
}

export interface Replica {
  id: string;
  models: Record<string, { epoch: number; ready: number[]; failed?: Record<string, string> }>;
  seen_at: number;
}

export interface Status {
  version: string;
  data_dir: string;
  started_at: number;
  serve: { url: string; managed?: boolean; replicas: Replica[] };
  worker: { state: 'ready' | 'starting' | 'down'; sandbox?: string; recipes?: { name: string; task: string }[]; error?: string | null };
  counts: { pipelines: number; runs_active: number; models: number; datasets: number };
}

export interface Pipeline {
  name: string;
  model: string;
  revision: number;
  state: string;
  spec_text: string;
  files?: Record<string, string>;
  created_at: number;
  updated_at: number;
  last_run: number | null;
}

export type RunState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';

export interface Progress {
  at?: number;
  phase?: string;
  epoch?: number;
  of?: number;
  /// This attempt resumed after so many epochs.
  from?: number;
  step?: number;
  steps?: number;
  rows_per_s?: number;
  loss?: number;
  metrics?: Record<string, number>;
  message?: string;
}

export interface Attempt {
  number: number;
  state: string;
  pid?: number | null;
  started_at: number | null;
  ended_at: number | null;
  error: Fault | null;
  cpu_s?: number | null;
  max_rss_bytes?: number | null;
  read_bytes?: number | null;
}

export interface Drift {
  column: string;
  kind?: string;
  psi?: number | null;
  ks?: number | null;
  missing_before?: number | null;
  missing_now?: number | null;
}

export interface Check {
  expect: { column?: string } & Record<string, unknown>;
  passed: boolean;
  failing_rows: number;
  message?: string;
  drift?: Drift[];
  examples: unknown[];
}

export interface Step {
  name: string;
  kind: string;
  state: string;
  needs: string[];
  params?: Record<string, unknown> | null;
  ready_at?: number | null;
  cached_from?: number | null;
  outputs?: Record<string, { sha256: string; bytes: number | null }>;
  started_at: number | null;
  ended_at: number | null;
  attempts: Attempt[];
  progress: Progress | null;
  checks?: Check[];
  waiting?: string;
}

export interface Run {
  id: number;
  pipeline: string;
  model: string;
  revision: number;
  state: RunState;
  outcome: string | null;
  reason: { kind: string; detail?: string };
  overrides?: Record<string, unknown>;
  dataset: string;
  dataset_version: number;
  candidate: number | null;
  live_at_start: number | null;
  summary: string;
  error: Fault | null;
  priority?: number;
  deadline_s?: number | null;
  fresh?: boolean;
  reproduces?: number | null;
  trace_id?: string;
  waiting?: string;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  forecast?: Forecast | null;
  steps: Step[];
}

/// What the run's look at the sealed rows can prove, told before it trains.
export interface Forecast {
  worthwhile: boolean;
  sentence: string;
  look: number;
  level: number;
  metric: string;
  detectable_gain: number | null;
  realistic_gain: number;
  live_score: number;
  ways_out: string[];
}

export interface Wait {
  for: string;
  from: number;
  until: number;
  ms: number;
}

export interface TimelineStep {
  name: string;
  kind: string;
  state: string;
  cached_from: number | null;
  started_at: number | null;
  ended_at: number | null;
  waited_ms: number;
  waits: Wait[];
  attempts: { number: number; state: string; started_at: number; ended_at: number | null }[];
}

export interface Timeline {
  run: number;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  now_at: number;
  steps: TimelineStep[];
  critical_path: { step: string; waited_ms: number; ran_ms: number }[];
}

export interface Trial {
  name: string;
  state: string;
  params: Record<string, unknown>;
  epochs: number;
  of: number | null;
  reason: string | null;
  best: number | null;
  rank: number | null;
  cached_from?: number | null;
}

export interface Axis {
  name: string;
  kind: 'linear' | 'log' | 'category';
  domain: unknown[];
}

export interface Trials {
  run: number;
  metric: string;
  higher_is_better: boolean;
  best: string | null;
  epochs_spent: number;
  items: Trial[];
  axes: Axis[];
  lines: { trial: string; values: unknown[] }[];
}

export interface Column {
  name: string;
  type: 'integer' | 'real' | 'text' | 'blob';
  shape?: number[];
}

export interface SplitRows {
  train: number;
  validation: number;
  holdout: number;
}

export interface Dataset {
  name: string;
  target: string | null;
  split: { validation: number; holdout: number; key: string | null };
  schema: Column[];
  latest_version: number;
  rows: SplitRows;
  created_at: number;
  updated_at: number;
  /// Of one dataset only, not in lists.
  holdout_epochs?: HoldoutEpoch[];
  /// Sealed rows that a rotation would retire into training.
  spent_rows?: number;
}

export interface LeakedRows {
  mode: string;
  action: 'none' | 'told' | 'dropped' | 'refused';
  rows: number;
  share: number;
  examples: { holdout: string; training: string }[];
}

/// Sealed rows that stand in training as well.
export interface Leakage {
  rows: number;
  training_rows: number;
  dropped: number;
  equal: LeakedRows;
  near?: LeakedRows & { by: string; compared: number };
}

export interface HoldoutEpoch {
  model: string;
  epoch: number;
  rows: number;
  after_push: number;
  until_push: number;
  looks: number;
  alpha: number | null;
  spent: number;
  left: number | null;
  next_level: number | null;
  opened_at: number;
}

export interface DatasetVersion {
  dataset: string;
  version: number;
  manifest: string;
  rows: SplitRows;
  rows_added: SplitRows;
  bytes_added: number;
  created_at: number;
}

export type Cell = string | number | null;

export interface Rows {
  columns: string[];
  items: Cell[][];
  next: string | null;
}

export interface Model {
  name: string;
  live: number | null;
  previous: number | null;
  latest_version: number;
  epoch: number;
  metric: string;
  created_at: number;
  updated_at: number;
}

export interface Version {
  model: string;
  version: number;
  state: 'candidate' | 'passed' | 'rejected' | 'live' | 'previous' | 'retired';
  run: number | null;
  bundle: string;
  bundle_bytes: number;
  metric: string;
  score: number | null;
  opponent: number | null;
  opponent_kind: string | null;
  verdict: Verdict | null;
  recipe: string | null;
  dataset: string;
  dataset_version: number;
  created_at: number;
}

export type Verdict = 'better' | 'not_better' | 'not_worse' | 'worse' | 'inconclusive' | 'live_unscorable';

export interface Slice {
  name: string;
  state: 'holds' | 'worse' | 'too_small' | 'cannot_tell';
  rows: number;
  margin: number;
  difference: number;
  interval: [number | null, number | null];
  p_adjusted: number;
  /// The smallest loss that would probably have been seen in so few rows.
  detectable_loss?: number | null;
}

export interface ReliabilityBin {
  low: number;
  high: number;
  rows: number;
  mean_confidence: number;
  share_true: number;
}

/// What one side of a decision gets wrong.
export interface SideReport {
  per_class: { support: number; predicted: number; precision: number | null; recall: number | null; f1: number | null }[];
  /// Rows by target, then by predicted class; null where there are more than 50 classes.
  confusion: number[][] | null;
  expected_calibration_error: number;
  reliability: ReliabilityBin[];
}

export interface Budget {
  name: 'p50_latency' | 'p99_latency' | 'bundle_size' | 'memory';
  unit: 'us' | 'bytes';
  limit: number;
  measured: number | null;
  holds: boolean;
}

/// The candidate as it served in its test. Figures are null where nothing was measured.
export interface Serving {
  budgets: Budget[];
  rows: number | null;
  rounds: number | null;
  p50_latency_us: number | null;
  p99_latency_us: number | null;
  load_us: number | null;
  memory_bytes: number | null;
  memory_growth_bytes: number | null;
  bundle_bytes: number | null;
  largest_difference: number | null;
  took_ms: number | null;
}

export interface Decision {
  verdict: Verdict;
  reason: string;
  metric: string;
  higher_is_better: boolean;
  candidate: number;
  opponent: number;
  opponent_kind: string;
  opponent_version: number | null;
  difference: number;
  interval: [number | null, number | null];
  interval_method?: string;
  group_by?: string | null;
  /// What it takes to make the decision again.
  basis?: { seed?: number; [part: string]: unknown };
  /// The gain is proven to be more than this, at level alpha; absent in older decisions.
  lower_bound?: number | null;
  confidence: number;
  alpha: number;
  p_value: number;
  test: string;
  promotes?: boolean;
  rule?: 'better' | 'not_worse';
  rows: number;
  units?: number;
  wins: number;
  losses: number;
  better_by: number;
  forced: boolean;
  forced_by?: { release: number; actor: string; reason: string; created_at: number };
  rows_needed: number | null;
  margin?: number;
  slices?: Slice[];
  segments?: Slice[];
  /// Absent in decisions of before it was measured.
  serving?: Serving;
  /// Of classifications.
  class_report?: { classes: string[]; candidate: SideReport; opponent: SideReport };
  /// Absent in decisions of before the ledger.
  holdout?: { epoch: number; look: number; level: number; spent: number; left: number; next_level: number; rows: number };
  leakage?: Leakage;
  /// There only where the live version could not be scored any more.
  live_unscorable?: { reason: string; message: string; model: string; live: number; reset: boolean; ways_out?: string[] };
  decided_at: number;
}

export interface Release {
  id: number;
  model: string;
  kind: 'promote' | 'rollback' | 'force';
  from: number | null;
  to: number;
  epoch: number | null;
  state: 'pending' | 'loading' | 'watching' | 'waiting' | 'done' | 'failed' | 'aborted';
  strategy: string;
  actor: string;
  reason: string;
  run: number | null;
  created_at: number;
  ended_at: number | null;
  took_ms: number | null;
  error: string | null;
  plan: ReleasePlan | null;
  step: number | null;
  step_at: number | null;
  split: { mode: string; arms: { role: string; version: number; share: number }[] } | null;
  watched_s: number;
  evidence: ReleaseEvidence | null;
  approved_by: string | null;
  harm: boolean;
}

export interface ReleasePlan {
  strategy: 'immediate' | 'shadow' | 'canary' | 'ab';
  approval: 'auto' | 'manual';
  steps?: number[];
  share?: number;
  shares?: Record<string, number>;
  watch?: { for: number; min_requests: number; confidence: number; error_rate: number; p99_latency?: string; metric_drop?: number };
}

export interface ReleaseSignal {
  name: 'error_rate' | 'p99_latency' | 'metric_drop';
  state: 'quiet' | 'holds' | 'doubt' | 'harm';
  candidate: number;
  live: number;
  candidate_bounds: [number, number | null];
  live_bounds: [number, number | null];
  limit: number;
  p: number;
  level: number;
  candidate_seen: number;
  live_seen: number;
}

export interface ReleaseEvidence {
  step: number;
  requests: number;
  paused?: boolean;
  says?: string;
  signals: ReleaseSignal[];
  mismatch: { found: boolean; p: number };
  shadow?: { compared: number; differing: number; dropped: number; largest_difference: number };
}

export interface RouteEntry {
  version: number;
  bundle: string;
}

export interface Route {
  model: string;
  epoch: number;
  live: RouteEntry | null;
  previous: RouteEntry | null;
  loading: RouteEntry | null;
  split: { release: number; step: number; mode: string; arms: { role: string; version: number; bundle: string; share: number }[] } | null;
}

export interface LiveEvent {
  type: string;
  id?: number;
  run?: number;
  pipeline?: string;
  model?: string;
  data?: Record<string, unknown>;
}

export interface ProgressEvent {
  step: string;
  progress: Progress;
}
