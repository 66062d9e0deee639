#include "server/tenants_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/tenant.h"
#include "base/clock.h"
#include "server/command.h"
#include "server/data.h"
#include "server/limits.h"
#include "storage/db_audit.h"
#include "storage/db_queue.h"

enum { ARENA_BYTES = 16 << 20 };

static const char *const options[] = {"--queued-max", "--running-max", "--bytes-max"};
enum { LIMITS = COUNT_OF(options) };

/* A number, or "default": as the option of the daemon says. */
static enum status read_limit(int64_t *out, const char *text, const char *option, struct error *err) {
  char *end = NULL;
  errno = 0;
  *out = TENANT_AS_CONFIGURED;
  if (strcmp(text, "default") == 0)
    return STATUS_OK;
  *out = text[0] >= '0' && text[0] <= '9' ? strtoll(text, &end, 10) : -1;
  return *out >= 0 && *end == '\0' && errno == 0 ? STATUS_OK
                                                 : error_set(err, STATUS_INVALID_VALUE, option,
                                                             "%s must be a number, 0 for no limit, or default, not"
                                                             " %.32s",
                                                             option, text);
}

static const char *limit_text(char out[24], int64_t limit) {
  snprintf(out, 24, limit == TENANT_AS_CONFIGURED ? "default" : limit == 0 ? "none" : "%lld", (long long)limit);
  return out;
}

static int list(struct db *db, struct arena *arena, struct error *err) {
  struct tenant_row *tenants;
  size_t count;
  bool more;
  char queued_max[24], running_max[24], bytes_max[24];
  int64_t queued, running;
  enum status status = db_tenant_list(&tenants, &count, &more, db, arena, err);
  if (status)
    return command_fault(err);
  printf("%-16s  %8s %-8s  %8s %-8s  %14s %s\n", "TENANT", "QUEUED", "OF", "RUNNING", "OF", "BYTES", "OF");
  for (size_t i = 0; !status && i < count; i++) {
    status = db_queue_of_tenant(&queued, &running, db, tenants[i].name, err);
    if (!status)
      printf("%-16s  %8lld %-8s  %8lld %-8s  %14lld %s\n", tenants[i].name, (long long)queued,
             limit_text(queued_max, tenants[i].queued_max), (long long)running,
             limit_text(running_max, tenants[i].running_max), (long long)tenants[i].bytes,
             limit_text(bytes_max, tenants[i].bytes_max));
  }
  return status ? command_fault(err) : COMMAND_OK;
}

static enum status store(struct db *db, const void *what, struct error *err) {
  const struct tenant_row *tenant = what;
  char user[16];
  snprintf(user, sizeof user, "%u", (unsigned)getuid());
  struct audit_row audit = {.tenant = tenant->name,
                            .created_at = clock_unix(),
                            .type = "tenants.update",
                            .object = tenant->name,
                            .result = "success",
                            .actor = "local_user",
                            .actor_id = user};
  enum status status = db_tenant_add(db, tenant->name, audit.created_at, err);
  if (!status)
    status = db_tenant_limit(db, tenant, err);
  return status ? status : db_audit_add(db, &audit, err);
}

/* A limit that is not named stays. */
static int set(struct db *db, const char *name, const char *const values[LIMITS], struct arena *arena,
               struct error *err) {
  struct tenant_row tenant;
  int64_t *const limits[LIMITS] = {&tenant.queued_max, &tenant.running_max, &tenant.bytes_max};
  enum status status = db_tenant_get(&tenant, db, name, arena, err);
  if (status == STATUS_TENANT_NOT_FOUND) {
    tenant = (struct tenant_row){.name = name};
    for (size_t i = 0; i < LIMITS; i++)
      *limits[i] = TENANT_AS_CONFIGURED;
    status = STATUS_OK;
  }
  for (size_t i = 0; !status && i < LIMITS; i++)
    if (values[i])
      status = read_limit(limits[i], values[i], options[i], err);
  if (!status)
    status = db_apply(db, store, &tenant, false, err);
  return status ? command_fault(err) : COMMAND_OK;
}

int tenants_command(int argc, char **argv) {
  AUTO(arena_done) struct arena arena;
  const char *values[LIMITS];
  struct config config;
  struct db *db = NULL;
  struct error err;
  enum status status = STATUS_OK;
  arena_init(&arena, ARENA_BYTES);
  for (size_t i = 0; !status && i < LIMITS; i++)
    status = command_take(&values[i], &argc, argv, options[i], &err);
  bool lists = argc > 1 && strcmp(argv[1], "list") == 0;
  bool sets = argc > 2 && strcmp(argv[1], "set") == 0;
  if (!status && !lists && !sets)
    status = error_set(&err, STATUS_INVALID_VALUE, NULL, "tenants list or tenants set NAME is wanted");
  if (!status && sets && !tenant_valid(argv[2]))
    status = error_set(&err, STATUS_INVALID_VALUE, NULL, "the name of a tenant is 1 to %d of a-z, 0-9 and -, not %.80s",
                       TENANT_BYTES - 1, argv[2]);
  int words = sets ? 2 : 1;
  if (!status)
    status = command_config(&config, argc - words, argv + words, &arena, &err);
  if (!status)
    status = data_open_beside(&db, &config, &err);
  int code = status ? command_fault(&err) : lists ? list(db, &arena, &err) : set(db, argv[2], values, &arena, &err);
  db_close(db);
  return code;
}
