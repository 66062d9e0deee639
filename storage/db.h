/* The SQLite store: opening, migrating, transactions. One process, one thread and one connection write
   it. The tables have a header each (db_file.h, db_job.h, ...): a struct goes in, a struct comes out.
   Strings that come out live in the arena that was given. */
#ifndef STORAGE_DB_H
#define STORAGE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct db;

/* Opens or creates the database, checks it (quick_check) and brings its schema to this version. A
   damaged database, one of another program, or one of a newer version is refused. */
NODISCARD enum status db_open(struct db **out, const char *path, struct error *err);
void db_close(struct db *db);

/* Writers. Transactions do not nest; a single statement outside of one is its own transaction.
   After db_begin exactly one of db_commit and db_rollback follows; a db_commit that fails has rolled
   back. */
NODISCARD enum status db_begin(struct db *db, struct error *err);
NODISCARD enum status db_commit(struct db *db, struct error *err);
void db_rollback(struct db *db);

/* Can it be written now? Takes and releases the write lock. */
NODISCARD enum status db_probe(struct db *db, struct error *err);

/* One page of a list, newest first. It ends early, and says that there is more, when its rows have PAGE_BYTES. */
enum { PAGE_BYTES = 4 << 20 };
struct page {
  const char *after;  /* id of the last item of the page before; NULL: from the newest */
  int64_t limit;      /* items at most */
  bool ascending;     /* oldest first */
};

#endif
