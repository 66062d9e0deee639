#include "storage/db_job_change.h"

#include "storage/stmt.h"

static enum status run_for(struct db *db, const char *sql, const char *id, const char *tenant, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, sql, err);
  if (status)
    return status;
  stmt_text(&stmt, id);
  stmt_text(&stmt, tenant);
  return stmt_run(&stmt, NULL, err);
}

/* The pairs by which jobs are found, of a row as it is now. (No trigger may call json_valid.) */
static enum status forget_pairs(struct db *db, const char *id, const char *tenant, struct error *err) {
  return run_for(db,
                 "DELETE FROM job_metadata WHERE (owner, key, value, seq) IN (SELECT job.tenant, pair.key, pair.value,"
                 " job.seq FROM job, json_each(iif(json_valid(job.metadata), job.metadata, '{}')) AS pair"
                 " WHERE job.id = ?1 AND job.tenant = ?2 AND pair.type = 'text')",
                 id, tenant, err);
}

static enum status note_pairs(struct db *db, const char *id, const char *tenant, struct error *err) {
  return run_for(db,
                 "INSERT OR IGNORE INTO job_metadata SELECT job.tenant, pair.key, pair.value, job.seq FROM job,"
                 " json_each(ifnull(job.metadata, '{}')) AS pair WHERE job.id = ?1 AND job.tenant = ?2"
                 " AND pair.type = 'text'",
                 id, tenant, err);
}

static enum status write_row(struct db *db, const struct job_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "UPDATE job SET spec = ?3, metadata = ?4, priority = ?5, fine_tuned_model = ?6"
                                 " WHERE id = ?1 AND tenant = ?2",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->id);
  stmt_text(&stmt, row->tenant);
  stmt_text(&stmt, row->spec);
  stmt_text(&stmt, row->metadata);
  stmt_int(&stmt, row->priority);
  stmt_text(&stmt, row->fine_tuned_model);
  return stmt_run(&stmt, NULL, err);
}

enum status db_job_that_needs(const char **out, struct db *db, const char *tenant, const char *names,
                              struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
  *out = NULL;
  enum status status = stmt_open(&stmt, db,
                                 "SELECT job.id FROM json_each(?2) AS name CROSS JOIN job INDEXED BY job_of_source"
                                 " ON job.tenant = ?1 AND job.from_checkpoint = name.value"
                                 " WHERE job.state IN ('validating_files', 'queued', 'running', 'paused') LIMIT 1",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, tenant);
  stmt_text(&stmt, names);
  status = stmt_step(&stmt, &row, err);
  if (status || !row)
    return status;
  *out = stmt_get_text(&stmt, 0, arena);
  return *out ? STATUS_OK : error_no_memory(err, "looking for jobs");
}

enum status db_job_update(struct db *db, const struct job_row *row, struct error *err) {
  enum status status = forget_pairs(db, row->id, row->tenant, err);
  if (!status)
    status = write_row(db, row, err);
  return status ? status : note_pairs(db, row->id, row->tenant, err);
}

enum status db_job_delete(struct db *db, const char *tenant, const char *id, struct error *err) {
  enum status status = forget_pairs(db, id, tenant, err);
  if (!status)
    status = run_for(db, "INSERT INTO event_removal SELECT id FROM job WHERE id = ?1 AND tenant = ?2", id, tenant, err);
  return status ? status : run_for(db, "DELETE FROM job WHERE id = ?1 AND tenant = ?2", id, tenant, err);
}
