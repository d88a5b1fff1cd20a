// What a report file holds (docs/formats.md, "Decision report"), read so that an older decision, which lacks parts, opens as well.
import type { Decision, Version } from '../shapes';

/// One decision on sealed rows of the dataset, in the order in which they were taken.
export interface Look {
  epoch: number;
  look: number;
  version: number;
  verdict: string;
  level: number;
  budget: number;
  rows: number;
  at: number;
}

export interface Lineage {
  pipeline?: string;
  revision?: number;
  run?: number;
  seed?: number;
  dataset_manifest?: string;
  params?: Record<string, unknown>;
  trainer_files?: Record<string, string>;
}

export interface Manifest {
  lineage?: Lineage;
  training?: { rows?: number; epochs?: number };
  files?: Record<string, { sha256?: string; bytes?: number }>;
}

/// Of a decision that could not be taken: why the live version is no opponent any more, and what to do.
export interface NoOpponent {
  message?: string;
  ways_out?: string[];
}

export interface Report {
  ratchet: string;
  decision: Decision & { live_unscorable?: NoOpponent };
  version: Version & { manifest?: Manifest };
  /// The version that it was held against, where it was one.
  opponent: Version | null;
  /// SHA-256 of the answers of both to every row.
  scores: string | null;
  looks: Look[];
}

export function readReport(text: string): Report {
  const read = JSON.parse(text) as Partial<Report>;
  const decision = { interval: [null, null], slices: [], segments: [], confidence: 0, alpha: 0, ...read.decision } as unknown as Report['decision'];
  return { ratchet: read.ratchet ?? '', decision, version: (read.version ?? {}) as Report['version'], opponent: read.opponent ?? null, scores: read.scores ?? null, looks: read.looks ?? [] };
}
