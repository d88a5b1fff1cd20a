// Made-up answers of a control plane, in the shapes of docs/formats.md. Times count back from the start of the process.
import { createHash } from 'node:crypto';

const kNow_us = Date.now() * 1000;
const kSecond_us = 1_000_000;
const kMinute_us = 60 * kSecond_us;
const kDay_us = 24 * 60 * kMinute_us;

export const kModel = 'parcel-sorter';
export const kDataset = 'parcels';

const kSpec = `model: parcel-sorter
data:
  dataset: parcels
  target: label
  split: {validation: 0.1, holdout: 0.2, key: id}
  expect:
    - {column: label, in: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}
train:
  recipe: vision.classifier
  params: {epochs: 3, learning_rate: 0.001}
  seed: 7
  limits: {cpus: 1, memory: 2GiB, time: 30m, attempts: 3}
test:
  metric: accuracy
  slices: [label]
gate:
  better_by: 0.0
  confidence: 0.95
release:
  strategy: immediate
  approval: auto
retrain:
  new_rows: 5000
`;

const kSchema = [{ name: 'id', type: 'text' }, { name: 'image', type: 'blob', shape: [1, 28, 28] }, { name: 'photo', type: 'blob', shape: [3, 16, 16] },
  { name: 'label', type: 'integer' }, { name: 'price', type: 'real' }, { name: 'note', type: 'text' }];

function digest(text) {
  return createHash('sha256').update(text).digest('hex');
}

function ago(us) {
  return kNow_us - us;
}

function fault(kind, message, hint) {
  return { class: kind, message, hint };
}

function attempt(number, state, started_at, ended_at, error = null) {
  return { number, state, pid: 4000 + number, started_at, ended_at, error, cpu_s: ended_at ? (ended_at - started_at) / kSecond_us : null,
    max_rss_bytes: ended_at ? 412 * 1024 * 1024 : null };
}

/// The five steps, each `seconds[i]` long, up to the one named by `end`, which has state `state`.
function chain(start, seconds, end, state, error) {
  const names = ['validate', 'train', 'test', 'gate', 'release'];
  let at = start;
  let over = false;
  return names.map((name, index) => {
    const graph = { kind: name, needs: index ? [names[index - 1]] : [], params: null, ready_at: at, cached_from: null, outputs: {} };
    if (over) return { ...graph, name, state: state === 'running' ? 'pending' : 'skipped', started_at: null, ended_at: null, attempts: [], progress: null };
    const started_at = at;
    const last = name === end;
    const running = last && state === 'running';
    at += seconds[index] * kSecond_us;
    over = last;
    const ended_at = running ? null : at;
    const now = last ? state : 'succeeded';
    return { ...graph, name, state: now, started_at, ended_at, attempts: [attempt(1, now, started_at, ended_at, last ? error ?? null : null)], progress: null };
  });
}

function run(id, more) {
  const created_at = more.created_at;
  return { id, pipeline: kModel, model: kModel, revision: 2, state: 'succeeded', outcome: 'promoted', reason: { kind: 'new_rows', detail: '5,000 new rows since the last run' },
    overrides: {}, dataset: kDataset, dataset_version: 3, candidate: null, live_at_start: null, summary: '', error: null, started_at: created_at + 20_000,
    ended_at: created_at + 95 * kSecond_us, steps: [], ...more };
}

const kScores = [0.8012, 0.8467, 0.8431, 0.8702, 0.8779, 0.8741, 0.9014, 0.9127, 0.6803];
const kStates = ['retired', 'retired', 'rejected', 'retired', 'retired', 'rejected', 'previous', 'live', 'rejected'];

function versions() {
  return kScores.map((score, index) => {
    const version = index + 1;
    const opponentAt = index === 0 ? null : kScores.slice(0, index).map((_, at) => at).filter((at) => kStates[at] !== 'rejected').at(-1);
    const opponent = index === 0 ? 0.1032 : Number((kScores[opponentAt] + [0, 0.004, -0.002, 0.003, 0.001, 0.002, -0.003, 0.004, 0.0012][index]).toFixed(4));
    const gain = score - opponent;
    return { model: kModel, version, state: kStates[index], run: version, bundle: digest(`bundle ${version}`), bundle_bytes: 431_234 + version * 113, metric: 'accuracy', score, opponent,
      opponent_kind: index === 0 ? 'majority' : 'live', verdict: gain > 0.005 ? 'better' : gain < -0.02 ? 'not_better' : 'inconclusive', recipe: 'vision.classifier',
      dataset: kDataset, dataset_version: Math.min(3, Math.ceil(version / 3)), created_at: ago((10 - version) * 1.3 * kDay_us) };
  });
}

