-- Version 19: telemetry by adapted module.
CREATE TABLE telemetry (
  job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  step INTEGER NOT NULL,
  data TEXT NOT NULL,                    -- JSON object: what the worker told (api/event.h)
  PRIMARY KEY (job_id, step)
) STRICT, WITHOUT ROWID;
