#include "storage/row.h"

#include <string.h>

#include "base/str.h"

enum { SQL_BYTES_MAX = 4096 };

size_t row_word(const char *const *names, size_t count, const char *word) {
  size_t at = 0;
  while (at < count && strcmp(names[at], word) != 0)
    at++;
  return at;
}

enum status row_open(struct stmt *out, struct db *db, const struct row_type *type, const char *sql,
                     struct error *err) {
  if (stmt_find(out, db, sql))
    return STATUS_OK;
  AUTO(str_done) struct str text;
  str_init(&text, SQL_BYTES_MAX);
  const char *star = strchr(sql, '*');
  CHECK(star);
  str_add(&text, sql, (size_t)(star - sql));
  for (size_t i = 0; i < type->count; i++)
    str_printf(&text, "%s%s", i ? ", " : "", type->columns[i].sql);
  if (!str_puts(&text, star + 1))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "asking for %s", type->name);
  return stmt_prepare(out, db, sql, text.text, err);
}

static enum status read_column(void *member, const struct column *column, int index, const struct stmt *stmt,
                        struct arena *arena) {
  const char *word;
  switch (column->kind) {
  case COLUMN_INT: *(int64_t *)member = stmt_get_int(stmt, index); return STATUS_OK;
  case COLUMN_BOOL: *(bool *)member = stmt_get_int(stmt, index) != 0; return STATUS_OK;
  case COLUMN_TEXT:
    *(const char **)member = stmt_get_text(stmt, index, arena);
    return *(const char **)member || sqlite3_column_type(stmt->handle, index) == SQLITE_NULL ? STATUS_OK
                                                                                             : STATUS_OUT_OF_MEMORY;
  case COLUMN_WORD:
    word = (const char *)sqlite3_column_text(stmt->handle, index);
    if (!word && sqlite3_column_type(stmt->handle, index) != SQLITE_NULL)
      return STATUS_OUT_OF_MEMORY;
    return word && column->parse(member, word) ? STATUS_OK : STATUS_DAMAGED;
  }
  CHECK(!"a kind of column");
}

static enum status read_row(void *out, const struct row_type *type, const struct stmt *stmt, struct arena *arena,
                            struct error *err) {
  memset(out, 0, type->bytes);
  for (size_t i = 0; i < type->count; i++) {
    const struct column *column = &type->columns[i];
    enum status status = read_column((char *)out + column->offset, column, (int)i, stmt, arena);
    if (status)
      return error_set(err, status, NULL,
                       status == STATUS_DAMAGED ? "the row of %s is damaged: its %s" : "reading the row of %s: its %s",
                       type->name, column->sql);
  }
  return STATUS_OK;
}

enum status row_next(void *out, bool *found, const struct row_type *type, struct stmt *stmt, struct arena *arena,
                     struct error *err) {
  enum status status = stmt_step(stmt, found, err);
  return status || !*found ? status : read_row(out, type, stmt, arena, err);
}

enum status row_list(struct row_list *out, const struct row_type *type, struct stmt *stmt, int64_t limit,
                     struct arena *arena, struct error *err) {
  bool found;
  size_t size = 0, before = arena->used;
  enum status status;
  *out = (struct row_list){0};
  while (!(status = stmt_step(stmt, &found, err)) && found) {
    if (out->count == (size_t)limit || (out->count > 0 && arena->used - before > PAGE_BYTES)) {
      out->more = true;
      break;
    }
    if (out->count == size) {
      size = size ? size * 2 : 16;
      void *bigger = arena_array(arena, size, type->bytes);
      if (!bigger)
        return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "a list is too long");
      if (out->count)
        memcpy(bigger, out->rows, out->count * type->bytes);
      out->rows = bigger;
    }
    status = read_row((char *)out->rows + out->count * type->bytes, type, stmt, arena, err);
    if (status)
      return status;
    out->count++;
  }
  return status;
}

enum status row_cursor(int64_t *seq, struct db *db, const char *sql, const char *owner, const struct page *page,
                       struct error *err) {
  *seq = page->ascending ? 0 : INT64_MAX;
  if (!page->after)
    return STATUS_OK;
  enum status status = stmt_number2(seq, db, sql, page->after, owner, err);
  if (!status && *seq < 0)
    return error_set(err, STATUS_INVALID_CURSOR, "after", "after names nothing in this list: %.64s", page->after);
  return status;
}

enum status row_page(struct row_list *out, const struct row_type *type, struct db *db, const char *cursor,
                     const char *rows, const char *owner, const struct page *page, struct arena *arena,
                     struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  int64_t after;
  *out = (struct row_list){0};
  enum status status = row_cursor(&after, db, cursor, owner, page, err);
  if (!status)
    status = row_open(&stmt, db, type, rows, err);
  if (status)
    return status;
  stmt_text(&stmt, owner);
  stmt_int(&stmt, after);
  stmt_int(&stmt, page->limit + 1);
  return row_list(out, type, &stmt, page->limit, arena, err);
}

enum status row_same(void *out, bool *found, const struct row_type *type, struct db *db, const char *by_key,
                     const char *by_body, const char *tenant, const char *key, const char *body_sha256, int64_t since,
                     struct arena *arena, struct error *err) {
  AUTO(stmt_done) struct stmt stmt = {0};
  *found = false;
  enum status status = row_open(&stmt, db, type, key ? by_key : by_body, err);
  if (status)
    return status;
  stmt_text(&stmt, key ? key : body_sha256);
  stmt_int(&stmt, since);
  stmt_text(&stmt, tenant);
  return row_next(out, found, type, &stmt, arena, err);
}
