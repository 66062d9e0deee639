/* The SQLite store: opening, migrating, transactions. The daemon writes it, by one thread and one connection; beside it
   the operator's commands make changes of a statement or two. The tables have a header each (db_file.h, db_job.h, ...):
   a struct goes in, a struct comes out. Strings that come out live in the arena that was given. What belongs to a
   tenant is asked for with its name: what is another's is not found, exactly as what is not there. */
#ifndef STORAGE_DB_H
#define STORAGE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "storage/version.h"

struct db;

/* Opens the database, checks it (quick_check) and brings its schema to this version. A damaged database, one of
   another program, or one of a newer version is refused; so is one that is not there or empty, unless `create`. */
NODISCARD enum status db_open(struct db **out, const char *path, bool create, struct error *err);
/* Opens one of this version for reading alone, beside a daemon that writes it. STATUS_NOT_FOUND: there is none. */
NODISCARD enum status db_open_reader(struct db **out, const char *path, struct error *err);
/* And for small changes beside it: it sees them at its next look. */
NODISCARD enum status db_open_beside(struct db **out, const char *path, struct error *err);
void db_close(struct db *db);
/* All of it as it is at one moment into a file, one alone; writers go on meanwhile. What the file held is gone. */
NODISCARD enum status db_copy(struct db *db, const char *path, struct error *err);
/* Is there nothing at `path` that db_open would not have to create? */
bool db_absent(const char *path);
/* What tells this store from every other, as long as it lives and in all its copies. */
enum { DB_ID_BYTES = 40 };
NODISCARD enum status db_id(char out[DB_ID_BYTES], struct db *db, struct error *err);
/* Has no file and no job ever been stored in it? */
NODISCARD enum status db_unused(bool *out, struct db *db, struct error *err);

/* Writers. Transactions do not nest; a single statement outside of one is its own transaction.
   After db_begin exactly one of db_commit and db_rollback follows; a db_commit that fails has rolled
   back. What they commit is durable, unless db_join came before. */
NODISCARD enum status db_begin(struct db *db, struct error *err);
NODISCARD enum status db_commit(struct db *db, struct error *err);
void db_rollback(struct db *db);

/* `change` in a transaction of its own. `frees`: it must succeed on a full disk too, since it is what makes room, or
   tells the store how something ended: then the reserve is given up and it is tried once more, outside of a group. */
typedef enum status db_change(struct db *db, const void *what, struct error *err);
NODISCARD enum status db_apply(struct db *db, db_change *change, const void *what, bool frees, struct error *err);

/* `change` becomes part of the transaction that is committed next: what a client changed and that it was him are stored
   together or not at all. db_with_none ends that; true: nothing was committed since, and `change` was not made. */
void db_with_next(struct db *db, db_change *change, const void *what);
bool db_with_none(struct db *db);

/* Group commit: the disk is waited for once for many. Between db_join and db_leave transactions belong to a group, and
   db_settle stores all that is in it, or nothing: nobody may be told before of what was changed, or of what was read
   since. db_leave is false when the store failed at anything since db_join: that is undone then, and that alone, and is
   to be done again outside of a group. A group is settled before a transaction outside of one begins. */
void db_join(struct db *db);
NODISCARD bool db_leave(struct db *db);
/* Is there a group that is not settled? */
bool db_gathered(const struct db *db);
NODISCARD enum status db_settle(struct db *db, struct error *err);

/* Called for each row of the tables `event` and `job` that changes, before that is stored: `row` is its seq. It asks
   the store nothing. Only one at a time; NULL: nobody. */
typedef void db_changed(void *context, bool is_event, int64_t row);
void db_watch(struct db *db, db_changed *changed, void *context);

/* It is found without a lock or a call of the system: a reader may ask at each request. STATUS_DATABASE_BUSY: something
   is being stored just now. */
NODISCARD enum status db_version(struct db_version *out, struct db *db, struct error *err);
bool db_version_same(const struct db_version *a, const struct db_version *b);

/* Sets aside the bytes that such changes need on a full disk, in a file beside the database. Nothing happens when they
   are there, or when the disk has little room now. Called at start and from time to time. */
void db_reserve(struct db *db);

/* Can it be written now? Takes and releases the write lock. */
NODISCARD enum status db_probe(struct db *db, struct error *err);

/* How often it was found locked by another program for too long. */
uint64_t db_busy(const struct db *db);

/* One page of a list, newest first. It ends early, and says that there is more, when its rows have PAGE_BYTES. */
enum { PAGE_BYTES = 4 << 20 };
struct page {
  const char *after;  /* id of the last item of the page before; NULL: from the newest */
  int64_t limit;      /* items at most */
  bool ascending;     /* oldest first */
};

#endif
