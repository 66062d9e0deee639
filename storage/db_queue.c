#include "storage/db_queue.h"

#include <string.h>

#include "storage/job_rows.h"

/* Of places, in job_count's triggers; and what lies between the places of two jobs that were not moved. */
enum { BLOCK_SHIFT = 41, STEP_SHIFT = 32 };
static const int64_t BLOCK = (int64_t)1 << BLOCK_SHIFT, STEP = (int64_t)1 << STEP_SHIFT;

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

/* Queued jobs of its priority from `from` (a place) on that go before it; with_blocks: and all that go before `from`,
   where a block begins. */
static enum status count_before(int64_t *out, struct db *db, const char *tenant, const struct job_row *job,
                                int64_t from, bool with_blocks, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
#define IN_BLOCK                                                                                                       \
  "(SELECT count(1) FROM job INDEXED BY job_place WHERE tenant = ?1 AND state = 'queued'"                              \
  " AND priority = ?2 AND place >= ?3 AND place < ?4)"
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
  stmt_int(&stmt, job->place);
  if (with_blocks)
    stmt_int(&stmt, from >> BLOCK_SHIFT);
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
    if (positions[i] >= 0 && jobs[i].priority == job->priority && jobs[i].place < job->place &&
        job->place - jobs[i].place < BLOCK && (!found || jobs[i].place > found->place))
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
    enum status status =
        count_before(&before, db, tenant, &jobs[i], from ? from->place : jobs[i].place & -BLOCK, !from, err);
    if (status)
      return status;
    out[i] = before + (from ? out[from - jobs] : 0);
  }
  return STATUS_OK;
}

/* ---- the order ---- */

enum status db_queue_running(struct job_row **out, size_t *count, struct db *db, const char *tenant,
                             struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list = {0};
  enum status status =
      row_open(&stmt, db, &job_rows, "SELECT * FROM job WHERE tenant = ?1 AND state = 'running' ORDER BY seq", err);
  if (status)
    return status;
  stmt_text(&stmt, tenant);
  status = row_list(&list, &job_rows, &stmt, INT64_MAX, arena, err);
  *out = list.rows;
  *count = list.count;
  return status;
}

/* At most `limit` queued jobs of one priority behind a place; or of all lower ones. */
static enum status list_behind(struct row_list *out, struct db *db, bool lower, const char *tenant, int64_t priority,
                               int64_t place, int64_t limit, struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *out = (struct row_list){0};
  enum status status =
      row_open(&stmt, db, &job_rows,
               lower ? "SELECT * FROM job INDEXED BY job_place WHERE tenant = ?1 AND state = 'queued' AND priority < ?2"
                       " ORDER BY priority DESC, place LIMIT ?3"
                     : "SELECT * FROM job INDEXED BY job_place WHERE tenant = ?1 AND state = 'queued' AND priority = ?2"
                       " AND place > ?4 ORDER BY place LIMIT ?3",
               err);
  if (status)
    return status;
  stmt_text(&stmt, tenant);
  stmt_int(&stmt, priority);
  stmt_int(&stmt, limit + 1);
  if (!lower)
    stmt_int(&stmt, place);
  return row_list(out, &job_rows, &stmt, limit, arena, err);
}

enum status db_queue_list(struct job_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                          const struct job_row *after, int64_t limit, struct arena *arena, struct error *err) {
  struct row_list same = {0}, lower = {0};
  int64_t priority = after ? after->priority : INT64_MAX;
  enum status status = STATUS_OK;
  if (after)
    status = list_behind(&same, db, false, tenant, priority, after->place, limit, arena, err);
  if (!status && !same.more) /* none wanted: is there one? */
    status = list_behind(&lower, db, true, tenant, priority, 0, limit - (int64_t)same.count, arena, err);
  if (status)
    return status;
  *count = same.count + lower.count;
  *more = same.more || lower.more;
  *out = arena_array(arena, *count + 1, sizeof **out);
  if (!*out)
    return error_no_memory(err, "the queue");
  if (same.count)
    memcpy(*out, same.rows, same.count * sizeof **out);
  if (lower.count)
    memcpy(*out + same.count, lower.rows, lower.count * sizeof **out);
  return STATUS_OK;
}

/* ---- moving ---- */

/* The nearest queued jobs of that tenant and priority that go before a place, the nearest first, but for the one that
   moves. */
enum { NEAR_MAX = 256 };
struct near {
  size_t count;
  int64_t seq[NEAR_MAX], place[NEAR_MAX];
};
static enum status find_near(struct near *out, struct db *db, const struct job_row *job, int64_t priority,
                             int64_t before, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = true;
  out->count = 0;
  enum status status =
      stmt_open(&stmt, db,
                "SELECT seq, place FROM job INDEXED BY job_place WHERE tenant = ?1 AND state = 'queued'"
                " AND priority = ?2 AND place < ?3 AND seq <> ?4 ORDER BY place DESC LIMIT 256",
                err);
  if (status)
    return status;
  stmt_text(&stmt, job->tenant);
  stmt_int(&stmt, priority);
  stmt_int(&stmt, before);
  stmt_int(&stmt, job->seq);
  while (!(status = stmt_step(&stmt, &row, err)) && row && out->count < NEAR_MAX) {
    out->seq[out->count] = stmt_get_int(&stmt, 0);
    out->place[out->count++] = stmt_get_int(&stmt, 1);
  }
  return status;
}

