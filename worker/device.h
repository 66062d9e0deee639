/* The devices that a worker can compute on, by name. */
#ifndef WORKER_DEVICE_H
#define WORKER_DEVICE_H

#include "worker/backend/backend.h"

/* Opens the backend of the device `name` ("cpu"; NULL: the same). threads: of the host, 0: all that this process may
   use. STATUS_UNSUPPORTED_VALUE naming scheduling.device when there is no such device. */
NODISCARD enum status device_open(struct backend *out, const char *name, int threads, struct error *err);

#endif
