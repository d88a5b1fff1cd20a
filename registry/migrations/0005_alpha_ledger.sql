-- The α ledger: on which sealed rows a model's candidates are judged, and what each look at them has cost.

CREATE TABLE holdout_epochs (                -- the rows stay the same from the first look on
  dataset    TEXT NOT NULL,
  model      TEXT NOT NULL,
  epoch      INTEGER NOT NULL CHECK (epoch >= 1),
  after_push INTEGER NOT NULL,               -- holdout rows of the pushes from after_push + 1 …
  until_push INTEGER NOT NULL,               -- … to until_push
  rows       INTEGER NOT NULL,
  opened_at  INTEGER NOT NULL,
  PRIMARY KEY (dataset, model, epoch),
  CHECK (until_push > after_push)
) STRICT, WITHOUT ROWID;

-- Looks of before the ledger have no epoch: they were tested at the whole α each.
ALTER TABLE holdout_looks ADD COLUMN epoch INTEGER;
ALTER TABLE holdout_looks ADD COLUMN look INTEGER;   -- the k-th on the epoch's rows
ALTER TABLE holdout_looks ADD COLUMN alpha REAL;     -- its level
ALTER TABLE holdout_looks ADD COLUMN budget REAL;    -- what all looks at the epoch's rows may cost together
CREATE UNIQUE INDEX holdout_looks_by_epoch ON holdout_looks (dataset, model, epoch, look) WHERE epoch IS NOT NULL;
