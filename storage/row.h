/* Rows as structs, for the files of storage/ alone. One table of columns says what a row consists of: queries are
   opened with it and their rows are read by it. */
#ifndef STORAGE_ROW_H
#define STORAGE_ROW_H

#include <stddef.h>

#include "storage/db.h"
#include "storage/stmt.h"

enum column_kind {
  COLUMN_INT,   /* int64_t; NULL reads as 0 */
  COLUMN_BOOL,  /* bool */
  COLUMN_TEXT,  /* const char *: a copy in the arena; NULL reads as NULL */
  COLUMN_WORD,  /* an enum or a flag: `parse` makes it of a word; false: it is none that the schema lets in */
};

struct column {
  const char *sql;  /* its name, or an expression */
  enum column_kind kind;
  size_t offset;    /* of the member that it fills */
  bool (*parse)(void *member, const char *word);
};

struct row_type {
  const char *name; /* "a job", for errors */
  size_t bytes;     /* of its struct; members without a column are zero */
  const struct column *columns;
  size_t count;
};

/* For a `parse`: where the word stands among the names; `count` when it is none of them. */
size_t row_word(const char *const *names, size_t count, const char *word);

/* As stmt_open. The one * of `sql` stands for the columns of the type, in their order. */
NODISCARD enum status row_open(struct stmt *out, struct db *db, const struct row_type *type, const char *sql,
                               struct error *err);
/* The next row of such a query. *found false: there is none. */
NODISCARD enum status row_next(void *out, bool *found, const struct row_type *type, struct stmt *stmt,
                               struct arena *arena, struct error *err);

/* The rows that a query still has, at most `limit`, as an array in the arena. A list also ends, with `more`, after the
   row with which it passes PAGE_BYTES: no list is too large to be answered. */
struct row_list {
  void *rows;
  size_t count;
  bool more;
};
NODISCARD enum status row_list(struct row_list *out, const struct row_type *type, struct stmt *stmt, int64_t limit,
                               struct arena *arena, struct error *err);

/* The seq of the row that a cursor names, or STATUS_INVALID_CURSOR. `sql` has two text parameters: the cursor, and
   whose list it is, a tenant's or a job's. */
NODISCARD enum status row_cursor(int64_t *seq, struct db *db, const char *sql, const char *owner,
                                 const struct page *page, struct error *err);

/* A page of the rows that belong to `owner`. `cursor` as for row_cursor; `rows` has three parameters: the owner, the
   seq after which the page begins, and how many rows are read. */
NODISCARD enum status row_page(struct row_list *out, const struct row_type *type, struct db *db, const char *cursor,
                               const char *rows, const char *owner, const struct page *page, struct arena *arena,
                               struct error *err);

/* What a client sent before: the newest row since then of its Idempotency-Key, or, with `key` NULL, of its body that
   came without one. *found false: there is none. Both queries have three parameters: that text, since when, and whose
   it is. */
NODISCARD enum status row_same(void *out, bool *found, const struct row_type *type, struct db *db, const char *by_key,
                               const char *by_body, const char *tenant, const char *key, const char *body_sha256,
                               int64_t since, struct arena *arena, struct error *err);

#endif
