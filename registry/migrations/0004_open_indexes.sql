-- SQLite takes an index of some rows only where the query has its condition word for word, and even then only if it
-- thinks so: one index for each state that the loop asks for in every tick, and the queries say INDEXED BY, so that what
-- has ended costs nothing.

DROP INDEX runs_active;
CREATE INDEX runs_running ON runs (pipeline, id) WHERE state = 'running';
CREATE INDEX runs_queued ON runs (pipeline, priority, id) WHERE state = 'queued';
DROP INDEX steps_open;
CREATE INDEX steps_running ON steps (run, position) WHERE state = 'running';
CREATE INDEX steps_ready ON steps (run, blocked, position) WHERE state = 'pending';
CREATE INDEX releases_loading ON releases (id) WHERE state = 'loading';
