-- Version 6: the device that a job asks for, and the one that it runs on or ran on last.
ALTER TABLE job ADD COLUMN device_wanted TEXT NOT NULL DEFAULT 'auto';
ALTER TABLE job ADD COLUMN device TEXT;
