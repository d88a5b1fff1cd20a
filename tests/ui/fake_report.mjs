// Decision reports as ratchetd makes them (docs/formats.md, "Decision report"): the built page, filled in with made-up decisions.
// `node fake_report.mjs OUTDIR` writes one file of each kind, to be looked at.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { kDist } from './fake_api.mjs';

const kAt_us = Date.UTC(2026, 3, 17, 9, 30) * 1000;
const digest = (sign) => sign.repeat(64);

/// A sequence that is the same in every test.
function chance(seed) {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

function html(text) {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/// The file that a browser gets.
export function reportFile(report) {
  const data = JSON.stringify(report).replace(/[<>&]/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`);
  const title = `${report.version.model}@${report.version.version}: ${report.decision.verdict}`;
  const parts = { TITLE: html(title), HEADING: html(title), SUMMARY: html(report.decision.reason ?? ''), DATA: data };
  return readFileSync(path.join(kDist, '../report/report.html'), 'utf8').replace(/@(TITLE|HEADING|SUMMARY|DATA)@/g, (_, name) => parts[name]);
}

function version(more = {}) {
  return { model: 'parcel-sorter', version: 9, state: 'live', run: 41, bundle: digest('a'), bundle_bytes: 1_431_234, metric: 'accuracy', score: 0.9127, opponent: 0.8902, opponent_kind: 'live', verdict: 'better',
    recipe: 'vision.classifier', dataset: 'parcels', dataset_version: 12, created_at: kAt_us - 90e6,
    manifest: { lineage: { pipeline: 'parcel-sorter', revision: 3, run: 41, seed: 7, dataset_manifest: digest('b'), params: { epochs: 6, learning_rate: 0.005, augment: true }, trainer_files: {} },
      training: { rows: 42_017, epochs: 6 }, files: { 'model.pt': { sha256: digest('c'), bytes: 1_430_000 } } }, ...more };
}

function slice(name, state, rows, difference, more = {}) {
  const half = 0.9 / Math.sqrt(rows);
  return { name, state, rows, units: rows, wins: 0, losses: 0, margin: 0.01, difference, interval: [difference - half, difference + half], test: 'mcnemar_exact', p_worse: state === 'worse' ? 1e-5 : 0.6,
    p_adjusted: state === 'worse' ? 0.0004 : 1, detectable_loss: 2.5 * half, ...more };
}

function side(classes, rows, right, next) {
  const per = Math.floor(rows / classes);
  const confusion = Array.from({ length: classes }, () => Array(classes).fill(0));
  for (let target = 0; target < classes; ++target) {
    const found = Math.round(per * (right - 0.2 * next()));
    confusion[target][target] = found;
    confusion[target][(target + 1) % classes] += Math.round((per - found) * 0.7);
    confusion[target][(target + 5) % classes] += per - found - Math.round((per - found) * 0.7);
  }
  const share = (part, whole) => (whole > 0 ? part / whole : null);
  const per_class = confusion.map((cells, at) => {
    const predicted = confusion.reduce((sum, row) => sum + row[at], 0);
    return { support: per, predicted, precision: share(cells[at], predicted), recall: share(cells[at], per), f1: share(2 * cells[at], per + predicted) };
  });
  const reliability = Array.from({ length: 15 }, (_, bin) => ({ low: bin / 15, high: (bin + 1) / 15, rows: bin < 4 ? 0 : bin * bin * 12, mean_confidence: bin < 4 ? 0 : (bin + 0.5) / 15, share_true: bin < 4 ? 0 : Math.min(1, (bin + 0.5) / 15 - 0.05 + 0.04 * next()) }));
  return { per_class, confusion: classes > 50 ? null : confusion, expected_calibration_error: 0.021 + 0.02 * (1 - right), largest_calibration_error: 0.05, reliability };
}

function classReport(names) {
  const next = chance(11);
  return { classes: names, candidate: side(names.length, 11_968, 0.97, next), opponent: side(names.length, 11_968, 0.95, next) };
}

function looks(decided) {
  const of = (epoch, count, rows) => Array.from({ length: count }, (_, index) => ({ epoch, look: index + 1, version: (epoch - 1) * 3 + index + 1 + (epoch > 1 ? 2 : 0), verdict: index === 0 ? 'better' : 'inconclusive', level: (0.05 * 6) / (Math.PI ** 2 * (index + 1) ** 2), budget: 0.05,
    rows, at: decided - (10 - epoch) * 86_400e6 + index * 3600e6 }));
  return [...of(1, 3, 1988), ...of(2, 4, 11_968)];
}

const kGarments = ['T-shirt', 'trousers', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker', 'bag', 'ankle boot'];

/// A classification that passed, with all parts.
export function usualReport(more = {}) {
  const list = looks(kAt_us);
  const held = list.at(-1);
  const spent = list.filter((look) => look.epoch === 2).reduce((sum, look) => sum + look.level, 0);
  const decision = { verdict: 'better', promotes: true, reason: 'Candidate 0.9127 against 0.8902 on 11,968 rows: better by 0.0225 (95 % interval 0.01789 to 0.02713, p = 3.1e-19, exact McNemar 512 wins, 243 losses, look 4 at these rows and so judged at level 0.0019).',
    metric: 'accuracy', higher_is_better: true, candidate: 0.9127, opponent: 0.8902, opponent_kind: 'live', opponent_version: 8, difference: 0.0225, interval: [0.01789, 0.02713], interval_method: 'bca', lower_bound: 0.0153, confidence: 0.95,
    alpha: held.level, p_value: 3.1e-19, test: 'mcnemar_exact', rows: 11_968, units: 11_968, wins: 512, losses: 243, rule: 'better', better_by: 0.005, margin: 0, rows_needed: null, group_by: null, forced: false, decided_at: kAt_us,
    holdout: { epoch: 2, look: 4, level: held.level, spent, left: 0.05 - spent, next_level: (0.05 * 6) / (Math.PI ** 2 * 25), rows: 12_001, after_push: 1, until_push: 12 },
    slices: [...kGarments.slice(0, 6).map((name, index) => slice(`label = ${name}`, 'holds', 1190 + index, 0.031 - index * 0.006)), slice('camera = 7', 'too_small', 40, 0), slice('camera is missing', 'cannot_tell', 130, 0)],
    segments: [slice('label = shirt and price > 12', 'holds', 310, -0.031)], class_report: classReport(kGarments), basis: { seed: 7 }, ...more };
  return { ratchet: '0.1.0', decision, version: version({ verdict: decision.verdict }), opponent: { ...version({ version: 8, bundle: digest('d') }), manifest: undefined }, scores: digest('e'), looks: list };
}

/// As large as the class report gets, with 50 slices.
export function largeReport(classes = 200, slices = 50) {
  const next = chance(5);
  const report = usualReport();
  report.decision.class_report = classReport(Array.from({ length: classes }, (_, index) => `species ${index + 1}`));
  report.decision.slices = Array.from({ length: slices }, (_, index) => slice(`region = R${index + 1}`, index % 9 === 8 ? 'too_small' : 'holds', 60 + index * 31, 0.04 * next() - 0.01));
  return report;
}

export function regressionReport() {
  const report = usualReport({ verdict: 'inconclusive', promotes: false, metric: 'mae', higher_is_better: false, candidate: 11.92, opponent: 12.4, difference: 0.48, interval: [-0.21, 1.16], lower_bound: -0.43, test: 'clustered_t',
    rows: 4210, units: 211, group_by: 'store', wins: 2290, losses: 1920, rows_needed: 9100, p_value: 0.087, reason: 'Candidate 11.92 against 12.4 on 4,210 rows of 211 groups: its lead of 0.48 is not proven; about 9,100 further rows would settle it.' });
  delete report.decision.class_report;
  report.decision.slices = [];
  report.decision.segments = [];
  return report;
}

/// A first version, held against its baseline, whose one bad slice keeps it out.
export function firstReport() {
  const report = usualReport({ opponent_kind: 'majority', opponent_version: null, opponent: 0.1032, difference: 0.8095, interval: [0.802, 0.817], lower_bound: 0.801, promotes: false, better_by: 0 });
  report.decision.slices[2] = slice('label = pullover', 'worse', 1202, -0.083);
  report.decision.holdout = { ...report.decision.holdout, look: 1, spent: 0.0304, left: 0.0196, next_level: 0.0076, level: 0.0304, epoch: 1 };
  report.looks = report.looks.slice(0, 1);
  return { ...report, opponent: null };
}

/// A refresh that may lose a little, and parts that other steps of the test add.
export function refreshReport() {
  return usualReport({ verdict: 'not_worse', rule: 'not_worse', margin: 0.01, better_by: 0, difference: -0.0012, candidate: 0.889, interval: [-0.0061, 0.0036], lower_bound: -0.0079, wins: 301, losses: 315,
    serving: { rows: 2000, rounds: 3, p50_latency_us: 310, p99_latency_us: 9650, load_us: 90_000, memory_bytes: 183_500_800, memory_growth_bytes: 41_000_000, bundle_bytes: 1_431_234, largest_difference: 1e-8, took_ms: 4100,
      budgets: [{ name: 'p99_latency', unit: 'us', limit: 20_000, measured: 9650, holds: true }, { name: 'memory', unit: 'bytes', limit: 104_857_600, measured: 183_500_800, holds: false }] },
    leakage: { rows: 12_001, training_rows: 42_017, dropped: 3, equal: { mode: 'auto', action: 'dropped', rows: 3, share: 0.00025, examples: [{ holdout: 'p-7', training: 'p-9' }] } },
    forced: true, forced_by: { release: 12, actor: 'loopback', reason: 'the holdout has <wrong> labels', created_at: kAt_us + 3600e6 } });
}

/// A live version that cannot be scored any more: nothing was compared, and no look was spent.
export function unscorableReport() {
  const report = usualReport({ verdict: 'live_unscorable', promotes: false, reason: 'The live version parcel-sorter@8 cannot be scored any more: it reads the column photo. Nothing was compared, and no look was spent.', candidate: null, opponent: null, difference: null,
    interval: [null, null], lower_bound: null, alpha: null, p_value: null, test: 'none', rows: 0, units: 0, wins: 0, losses: 0, slices: [], segments: [],
    live_unscorable: { reason: 'columns', message: 'it reads the column photo', ways_out: ['`ratchet promote parcel-sorter@9 --force --reason TEXT` lets the candidate in unjudged', 'data that the live version understands'] } });
  delete report.decision.class_report;
  delete report.decision.holdout;
  return report;
}

/// Of before there were most parts.
export function oldReport() {
  const report = usualReport();
  return { ...report, decision: { verdict: 'better' }, version: { model: 'toys', version: 1 }, opponent: null, scores: null, looks: [] };
}

export const kKinds = { usual: usualReport, large: largeReport, map: () => largeReport(40, 14), regression: regressionReport, first: firstReport, refresh: refreshReport, unscorable: unscorableReport, old: oldReport };

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(process.argv[2], { recursive: true });
  for (const [kind, made] of Object.entries(kKinds)) writeFileSync(path.join(process.argv[2], `${kind}.html`), reportFile(made()));
}
