#include "server/http/identify.h"

#include <string.h>

#include "api/tenant.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "server/http/client.h"
#include "storage/db_key.h"
#include "storage/db_tenant.h"

enum { USE_NOTED_S = 60, AGAIN_ARENA_BYTES = 1 << 16 };

static const char TENANT_HEADER[] = "X-Reflectd-Tenant";

/* ---- the key ---- */

static bool same_secret(const char *given, const char *sha256) {
  char hash[HASH_HEX];
  hash_bytes(hash, given, strlen(given));
  bool same = strlen(sha256) == HASH_HEX - 1 && hash_equal(hash, sha256, HASH_HEX);
  explicit_bzero(hash, sizeof hash);
  return same;
}

static bool is_configured(const char *given, const char *key) {
  char hash[HASH_HEX];
  if (!key)
    return false;
  hash_bytes(hash, key, strlen(key));
  bool same = same_secret(given, hash);
  explicit_bzero(hash, sizeof hash);
  return same;
}

/* Not at every request; and when the store does not take it, it is not asked again for as long. */
static void note_use(struct server *server, const struct key_row *key) {
  struct error err;
  int64_t now = clock_unix(), now_ms = clock_boot_ms();
  if (now - key->last_used_at < USE_NOTED_S || now_ms < server->key_use_after_ms)
    return;
  if (db_key_used(server->db, key->id, now, &err)) {
    server->key_use_after_ms = now_ms + USE_NOTED_S * 1000;
    log_warn("the last use of the key %s is not noted: %s", key->id, err.text);
  }
}

/* A key that the store has, by whoever knows all of it. */
static enum status admit(struct request *request, const struct key_row *key, struct error *err) {
  struct caller *caller = &request->caller;
  if (key->revoked_at)
    return error_set(err, STATUS_INVALID_API_KEY, NULL, "the API key %s was revoked", key->id);
  if (key->expires_at && key->expires_at <= clock_unix())
    return error_set(err, STATUS_EXPIRED_API_KEY, NULL, "the API key %s has expired%s%s", key->id,
                     key->replaced_by ? ": it was replaced by " : "", key->replaced_by ? key->replaced_by : "");
  note_use(request->server, key);
  *caller = (struct caller){.actor = "api_key", .key_id = key->id, .scope = key->scope};
  caller->is_operator = key->scope == SCOPE_ADMIN && strcmp(key->tenant, TENANT_DEFAULT) == 0;
  request->tenant = key->tenant;
  return STATUS_OK;
}

static void admit_operator(struct request *request, const char *actor) {
  request->caller = (struct caller){.actor = actor, .scope = SCOPE_ADMIN, .is_operator = true};
  request->tenant = TENANT_DEFAULT;
}

/* The configured key may be one that can be guessed: it is compared only while the address has not tried too often. The
   others cannot be guessed, so that whoever has one is never kept out by who tries from the same address. */
static enum status match(struct request *request, const char *given, struct error *err) {
  struct server *server = request->server;
  char id[KEY_ID_BYTES];
  struct key_row key;
  bool found = false;
  enum status status = STATUS_OK;
  if (key_parse(id, given))
    status = db_key_shown(&key, &found, server->db, id, &request->arena, err);
  if (status)
    return status;
  if (found && same_secret(given, key.sha256))
    return admit(request, &key, err);
  const unsigned char *address = request->client->network;
  int64_t now_ms = clock_boot_ms(), wait_ms = attempts_wait_ms(&server->attempts, address, now_ms);
  if (wait_ms == 0 && is_configured(given, server->config->api_key)) {
    admit_operator(request, "configured_key");
    return STATUS_OK;
  }
  if (wait_ms == 0)
    attempts_note(&server->attempts, address, now_ms);
  else
    request->retry_after_s = (wait_ms + 999) / 1000;
  return wait_ms ? error_set(err, STATUS_RATE_LIMIT, NULL,
                             "too many wrong API keys came from this address; try again"
                             " in %lld seconds",
                             (long long)request->retry_after_s)
                 : error_set(err, STATUS_INVALID_API_KEY, NULL, "the API key is wrong");
}

static enum status authenticate(struct request *request, struct error *err) {
  struct server *server = request->server;
  const char *given = request_header(request, "Authorization");
  bool any = server->config->api_key != NULL;
  if (!any) {
    enum status status = db_key_any(&any, server->db, err);
    if (status)
      return status;
  }
  if (!any) {
    admit_operator(request, "anyone");
    return STATUS_OK;
  }
  if (!given)
    return error_set(err, STATUS_INVALID_API_KEY, NULL,
                     "no API key was sent; it belongs into the header \"Authorization: Bearer KEY\"");
  if (strncasecmp(given, "Bearer ", 7) != 0)
    return error_set(err, STATUS_INVALID_API_KEY, NULL, "the Authorization header is not of the form \"Bearer KEY\"");
  return match(request, given + 7, err);
}

/* An operator may look after another tenant. */
static enum status choose_tenant(struct request *request, struct error *err) {
  const char *wanted = request_header(request, TENANT_HEADER);
  struct tenant_row tenant;
  if (!wanted || strcmp(wanted, request->tenant) == 0)
    return STATUS_OK;
  if (!request->caller.is_operator)
    return error_set(err, STATUS_SCOPE, TENANT_HEADER, "only an admin key of the tenant \"%s\" may name another tenant",
                     TENANT_DEFAULT);
  enum status status = db_tenant_get(&tenant, request->server->db, wanted, &request->arena, err);
  if (!status)
    request->tenant = tenant.name;
  return status;
}

enum status identify(struct request *request, struct error *err) {
  enum scope needed = request->endpoint->scope;
  if (needed == SCOPE_OPEN || (request->match.op == OP_metrics && request->server->config->metrics_open))
    return STATUS_OK;
  enum status status = authenticate(request, err);
  if (status)
    return status;
  if (request->caller.scope < needed)
    return error_set(err, STATUS_SCOPE, NULL, "the API key %s has the scope \"%s\"; this needs \"%s\"",
                     request->caller.key_id, scope_name(request->caller.scope), scope_name(needed));
  return choose_tenant(request, err);
}

bool identify_again(const struct request *request) {
  AUTO(arena_done) struct arena arena;
  struct db *db = request->server->db;
  const struct caller *caller = &request->caller;
  struct key_row key;
  struct error err;
  bool found;
  arena_init(&arena, AGAIN_ARENA_BYTES);
  if (caller->actor && strcmp(caller->actor, "anyone") == 0)
    return db_key_any(&found, db, &err) || !found;
  if (!caller->key_id || db_key_shown(&key, &found, db, caller->key_id, &arena, &err))
    return true;
  return found && !key.revoked_at && !(key.expires_at && key.expires_at <= clock_unix());
}
