-- Version 4: the queue in its order from one index alone.
-- With all that its questions need: else the planner takes another index and sorts the whole queue for each of them.
DROP INDEX job_queue;
CREATE INDEX job_queue ON job (state, priority DESC, seq, needs_free) WHERE state = 'queued';
