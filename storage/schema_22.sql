-- Version 22: what a job takes of the budget of memory, and what the next one waits for.
ALTER TABLE job ADD COLUMN needs_memory INTEGER; -- MiB at most; 0: nobody could say, it runs alone; NULL: not asked yet
ALTER TABLE job ADD COLUMN waiting_for TEXT;     -- queued: 'memory' or 'cores' (server/budget.h); NULL: a place or its turn
CREATE INDEX job_waiting ON job (waiting_for) WHERE waiting_for IS NOT NULL;
