-- Version 14: how many jobs have ended, by how and by their adapter, whatever became of their rows; and whose request made
-- a job, for the log of its worker.
ALTER TABLE job ADD COLUMN request_id TEXT;                      -- NULL: made before this version
ALTER TABLE job ADD COLUMN peft_type TEXT NOT NULL DEFAULT '';   -- '': its specification was damaged then
UPDATE job SET peft_type = ifnull(json_extract(spec, '$.adapter.peft_type'), '') WHERE json_valid(spec);
CREATE TABLE job_finished (
  state TEXT NOT NULL,
  peft_type TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  PRIMARY KEY (state, peft_type)
) STRICT, WITHOUT ROWID;
INSERT INTO job_finished SELECT state, peft_type, count(*) FROM job
  WHERE state IN ('succeeded', 'failed', 'cancelled') GROUP BY state, peft_type;
CREATE TRIGGER job_finishes AFTER UPDATE OF state ON job
  WHEN new.state IN ('succeeded', 'failed', 'cancelled') AND old.state <> new.state
  BEGIN
    INSERT INTO job_finished VALUES (new.state, new.peft_type, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1;
  END;
