-- The registry's first form. Times are microseconds since 1970 UTC; *_json columns hold JSON text.

CREATE TABLE pipelines (
  name       TEXT PRIMARY KEY,
  revision   INTEGER NOT NULL,               -- the current one
  deleted    INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE pipeline_revisions (
  pipeline   TEXT NOT NULL REFERENCES pipelines (name),
  revision   INTEGER NOT NULL,
  model      TEXT NOT NULL,
  dataset    TEXT NOT NULL,
  spec_text  TEXT NOT NULL,
  spec_json  TEXT NOT NULL,
  files_json TEXT NOT NULL,                  -- {"train.py": "<sha256 of a blob>"}
  created_at INTEGER NOT NULL,
  PRIMARY KEY (pipeline, revision)
) STRICT;

CREATE TABLE datasets (
  name           TEXT PRIMARY KEY,
  split_json     TEXT NOT NULL,              -- fixed for ever: a row never wanders between splits
  schema_json    TEXT,                       -- NULL before the first push
  latest_version INTEGER NOT NULL DEFAULT 0,
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE dataset_versions (
  dataset         TEXT NOT NULL REFERENCES datasets (name),
  version         INTEGER NOT NULL,
  manifest        TEXT NOT NULL,             -- SHA-256 of the manifest blob
  rows_train      INTEGER NOT NULL,
  rows_validation INTEGER NOT NULL,
  rows_holdout    INTEGER NOT NULL,
  added_json      TEXT NOT NULL,             -- {"train":n,"validation":n,"holdout":n} of this push
  bytes_added     INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  PRIMARY KEY (dataset, version)
) STRICT;

CREATE TABLE runs (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  pipeline        TEXT NOT NULL REFERENCES pipelines (name),
  revision        INTEGER NOT NULL,
  model           TEXT NOT NULL,
  state           TEXT NOT NULL,
  outcome         TEXT,
  reason_json     TEXT NOT NULL,
  overrides_json  TEXT NOT NULL,
  spec_json       TEXT NOT NULL,             -- the revision's spec with the overrides applied
  dataset         TEXT NOT NULL,
  dataset_version INTEGER NOT NULL,
  candidate       INTEGER,                   -- version of the model that this run made
  live_at_start   INTEGER,
  summary         TEXT NOT NULL DEFAULT '',
  error_json      TEXT,
  cancel_asked    INTEGER NOT NULL DEFAULT 0,
  created_at      INTEGER NOT NULL,
  started_at      INTEGER,
  ended_at        INTEGER,
  FOREIGN KEY (pipeline, revision) REFERENCES pipeline_revisions (pipeline, revision),
  FOREIGN KEY (dataset, dataset_version) REFERENCES dataset_versions (dataset, version)
) STRICT;
CREATE INDEX runs_by_pipeline ON runs (pipeline, id);
CREATE INDEX runs_active ON runs (state) WHERE state IN ('queued', 'running');

CREATE TABLE steps (
  run        INTEGER NOT NULL REFERENCES runs (id),
  position   INTEGER NOT NULL,
  name       TEXT NOT NULL,
  state      TEXT NOT NULL,
  started_at INTEGER,
  ended_at   INTEGER,
  PRIMARY KEY (run, name)
) STRICT;

CREATE TABLE attempts (
  run           INTEGER NOT NULL,
  step          TEXT NOT NULL,
  number        INTEGER NOT NULL,
  state         TEXT NOT NULL,
  pid           INTEGER,
  started_at    INTEGER NOT NULL,
  ended_at      INTEGER,
  error_json    TEXT,
  result_json   TEXT,                        -- the step's result.json, once taken in
  cpu_s         REAL,
  max_rss_bytes INTEGER,
  PRIMARY KEY (run, step, number),
  FOREIGN KEY (run, step) REFERENCES steps (run, name)
) STRICT;

CREATE TABLE models (
  name       TEXT PRIMARY KEY,
  metric     TEXT NOT NULL,
  latest     INTEGER NOT NULL DEFAULT 0,
  live       INTEGER,                        -- the one that serves; NULL before the first promotion
  previous   INTEGER,
  loading    INTEGER,                        -- being loaded by the replicas for the release under way
  epoch      INTEGER NOT NULL DEFAULT 0,     -- grows with every change of live, previous or loading
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  FOREIGN KEY (name, live) REFERENCES versions (model, version),
  FOREIGN KEY (name, previous) REFERENCES versions (model, version),
  FOREIGN KEY (name, loading) REFERENCES versions (model, version)
) STRICT;

CREATE TABLE versions (
  model           TEXT NOT NULL REFERENCES models (name),
  version         INTEGER NOT NULL,
  state           TEXT NOT NULL,             -- candidate, passed, rejected; live, previous, retired follow from models and releases
  run             INTEGER NOT NULL REFERENCES runs (id),
  bundle          TEXT NOT NULL,             -- SHA-256 of the manifest blob
  bundle_bytes    INTEGER NOT NULL,
  manifest_json   TEXT NOT NULL,
  metric          TEXT NOT NULL,
  score           REAL,
  opponent        REAL,
  opponent_kind   TEXT,
  opponent_version INTEGER,
  verdict         TEXT,
  decision_json   TEXT,                      -- the gate's report
  scores          TEXT,                      -- SHA-256 of the scores pack
  recipe          TEXT NOT NULL,
  dataset         TEXT NOT NULL,
  dataset_version INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  PRIMARY KEY (model, version),
  UNIQUE (run)
) STRICT;

CREATE TABLE releases (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  model        TEXT NOT NULL REFERENCES models (name),
  kind         TEXT NOT NULL,
  from_version INTEGER,
  to_version   INTEGER NOT NULL,
  epoch        INTEGER,
  state        TEXT NOT NULL,
  strategy     TEXT NOT NULL,
  actor        TEXT NOT NULL,
  reason       TEXT NOT NULL,
  run          INTEGER REFERENCES runs (id),
  created_at   INTEGER NOT NULL,
  ended_at     INTEGER,
  took_ms      REAL,
  error        TEXT,
  FOREIGN KEY (model, to_version) REFERENCES versions (model, version)
) STRICT;
CREATE INDEX releases_by_model ON releases (model, id);
CREATE UNIQUE INDEX one_release_under_way ON releases (model) WHERE state IN ('pending', 'loading');

CREATE TABLE holdout_looks (                 -- every decision on a dataset's sealed rows
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  dataset         TEXT NOT NULL,
  dataset_version INTEGER NOT NULL,
  model           TEXT NOT NULL,
  version         INTEGER NOT NULL,
  run             INTEGER NOT NULL REFERENCES runs (id),
  rows            INTEGER NOT NULL,
  p_value         REAL NOT NULL,
  verdict         TEXT NOT NULL,
  at              INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  type     TEXT NOT NULL,
  run      INTEGER,
  pipeline TEXT,
  model    TEXT,
  data     TEXT NOT NULL,
  at       INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_run ON events (run, id) WHERE run IS NOT NULL;

CREATE TABLE audit (                         -- each entry's hash covers the one before it
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  at      INTEGER NOT NULL,
  actor   TEXT NOT NULL,
  action  TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail  TEXT NOT NULL,
  hash    TEXT NOT NULL
) STRICT;

CREATE TABLE idempotency (
  scope  TEXT NOT NULL,                      -- method and path
  key    TEXT NOT NULL,
  digest TEXT NOT NULL,                      -- SHA-256 of the request body
  status INTEGER NOT NULL,
  body   TEXT NOT NULL,
  at     INTEGER NOT NULL,
  PRIMARY KEY (scope, key)
) STRICT;
