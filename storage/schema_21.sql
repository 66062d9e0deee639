-- Version 21: a checkpoint that its job keeps no more stays while a job that has not ended starts from it.
ALTER TABLE checkpoint ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
CREATE INDEX checkpoint_dropped ON checkpoint (seq) WHERE dropped;
-- Events of a job that is deleted are deleted in pieces, after its row: no key ties them to it any more.
CREATE TABLE event_kept (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused: clients keep it as a cursor
  job_id TEXT NOT NULL,                  -- of a job, or noted in event_removal
  created_at INTEGER NOT NULL,
  level TEXT NOT NULL CHECK (level IN ('info', 'warn', 'error')),
  type TEXT NOT NULL CHECK (type IN ('message', 'metrics')),
  message TEXT NOT NULL,
  data TEXT,                             -- JSON object or NULL
  step INTEGER                           -- of metrics
) STRICT;
INSERT INTO event_kept (seq, job_id, created_at, level, type, message, data, step)
  SELECT seq, job_id, created_at, level, type, message, data, step FROM event;
DELETE FROM sqlite_sequence WHERE name = 'event_kept';
INSERT INTO sqlite_sequence (name, seq) SELECT 'event_kept', seq FROM sqlite_sequence WHERE name = 'event';
DROP TABLE event;
ALTER TABLE event_kept RENAME TO event;
CREATE INDEX event_of_job ON event (job_id, seq);
CREATE INDEX event_of_step ON event (job_id, step) WHERE type = 'metrics';
CREATE INDEX event_of_message ON event (job_id, message) WHERE type = 'message';
CREATE TABLE event_removal (
  job_id TEXT PRIMARY KEY                -- of a job that is gone, whose events are still there
) STRICT, WITHOUT ROWID;