static enum status set_place(struct db *db, const char *tenant, int64_t seq, int64_t place, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db, "UPDATE job SET moved = ?3 WHERE seq = ?2 AND tenant = ?1", err);
  if (status)
    return status;
  stmt_text(&stmt, tenant);
  stmt_int(&stmt, seq);
  stmt_int(&stmt, place);
  return stmt_run(&stmt, NULL, err);
}

/* How many of the nearest must move so that there is most room between any two, the job that moves among them; *gap:
   that room. */
static size_t spread(int64_t *gap, const struct near *near, int64_t end) {
  size_t best = 0;
  *gap = 0;
  for (size_t i = 0; i < near->count; i++) {
    int64_t room = (end - near->place[i]) / (int64_t)(i + 2);
    if (room > *gap) {
      *gap = room;
      best = i;
    }
  }
  if (near->count == NEAR_MAX)
    return best;
  *gap = STEP; /* before the first there is any room */
  return near->count;
}

/* Between `before` and its neighbour there is half of what was; where that is nothing, some that lie near move away
   from it. */
enum status db_queue_move(struct db *db, const struct job_row *job, int64_t priority, const struct job_row *before,
                          struct error *err) {
  struct near near;
  size_t pushed = 0;
  int64_t end = before ? before->place : INT64_MAX;
  enum status status = find_near(&near, db, job, priority, end, err);
  if (status)
    return status;
  if (!before)
    return near.count ? set_place(db, job->tenant, job->seq, near.place[0] + STEP, err) : STATUS_OK;
  int64_t gap = near.count ? (end - near.place[0]) / 2 : STEP;
  if (gap == 0)
    pushed = spread(&gap, &near, end);
  if (gap == 0)
    return error_set(err, STATUS_JOB_NOT_WAITING, "scheduling.before",
                     "there is no room before %s: move the job before"
                     " another one first",
                     before->id);
  for (size_t i = 0; !status && i < pushed; i++)
    status = set_place(db, job->tenant, near.seq[i], end - gap * (int64_t)(i + 2), err);
  return status ? status : set_place(db, job->tenant, job->seq, end - gap, err);
}

enum status db_queue_first(struct job_row *out, bool *found, struct db *db, const char *tenant, int64_t priority,
                           struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  enum status status = row_open(&stmt, db, &job_rows,
                                "SELECT * FROM job INDEXED BY job_place WHERE tenant = ?1 AND state = 'queued'"
                                " AND priority = ?2 ORDER BY place LIMIT 1",
                                err);
  if (status)
    return status;
  stmt_text(&stmt, tenant);
  stmt_int(&stmt, priority);
  return row_next(out, found, &job_rows, &stmt, arena, err);
}

/* ---- what a forecast is made of ---- */

static const struct column lane_columns[] = {
    {"lane.tenant", COLUMN_TEXT, offsetof(struct queue_lane, tenant), NULL},
    {"lane.priority", COLUMN_INT, offsetof(struct queue_lane, priority), NULL},
    {"sum(lane.jobs)", COLUMN_INT, offsetof(struct queue_lane, jobs), NULL},
    {"tenant.turn", COLUMN_INT, offsetof(struct queue_lane, turn), NULL},
};
static const struct row_type lane_type = {"a lane of the queue", sizeof(struct queue_lane), lane_columns,
                                          COUNT_OF(lane_columns)};

enum status db_queue_lanes(struct queue_lane **out, size_t *count, struct db *db, struct arena *arena,
                           struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list = {0};
  enum status status = row_open(&stmt, db, &lane_type,
                                "SELECT * FROM job_count AS lane CROSS JOIN tenant ON tenant.name = lane.tenant"
                                " WHERE lane.state = 'queued' GROUP BY lane.tenant, lane.priority",
                                err);
  if (!status)
    status = row_list(&list, &lane_type, &stmt, INT64_MAX, arena, err);
  *out = list.rows;
  *count = list.count;
  return status;
}

enum status db_queue_seconds(int64_t *seconds, int64_t *jobs, struct db *db, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
  *seconds = *jobs = 0;
  enum status status = stmt_open(&stmt, db,
                                 "SELECT ifnull(sum(max(finished_at - started_at, 0)), 0), count(*) FROM (SELECT"
                                 " started_at, finished_at FROM job WHERE state = 'succeeded' ORDER BY seq DESC"
                                 " LIMIT 32)",
                                 err);
  if (!status)
    status = stmt_step(&stmt, &row, err);
  if (status || !row)
    return status;
  *seconds = stmt_get_int(&stmt, 0);
  *jobs = stmt_get_int(&stmt, 1);
  return STATUS_OK;
}
