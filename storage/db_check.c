#include "storage/db_check.h"

#include <string.h>

#include "base/json.h"
#include "storage/db_job.h"
#include "storage/stmt.h"

enum { ARENA_BYTES = 64 << 20 };

/* Each finds rows that cannot be: what it is, and what is wrong. */
static const char *const rules[] = {
    "SELECT 'job_end_is_final', 'the trigger is gone: a job that has ended could change' WHERE NOT EXISTS"
    " (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = 'job_end_is_final')",
    "SELECT id, 'is running without a lease' FROM job WHERE state = 'running'"
    " AND (lease_token < 1 OR started_at IS NULL)",
    "SELECT id, 'has succeeded without a lease' FROM job WHERE state = 'succeeded' AND lease_token < 1",
    "SELECT id, 'has more restarts (' || restarts || ') than leases (' || lease_token || ')' FROM job"
    " WHERE restarts > lease_token",
    "SELECT id, 'has succeeded and has no artifact' FROM job WHERE state = 'succeeded' AND model_deleted = 0"
    " AND NOT EXISTS (SELECT 1 FROM artifact WHERE job_id = job.id AND NOT is_preview)",
    "SELECT id, 'has artifacts and is ' || state FROM job WHERE state <> 'succeeded'"
    " AND EXISTS (SELECT 1 FROM artifact WHERE job_id = job.id AND NOT is_preview)",
    "SELECT id, 'has artifacts, but its model was deleted' FROM job WHERE model_deleted <> 0"
    " AND EXISTS (SELECT 1 FROM artifact WHERE job_id = job.id)",
    "SELECT id, 'has failed without a reason' FROM job WHERE state = 'failed' AND error_code IS NULL",
    "SELECT job.id, 'needs the file ' || need.id || ', which is gone' FROM job"
    " JOIN (SELECT seq, training_file AS id FROM job UNION ALL SELECT seq, validation_file FROM job) AS need"
    " USING (seq) WHERE job.state IN ('validating_files', 'queued', 'running', 'paused') AND need.id IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM file WHERE file.id = need.id)",
    "SELECT id, 'is a result of ' || job_id || ', which has no such artifact' FROM file WHERE job_id IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM artifact WHERE artifact.job_id = file.job_id AND artifact.path = file.path)",
    "SELECT 'export ' || export.seq, 'is of ' || job_id || ', which has not succeeded' FROM export"
    " JOIN job ON job.id = job_id WHERE job.state <> 'succeeded'",
    "SELECT 'tenant ' || name, 'has ' || bytes || ' bytes by its row, and ' || has || ' by what it has stored'"
    " FROM (SELECT name, bytes,"
    " (SELECT ifnull(sum(bytes), 0) FROM file WHERE job_id IS NULL AND file.tenant = tenant.name)"
    " + (SELECT ifnull(sum(upload_part.bytes), 0) FROM upload_part JOIN upload ON upload.id = upload_id"
    " WHERE upload.tenant = tenant.name)"
    " + (SELECT ifnull(sum(artifact.bytes), 0) FROM artifact JOIN job ON job.id = job_id"
    " WHERE job.tenant = tenant.name)"
    " + (SELECT ifnull(sum(checkpoint.bytes), 0) FROM checkpoint JOIN job ON job.id = job_id"
    " WHERE job.tenant = tenant.name)"
    " + (SELECT ifnull(sum(training_state.bytes), 0) FROM training_state JOIN job ON job.id = job_id"
    " WHERE job.tenant = tenant.name) AS has FROM tenant) WHERE bytes <> has",
    "SELECT 'tenant ' || tenant, 'has ' || sum(counted) || ' jobs that are ' || state || ' by their count (priority '"
    " || priority || ', block ' || block || '), and ' || sum(here) || ' by their rows' FROM"
    " (SELECT state, tenant, priority, block, device_wanted, jobs AS counted, 0 AS here FROM job_count UNION ALL"
    " SELECT state, tenant, priority, place >> 41, device_wanted, 0, 1 FROM job"
    " WHERE state IN ('validating_files', 'queued', 'running', 'paused'))"
    " GROUP BY state, tenant, priority, block, device_wanted HAVING sum(counted) <> sum(here)",
    "SELECT job_id, 'has events, but there is no such job' FROM (SELECT DISTINCT job_id FROM event)"
    " WHERE job_id NOT IN (SELECT id FROM job) AND job_id NOT IN (SELECT job_id FROM event_removal)",
    "SELECT id, 'is to lose its events and was not deleted' FROM job JOIN event_removal ON job_id = id",
    "SELECT path, 'is to be removed, and ' || id || ' names it' FROM removal JOIN file USING (path)",
    "SELECT path, 'is to be removed, and ' || id || ' names it' FROM removal JOIN upload_part USING (path)",
    "SELECT upload_part.id, 'is a part of ' || upload_id || ', which is ' || status FROM upload_part"
    " JOIN upload ON upload.id = upload_id WHERE status <> 'pending'",
    "SELECT id, 'was made for ' || bytes || ' bytes, has ' || arrived || ' by its row and ' || has || ' in parts' FROM"
    " (SELECT id, bytes, arrived, (SELECT ifnull(sum(bytes), 0) FROM upload_part WHERE upload_id = upload.id) AS has"
    " FROM upload) WHERE has <> arrived OR has > bytes",
    "SELECT removal.path, 'is to be removed, and ' || job_id || ' has ' || artifact.name || ' in it' FROM removal"
    " JOIN artifact ON substr(artifact.path, 1, length(removal.path) + 1) = removal.path || '/'",
    "SELECT removal.path, 'is to be removed, and ' || job_id || ' has the checkpoint of step ' || step || ' in it'"
    " FROM removal JOIN checkpoint ON checkpoint.path = removal.path"
    " OR substr(checkpoint.path, 1, length(removal.path) + 1) = removal.path || '/'",
    "SELECT removal.path, 'is to be removed, and ' || job_id || ' has the state of step ' || step || ' in it'"
    " FROM removal JOIN training_state AS state ON state.path = removal.path"
    " OR substr(state.path, 1, length(removal.path) + 1) = removal.path || '/'",
    "SELECT job_id, 'has ended (' || job.state || ') and keeps the state of step ' || step FROM training_state"
    " JOIN job ON job.id = job_id WHERE job.state IN ('succeeded', 'failed', 'cancelled')",
    "SELECT id, 'is about to be paused and is ' || state FROM job"
    " WHERE pause_requested_at IS NOT NULL AND state <> 'running'",
};

