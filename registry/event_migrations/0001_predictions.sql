-- Answered predictions as the replicas ship them, the outcomes that users send back, and what the two say together.

-- How far each replica's spool has been taken in: a number up to last_sequence is known, whatever became of its row, so
-- that predictions need no index by it.
CREATE TABLE spools (
  spool TEXT PRIMARY KEY,
  replica TEXT NOT NULL,
  last_sequence INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) STRICT;

-- Predictions that a serving process answered but could not keep, since it began to count.
CREATE TABLE drops (
  spool TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  dropped INTEGER NOT NULL,
  PRIMARY KEY (spool, started_at)
) STRICT;

CREATE TABLE predictions (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  model TEXT NOT NULL,
  version INTEGER NOT NULL,
  spool TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  replica TEXT NOT NULL,
  role TEXT NOT NULL,
  share REAL NOT NULL,
  key TEXT,
  rows INTEGER NOT NULL,
  at INTEGER NOT NULL,
  latency_us INTEGER NOT NULL,
  inputs TEXT,
  outputs TEXT NOT NULL
) STRICT;
CREATE INDEX predictions_key ON predictions (model, key) WHERE key IS NOT NULL;
CREATE INDEX predictions_at ON predictions (at);

-- One outcome a row of a prediction (via 'prediction', its id) or of a case (via 'key'); it may come before the prediction.
CREATE TABLE feedback (
  model TEXT NOT NULL,
  via TEXT NOT NULL CHECK (via IN ('prediction', 'key')),
  reference TEXT NOT NULL,
  row INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  at INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  PRIMARY KEY (model, via, reference, row)
) STRICT;
CREATE INDEX feedback_received ON feedback (received_at);

-- A row of a prediction with its outcome. The score is that of the version's own metric; null where it has none.
CREATE TABLE joined (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  prediction INTEGER NOT NULL REFERENCES predictions (number) ON DELETE CASCADE,
  row INTEGER NOT NULL,
  model TEXT NOT NULL,
  version INTEGER NOT NULL,
  via TEXT NOT NULL CHECK (via IN ('prediction', 'key')),
  outcome TEXT NOT NULL,
  score REAL,
  at INTEGER NOT NULL,
  joined_at INTEGER NOT NULL,
  UNIQUE (prediction, row)
) STRICT;
CREATE INDEX joined_scored ON joined (model, version, at, number, score) WHERE score IS NOT NULL;
CREATE INDEX joined_lately ON joined (model, version, joined_at) WHERE score IS NOT NULL;

-- Counted for good: what retention deletes stays in here.
CREATE TABLE totals (
  model TEXT NOT NULL,
  version INTEGER NOT NULL,
  predictions INTEGER NOT NULL DEFAULT 0,
  rows INTEGER NOT NULL DEFAULT 0,
  joined INTEGER NOT NULL DEFAULT 0,
  unscored INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (model, version)
) STRICT;
