// Numbers and times as text.
import type { Progress } from './shapes';

const kUnits: [string, number][] = [['d', 86_400], ['h', 3600], ['min', 60]];

/// A metric's value: four decimals for shares and small values, fewer where the number is large.
export function score(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && size < 0.0005) return value.toExponential(2);
  return value.toFixed(size >= 1000 ? 1 : size >= 10 ? 2 : 4);
}

export function signed(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return value < 0 ? `−${score(-value)}` : `+${score(value)}`;
}

export function probability(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return value < 0.0001 ? '< 0.0001' : value.toFixed(4);
}

/// A level of significance or a part of α, with as many digits as say something.
export function level(value: number): string {
  return String(Number(value.toPrecision(3)));
}

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : value.toLocaleString('en');
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  let size = value;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (size < 1024) return `${unit === 'B' ? size : size.toFixed(1)} ${unit}`;
    size /= 1024;
  }
  return `${size.toFixed(1)} TiB`;
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(Math.floor(s % 60)).padStart(2, '0')} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')} min`;
}

/// A latency: microseconds below a millisecond, else milliseconds with as many digits as say something.
export function latency(us: number | null | undefined): string {
  if (us === null || us === undefined) return '–';
  if (us < 1000) return `${us} µs`;
  return us < 1_000_000 ? `${Number((us / 1000).toPrecision(3))} ms` : duration(us / 1000);
}

export function ago(at_us: number, now_ms: number): string {
  const s = (now_ms - at_us / 1000) / 1000;
  if (s < -5) return `in ${roughly(-s)}`;
  return s < 5 ? 'just now' : `${roughly(s)} ago`;
}

function roughly(s: number): string {
  for (const [unit, size] of kUnits) if (s >= size) return `${Math.floor(s / size)} ${unit}`;
  return `${Math.floor(s)} s`;
}

export function absolute(at_us: number): string {
  return new Date(at_us / 1000).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'long' });
}

export function iso(at_us: number): string {
  return new Date(at_us / 1000).toISOString();
}

/// `new_rows` → `new rows`.
export function words(name: string): string {
  return name.replaceAll('_', ' ');
}

/// What the candidate was measured against.
export function opponent(kind: string | null | undefined, version?: number | null): string {
  if (!kind) return 'nothing';
  if (kind === 'live') return version ? `live v${version}` : 'live version';
  return `${words(kind)} baseline`;
}

/// How far a step is, 0…1, or null where its progress does not say. `step` counts within the epoch.
export function fraction(progress: Progress | null | undefined): number | null {
  if (!progress) return null;
  const inner = progress.steps ? Math.min(1, (progress.step ?? 0) / progress.steps) : null;
  if (progress.of) {
    const epoch = progress.epoch ?? 0;
    const done = inner === null ? epoch : Math.max(0, epoch - 1) + inner;
    return Math.min(1, done / progress.of);
  }
  return inner;
}

/// How far the present attempt is, 0…1: one that resumed after epoch `from` has done nothing of those before.
export function attemptFraction(progress: Progress | null | undefined): number | null {
  const all = fraction(progress);
  const from = progress?.from ?? 0;
  const of = progress?.of ?? 0;
  if (all === null || from === 0 || of === 0) return all;
  return from >= of ? null : Math.min(1, Math.max(0, (all * of - from) / (of - from)));
}

/// Time that is left at the pace of the attempt so far, or null while that says nothing.
export function left_ms(progress: Progress | null | undefined, started_at: number | null | undefined, now_ms: number): number | null {
  const done = attemptFraction(progress);
  if (!started_at || done === null || done <= 0.01 || done >= 1) return null;
  const elapsed_ms = now_ms - started_at / 1000;
  return elapsed_ms < 500 ? null : (elapsed_ms * (1 - done)) / done;
}

/// A parameter's value: numbers without the noise of their last bits.
export function plain(value: unknown): string {
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  return typeof value === 'string' ? value : JSON.stringify(value);
}
