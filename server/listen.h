/* The listening socket. */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include "config/config.h"

enum { ADDRESS_BYTES = 128 };

/* A bound, listening, non-blocking socket; `address` is written as "HOST:PORT" with the port that the kernel gave.
   config_check_exposure may refuse the address. `keys`: does anybody need one? */
NODISCARD enum status listen_open(int *fd, char address[ADDRESS_BYTES], const struct config *config, bool keys,
                                  struct error *err);

/* `reflectd healthcheck`: asks the daemon of this configuration for /livez. STATUS_OK when it answers 200. */
NODISCARD enum status listen_healthcheck(const struct config *config, struct error *err);

#endif
