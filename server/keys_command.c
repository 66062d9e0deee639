#include "server/keys_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/tenant.h"
#include "base/clock.h"
#include "server/command.h"
#include "server/data.h"
#include "server/keys.h"
#include "storage/db_tenant.h"

enum { ARENA_BYTES = 16 << 20, PAGE = 100 };

/* What was typed. Texts are NULL where they were not. */
struct words {
  const char *verb, *id;
  const char *name, *tenant, *scope, *expires_in, *grace;
};

struct command_state {
  struct words words;
  struct config config;
  struct db *db;
  struct arena arena;
  struct audit_row audit;
  char user[16];
};

/* "90", "90s", "15m", "12h", "30d": seconds. */
static enum status read_duration(int64_t *out, const char *text, const char *option, int64_t max, struct error *err) {
  static const struct {
    char unit;
    int64_t seconds;
  } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
  char *end;
  int64_t unit = 1;
  long long number = text[0] >= '0' && text[0] <= '9' ? strtoll(text, &end, 10) : -1;
  for (size_t i = 0; number >= 0 && *end && i < COUNT_OF(units); i++)
    if (*end == units[i].unit && end[1] == '\0') {
      unit = units[i].seconds;
      end++;
    }
  if (number < 0 || *end || number > max / unit)
    return error_set(err, STATUS_INVALID_VALUE, option,
                     "%s must be a time as 90s, 15m, 12h or 30d, at most %lldd, not"
                     " %.32s",
                     option, (long long)max / 86400, text);
  *out = number * unit;
  return STATUS_OK;
}

static enum status read_words(struct command_state *state, int argc, char **argv, struct error *err) {
  struct words *words = &state->words;
  const struct {
    const char *name;
    const char **value;
  } options[] = {{"--name", &words->name},
                 {"--tenant", &words->tenant},
                 {"--scope", &words->scope},
                 {"--expires-in", &words->expires_in},
                 {"--grace", &words->grace}};
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(options); i++)
    status = command_take(options[i].value, &argc, argv, options[i].name, err);
  int taken = 0;
  while (taken < 2 && taken + 1 < argc && argv[taken + 1][0] != '-')
    taken++;
  words->verb = taken > 0 ? argv[1] : "";
  words->id = taken > 1 ? argv[2] : NULL;
  if (!status && words->tenant && !tenant_valid(words->tenant))
    return error_set(err, STATUS_INVALID_VALUE, "--tenant",
                     "the name of a tenant is 1 to %d of a-z, 0-9 and -, not"
                     " %.80s",
                     TENANT_BYTES - 1, words->tenant);
  return status ? status : command_config(&state->config, argc - taken, argv + taken, &state->arena, err);
}

/* ---- what it does ---- */

/* The key is all that goes to standard output, so that a script can take it. */
static int show(const struct key_row *key, char text[KEY_BYTES]) {
  bool ok = puts(text) >= 0 && fflush(stdout) == 0;
  explicit_bzero(text, KEY_BYTES);
  fprintf(stderr, "reflectd: the key %s of the tenant %s, with the scope \"%s\", is shown this once\n", key->id,
          key->tenant, scope_name(key->scope));
  return ok ? COMMAND_OK : COMMAND_FAILED;
}

static int create_key(struct command_state *state, struct error *err) {
  const struct words *words = &state->words;
  char text[KEY_BYTES];
  int64_t life = 0;
  struct key_row key = {.tenant = words->tenant ? words->tenant : TENANT_DEFAULT, .name = words->name};
  enum status status = STATUS_OK;
  if (!words->name || !words->name[0] || strlen(words->name) > KEY_NAME_MAX)
    status = error_set(err, STATUS_MISSING_PARAMETER, "--name",
                       "--name NAME of 1 to %d bytes is needed, to know the key"
                       " by",
                       KEY_NAME_MAX);
  else if (!scope_parse(&key.scope, words->scope ? words->scope : "submit"))
    status = error_set(err, STATUS_INVALID_VALUE, "--scope", "--scope must be read, submit or admin, not %.32s",
                       words->scope);
  else if (words->expires_in)
    status = read_duration(&life, words->expires_in, "--expires-in", (int64_t)3660 * 86400, err);
  key.expires_at = life ? clock_unix() + life : 0;
  state->audit.tenant = key.tenant;
  state->audit.type = "keys.create";
  db_with_next(state->db, db_audit_add, &state->audit);
  if (!status)
    status = keys_create(text, &key, state->db, &state->audit, &state->arena, err);
  return status ? command_fault(err) : show(&key, text);
}

/* Of whichever tenant: ids are nobody else's. */
static enum status find(struct key_row *out, struct command_state *state, struct error *err) {
  const char *id = state->words.id;
  bool found;
  if (!id)
    return error_set(err, STATUS_MISSING_PARAMETER, NULL,
                     "keys %s needs the id of a key: \"reflectd keys list\" shows"
                     " them",
                     state->words.verb);
  enum status status = db_key_shown(out, &found, state->db, id, &state->arena, err);
  if (!status && !found)
    return error_set(err, STATUS_KEY_NOT_FOUND, "key_id", "no API key has the id %.64s", id);
  state->audit.tenant = status ? NULL : out->tenant;
  return status;
}

