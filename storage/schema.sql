-- Version 1. Times are unix seconds unless they say otherwise; JSON columns hold objects made by this program.
-- One row a file that clients can name: uploads, and the results of jobs.
CREATE TABLE file (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,                    -- NULL: never
  filename TEXT NOT NULL,                -- as the client named it: data, never a path
  purpose TEXT NOT NULL,
  bytes INTEGER NOT NULL CHECK (bytes >= 0),
  sha256 TEXT NOT NULL,
  path TEXT NOT NULL,                    -- of the bytes, relative to the data folder
  job_id TEXT,                           -- the job that made it; NULL: an upload
  status TEXT NOT NULL CHECK (status IN ('uploaded', 'processed', 'error')),
  status_details TEXT,
  report TEXT                            -- JSON: what the check found
) STRICT;
CREATE INDEX file_unchecked ON file (seq) WHERE status = 'uploaded';
CREATE INDEX file_of_job ON file (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX file_expiry ON file (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE job (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  model TEXT NOT NULL,
  training_file TEXT NOT NULL,
  validation_file TEXT,
  fine_tuned_model TEXT NOT NULL UNIQUE, -- the name it gets when it succeeds
  spec TEXT NOT NULL,                    -- JSON: the normalised request (api/job.h)
  metadata TEXT,                         -- JSON object of strings, or NULL
  priority INTEGER NOT NULL,
  idempotency_key TEXT,
  body_sha256 TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN
    ('validating_files', 'queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
  lease_token INTEGER NOT NULL DEFAULT 0, -- +1 at each claim: writes of an older worker match no row
  restarts INTEGER NOT NULL DEFAULT 0,
  worker TEXT,                           -- who runs it: pid, start time, boot id (server/process.h)
  cancel_requested_at INTEGER,
  started_at INTEGER,                    -- of the last claim
  finished_at INTEGER CHECK ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled'))),
  trained_tokens INTEGER,
  progress TEXT,                         -- JSON: the worker's last progress event
  error_code TEXT CHECK (error_code IS NULL OR state = 'failed'),
  error_param TEXT,
  error_message TEXT,
  model_deleted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX job_queue ON job (priority DESC, seq) WHERE state = 'queued';
CREATE INDEX job_open ON job (state) WHERE state IN ('validating_files', 'queued', 'running', 'paused');
CREATE INDEX job_body ON job (body_sha256, created_at);
CREATE INDEX job_key ON job (idempotency_key, created_at) WHERE idempotency_key IS NOT NULL;
CREATE TRIGGER job_end_is_final BEFORE UPDATE OF state ON job
  WHEN old.state IN ('succeeded', 'failed', 'cancelled') AND new.state <> old.state
  BEGIN SELECT raise(ABORT, 'a job that has ended cannot change its state'); END;

CREATE TABLE event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused: clients keep it as a cursor
  job_id TEXT NOT NULL REFERENCES job (id),
  created_at INTEGER NOT NULL,
  level TEXT NOT NULL CHECK (level IN ('info', 'warn', 'error')),
  type TEXT NOT NULL CHECK (type IN ('message', 'metrics')),
  message TEXT NOT NULL,
  data TEXT                              -- JSON object or NULL
) STRICT;
CREATE INDEX event_of_job ON event (job_id, seq);

CREATE TABLE checkpoint (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id TEXT NOT NULL REFERENCES job (id),
  created_at INTEGER NOT NULL,
  step INTEGER NOT NULL,
  path TEXT NOT NULL,                    -- relative to the data folder
  metrics TEXT NOT NULL,                 -- JSON object
  UNIQUE (job_id, step)
) STRICT;

CREATE TABLE artifact (
  seq INTEGER PRIMARY KEY,
  job_id TEXT NOT NULL REFERENCES job (id),
  name TEXT NOT NULL,
  path TEXT NOT NULL,                    -- relative to the data folder
  bytes INTEGER NOT NULL CHECK (bytes >= 0),
  sha256 TEXT NOT NULL,
  file_id TEXT,                          -- its row in `file` when it is also a result file
  created_at INTEGER NOT NULL,
  UNIQUE (job_id, name)
) STRICT;