// Three classes of which the opponent takes one for another more often.
function sideReport(rows, confused) {
  const each = Math.floor(rows / 3);
  const confusion = [[each - confused, confused, 0], [confused, each - confused, 0], [0, 0, each]];
  const recall = [1 - confused / each, 1 - confused / each, 1];
  const reliability = [0.5, 0.75, 0.95].map((mean_confidence, bin) => ({ low: bin / 3, high: (bin + 1) / 3, rows: each, mean_confidence,
    share_true: Math.min(1, mean_confidence + 0.04) }));
  return { per_class: recall.map((one) => ({ support: each, predicted: each, precision: one, recall: one, f1: one })), confusion,
    expected_calibration_error: 0.04, largest_calibration_error: 0.04, reliability };
}

function decision(version) {
  const gain = version.score - version.opponent;
  const rows = 11_968;
  const discordant = Math.round(rows * (0.06 + Math.abs(gain) * 1.1));
  const wins = Math.round((discordant + gain * rows) / 2);
  const half = 0.0046;
  const against = version.opponent_kind === 'live' ? `live v${version.version - 1}` : 'the majority baseline';
  const reasons = {
    better: `v${version.version} beats ${against} by ${gain.toFixed(4)} accuracy on ${rows} holdout rows (p < 0.0001).`,
    not_better: `v${version.version} is worse than ${against} by ${(-gain).toFixed(4)} accuracy on ${rows} holdout rows: it stays out.`,
    inconclusive: `The gain of ${gain.toFixed(4)} over ${against} is within what chance gives on ${rows} rows; more holdout rows are needed.`,
  };
  const slice = (name, state, sliceRows, difference, margin = 0) => ({ name, state, rows: sliceRows, units: sliceRows, wins: 0, losses: 0, margin, difference,
    interval: [difference - 0.02, difference + 0.02], test: 'mcnemar_exact', p_worse: state === 'worse' ? 0.0004 : 0.8, p_adjusted: state === 'worse' ? 0.004 : 1, detectable_loss: 0.03 });
  const slices = [slice('label = ankle boot', 'holds', 1190, 0.031), slice('label = shirt', version.verdict === 'not_better' ? 'worse' : 'holds', 1214, -0.042),
    slice('label = bag', 'too_small', 40, 0, 0.01)];
  const class_report = { classes: ['ankle boot', 'bag', 'shirt'], candidate: sideReport(rows, 120), opponent: sideReport(rows, 450) };
  const leakage = { rows: rows + 40, training_rows: 38_000, columns: ['image'], training_repeats: 0.004, dropped: 40,
    equal: { mode: 'auto', action: 'dropped', rows: 40, share: 40 / (rows + 40), examples: [{ holdout: 'parcel-90412', training: 'parcel-00017' }, { holdout: 'parcel-90977', training: 'parcel-20311' }] },
    near: { mode: 'warn', action: 'told', rows: 96, share: 96 / (rows + 40), by: 'image', compared: rows + 40, examples: [{ holdout: 'parcel-91002', training: 'parcel-31415' }] } };
  const broken = version.verdict === 'not_better';
  const serving = { rows: 2000, rounds: 3, p50_latency_us: 412, p99_latency_us: broken ? 31_200 : 1830, load_us: 96_000, memory_bytes: 243 * 1024 * 1024,
    memory_growth_bytes: 38 * 1024 * 1024, bundle_bytes: 811_004, largest_difference: 0, took_ms: 2410,
    budgets: [{ name: 'p99_latency', unit: 'us', limit: 20_000, measured: broken ? 31_200 : 1830, holds: !broken },
      { name: 'bundle_size', unit: 'bytes', limit: 50 * 1024 * 1024, measured: 811_004, holds: true }] };
  return { leakage, slices, class_report, serving, segments: [slice('label = shirt and price > 12', 'holds', 310, -0.051)], group_by: null,
    verdict: version.verdict, reason: reasons[version.verdict], metric: 'accuracy', higher_is_better: true, candidate: version.score, opponent: version.opponent,
    opponent_kind: version.opponent_kind, opponent_version: version.opponent_kind === 'live' ? version.version - 1 : null, difference: Number(gain.toFixed(4)),
    interval: [Number((gain - half).toFixed(4)), Number((gain + half).toFixed(4))], confidence: 0.95, alpha: 0.0304, promotes: version.verdict === 'better',
    holdout: { epoch: version.version, look: 1, level: 0.0304, spent: 0.0304, left: 0.0196, next_level: 0.0076, rows: 12_001, after_push: 1, until_push: 2 },
    p_value: version.verdict === 'better' ? 3.1e-9 : version.verdict === 'not_better' ? 1 : 0.3127, test: 'mcnemar_exact', rows, wins, losses: discordant - wins, better_by: 0, forced: false,
    rows_needed: version.verdict === 'inconclusive' ? 48_200 : null, decided_at: version.created_at + 30 * kSecond_us };
}

