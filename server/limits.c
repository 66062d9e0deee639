#include "server/limits.h"
#include "storage/db_queue.h"

#include <stdio.h>

enum { ARENA_BYTES = 4096 };

static int64_t in_force(int64_t own, int64_t configured) {
  return own == TENANT_AS_CONFIGURED ? configured : own;
}

struct limits limits_of(const struct config *config, const struct tenant_row *tenant) {
  return (struct limits){.queued_max = in_force(tenant->queued_max, config->tenant_queued_max),
                         .running_max = in_force(tenant->running_max, config->tenant_running_max),
                         .bytes_max = in_force(tenant->bytes_max, config->tenant_bytes_max)};
}

enum status limits_jobs(const struct server *server, const char *tenant, int64_t jobs, struct error *err) {
  AUTO(arena_done) struct arena arena;
  struct tenant_row row;
  arena_init(&arena, ARENA_BYTES);
  enum status status = db_tenant_get(&row, server->db, tenant, &arena, err);
  if (status)
    return status;
  int64_t max = limits_of(server->config, &row).queued_max, queued, running;
  if (max == 0)
    return STATUS_OK;
  status = db_queue_of_tenant(&queued, &running, server->db, tenant, err);
  return status || queued + jobs <= max
             ? status
             : error_set(err, STATUS_QUEUE_FULL, NULL, "%lld jobs of the tenant %s are waiting; its limit is %lld",
                         (long long)queued, tenant, (long long)max);
}

enum status limits_bytes(const struct server *server, const char *tenant, int64_t bytes, const char *param,
                         struct error *err) {
  AUTO(arena_done) struct arena arena;
  struct tenant_row row;
  char more[48] = "";
  arena_init(&arena, ARENA_BYTES);
  enum status status = db_tenant_get(&row, server->db, tenant, &arena, err);
  if (status)
    return status;
  int64_t max = limits_of(server->config, &row).bytes_max;
  if (max == 0 || (row.bytes < max && bytes <= max - row.bytes))
    return STATUS_OK;
  if (bytes > 0)
    snprintf(more, sizeof more, " and this adds %lld", (long long)bytes);
  return error_set(
      err, STATUS_QUOTA, param,
      "the files, artifacts and checkpoints of the tenant %s have %lld bytes%s; its limit is %lld: delete files or"
      " models first",
      tenant, (long long)row.bytes, more, (long long)max);
}
