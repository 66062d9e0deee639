-- Version 11: how many jobs wait and run, and how many go before one, without counting each of them.
CREATE TABLE job_count (
  state TEXT NOT NULL,                   -- of jobs that have not ended
  tenant TEXT NOT NULL,
  priority INTEGER NOT NULL,
  block INTEGER NOT NULL,                -- seq / 512 (storage/db_queue.c): before a job are whole blocks and part of its own
  device_wanted TEXT NOT NULL,
  jobs INTEGER NOT NULL CHECK (jobs >= 0),
  PRIMARY KEY (state, tenant, priority, block, device_wanted)
) STRICT, WITHOUT ROWID;
INSERT INTO job_count SELECT state, tenant, priority, seq / 512, device_wanted, count(*) FROM job
  WHERE state IN ('validating_files', 'queued', 'running', 'paused')
  GROUP BY state, tenant, priority, seq / 512, device_wanted;
CREATE TRIGGER job_added AFTER INSERT ON job WHEN new.state IN ('validating_files', 'queued', 'running', 'paused')
  BEGIN
    INSERT INTO job_count VALUES (new.state, new.tenant, new.priority, new.seq / 512, new.device_wanted, 1)
      ON CONFLICT DO UPDATE SET jobs = jobs + 1;
  END;
CREATE TRIGGER job_leaves AFTER UPDATE OF state, priority, device_wanted ON job
  WHEN old.state IN ('validating_files', 'queued', 'running', 'paused')
  BEGIN
    UPDATE job_count SET jobs = jobs - 1 WHERE state = old.state AND tenant = old.tenant AND priority = old.priority
      AND block = old.seq / 512 AND device_wanted = old.device_wanted;
    DELETE FROM job_count WHERE state = old.state AND tenant = old.tenant AND priority = old.priority
      AND block = old.seq / 512 AND device_wanted = old.device_wanted AND jobs = 0;
  END;
CREATE TRIGGER job_enters AFTER UPDATE OF state, priority, device_wanted ON job
  WHEN new.state IN ('validating_files', 'queued', 'running', 'paused')
  BEGIN
    INSERT INTO job_count VALUES (new.state, new.tenant, new.priority, new.seq / 512, new.device_wanted, 1)
      ON CONFLICT DO UPDATE SET jobs = jobs + 1;
  END;
CREATE TRIGGER job_removed AFTER DELETE ON job WHEN old.state IN ('validating_files', 'queued', 'running', 'paused')
  BEGIN
    UPDATE job_count SET jobs = jobs - 1 WHERE state = old.state AND tenant = old.tenant AND priority = old.priority
      AND block = old.seq / 512 AND device_wanted = old.device_wanted;
  END;
-- A device looks for its own among any number of others.
DROP INDEX job_queue;
CREATE INDEX job_queue ON job (state, tenant, device_wanted, priority DESC, seq, needs_free, run_after)
  WHERE state = 'queued';
DROP INDEX job_of_tenant_by_state;
CREATE INDEX job_of_tenant_by_state ON job (tenant, state, seq, priority);
