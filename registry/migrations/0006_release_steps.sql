-- Releases that share traffic for a while before a version is live: shadow, canary, ab; and those that wait for someone's word.

ALTER TABLE releases ADD COLUMN plan_json TEXT;                          -- pipeline/release_plan.h; NULL: live as soon as it is loaded
ALTER TABLE releases ADD COLUMN step INTEGER NOT NULL DEFAULT 0;         -- from 0
ALTER TABLE releases ADD COLUMN step_at INTEGER;                         -- when it began
ALTER TABLE releases ADD COLUMN split_json TEXT;                         -- who gets which share now: registry/release_steps.h
ALTER TABLE releases ADD COLUMN watched_us INTEGER NOT NULL DEFAULT 0;   -- time with traffic in this step
ALTER TABLE releases ADD COLUMN watched_at INTEGER;                      -- when traffic was last seen
ALTER TABLE releases ADD COLUMN evidence_json TEXT;                      -- what the watch says, as it was seen last
ALTER TABLE releases ADD COLUMN approved_by TEXT;
ALTER TABLE releases ADD COLUMN approved_at INTEGER;
ALTER TABLE releases ADD COLUMN harm INTEGER NOT NULL DEFAULT 0;         -- it ended because harm was proven

DROP INDEX one_release_under_way;
CREATE UNIQUE INDEX one_release_under_way ON releases (model) WHERE state IN ('pending', 'loading', 'watching', 'waiting');
CREATE INDEX releases_split ON releases (id) WHERE state IN ('watching', 'waiting');
CREATE INDEX releases_harmful ON releases (model, to_version) WHERE harm = 1;

-- What each replica counted within a step, since it began to count: asked again, it tells the same or more.
CREATE TABLE release_counts (
  release  INTEGER NOT NULL REFERENCES releases (id),
  step     INTEGER NOT NULL,
  share    REAL NOT NULL,                    -- of the candidate among the two arms that are compared
  replica  TEXT NOT NULL,
  instance TEXT NOT NULL,                    -- of the replica's process: another one counts anew
  counts   TEXT NOT NULL,                    -- docs/formats.md, "Routes to replicas"
  PRIMARY KEY (release, step, replica, instance)
) STRICT, WITHOUT ROWID;