function releases() {
  const promoted = [[1, null, 1], [2, 1, 2], [4, 2, 4], [5, 4, 5], [7, 5, 7], [8, 7, 8]];
  const list = promoted.map(([run, from, to], index) => ({ id: index + 1, model: kModel, kind: 'promote', from, to, epoch: index + 1, state: 'done', strategy: 'immediate', actor: 'scheduler',
    reason: from === null ? 'beats the majority baseline' : `proven better than v${from}`, run, created_at: ago((10 - to) * 1.3 * kDay_us - kMinute_us), ended_at: ago((10 - to) * 1.3 * kDay_us - kMinute_us), took_ms: 31 + index * 3, error: null,
    plan: null, step: null, step_at: null, split: null, watched_s: 0, evidence: null, approved_by: null, harm: false }));
  list.push({ ...list.at(-1), id: 7, kind: 'rollback', from: 8, to: 7, epoch: 7, actor: 'loopback', reason: 'shirts came out as coats at gate 4', run: null, created_at: ago(2 * kDay_us), ended_at: ago(2 * kDay_us), took_ms: 18 });
  list.push({ ...list.at(-1), id: 8, from: 7, to: 8, epoch: 8, reason: 'a camera was out of focus; v8 is fine', created_at: ago(1.9 * kDay_us), ended_at: ago(1.9 * kDay_us), took_ms: 14 });
  return list.reverse();
}

/// A canary under way: what the control plane says of it.
function canary(model) {
  const signal = (name, state, candidate, live, limit) => ({ name, state, candidate, live, candidate_bounds: [candidate * 0.5, candidate * 2], live_bounds: [live * 0.9, live * 1.1], limit, p: 0.31, level: 0.025, candidate_seen: 812, live_seen: 15_388 });
  return { ...releases()[0], id: 9, model, kind: 'promote', from: 1, to: 2, epoch: null, state: 'watching', strategy: 'canary', actor: 'gate', reason: 'proven better than v1', run: null, created_at: ago(kMinute_us), ended_at: null, took_ms: null, error: null,
    plan: { strategy: 'canary', approval: 'manual', steps: [0.05, 0.25, 1], watch: { for: 120, min_requests: 500, confidence: 0.95, error_rate: 0.01, p99_latency: '50ms' } },
    step: 0, step_at: ago(kMinute_us), split: { mode: 'canary', arms: [{ role: 'canary', version: 2, share: 0.05 }] }, watched_s: 43,
    evidence: { step: 0, requests: 812, paused: false, says: 'All is well so far: watched 43 s of 120 s.', mismatch: { found: false, p: 1 },
      signals: [signal('error_rate', 'holds', 0.002, 0.003, 0.01), signal('p99_latency', 'doubt', 51_200, 38_400, 50_000)] }, approved_by: null, harm: false };
}

