/* How much a tenant may have, and whether there is room for more. */
#ifndef SERVER_LIMITS_H
#define SERVER_LIMITS_H

#include "base/arena.h"
#include "base/error.h"
#include "server/server.h"
#include "storage/db_tenant.h"

/* In force; 0: none. */
struct limits {
  int64_t queued_max, running_max, bytes_max;
};
struct limits limits_of(const struct config *config, const struct tenant_row *tenant);

/* May so many more jobs wait? STATUS_QUEUE_FULL names the limit and what is there. */
NODISCARD enum status limits_jobs(const struct server *server, const char *tenant, int64_t jobs,
                                  struct error *err);
/* Is there room for so many bytes more (0: for anything)? STATUS_QUOTA, with `param`, names the limit and what is
   there. */
NODISCARD enum status limits_bytes(const struct server *server, const char *tenant, int64_t bytes, const char *param,
                                   struct error *err);

#endif
