#include "storage/db_event.h"

#include <string.h>

#include "storage/row.h"

static const char *const level_names[] = {
    [LOG_DEBUG] = "info", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

const char *event_level_name(enum log_level level) {
  CHECK(level < COUNT_OF(level_names));
  return level_names[level];
}

enum status db_event_add(struct db *db, const struct event_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "INSERT INTO event (job_id, created_at, level, type, message, data, step)"
                                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6,"
                                 " iif(?4 = 'metrics', CAST(json_extract(?6, '$.step') AS INTEGER), NULL))",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->job_id);
  stmt_int(&stmt, row->created_at);
  stmt_text(&stmt, event_level_name(row->level));
  stmt_text(&stmt, row->metrics ? "metrics" : "message");
  stmt_text(&stmt, row->message);
  stmt_text(&stmt, row->data);
  return stmt_run(&stmt, NULL, err);
}

enum status db_event_last(int64_t *out, struct db *db, const char *job_id, struct error *err) {
  return stmt_number(out, db, "SELECT ifnull(max(seq), 0) FROM event WHERE job_id = ?1", job_id, err);
}

enum status db_event_metrics(const char **out, struct db *db, const char *job_id, int64_t step, struct arena *arena,
                             struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  bool row = false;
  *out = NULL;
  enum status status = stmt_open(
      &stmt, db, "SELECT data FROM event WHERE job_id = ?1 AND type = 'metrics' AND step = ?2 ORDER BY seq LIMIT 1",
      err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_int(&stmt, step);
  status = stmt_step(&stmt, &row, err);
  if (status || !row)
    return status;
  *out = stmt_get_text(&stmt, 0, arena);
  return *out ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading an event");
}

enum status db_event_said(bool *out, struct db *db, const struct event_row *row, int64_t last, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *out = false;
  enum status status = stmt_open(&stmt, db,
                                 "SELECT 1 FROM event WHERE job_id = ?1 AND type = 'message' AND message = ?2"
                                 " AND level = ?3 AND data IS ?4 AND seq <= ?5 LIMIT 1",
                                 err);
  if (status)
    return status;
  stmt_text(&stmt, row->job_id);
  stmt_text(&stmt, row->message);
  stmt_text(&stmt, event_level_name(row->level));
  stmt_text(&stmt, row->data);
  stmt_int(&stmt, last);
  return stmt_step(&stmt, out, err);
}

static bool parse_level(void *member, const char *word) {
  *(enum log_level *)member = strcmp(word, "error") == 0 ? LOG_ERROR : strcmp(word, "warn") == 0 ? LOG_WARN : LOG_INFO;
  return true;
}

static bool parse_type(void *member, const char *word) {
  *(bool *)member = strcmp(word, "metrics") == 0;
  return true;
}

#define AT(member) offsetof(struct event_row, member)
static const struct column columns[] = {
    {"seq", COLUMN_INT, AT(seq), NULL},
    {"created_at", COLUMN_INT, AT(created_at), NULL},
    {"level", COLUMN_WORD, AT(level), parse_level},
    {"type", COLUMN_WORD, AT(metrics), parse_type},
    {"message", COLUMN_TEXT, AT(message), NULL},
    {"data", COLUMN_TEXT, AT(data), NULL},
};
#undef AT
static const struct row_type event_type = {"an event", sizeof(struct event_row), columns, COUNT_OF(columns)};

enum status db_event_list(struct event_row **out, size_t *count, bool *more, struct db *db, const char *job_id,
                          const struct page *page, struct arena *arena, struct error *err) {
  struct row_list list;
  enum status status = row_page(&list, &event_type, db,
                                "SELECT seq FROM event WHERE 'ftevent-' || seq = ?1"
                                " AND seq = CAST(substr(?1, 9) AS INTEGER) AND job_id = ?2",
                                "SELECT * FROM event WHERE job_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3", job_id,
                                page, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  for (size_t i = 0; i < list.count; i++)
    (*out)[i].job_id = job_id;
  return status;
}

enum status db_event_after(struct event_row **out, size_t *count, struct db *db, const char *job_id, int64_t after,
                           int64_t limit, struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  enum status status =
      row_open(&stmt, db, &event_type, "SELECT * FROM event WHERE job_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_int(&stmt, after);
  stmt_int(&stmt, limit);
  status = row_list(&list, &event_type, &stmt, limit, arena, err);
  *out = list.rows;
  *count = list.count;
  for (size_t i = 0; i < list.count; i++)
    (*out)[i].job_id = job_id;
  return status;
}

static const struct column metrics_columns[] = {
    {"step", COLUMN_INT, offsetof(struct metrics_row, step), NULL},
    {"data", COLUMN_TEXT, offsetof(struct metrics_row, data), NULL},
};
static const struct row_type metrics_type = {"metrics", sizeof(struct metrics_row), metrics_columns,
                                             COUNT_OF(metrics_columns)};

enum status db_event_series(struct metrics_row **out, size_t *count, bool *more, struct db *db, const char *job_id,
                            int64_t first, int64_t last, int64_t limit, struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  enum status status = row_open(&stmt, db, &metrics_type,
                                "SELECT * FROM event WHERE job_id = ?1 AND type = 'metrics'"
                                " AND step BETWEEN ?2 AND ?3 ORDER BY step, seq LIMIT ?4",
                                err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_int(&stmt, first);
  stmt_int(&stmt, last);
  stmt_int(&stmt, limit + 1);
  status = row_list(&list, &metrics_type, &stmt, limit, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  return status;
}

enum status db_event_forget(bool *more, struct db *db, int64_t limit, struct error *err) {
  AUTO(stmt_done) struct stmt events = {0};
  AUTO(stmt_done) struct stmt done = {0};
  int64_t rows = 0;
  *more = false;
  enum status status = stmt_open(&events, db,
                                 "DELETE FROM event WHERE seq IN (SELECT seq FROM event INDEXED BY event_of_job"
                                 " WHERE job_id = (SELECT min(job_id) FROM event_removal) LIMIT ?1)",
                                 err);
  if (status)
    return status;
  stmt_int(&events, limit);
  status = stmt_run(&events, &rows, err);
  *more = rows > 0;
  if (status || rows == limit)
    return status;
  rows = 0;
  status =
      stmt_open(&done, db, "DELETE FROM event_removal WHERE job_id = (SELECT min(job_id) FROM event_removal)", err);
  status = status ? status : stmt_run(&done, &rows, err);
  *more = rows > 0;
  return status;
}
