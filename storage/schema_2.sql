-- Version 2: exports of finished jobs.
CREATE TABLE export (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, -- names the folder of what it makes
  job_id TEXT NOT NULL REFERENCES job (id),
  format TEXT NOT NULL,                  -- "gguf:q8_0" (api/job.h)
  created_at INTEGER NOT NULL,
  finished_at INTEGER CHECK ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed'))),
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed')),
  error_code TEXT CHECK (error_code IS NULL OR state = 'failed'),
  error_message TEXT,
  UNIQUE (job_id, format)
) STRICT;
CREATE INDEX export_queue ON export (seq) WHERE state IN ('queued', 'running');
