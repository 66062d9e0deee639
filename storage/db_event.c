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

static void parse_level(void *member, const char *word) {
  *(enum log_level *)member =
      strcmp(word, "error") == 0 ? LOG_ERROR : strcmp(word, "warn") == 0 ? LOG_WARN : LOG_INFO;
}

static void parse_type(void *member, const char *word) {
  *(bool *)member = strcmp(word, "metrics") == 0;
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
  AUTO(stmt_done) struct stmt stmt = {0};
  struct row_list list;
  int64_t after;
  enum status status = row_cursor(&after, db,
                                  "SELECT seq FROM event WHERE 'ftevent-' || seq = ?1"
                                  " AND seq = CAST(substr(?1, 9) AS INTEGER) AND job_id = ?2",
                                  job_id, page, err);
  if (!status)
    status = row_open(&stmt, db, &event_type,
                      "SELECT * FROM event WHERE job_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3", err);
  if (status)
    return status;
  stmt_text(&stmt, job_id);
  stmt_int(&stmt, after);
  stmt_int(&stmt, page->limit + 1);
  status = row_list(&list, &event_type, &stmt, page->limit, arena, err);
  *out = list.rows;
  *count = list.count;
  *more = list.more;
  for (size_t i = 0; i < list.count; i++)
    (*out)[i].job_id = job_id;
  return status;
}
