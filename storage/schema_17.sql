-- Version 17: the queue can be reordered, jobs be changed and deleted.
ALTER TABLE job ADD COLUMN moved INTEGER;           -- its place in the queue, where it was given another than its age's
ALTER TABLE job ADD COLUMN place INTEGER GENERATED ALWAYS AS (ifnull(moved, seq << 32)) VIRTUAL; -- before all that have a greater one
ALTER TABLE job ADD COLUMN cloned_from TEXT;        -- id of the job that it is a copy of
ALTER TABLE job ADD COLUMN from_checkpoint TEXT;    -- of its spec: what it starts from
UPDATE job SET from_checkpoint = json_extract(spec, '$.from_checkpoint')
  WHERE json_valid(spec) AND json_type(spec, '$.from_checkpoint') = 'text';
CREATE INDEX job_of_source ON job (tenant, from_checkpoint, state) WHERE from_checkpoint IS NOT NULL;
-- Blocks are of places: place >> 41 is seq / 512 of a job that was not moved, so what is counted stands.
DROP TRIGGER job_added;
DROP TRIGGER job_leaves;
DROP TRIGGER job_enters;
DROP TRIGGER job_removed;
CREATE TRIGGER job_added AFTER INSERT ON job WHEN new.state IN ('validating_files', 'queued', 'running', 'paused')
  BEGIN
    INSERT INTO job_count VALUES (new.state, new.tenant, new.priority, new.place >> 41, new.device_wanted, 1)
      ON CONFLICT DO UPDATE SET jobs = jobs + 1;
  END;
CREATE TRIGGER job_leaves AFTER UPDATE OF state, priority, device_wanted, moved ON job
  WHEN old.state IN ('validating_files', 'queued', 'running', 'paused')
  BEGIN
    UPDATE job_count SET jobs = jobs - 1 WHERE state = old.state AND tenant = old.tenant AND priority = old.priority
      AND block = old.place >> 41 AND device_wanted = old.device_wanted;
    DELETE FROM job_count WHERE state = old.state AND tenant = old.tenant AND priority = old.priority
      AND block = old.place >> 41 AND device_wanted = old.device_wanted AND jobs = 0;
  END;
CREATE TRIGGER job_enters AFTER UPDATE OF state, priority, device_wanted, moved ON job
  WHEN new.state IN ('validating_files', 'queued', 'running', 'paused')
  BEGIN
    INSERT INTO job_count VALUES (new.state, new.tenant, new.priority, new.place >> 41, new.device_wanted, 1)
      ON CONFLICT DO UPDATE SET jobs = jobs + 1;
  END;
CREATE TRIGGER job_is_deleted BEFORE DELETE ON job WHEN old.state NOT IN ('succeeded', 'failed', 'cancelled')
  BEGIN SELECT raise(ABORT, 'a job that has not ended cannot be deleted'); END;
DROP INDEX job_queue;
CREATE INDEX job_queue ON job (state, tenant, device_wanted, priority DESC, place, needs_free, run_after)
  WHERE state = 'queued';
CREATE INDEX job_place ON job (tenant, priority DESC, place) WHERE state = 'queued';
DROP INDEX job_of_tenant_by_state;
CREATE INDEX job_of_tenant_by_state ON job (tenant, state, seq);
