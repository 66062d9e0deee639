-- Version 7: tenants. What was there belongs to the tenant "default".
CREATE TABLE tenant (
  name TEXT PRIMARY KEY,
  created_at INTEGER NOT NULL,
  turn INTEGER NOT NULL DEFAULT 0,       -- grows when a job of it starts: of equal jobs, the one of the least is next
  bytes INTEGER NOT NULL DEFAULT 0,      -- of its uploads and artifacts: kept by the triggers below
  queued_max INTEGER,                    -- limits; NULL: as the configuration says, 0: none
  running_max INTEGER,
  bytes_max INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO tenant (name, created_at) VALUES ('default', unixepoch());
ALTER TABLE file ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';
ALTER TABLE job ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';
CREATE TRIGGER file_has_tenant BEFORE INSERT ON file WHEN NOT EXISTS (SELECT 1 FROM tenant WHERE name = new.tenant)
  BEGIN SELECT raise(ABORT, 'a file of a tenant that is not there'); END;
CREATE TRIGGER job_has_tenant BEFORE INSERT ON job WHEN NOT EXISTS (SELECT 1 FROM tenant WHERE name = new.tenant)
  BEGIN SELECT raise(ABORT, 'a job of a tenant that is not there'); END;
CREATE TRIGGER tenant_is_final BEFORE UPDATE OF tenant ON job WHEN old.tenant <> new.tenant
  BEGIN SELECT raise(ABORT, 'a job cannot change its tenant'); END;
CREATE TRIGGER job_takes_turn AFTER UPDATE OF state ON job WHEN new.state = 'running' AND old.state <> 'running'
  BEGIN UPDATE tenant SET turn = (SELECT max(turn) FROM tenant) + 1 WHERE name = new.tenant; END;
-- A result file is the artifact under another name: its bytes count once.
CREATE TRIGGER file_stored AFTER INSERT ON file WHEN new.job_id IS NULL
  BEGIN UPDATE tenant SET bytes = bytes + new.bytes WHERE name = new.tenant; END;
CREATE TRIGGER file_removed AFTER DELETE ON file WHEN old.job_id IS NULL
  BEGIN UPDATE tenant SET bytes = bytes - old.bytes WHERE name = old.tenant; END;
CREATE TRIGGER artifact_stored AFTER INSERT ON artifact
  BEGIN UPDATE tenant SET bytes = bytes + new.bytes WHERE name = (SELECT tenant FROM job WHERE id = new.job_id); END;
CREATE TRIGGER artifact_removed AFTER DELETE ON artifact
  BEGIN UPDATE tenant SET bytes = bytes - old.bytes WHERE name = (SELECT tenant FROM job WHERE id = old.job_id); END;
UPDATE tenant SET bytes = ifnull((SELECT sum(bytes) FROM file WHERE job_id IS NULL), 0)
  + ifnull((SELECT sum(bytes) FROM artifact), 0);
-- Every question of a client's is about one tenant.
DROP INDEX job_queue;
CREATE INDEX job_queue ON job (state, tenant, priority DESC, seq, needs_free, device_wanted) WHERE state = 'queued';
CREATE INDEX job_of_tenant ON job (tenant, seq);
CREATE INDEX job_of_tenant_by_state ON job (tenant, state, seq);
DROP INDEX job_body;
CREATE INDEX job_body ON job (tenant, body_sha256, created_at);
DROP INDEX job_key;
CREATE INDEX job_key ON job (tenant, idempotency_key, created_at) WHERE idempotency_key IS NOT NULL;
DROP INDEX job_without_metadata;
CREATE INDEX job_without_metadata ON job (tenant, seq) WHERE metadata IS NULL;
CREATE INDEX file_of_tenant ON file (tenant, seq);
DROP INDEX file_by_purpose;
CREATE INDEX file_by_purpose ON file (tenant, purpose, seq);
DROP TRIGGER job_metadata_of;
DROP TABLE job_metadata;
CREATE TABLE job_metadata (
  owner TEXT NOT NULL,                   -- the tenant
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  seq INTEGER NOT NULL,                  -- of the job
  PRIMARY KEY (owner, key, value, seq)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER job_metadata_of AFTER INSERT ON job WHEN new.metadata IS NOT NULL
  BEGIN
    INSERT OR IGNORE INTO job_metadata
      SELECT new.tenant, key, value, new.seq FROM json_each(new.metadata) WHERE type = 'text';
  END;
INSERT OR IGNORE INTO job_metadata SELECT job.tenant, pair.key, pair.value, job.seq
  FROM job, json_each(iif(json_valid(job.metadata), job.metadata, '{}')) AS pair WHERE pair.type = 'text';
