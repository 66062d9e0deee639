/* API keys are made, replaced and revoked here, whoever asks: a client over HTTP, or the operator on the data folder.
 */
#ifndef SERVER_KEYS_H
#define SERVER_KEYS_H

#include "api/body.h"
#include "api/key.h"
#include "base/arena.h"
#include "base/error.h"
#include "storage/db_audit.h"
#include "storage/db_key.h"

/* `row` has tenant, name, scope and expires_at; its other members are filled, and `text` is the key, which is stored
   nowhere: whoever holds it wipes it. A tenant that is not there is made. Each in a transaction of its own, with
   which the caller has had `audit` stored (db_with_next): its object becomes the key's id. */
NODISCARD enum status keys_create(char text[KEY_BYTES], struct key_row *row, struct db *db, struct audit_row *audit,
                                  struct arena *arena, struct error *err);
/* A new key in the place of `old`, which works on for `grace_s` seconds. STATUS_INVALID_VALUE: it was revoked or has
   expired. */
NODISCARD enum status keys_rotate(char text[KEY_BYTES], struct key_row *row, const struct key_row *old, int64_t grace_s,
                                  struct db *db, struct audit_row *audit, struct arena *arena, struct error *err);
NODISCARD enum status keys_revoke(const struct key_row *row, struct db *db, struct audit_row *audit, struct error *err);

#endif
