-- Version 12: who still needs a file is found behind any number of jobs that have ended.
DROP INDEX job_training_file;
CREATE INDEX job_training_file ON job (training_file, state);
DROP INDEX job_validation_file;
CREATE INDEX job_validation_file ON job (validation_file, state) WHERE validation_file IS NOT NULL;
