/* Prepared statements, for the files of storage/ alone. Each SQL text is a literal, prepared once and
   kept; parameters are bound in order. */
#ifndef STORAGE_STMT_H
#define STORAGE_STMT_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "storage/db.h"

struct stmt {
  sqlite3_stmt *handle;
  struct db *db;
  int bound;   /* parameters bound so far */
  int fault;   /* the first SQLite error of a bind, told by the next step */
};

/* For AUTO(stmt_done) struct stmt s = {0}; the statement is reset and its bindings are cleared. */
NODISCARD enum status stmt_open(struct stmt *out, struct db *db, const char *sql, struct error *err);
/* The same for a text that is made of such a literal once: was it prepared already, and that it is. */
bool stmt_find(struct stmt *out, struct db *db, const char *sql);
NODISCARD enum status stmt_prepare(struct stmt *out, struct db *db, const char *sql, const char *text,
                                   struct error *err);
void stmt_done(struct stmt *stmt);

/* Bind the next parameter. Texts must stay alive until stmt_done; NULL binds NULL. */
void stmt_text(struct stmt *stmt, const char *text);
void stmt_int(struct stmt *stmt, int64_t value);
void stmt_int_or_null(struct stmt *stmt, int64_t value);  /* 0 is NULL */

/* *row: there is a row to read. */
NODISCARD enum status stmt_step(struct stmt *stmt, bool *row, struct error *err);
/* Runs a statement that returns nothing to its end; *changed (may be NULL): rows it changed. */
NODISCARD enum status stmt_run(struct stmt *stmt, int64_t *changed, struct error *err);

/* Columns of the current row; NULL reads as 0 or NULL. */
int64_t stmt_get_int(const struct stmt *stmt, int column);
/* A copy in the arena. */
const char *stmt_get_text(const struct stmt *stmt, int column, struct arena *arena);

/* The first column of the first row of a query with at most one text parameter; *out = -1: no row. */
NODISCARD enum status stmt_number(int64_t *out, struct db *db, const char *sql, const char *param, struct error *err);
/* The seq of the row that a cursor names, or STATUS_INVALID_CURSOR. `sql` has one text parameter. */
NODISCARD enum status stmt_cursor(int64_t *seq, struct db *db, const char *sql, const struct page *page,
                                  struct error *err);

#endif
