-- Version 16: webhooks. What is to be told of a job is a row from the moment that its state changes, whatever changed it.
CREATE TABLE webhook_endpoint (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  tenant TEXT NOT NULL REFERENCES tenant (name),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  name TEXT NOT NULL,
  url TEXT NOT NULL,
  event_types TEXT NOT NULL, -- JSON array of strings
  secret TEXT NOT NULL,                  -- signs what is sent, so that it must be known here
  old_secret TEXT,                       -- the one before, which signs too until then
  old_secret_until INTEGER,
  due_at INTEGER,                        -- when the next of its deliveries is; NULL: it has none
  sent_at INTEGER NOT NULL DEFAULT 0     -- when the last was tried: of those that are due the one that waited longest is next
) STRICT;
CREATE INDEX webhook_endpoint_of_tenant ON webhook_endpoint (tenant, seq);
CREATE INDEX webhook_endpoint_due ON webhook_endpoint (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE webhook_delivery (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  endpoint_id TEXT NOT NULL REFERENCES webhook_endpoint (id) ON DELETE CASCADE,
  event_id TEXT NOT NULL,
  event_type TEXT NOT NULL,
  job_id TEXT NOT NULL,                  -- the job may be gone
  created_at INTEGER NOT NULL,
  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  due_at INTEGER NOT NULL,               -- pending: not before
  status_code INTEGER,                   -- of the last answer; NULL: there was none
  error TEXT,                            -- why there was none
  finished_at INTEGER CHECK ((finished_at IS NULL) = (status = 'pending'))
) STRICT;
CREATE INDEX webhook_delivery_of_endpoint ON webhook_delivery (endpoint_id, seq);
CREATE INDEX webhook_delivery_due ON webhook_delivery (endpoint_id, due_at, seq) WHERE status = 'pending';
CREATE INDEX webhook_delivery_finished ON webhook_delivery (finished_at) WHERE finished_at IS NOT NULL;
CREATE TRIGGER webhook_delivery_waits AFTER INSERT ON webhook_delivery
  BEGIN
    UPDATE webhook_endpoint SET due_at = min(ifnull(due_at, new.due_at), new.due_at) WHERE id = new.endpoint_id;
  END;
CREATE TRIGGER webhook_delivery_tried AFTER UPDATE OF status, due_at ON webhook_delivery
  BEGIN
    UPDATE webhook_endpoint SET due_at = (SELECT due_at FROM webhook_delivery
      WHERE endpoint_id = new.endpoint_id AND status = 'pending' ORDER BY due_at, seq LIMIT 1) WHERE id = new.endpoint_id;
  END;
CREATE TRIGGER job_is_told AFTER UPDATE OF state ON job
  WHEN new.state <> old.state AND new.state IN ('running', 'paused', 'succeeded', 'failed', 'cancelled')
  BEGIN
    INSERT INTO webhook_delivery (endpoint_id, event_id, event_type, job_id, created_at, due_at)
      SELECT endpoint.id, 'evt_' || lower(hex(randomblob(12))), 'fine_tuning.job.' || new.state, new.id,
        unixepoch(), unixepoch()
      FROM webhook_endpoint AS endpoint, json_each(endpoint.event_types) AS type
      WHERE endpoint.tenant = new.tenant AND type.value = 'fine_tuning.job.' || new.state;
  END;