function runs() {
  const usual = [2, 74, 9, 0.2, 0.4];
  const made = versions().slice(0, 8).map((version) => {
    const created_at = version.created_at - 80 * kSecond_us;
    const rejected = version.state === 'rejected';
    return run(version.version, { candidate: version.version, live_at_start: version.version === 1 ? null : version.version - 1, created_at, dataset_version: version.dataset_version,
      outcome: rejected ? 'rejected' : 'promoted', reason: version.version === 1 ? { kind: 'manual', detail: 'first run' } : { kind: 'new_rows', detail: '5,000 new rows since the last run' },
      summary: rejected ? `v${version.version} was not proven better than the live version and stays out.` : `v${version.version} passed the gate and went live.`,
      steps: chain(created_at, usual, rejected ? 'gate' : 'release', 'succeeded') });
  });
  const ruined_at = ago(1.3 * kDay_us) - 80 * kSecond_us;
  made.push(run(9, { candidate: 9, live_at_start: 8, created_at: ruined_at, outcome: 'rejected', reason: { kind: 'manual', detail: 'what a ruinous learning rate does' },
    overrides: { 'train.params.learning_rate': 0.3 }, summary: 'v9 is worse than live v8 by 0.2336 accuracy and was rejected; v8 stays live.', steps: chain(ruined_at, usual, 'gate', 'succeeded') }));
  made.push(failedRun());
  made.push(activeRun());
  return made.reverse();
}

function failedRun() {
  const created_at = ago(95 * kMinute_us);
  const error = fault('out_of_memory', 'train was killed: it asked for more than its limit of 2 GiB.', 'Raise train.limits.memory in the spec, or lower train.params.batch_size.');
  const steps = chain(created_at, [2, 21, 0, 0, 0], 'train', 'failed', error);
  const first = steps[1].attempts[0];
  steps[1].attempts = [1, 2, 3].map((number) => ({ ...attempt(number, 'failed', first.started_at + (number - 1) * 7 * kSecond_us, first.started_at + number * 7 * kSecond_us, error), max_rss_bytes: 2 ** 31 }));
  return run(10, { state: 'failed', outcome: 'failed', candidate: null, live_at_start: 8, created_at, ended_at: created_at + 23 * kSecond_us, error, reason: { kind: 'schedule', detail: '0 3 * * *' },
    overrides: { 'train.params.batch_size': 4096 }, summary: 'Training failed three times for want of memory; v8 stays live.', steps });
}

function activeRun() {
  const created_at = ago(42 * kSecond_us);
  const steps = chain(created_at, [2, 0, 0, 0, 0], 'train', 'running');
  steps[1].progress = { at: ago(kSecond_us), phase: 'train', epoch: 2, of: 3, step: 410, steps: 880, rows_per_s: 5240, loss: 0.3127, metrics: { validation_accuracy: 0.8934 } };
  return run(11, { state: 'running', outcome: null, candidate: null, live_at_start: 8, created_at, ended_at: null, summary: 'Training: epoch 2 of 3.', forecast: kForecast, steps });
}

/// A graph: a cached step, two in parallel, a sweep of six trials of which some were pruned.
function sweepRun() {
  const created_at = ago(3 * 60 * kMinute_us);
  const at = (seconds) => created_at + seconds * kSecond_us;
  const step = (name, kind, needs, from, to, more = {}) => ({ name, kind, state: 'succeeded', needs, params: null, ready_at: at(from), started_at: at(from), ended_at: at(to), cached_from: null,
    outputs: {}, attempts: [attempt(1, 'succeeded', at(from), at(to))], progress: null, ...more });
  const rates = [0.0004, 0.0011, 0.0032, 0.0081, 0.021, 0.063];
  const trial = (rate, index) => step(`trial-${index + 1}`, 'trial', ['validate', 'join', 'features', 'labels'], 12 + index * 4, 16 + index * 4,
    { params: { learning_rate: rate, width: [16, 64, 32][index % 3], shape: index % 2 ? 'deep' : 'flat' }, state: index > 3 ? 'skipped' : 'succeeded' });
  const steps = [step('validate', 'validate', [], 1, 3), step('join', 'command', ['validate'], 3, 3, { cached_from: 7, attempts: [], outputs: { 'joined.csv': { sha256: digest('joined'), bytes: 812_440 } } }),
    step('features', 'recipe', ['validate', 'join'], 3, 9), step('labels', 'command', ['validate', 'join'], 5, 12), ...rates.map(trial)];
  steps.push(step('train', 'select', rates.map((_, index) => `trial-${index + 1}`), 36, 36, { attempts: [] }), step('test', 'test', ['train'], 36, 44), step('gate', 'gate', ['test'], 44, 44.2, { attempts: [] }), step('release', 'release', ['gate'], 44.2, 45, { attempts: [] }));
  return run(100, { created_at, started_at: at(1), ended_at: at(45), candidate: 9, live_at_start: 8, priority: 5, reason: { kind: 'drift', detail: 'price: stability index 0.31 over 0.2' }, summary: 'v9 of trial-3 passed the gate.', steps });
}

