/* Table `api_key`. */
#ifndef STORAGE_DB_KEY_H
#define STORAGE_DB_KEY_H

#include <stddef.h>

#include "api/key.h"
#include "base/arena.h"
#include "storage/db.h"

struct key_row {
  int64_t seq;
  const char *id; /* its public part */
  const char *tenant;
  const char *name;
  enum scope scope;
  const char *sha256; /* of the whole key */
  int64_t created_at;
  int64_t expires_at;      /* 0: never */
  int64_t revoked_at;      /* 0: not */
  const char *replaced_by; /* NULL: by none */
  int64_t last_used_at;    /* 0: not yet; exact to the minute */
};

/* The columns from `id` to `expires_at` are written. Its tenant is there. */
NODISCARD enum status db_key_insert(struct db *db, const struct key_row *row, struct error *err);
/* STATUS_KEY_NOT_FOUND, param "key_id". */
NODISCARD enum status db_key_get(struct key_row *out, struct db *db, const char *tenant, const char *id,
                                 struct arena *arena, struct error *err);
/* Whoever it belongs to, for who shows it. *found false: none has that id. */
NODISCARD enum status db_key_shown(struct key_row *out, bool *found, struct db *db, const char *id, struct arena *arena,
                                   struct error *err);
/* Of a tenant. page->after is a key's id. */
NODISCARD enum status db_key_list(struct key_row **out, size_t *count, bool *more, struct db *db, const char *tenant,
                                  const struct page *page, struct arena *arena, struct error *err);
/* Has any key ever been made? Then every request needs one. */
NODISCARD enum status db_key_any(bool *out, struct db *db, struct error *err);
/* One that was revoked before stays so. */
NODISCARD enum status db_key_revoke(struct db *db, const char *tenant, const char *id, int64_t now, struct error *err);
/* It ends at `expires_at`, or earlier if it did so already, since `replaced_by` takes its place. */
NODISCARD enum status db_key_replace(struct db *db, const char *tenant, const char *id, const char *replaced_by,
                                     int64_t expires_at, struct error *err);
NODISCARD enum status db_key_used(struct db *db, const char *id, int64_t now, struct error *err);

#endif
