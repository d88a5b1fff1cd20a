-- Records of a spool that were no predictions: answered, and not kept.
ALTER TABLE spools ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;

-- Joined rows that become rows of a dataset, a batch a version of it. A batch is made up first, then pushed, then done: one
-- that is open was made up by a process that may have died before or after its push, and the dataset's manifests tell
-- which (docs/formats.md, "Dataset manifest").
CREATE TABLE feedback_batches (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  model TEXT NOT NULL,
  dataset TEXT NOT NULL,
  after_number INTEGER NOT NULL,   -- joined rows of the model numbered above this …
  last_number INTEGER NOT NULL,    -- … and up to this
  after_version INTEGER NOT NULL,  -- the dataset's latest version when the batch was made up
  state TEXT NOT NULL CHECK (state IN ('open', 'done')),
  version INTEGER,                 -- that it made; null where no row of it was fit
  rows INTEGER NOT NULL DEFAULT 0,
  unfit INTEGER NOT NULL DEFAULT 0,      -- that the dataset's schema does not take
  in_holdout INTEGER NOT NULL DEFAULT 0, -- whose key stands in the holdout already
  known INTEGER NOT NULL DEFAULT 0,      -- of a case that another row stands for
  why TEXT NOT NULL DEFAULT '',          -- of the first unfit row
  created_at INTEGER NOT NULL,
  ended_at INTEGER
) STRICT;
CREATE INDEX feedback_batches_last ON feedback_batches (model, dataset, last_number);
CREATE UNIQUE INDEX feedback_batches_open ON feedback_batches (model, dataset) WHERE state = 'open';

-- The cases, by the users' own keys, that have become a row, whatever has been deleted since: the same case asked for
-- twice is one row, that of the joined row of this number.
CREATE TABLE feedback_cases (
  model TEXT NOT NULL,
  dataset TEXT NOT NULL,
  key TEXT NOT NULL,
  row INTEGER NOT NULL,
  number INTEGER NOT NULL,
  PRIMARY KEY (model, dataset, key, row)
) STRICT, WITHOUT ROWID;

CREATE INDEX joined_model ON joined (model, number);
