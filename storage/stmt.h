/* The connection and its prepared statements, for the files of storage/ alone. Each SQL text is a literal, prepared
   once and kept; parameters are bound in order. */
#ifndef STORAGE_STMT_H
#define STORAGE_STMT_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "storage/version.h"

enum { STATEMENTS_MAX = 256 };

struct db {
  sqlite3 *handle;
  sqlite3_file *file;  /* of it; NULL until db_version asks */
  char reserve[1024]; /* path of the bytes set aside */
  bool in_transaction;
  bool joined;      /* between db_join and db_leave */
  bool group;       /* a transaction holds what several have committed */
  bool spoilt;      /* and something that was to be taken out of it could not be: none of it is stored */
  bool member;      /* who joined last has begun to change something: a savepoint */
  uint64_t faults;  /* of SQLite, so far */
  uint64_t busy;    /* those that were a lock */
  uint64_t faults_before; /* db_join */
  enum status (*next)(struct db *db, const void *what, struct error *err); /* db_with_next; NULL: none */
  const void *next_what;
  void (*changed)(void *context, bool is_event, int64_t row); /* db_watch; NULL: nobody */
  void *changed_context;
  struct {
    struct db_version version;
    bool known, any;
  } keys; /* db_key_any */
  size_t count;
  struct {
    const char *sql;
    sqlite3_stmt *handle;
  } statement[STATEMENTS_MAX];
};

/* What is to be done about a damaged one. */
#define STMT_ADVICE " (reflectd fsck tells more; reflectd restore makes a data folder of a backup)"
/* What an error code of SQLite means here: the only place that knows. */
enum status stmt_fault(struct db *db, int code, struct error *err) COLD;

struct stmt {
  sqlite3_stmt *handle;
  struct db *db;
  int bound; /* parameters bound so far */
  int fault; /* the first SQLite error of a bind, reported by the next step */
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
void stmt_int_or_null(struct stmt *stmt, int64_t value); /* 0 is NULL */

/* *row: there is a row to read. */
NODISCARD enum status stmt_step(struct stmt *stmt, bool *row, struct error *err);
/* Runs a statement that returns nothing to its end; *changed (may be NULL): rows it changed. */
NODISCARD enum status stmt_run(struct stmt *stmt, int64_t *changed, struct error *err);

/* Columns of the current row; NULL reads as 0 or NULL. */
int64_t stmt_get_int(const struct stmt *stmt, int column);
/* A copy in the arena. */
const char *stmt_get_text(const struct stmt *stmt, int column, struct arena *arena);

/* The first column of the first row of a query with at most two text parameters, NULL: it has fewer; *out = -1: no
   row. */
NODISCARD enum status stmt_number2(int64_t *out, struct db *db, const char *sql, const char *first, const char *second,
                                   struct error *err);
NODISCARD enum status stmt_number(int64_t *out, struct db *db, const char *sql, const char *param, struct error *err);

#endif
