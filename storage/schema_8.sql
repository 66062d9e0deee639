-- Version 8: what training goes on from, attempts that are counted, jobs that are paused, and nothing told twice.
CREATE TABLE training_state (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, -- the newest has the greatest
  job_id TEXT NOT NULL REFERENCES job (id),
  lease_token INTEGER NOT NULL,          -- of the run that wrote it
  step INTEGER NOT NULL,
  path TEXT NOT NULL,                    -- relative to the data folder
  bytes INTEGER NOT NULL CHECK (bytes >= 0),
  sha256 TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (job_id, step)
) STRICT;
-- A job that has ended goes on from nothing, however it ended.
CREATE TRIGGER job_end_drops_states AFTER UPDATE OF state ON job
  WHEN new.state IN ('succeeded', 'failed', 'cancelled') AND old.state <> new.state
  BEGIN
    INSERT OR IGNORE INTO removal SELECT path FROM training_state WHERE job_id = new.id;
    DELETE FROM training_state WHERE job_id = new.id;
  END;
ALTER TABLE job ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0; -- claims since training last got further; some refunded
ALTER TABLE job ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0; -- deaths of the daemon meanwhile
ALTER TABLE job ADD COLUMN furthest_step INTEGER NOT NULL DEFAULT 0; -- of a state that was ever stored
ALTER TABLE job ADD COLUMN run_after INTEGER NOT NULL DEFAULT 0; -- boot clock, ms: a queued job waits until then
ALTER TABLE job ADD COLUMN pause_requested_at INTEGER;
DROP INDEX job_queue;
CREATE INDEX job_queue ON job (state, tenant, priority DESC, seq, needs_free, run_after, device_wanted)
  WHERE state = 'queued';
-- What a run that goes on tells again is looked for.
ALTER TABLE event ADD COLUMN step INTEGER; -- of metrics
UPDATE event SET step = iif(json_valid(data), CAST(json_extract(data, '$.step') AS INTEGER), NULL)
  WHERE type = 'metrics' AND job_id IN (SELECT id FROM job WHERE state IN ('queued', 'running', 'paused'));
CREATE INDEX event_of_step ON event (job_id, step) WHERE type = 'metrics';
CREATE INDEX event_of_message ON event (job_id, message) WHERE type = 'message';
