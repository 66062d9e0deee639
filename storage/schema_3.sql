-- Version 3: what waits for removal, which data folder this store belongs to, and indexes for every question that is
-- asked of a long queue or a long history.
CREATE TABLE removal (
  path TEXT PRIMARY KEY                  -- relative to the data folder: no row names it any more
) STRICT, WITHOUT ROWID;
CREATE TABLE store (
  id TEXT NOT NULL                       -- also in the data folder: a store of another folder is told from this one
) STRICT;
INSERT INTO store VALUES (lower(hex(randomblob(16))));
ALTER TABLE job ADD COLUMN needs_free INTEGER NOT NULL DEFAULT 0; -- bytes: it waits until the disk has so many
-- A partial index answers `state = ...` only where its own condition says just that.
DROP INDEX job_open;
CREATE INDEX job_by_state ON job (state, seq);
CREATE INDEX job_training_file ON job (training_file);
CREATE INDEX job_validation_file ON job (validation_file) WHERE validation_file IS NOT NULL;
DROP INDEX export_queue;
CREATE INDEX export_by_state ON export (state, seq);
CREATE INDEX file_by_purpose ON file (purpose, seq);
