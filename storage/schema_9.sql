-- Version 9: API keys, and what was changed by whom.
CREATE TABLE api_key (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,               -- its public part
  tenant TEXT NOT NULL REFERENCES tenant (name),
  name TEXT NOT NULL,
  scope TEXT NOT NULL CHECK (scope IN ('read', 'submit', 'admin')),
  sha256 TEXT NOT NULL,                  -- of the whole key, which is stored nowhere
  created_at INTEGER NOT NULL,
  expires_at INTEGER,                    -- NULL: never
  revoked_at INTEGER,
  replaced_by TEXT,                      -- id of the key that it was rotated to
  last_used_at INTEGER                   -- exact to the minute
) STRICT;
CREATE INDEX api_key_of_tenant ON api_key (tenant, seq);
CREATE TRIGGER api_key_is_revoked_for_good BEFORE UPDATE OF revoked_at ON api_key
  WHEN old.revoked_at IS NOT NULL AND new.revoked_at IS NOT old.revoked_at
  BEGIN SELECT raise(ABORT, 'a key that was revoked stays so'); END;
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,                  -- whose things it was about
  created_at INTEGER NOT NULL,
  type TEXT NOT NULL,                    -- "jobs.create"
  object TEXT,                           -- id of what it was about
  result TEXT NOT NULL,                  -- "success", or the code of the error
  actor TEXT NOT NULL,                   -- "api_key", "configured_key", "anyone" (no key is set up), "local_user"
  actor_id TEXT,                         -- id of the key, or the user's number
  address TEXT,                          -- that the request came from
  request TEXT                           -- its id
) STRICT;
CREATE INDEX audit_of_tenant ON audit (tenant, seq);
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
  BEGIN SELECT raise(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
  BEGIN SELECT raise(ABORT, 'the audit log only grows'); END;
