-- Version 15: what a job was expected to take, beside what it took.
ALTER TABLE job ADD COLUMN estimate TEXT;        -- JSON (worker/train/estimate.h); NULL: nobody said
