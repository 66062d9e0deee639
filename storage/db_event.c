#include "storage/db_event.h"

#include <string.h>

#include "storage/stmt.h"

static const char *const level_names[] = {
    [LOG_DEBUG] = "info", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

const char *event_level_name(enum log_level level) {
  CHECK(level < COUNT_OF(level_names));
  return level_names[level];
}

enum status db_event_add(struct db *db, const struct event_row *row, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  enum status status = stmt_open(&stmt, db,
                                 "INSERT INTO event (job_id, created_at, level, type, message, data)"
                                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
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

static enum log_level parse_level(const char *name) {
  return strcmp(name, "error") == 0 ? LOG_ERROR : strcmp(name, "warn") == 0 ? LOG_WARN : LOG_INFO;
}

static enum status read_row(void *row, const struct stmt *stmt, struct arena *arena, struct error *err) {
  struct event_row *out = row;
  const char *level = stmt_get_text(stmt, 2, arena), *type = stmt_get_text(stmt, 3, arena);
  *out = (struct event_row){.seq = stmt_get_int(stmt, 0),
                            .created_at = stmt_get_int(stmt, 1),
                            .message = stmt_get_text(stmt, 4, arena),
                            .data = stmt_get_text(stmt, 5, arena)};
  if (!level || !type || !out->message)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading an event's row");
  out->level = parse_level(level);
  out->metrics = strcmp(type, "metrics") == 0;
  return STATUS_OK;
}

enum status db_event_list(struct event_row **out, size_t *count, bool *more, struct db *db, const char *job_id,
                          const struct page *page, struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  struct stmt_rows list;
  int64_t after;
  enum status status =
      stmt_cursor(&after, db, "SELECT seq FROM event WHERE 'ftevent-' || seq = ?1"
                              " AND seq = CAST(substr(?1, 9) AS INTEGER)", page, err);
  if (!status)
    status = stmt_open(&stmt, db,
                       "SELECT seq, created_at, level, type, message, data FROM event"
                       " WHERE job_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
                       err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_int(&stmt, after);
  stmt_int(&stmt, page->limit + 1);
  status = stmt_list(&list, &stmt, sizeof **out, read_row, page->limit, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  for (size_t i = 0; i < list.count; i++)
    (*out)[i].job_id = job_id;
  return status;
}
