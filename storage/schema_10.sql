-- Version 10: checkpoints and training states count among what a tenant has stored.
ALTER TABLE checkpoint ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0; -- not known of those that were there before
CREATE TRIGGER checkpoint_stored AFTER INSERT ON checkpoint
  BEGIN UPDATE tenant SET bytes = bytes + new.bytes WHERE name = (SELECT tenant FROM job WHERE id = new.job_id); END;
CREATE TRIGGER checkpoint_replaced AFTER UPDATE OF bytes ON checkpoint
  BEGIN UPDATE tenant SET bytes = bytes + new.bytes - old.bytes WHERE name = (SELECT tenant FROM job WHERE id = new.job_id); END;
CREATE TRIGGER checkpoint_removed AFTER DELETE ON checkpoint
  BEGIN UPDATE tenant SET bytes = bytes - old.bytes WHERE name = (SELECT tenant FROM job WHERE id = old.job_id); END;
CREATE TRIGGER state_stored AFTER INSERT ON training_state
  BEGIN UPDATE tenant SET bytes = bytes + new.bytes WHERE name = (SELECT tenant FROM job WHERE id = new.job_id); END;
CREATE TRIGGER state_replaced AFTER UPDATE OF bytes ON training_state
  BEGIN UPDATE tenant SET bytes = bytes + new.bytes - old.bytes WHERE name = (SELECT tenant FROM job WHERE id = new.job_id); END;
CREATE TRIGGER state_removed AFTER DELETE ON training_state
  BEGIN UPDATE tenant SET bytes = bytes - old.bytes WHERE name = (SELECT tenant FROM job WHERE id = old.job_id); END;
UPDATE tenant SET bytes = bytes + ifnull((SELECT sum(training_state.bytes) FROM training_state
  JOIN job ON job.id = job_id WHERE job.tenant = tenant.name), 0);
