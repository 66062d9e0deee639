-- Version 24: a file that is sent twice is stored once. Of older ones it is not known how they were sent.
ALTER TABLE file ADD COLUMN idempotency_key TEXT;
ALTER TABLE file ADD COLUMN body_sha256 TEXT;
CREATE INDEX file_key ON file (tenant, idempotency_key, created_at) WHERE idempotency_key IS NOT NULL;
CREATE INDEX file_body ON file (tenant, body_sha256, created_at) WHERE body_sha256 IS NOT NULL;