function queuedRun() {
  return run(101, { state: 'queued', outcome: null, created_at: ago(10 * kSecond_us), started_at: null, ended_at: null, reason: { kind: 'manual', detail: '' }, summary: '', waiting: 'run 11 of this pipeline is under way',
    steps: chain(ago(0), [0, 0, 0, 0, 0], 'validate', 'running').map((step) => ({ ...step, state: 'pending', started_at: null, ended_at: null, attempts: [] })) });
}

export function timelineOf(made) {
  const steps = made.steps.map((step) => {
    const waits = [];
    if (step.needs.length === 0 && made.started_at && step.started_at && made.started_at > made.created_at) waits.push({ for: 'queue', from: made.created_at, until: made.started_at, ms: (made.started_at - made.created_at) / 1000 });
    if (step.name === 'labels') waits.push({ for: 'processors', from: step.started_at - 2 * kSecond_us, until: step.started_at, ms: 2000 });
    return { name: step.name, kind: step.kind, state: step.state, needs: step.needs, cached_from: step.cached_from ?? null, ready_at: step.ready_at, started_at: step.started_at, ended_at: step.ended_at,
      waited_ms: waits.reduce((sum, wait) => sum + wait.ms, 0), waits, attempts: step.attempts };
  });
  return { run: made.id, state: made.state, created_at: made.created_at, started_at: made.started_at, ended_at: made.ended_at, now_at: kNow_us, steps,
    critical_path: steps.filter((step) => step.started_at && step.name !== 'features').map((step) => ({ step: step.name, waited_ms: 0, ran_ms: 1 })) };
}

export function trialsOf(made) {
  const found = made.steps.filter((step) => step.kind === 'trial');
  const scores = [0.871, 0.893, 0.9127, 0.905, 0.62, null];
  const rank = [4, 3, 1, 2, 5, null];
  const items = found.map((step, index) => ({ name: step.name, state: step.state === 'skipped' ? 'pruned' : step.state, params: step.params, epochs: index > 3 ? 1 : 4, of: 4, started_at: step.started_at, ended_at: step.ended_at,
    cached_from: null, reason: index > 3 ? 'fifth of five after epoch 1; two went on' : null, curve: [], best: scores[index], best_epoch: 3, rank: rank[index] }));
  const axes = found.length ? [{ name: 'learning_rate', kind: 'log', domain: [0.0003, 0.1] }, { name: 'shape', kind: 'category', domain: ['flat', 'deep'] }, { name: 'width', kind: 'linear', domain: [16, 64] },
    { name: 'validation_accuracy', kind: 'linear', domain: [0.62, 0.9127] }] : [];
  return { run: made.id, metric: 'validation_accuracy', higher_is_better: true, best: found.length ? 'trial-3' : null, epochs_spent: 18, items, axes,
    lines: items.map((item) => ({ trial: item.name, values: [item.params.learning_rate, item.params.shape, item.params.width, item.best] })) };
}

/// A small grey picture: one of three garments, in bytes of 28 × 28.
function garment(kind) {
  const bytes = Buffer.alloc(784);
  for (let y = 0; y < 28; ++y) {
    for (let x = 0; x < 28; ++x) {
      const body = Math.abs(x - 13.5) < 6 && y > 4 && y < 25;
      const sleeve = y > 4 && y < 13 && Math.abs(x - 13.5) < 4 + y * 0.75;
      const shoe = y > 14 && y < 22 && x > 2 && x < 26 && y > 20 - x * 0.42;
      const leg = y > 3 && y < 26 && Math.abs(Math.abs(x - 13.5) - 4) < 3;
      if ([body || sleeve, shoe, leg][kind]) bytes[y * 28 + x] = 140 + ((x * 7 + y * 13) % 90);
    }
  }
  return bytes.toString('base64');
}

