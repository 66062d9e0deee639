-- Version 23: previews are a job's from when they are made, however it ends.
ALTER TABLE artifact ADD COLUMN is_preview INTEGER NOT NULL DEFAULT 0;
CREATE INDEX artifact_preview ON artifact (job_id, seq) WHERE is_preview;
