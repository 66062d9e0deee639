-- Version 18: sweeps, jobs that are made and compared together.
CREATE TABLE sweep (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL REFERENCES tenant (name),
  created_at INTEGER NOT NULL,
  name TEXT,                             -- NULL: none
  metric TEXT NOT NULL,                  -- what its jobs are compared by
  goal TEXT NOT NULL CHECK (goal IN ('minimize', 'maximize')),
  fields TEXT NOT NULL,                  -- JSON array: names of what differs
  request TEXT NOT NULL                  -- JSON: as it was sent
) STRICT;
CREATE INDEX sweep_of_tenant ON sweep (tenant, seq);
ALTER TABLE job ADD COLUMN sweep TEXT REFERENCES sweep (id) ON DELETE SET NULL; -- NULL: made by itself
ALTER TABLE job ADD COLUMN sweep_values TEXT;       -- JSON object: its values of the sweep's fields
CREATE INDEX job_of_sweep ON job (sweep, seq) WHERE sweep IS NOT NULL;