function colourPatch(seed) {
  const bytes = Buffer.alloc(768);
  for (let at = 0; at < 768; ++at) bytes[at] = (seed * 40 + (at % 16) * 8 + Math.floor(at / 256) * 60) % 256;
  return bytes.toString('base64');
}

export function previewRow(number) {
  return [`p-${String(number).padStart(5, '0')}`, garment(number % 3), colourPatch(number), [0, 7, 1][number % 3], number % 7 === 0 ? null : 9.5 + (number % 40), number % 5 === 0 ? null : `belt ${number % 4}, camera ${number % 3}`];
}

export function logOf(run, step) {
  const lines = [`[${step}] run ${run.id}, pipeline ${run.pipeline} revision ${run.revision}`, `[${step}] sandbox: landlock, 1 cpu, 2 GiB`];
  if (step === 'train') {
    const epochs = { succeeded: 3, failed: 0 }[run.state] ?? 2;
    for (let epoch = 1; epoch <= epochs; ++epoch) {
      for (let at = 0; at <= (epoch === 2 && run.state === 'running' ? 400 : 880); at += 80) lines.push(`epoch ${epoch}/3 batch ${at}/880 loss ${(0.9 / epoch - at / 4000).toFixed(4)}`);
      if (epoch < epochs || run.state === 'succeeded') lines.push(`epoch ${epoch}/3 validation accuracy ${(0.86 + epoch * 0.017).toFixed(4)}, checkpoint saved`);
    }
    if (run.state === 'failed') lines.push('\u001b[31mallocating 2147483648 bytes failed\u001b[0m');
  }
  return lines.join('\n') + '\n';
}

export function problem(status, code, title, detail, more = {}) {
  return { type: `https://ratchet.dev/problems/${code}`, title, status, detail, ...more };
}

const kRecipes = [{ name: 'vision.classifier', task: 'classification', metric: 'accuracy', params: [] }, { name: 'tabular.classifier', task: 'classification', metric: 'accuracy', params: [] },
  { name: 'tabular.regressor', task: 'regression', metric: 'mean_absolute_error', params: [] }];

function status(world) {
  return { version: '0.1.0', data_dir: '/var/lib/ratchet', started_at: ago(3 * kDay_us),
    serve: { url: 'http://127.0.0.1:7301', replicas: [{ id: 'local', models: Object.fromEntries(world.models.map((model) => [model.name, { epoch: model.epoch, ready: [7, 8] }])), seen_at: kNow_us }] },
    worker: { state: 'ready', sandbox: 'landlock', recipes: kRecipes },
    counts: { pipelines: world.pipelines.length, runs_active: world.runs.filter((run) => run.state === 'running').length, models: world.models.length, datasets: world.datasets.length } };
}

function smallModel(name, metric, scores) {
  const made = scores.map((score, index) => ({ ...versions()[0], model: name, version: index + 1, state: index === scores.length - 1 ? 'live' : index === scores.length - 2 ? 'previous' : 'retired', metric, score,
    opponent: scores[index - 1] ?? score * 1.4, opponent_kind: index ? 'live' : 'mean', verdict: 'better', created_at: ago((scores.length - index) * 2 * kDay_us) }));
  return { model: { name, live: scores.length, previous: scores.length > 1 ? scores.length - 1 : null, latest_version: scores.length, epoch: scores.length, metric, created_at: ago(20 * kDay_us), updated_at: ago(2 * kDay_us) }, versions: made };
}

// A candidate of `demand-forecast` for rows without a column that the live version reads.
const kUnscorable = {
  version: { ...versions()[0], model: 'demand-forecast', version: 5, state: 'rejected', run: 9, metric: 'mean_absolute_error', score: null, opponent: null, opponent_kind: 'live', verdict: 'live_unscorable', created_at: ago(kDay_us) },
  decision: { verdict: 'live_unscorable', promotes: false, reason: 'The live version demand-forecast@4 cannot be scored any more: read input store_area: the dataset has no such column. …', metric: 'mean_absolute_error',
    higher_is_better: false, candidate: null, opponent: null, opponent_kind: 'live', opponent_version: 4, difference: null, interval: [null, null], confidence: 0.95, alpha: null, p_value: null, test: 'none', rows: 0, wins: 0,
    losses: 0, better_by: 0, margin: 0, forced: false, rows_needed: null, decided_at: ago(kDay_us),
    live_unscorable: { reason: 'columns', message: 'read input store_area: the dataset has no such column', model: 'demand-forecast', live: 4, reset: false,
      ways_out: ['`ratchet promote demand-forecast@5 --force --reason TEXT` lets the candidate in unjudged',
        '`gate: {baseline: reset}` in the spec, or `ratchet run start demand-forecast --set gate.baseline=reset` for one run, has candidates judged against their baseline, as a first version is, for as long as the live version cannot be scored',
        'data that the live version understands'] } },
};

