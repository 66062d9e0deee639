-- Version 5: jobs are found by their metadata without a walk through all of them.
CREATE TABLE job_metadata (
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  seq INTEGER NOT NULL,                  -- of the job
  PRIMARY KEY (key, value, seq)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER job_metadata_of AFTER INSERT ON job WHEN new.metadata IS NOT NULL
  BEGIN
    INSERT OR IGNORE INTO job_metadata SELECT key, value, new.seq FROM json_each(new.metadata) WHERE type = 'text';
  END;
-- A row whose text was damaged is no reason not to start.
INSERT OR IGNORE INTO job_metadata SELECT pair.key, pair.value, job.seq
  FROM job, json_each(iif(json_valid(job.metadata), job.metadata, '{}')) AS pair WHERE pair.type = 'text';
CREATE INDEX job_without_metadata ON job (seq) WHERE metadata IS NULL;
