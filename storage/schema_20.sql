-- Version 20: a sweep that is sent twice is made once. Of older ones it is not known how they were sent.
ALTER TABLE sweep ADD COLUMN idempotency_key TEXT;
ALTER TABLE sweep ADD COLUMN body_sha256 TEXT;
CREATE INDEX sweep_key ON sweep (tenant, idempotency_key, created_at) WHERE idempotency_key IS NOT NULL;
CREATE INDEX sweep_body ON sweep (tenant, body_sha256, created_at) WHERE body_sha256 IS NOT NULL;
