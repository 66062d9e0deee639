/* What a browser can be made to send by a page of somebody else: requests under a name that was bound anew to this
   server's address (DNS rebinding), and requests from other origins (CSRF). Pure. */
#ifndef SERVER_HTTP_ORIGIN_H
#define SERVER_HTTP_ORIGIN_H

#include <stdbool.h>

#include "config/config.h"

/* Is the Host header's name one that this server has? Those of allowed_hosts, of `listen`, localhost, and addresses:
   whoever rebinds a name has it in the header. A loopback server has loopback addresses only.
   STATUS_HOST_NOT_ALLOWED. */
NODISCARD enum status origin_check_host(const struct config *config, const char *host, struct error *err);
/* May a page of this Origin change things? One of this server's own (`host` is the Host header) may, and those of
   allowed_origins. STATUS_ORIGIN_NOT_ALLOWED. */
NODISCARD enum status origin_check(const struct config *config, const char *origin, const char *host,
                                   struct error *err);
/* Is it one of allowed_origins, whose pages may read the answers too? */
bool origin_listed(const struct config *config, const char *origin);

#endif
