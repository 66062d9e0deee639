/* What the daemon needs of its host beside itself: the models folder, the worker program, room on the disk. Any of them
   can be missing for a while (a mount that is not there yet, an upgrade, a full disk): then nothing starts, nothing
   fails, and /readyz says why. */
#ifndef SERVER_HOST_H
#define SERVER_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"

/* STATUS_UNAVAILABLE or STATUS_NO_SPACE, with what is missing. */
NODISCARD enum status host_check(const struct config *config, struct error *err);

/* Bytes of the data folder's disk that are free; 2^60 when there are more, or where that is not known. */
int64_t host_free_bytes(const struct config *config);

/* Does this error come from the host, so that the same can succeed later? Else it is the job's own. */
bool host_caused(enum status status);

#endif
