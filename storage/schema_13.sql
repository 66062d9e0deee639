-- Version 13: uploads that come in parts. The parts are files of their own until the upload is complete.
CREATE TABLE upload (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL REFERENCES tenant (name),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,           -- until then it must be complete
  filename TEXT NOT NULL,
  purpose TEXT NOT NULL,
  bytes INTEGER NOT NULL CHECK (bytes >= 0), -- that all parts will have together
  arrived INTEGER NOT NULL DEFAULT 0,    -- of them: kept by the triggers below, as the number of parts is
  parts INTEGER NOT NULL DEFAULT 0,
  file_expires_after INTEGER,            -- seconds; NULL: the file stays
  status TEXT NOT NULL CHECK (status IN ('pending', 'completed', 'cancelled', 'expired')),
  file_id TEXT CHECK ((file_id IS NOT NULL) = (status = 'completed')),
  completed_by TEXT                      -- hash of the request that completed it: it may come again
) STRICT;
CREATE INDEX upload_of_tenant ON upload (tenant, seq);
CREATE INDEX upload_expiry ON upload (status, expires_at);
CREATE TABLE upload_part (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  upload_id TEXT NOT NULL REFERENCES upload (id),
  created_at INTEGER NOT NULL,
  bytes INTEGER NOT NULL CHECK (bytes >= 0),
  sha256 TEXT NOT NULL,
  path TEXT NOT NULL,                    -- relative to the data folder
  UNIQUE (upload_id, sha256)             -- one that is sent again is the one that is there
) STRICT;
CREATE TRIGGER part_stored AFTER INSERT ON upload_part
  BEGIN
    UPDATE upload SET arrived = arrived + new.bytes, parts = parts + 1 WHERE id = new.upload_id;
    UPDATE tenant SET bytes = bytes + new.bytes WHERE name = (SELECT tenant FROM upload WHERE id = new.upload_id);
  END;
CREATE TRIGGER part_removed AFTER DELETE ON upload_part
  BEGIN
    UPDATE upload SET arrived = arrived - old.bytes, parts = parts - 1 WHERE id = old.upload_id;
    UPDATE tenant SET bytes = bytes - old.bytes WHERE name = (SELECT tenant FROM upload WHERE id = old.upload_id);
  END;
-- However it ends, its parts are nobody's then.
CREATE TRIGGER upload_end_drops_parts AFTER UPDATE OF status ON upload
  WHEN old.status = 'pending' AND new.status <> 'pending'
  BEGIN
    INSERT OR IGNORE INTO removal SELECT path FROM upload_part WHERE upload_id = new.id;
    DELETE FROM upload_part WHERE upload_id = new.id;
  END;
CREATE TRIGGER upload_end_is_final BEFORE UPDATE OF status ON upload
  WHEN old.status <> 'pending' AND new.status <> old.status
  BEGIN SELECT raise(ABORT, 'an upload that has ended cannot change its status'); END;