static int revoke_key(struct command_state *state, struct error *err) {
  struct key_row key;
  enum status status = find(&key, state, err);
  state->audit.type = "keys.delete";
  db_with_next(state->db, db_audit_add, &state->audit);
  if (!status)
    status = keys_revoke(&key, state->db, &state->audit, err);
  return status ? command_fault(err) : COMMAND_OK;
}

static int rotate_key(struct command_state *state, struct error *err) {
  struct key_row old, key;
  char text[KEY_BYTES];
  int64_t grace_s = KEY_GRACE_S;
  enum status status = find(&old, state, err);
  state->audit.type = "keys.rotate";
  if (!status && state->words.grace)
    status = read_duration(&grace_s, state->words.grace, "--grace", KEY_GRACE_MAX_S, err);
  db_with_next(state->db, db_audit_add, &state->audit);
  if (!status)
    status = keys_rotate(text, &key, &old, grace_s, state->db, &state->audit, &state->arena, err);
  return status ? command_fault(err) : show(&key, text);
}

static const char *date(char out[24], int64_t time, const char *never) {
  time_t seconds = (time_t)time;
  struct tm parts;
  if (time == 0 || !gmtime_r(&seconds, &parts) || strftime(out, 24, "%Y-%m-%d %H:%MZ", &parts) == 0)
    snprintf(out, 24, "%s", never);
  return out;
}

static enum status list_tenant(struct command_state *state, const char *tenant, struct error *err) {
  struct page page = {.limit = PAGE};
  struct key_row *keys;
  size_t count;
  bool more = true;
  char used[24], ends[24];
  enum status status = STATUS_OK;
  while (more && !(status = db_key_list(&keys, &count, &more, state->db, tenant, &page, &state->arena, err)) &&
         count > 0) {
    for (size_t i = 0; i < count; i++) {
      const struct key_row *key = &keys[i];
      bool over = key->expires_at && key->expires_at <= clock_unix();
      printf("%-8s  %-16s  %-6s  %-17s  %-17s  %-7s  %s\n", key->id, key->tenant, scope_name(key->scope),
             date(used, key->last_used_at, "never"), date(ends, key->expires_at, "never"),
             key->revoked_at ? "revoked"
             : over          ? "expired"
                             : "valid",
             key->name);
    }
    page.after = keys[count - 1].id;
  }
  return status;
}

static int list_keys(struct command_state *state, struct error *err) {
  struct tenant_row *tenants;
  size_t count;
  bool more;
  enum status status = db_tenant_list(&tenants, &count, &more, state->db, &state->arena, err);
  if (!status)
    printf("%-8s  %-16s  %-6s  %-17s  %-17s  %-7s  %s\n", "ID", "TENANT", "SCOPE", "LAST USED", "EXPIRES", "STATE",
           "NAME");
  for (size_t i = 0; !status && i < count; i++)
    if (!state->words.tenant || strcmp(state->words.tenant, tenants[i].name) == 0)
      status = list_tenant(state, tenants[i].name, err);
  return status ? command_fault(err) : COMMAND_OK;
}

int keys_command(int argc, char **argv) {
  static const struct {
    const char *verb;
    int (*run)(struct command_state *state, struct error *err);
    bool takes_id;
  } verbs[] = {{"create", create_key, false},
               {"list", list_keys, false},
               {"revoke", revoke_key, true},
               {"rotate", rotate_key, true}};
  struct command_state state = {.audit = {.result = "success", .actor = "local_user", .created_at = clock_unix()}};
  struct error err;
  int code = COMMAND_USAGE;
  size_t verb = 0;
  arena_init(&state.arena, ARENA_BYTES);
  snprintf(state.user, sizeof state.user, "%u", (unsigned)getuid());
  state.audit.actor_id = state.user;
  enum status status = read_words(&state, argc, argv, &err);
  while (!status && verb < COUNT_OF(verbs) && strcmp(verbs[verb].verb, state.words.verb) != 0)
    verb++;
  if (!status && verb == COUNT_OF(verbs))
    status = error_set(&err, STATUS_INVALID_VALUE, NULL,
                       "keys create, keys list, keys revoke ID or keys rotate ID is"
                       " wanted");
  if (!status && state.words.id && !verbs[verb].takes_id)
    status = error_set(&err, STATUS_INVALID_VALUE, NULL, "keys %s takes no word such as %.80s", state.words.verb,
                       state.words.id);
  if (!status)
    status = data_open_beside(&state.db, &state.config, &err);
  code = status ? command_fault(&err) : verbs[verb].run(&state, &err);
  db_close(state.db);
  arena_done(&state.arena);
  return code;
}
