-- Runs become graphs of steps: needs, parameters of trials, cached results, priorities, deadlines, pauses.

ALTER TABLE pipelines ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pipelines ADD COLUMN schedule_seen_at INTEGER;           -- fire times up to here are dealt with

ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;     -- higher first
ALTER TABLE runs ADD COLUMN deadline_s INTEGER;                      -- from started_at
ALTER TABLE runs ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0;        -- takes nothing from the cache
ALTER TABLE runs ADD COLUMN reproduces INTEGER REFERENCES runs (id);
ALTER TABLE runs ADD COLUMN trace_id TEXT NOT NULL DEFAULT '';       -- 32 hex digits, as OpenTelemetry has them

ALTER TABLE steps ADD COLUMN kind TEXT NOT NULL DEFAULT '';          -- validate, command, recipe, train, trial, select, test, gate, release
ALTER TABLE steps ADD COLUMN params_json TEXT;                       -- what a trial has of its own
ALTER TABLE steps ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;     -- needs that stand in its way; 0 = it may start
ALTER TABLE steps ADD COLUMN ready_at INTEGER;                       -- when the last of them ended
ALTER TABLE steps ADD COLUMN attempts_before INTEGER NOT NULL DEFAULT 0;  -- attempts of earlier tries, before a retry of the run
ALTER TABLE steps ADD COLUMN cached_from INTEGER REFERENCES runs (id);
ALTER TABLE steps ADD COLUMN cache_key TEXT;
ALTER TABLE steps ADD COLUMN outputs_json TEXT;                      -- {"features.pack":{"sha256":"…","bytes":n}}; of a trial its bundle
UPDATE steps SET kind = name;

CREATE TABLE step_needs (
  run  INTEGER NOT NULL,
  step TEXT NOT NULL,
  need TEXT NOT NULL,
  PRIMARY KEY (run, step, need),
  FOREIGN KEY (run, step) REFERENCES steps (run, name),
  FOREIGN KEY (run, need) REFERENCES steps (run, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX step_needs_by_need ON step_needs (run, need);
INSERT INTO step_needs (run, step, need)
  SELECT later.run, later.name, earlier.name FROM steps AS later JOIN steps AS earlier
  ON earlier.run = later.run AND earlier.position = later.position - 1;
UPDATE steps SET blocked = (SELECT count(*) FROM step_needs AS n JOIN steps AS s ON s.run = n.run AND s.name = n.need
                            WHERE n.run = steps.run AND n.step = steps.name AND s.state <> 'succeeded');
CREATE INDEX steps_open ON steps (run, state, blocked, position) WHERE state IN ('pending', 'running');

ALTER TABLE attempts ADD COLUMN read_bytes INTEGER;

CREATE TABLE step_cache (                    -- what a step with this content brought, and who did the work
  key     TEXT PRIMARY KEY,                  -- SHA-256; pipeline/step_cache.h
  run     INTEGER NOT NULL REFERENCES runs (id),
  step    TEXT NOT NULL,
  result  TEXT NOT NULL,                     -- result.json
  outputs TEXT,                              -- as steps.outputs_json
  at      INTEGER NOT NULL
) STRICT;

CREATE TABLE drift (                         -- of a pipeline's newest rows against those its live version was trained on
  pipeline        TEXT PRIMARY KEY REFERENCES pipelines (name),
  dataset_version INTEGER NOT NULL,
  live            INTEGER NOT NULL,
  worst           REAL NOT NULL,             -- population stability index of the worst column
  report_json     TEXT NOT NULL,
  at              INTEGER NOT NULL
) STRICT;