const kForecast = { epoch: 1, rows: 1988, look: 9, level: 0.000375, metric: 'accuracy', live: 8, live_score: 0.9127, from_version: 9, detectable_gain: 0.0312, realistic_gain: 0.0113, best_recent_gain: 0.0113,
  worthwhile: false, rows_to_push: 5210, ways_out: ['push rows until 5210 more of them are in the holdout (about 26050 rows in all)', '`ratchet dataset rotate-holdout` retires the rows that have been looked at into training'],
  sentence: 'Look 9 at the 1988 sealed rows of epoch 1 is judged at level 0.00038: a true gain of 0.0312 in accuracy or more would be proven with 80 % power, and no more than 0.0113 can be hoped for over 0.9127. Before training: push rows until 5210 more of them are in the holdout (about 26050 rows in all); or `ratchet dataset rotate-holdout` retires the rows that have been looked at into training.' };

/// Everything a server of one test answers with. `empty`: a fresh data directory.
export function world(kind) {
  if (kind === 'empty') {
    const fresh = { models: [], versions: {}, decisions: {}, releases: {}, runs: [], unlisted: [], datasets: [], datasetVersions: {}, pipelines: [] };
    return { ...fresh, status: () => status(fresh) };
  }
  const price = smallModel('demand-forecast', 'mean_absolute_error', [14.21, 12.88, 12.4, 11.92]);
  price.versions.push(kUnscorable.version);
  price.model.latest_version = kUnscorable.version.version;
  const rows = { train: 42_017, validation: 6_015, holdout: 11_968 };
  const made = {
    models: [{ name: kModel, live: 8, previous: 7, latest_version: 9, epoch: 8, metric: 'accuracy', created_at: ago(12 * kDay_us), updated_at: ago(kDay_us) }, price.model],
    versions: { [kModel]: versions().reverse(), [price.model.name]: price.versions.reverse() },
    releases: { [kModel]: releases(), [price.model.name]: [canary(price.model.name)] },
    runs: runs(),
    // Found by their numbers only.
    unlisted: [sweepRun(), queuedRun()],
    datasets: [{ name: kDataset, target: 'label', split: { validation: 0.1, holdout: 0.2, key: 'id' }, schema: kSchema, latest_version: 3, rows, created_at: ago(12 * kDay_us), updated_at: ago(kDay_us), spent_rows: 1_988,
      holdout_epochs: [
        { model: kModel, epoch: 2, rows: 9_950, after_push: 1, until_push: 2, looks: 2, alpha: 0.05, spent: 0.038, left: 0.012, next_level: 0.003377, opened_at: ago(2 * kDay_us) },
        { model: kModel, epoch: 1, rows: 1_988, after_push: 0, until_push: 1, looks: 1, alpha: 0.05, spent: 0.0304, left: 0.0196, next_level: 0.0076, opened_at: ago(9 * kDay_us) },
      ] }],
    datasetVersions: { [kDataset]: [3, 2, 1].map((version) => ({ dataset: kDataset, version, manifest: digest(`manifest ${version}`), rows, rows_added: { train: 14_005, validation: 2_005, holdout: 3_990 }, bytes_added: 9_870_000 + version, created_at: ago((4 - version) * 3 * kDay_us) })) },
    pipelines: [{ name: kModel, model: kModel, revision: 2, state: 'active', spec_text: kSpec, spec: {}, files: {}, created_at: ago(12 * kDay_us), updated_at: ago(5 * kDay_us), last_run: 11 }],
  };
  made.decisions = Object.fromEntries(Object.entries(made.versions).map(([name, list]) => [name, Object.fromEntries(list.map((version) => [version.version, decision(version)]))]));
  made.decisions[price.model.name][kUnscorable.version.version] = kUnscorable.decision;
  return { ...made, status: () => status(made) };
}