static bool is_damage(int code) {
  return (code & 0xFF) == SQLITE_CORRUPT || (code & 0xFF) == SQLITE_NOTADB;
}

/* Tells of each row of a query: its first column (`what` given: that), and its second. */
static enum status run(struct db *db, const char *sql, const char *what, db_finding *finding, void *context,
                       struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
  enum status status = stmt_open(&stmt, db, sql, err);
  while (!status && !(status = stmt_step(&stmt, &row, err)) && row) {
    const char *first = (const char *)sqlite3_column_text(stmt.handle, 0);
    const char *text = what ? first : (const char *)sqlite3_column_text(stmt.handle, 1);
    if (!what || !text || strcmp(text, "ok") != 0)
      finding(context, what ? what : first ? first : "a row", text ? text : "cannot be read");
  }
  if (!status || !is_damage(sqlite3_errcode(db->handle)))
    return status;
  finding(context, "the database", err->text);
  return STATUS_OK;
}

enum status db_check_pages(struct db *db, db_finding *finding, void *context, struct error *err) {
  enum status status = run(db, "PRAGMA integrity_check(20)", "the database", finding, context, err);
  return status ? status
                : run(db,
                      "SELECT 'table ' || \"table\", 'row ' || rowid || ' names a row of ' || parent || ' that is gone'"
                      " FROM pragma_foreign_key_check LIMIT 20",
                      NULL, finding, context, err);
}

static enum status check_specs(struct db *db, enum job_state state, db_finding *finding, void *context,
                               struct error *err) {
  bool found = true;
  for (int64_t after = 0;;) {
    AUTO(arena_done) struct arena arena;
    AUTO(json_release) json_t *document = NULL;
    struct job_row job;
    struct job_spec spec;
    arena_init(&arena, ARENA_BYTES);
    enum status status = db_job_next(&job, &found, db, state, after, &arena, err);
    if (status || !found)
      return status;
    after = job.seq;
    if (db_job_spec(&spec, &document, &job, &arena, err))
      finding(context, job.id, err->text);
  }
}

enum status db_check_rows(struct db *db, db_finding *finding, void *context, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(rules); i++)
    status = run(db, rules[i], NULL, finding, context, err);
  for (int state = 0; !status && state < JOB_STATE_COUNT; state++)
    status = check_specs(db, (enum job_state)state, finding, context, err);
  if (!status || !is_damage(sqlite3_errcode(db->handle)))
    return status;
  finding(context, "the database", err->text);
  return STATUS_OK;
}
