#include "server/keys.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "storage/db_tenant.h"

/* What becomes of the keys, in one transaction. */
struct change {
  const struct key_row *made;     /* NULL: none */
  const struct key_row *replaced; /* by `made`; NULL: none */
  const struct key_row *revoked;  /* NULL: none */
  int64_t now, grace_s;
};

static enum status store(struct db *db, const void *what, struct error *err) {
  const struct change *change = what;
  const struct key_row *made = change->made, *replaced = change->replaced, *revoked = change->revoked;
  enum status status = made ? db_tenant_add(db, made->tenant, change->now, err) : STATUS_OK;
  if (!status && made)
    status = db_key_insert(db, made, err);
  if (!status && replaced)
    status = db_key_replace(db, replaced->tenant, replaced->id, made->id, change->now + change->grace_s, err);
  if (!status && revoked)
    status = db_key_revoke(db, revoked->tenant, revoked->id, change->now, err);
  return status;
}

static enum status make(char text[KEY_BYTES], struct key_row *row, struct change *change, struct db *db,
                        struct audit_row *audit, struct arena *arena, struct error *err) {
  char id[KEY_ID_BYTES], sha256[HASH_HEX];
  key_make(text, id);
  hash_bytes(sha256, text, strlen(text));
  row->id = arena_string(arena, id);
  row->sha256 = arena_string(arena, sha256);
  if (!row->id || !row->sha256)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "making an API key");
  row->created_at = change->now;
  change->made = row;
  audit->object = row->id;
  return db_apply(db, store, change, false, err);
}

enum status keys_create(char text[KEY_BYTES], struct key_row *row, struct db *db, struct audit_row *audit,
                        struct arena *arena, struct error *err) {
  struct change change = {.now = clock_unix()};
  return make(text, row, &change, db, audit, arena, err);
}

enum status keys_rotate(char text[KEY_BYTES], struct key_row *row, const struct key_row *old, int64_t grace_s,
                        struct db *db, struct audit_row *audit, struct arena *arena, struct error *err) {
  struct change change = {.replaced = old, .now = clock_unix(), .grace_s = grace_s};
  if (old->revoked_at || (old->expires_at && old->expires_at <= change.now))
    return error_set(err, STATUS_INVALID_VALUE, "key_id", "the key %s %s: create a new one instead", old->id,
                     old->revoked_at ? "was revoked" : "has expired");
  *row = (struct key_row){.tenant = old->tenant, .name = old->name, .scope = old->scope, .expires_at = old->expires_at};
  return make(text, row, &change, db, audit, arena, err);
}

enum status keys_revoke(const struct key_row *row, struct db *db, struct audit_row *audit, struct error *err) {
  struct change change = {.revoked = row, .now = clock_unix()};
  audit->object = row->id;
  return db_apply(db, store, &change, true, err);
}
