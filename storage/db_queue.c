#include "storage/db_queue.h"

#include <string.h>

#include "storage/stmt.h"

enum { BLOCK_JOBS = 512 }; /* places in the order of age: as in job_count's triggers */

enum status db_queue_jobs(int64_t *out, struct db *db, enum job_state state, struct error *err) {
  CHECK(!job_state_terminal(state));
  return stmt_number(out, db, "SELECT ifnull(sum(jobs), 0) FROM job_count WHERE state = ?1", job_state_name(state),
                     err);
}

/* The rows (state, adapter or NULL, jobs) of a query. */
static enum status read_counts(int64_t open[JOB_STATE_COUNT], int64_t finished[JOB_STATE_COUNT][PEFT_COUNT],
                               struct stmt *stmt, struct error *err) {
  for (bool row;;) {
    enum job_state state;
    enum status status = stmt_step(stmt, &row, err);
    if (status || !row)
      return status;
    const char *name = (const char *)sqlite3_column_text(stmt->handle, 0);
    const char *type = (const char *)sqlite3_column_text(stmt->handle, 1);
    if (!name || !job_state_parse(&state, name))
      continue;
    enum peft_type peft = type ? method_parse(type) : PEFT_COUNT;
    if (!type)
      open[state] = stmt_get_int(stmt, 2);
    else if (peft < PEFT_COUNT)
      finished[state][peft] = stmt_get_int(stmt, 2);
  }
}

enum status db_queue_count(int64_t open[JOB_STATE_COUNT], int64_t finished[JOB_STATE_COUNT][PEFT_COUNT],
                           struct db *db, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  memset(open, 0, JOB_STATE_COUNT * sizeof *open);
  memset(finished, 0, JOB_STATE_COUNT * sizeof *finished);
  enum status status = stmt_open(&stmt, db,
                                 "SELECT state, NULL, sum(jobs) FROM job_count GROUP BY state"
                                 " UNION ALL SELECT state, peft_type, jobs FROM job_finished",
                                 err);
  return status ? status : read_counts(open, finished, &stmt, err);
}

enum status db_queue_waiting(int64_t *out, struct db *db, struct error *err) {
  return stmt_number(
      out, db, "SELECT ifnull(sum(jobs), 0) FROM job_count WHERE state IN ('validating_files', 'queued')", NULL, err);
}

enum status db_queue_of_tenant(int64_t *waiting, int64_t *running, struct db *db, const char *tenant,
                               struct error *err) {
  enum status status = stmt_number(waiting, db,
                                   "SELECT ifnull(sum(jobs), 0) FROM job_count WHERE tenant = ?1"
                                   " AND state IN ('validating_files', 'queued', 'paused')",
                                   tenant, err);
  return status ? status
                : stmt_number(running, db,
                              "SELECT ifnull(sum(jobs), 0) FROM job_count WHERE tenant = ?1 AND state = 'running'",
                              tenant, err);
}

/* Queued jobs of its priority from `from` (a seq) on that go before it; with_blocks: and all that go before `from`,
   where a block begins. */
static enum status count_before(int64_t *out, struct db *db, const char *tenant, const struct job_row *job,
                                int64_t from, bool with_blocks, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
#define IN_BLOCK                                                                                                       \
  "(SELECT count(1) FROM job INDEXED BY job_of_tenant_by_state WHERE tenant = ?1 AND state = 'queued'"                 \
  " AND priority = ?2 AND seq >= ?3 AND seq < ?4)"
  enum status status =
      stmt_open(&stmt, db,
                with_blocks ? "SELECT " IN_BLOCK " + (SELECT ifnull(sum(jobs), 0) FROM job_count WHERE state = 'queued'"
                              " AND tenant = ?1 AND priority > ?2) + (SELECT ifnull(sum(jobs), 0) FROM job_count"
                              " WHERE state = 'queued' AND tenant = ?1 AND priority = ?2 AND block < ?5)"
                            : "SELECT " IN_BLOCK,
                err);
#undef IN_BLOCK
  if (status)
    return status;
  stmt_text(&stmt, tenant);
  stmt_int(&stmt, job->priority);
  stmt_int(&stmt, from);
  stmt_int(&stmt, job->seq);
  if (with_blocks)
    stmt_int(&stmt, from / BLOCK_JOBS);
  status = stmt_step(&stmt, &row, err);
  *out = row ? stmt_get_int(&stmt, 0) : 0;
  return status;
}

/* The job of that list behind which it stands next in the queue, where it lies so near that what is between them is
   counted faster; or NULL. Of newest first, the later ones have no position yet. */
static const struct job_row *near(const struct job_row *job, const struct job_row *jobs, const int64_t *positions,
                                  size_t count) {
  const struct job_row *found = NULL;
  for (size_t i = 0; i < count; i++)
    if (positions[i] >= 0 && jobs[i].priority == job->priority && jobs[i].seq < job->seq &&
        job->seq - jobs[i].seq < BLOCK_JOBS && (!found || jobs[i].seq > found->seq))
      found = &jobs[i];
  return found;
}

enum status db_queue_positions(int64_t *out, struct db *db, const char *tenant, const struct job_row *jobs,
                               size_t count, struct error *err) {
  for (size_t i = 0; i < count; i++)
    out[i] = -1;
  for (size_t i = count; i-- > 0;) { /* lists are newest first: the oldest first here */
    int64_t before;
    if (jobs[i].state != JOB_QUEUED)
      continue;
    const struct job_row *from = near(&jobs[i], jobs, out, count);
    enum status status = count_before(&before, db, tenant, &jobs[i],
                                      from ? from->seq : jobs[i].seq / BLOCK_JOBS * BLOCK_JOBS, !from, err);
    if (status)
      return status;
    out[i] = before + (from ? out[from - jobs] : 0);
  }
  return STATUS_OK;
}
