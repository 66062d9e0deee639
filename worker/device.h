/* The devices that a worker can compute on, by name. */
#ifndef WORKER_DEVICE_H
#define WORKER_DEVICE_H

#include "api/device.h"
#include "worker/backend/backend.h"

/* Opens the backend of a device: "cpu" (NULL: the same), one device ("opencl:0"), or a kind, which means its first.
   threads: of the host, 0: all that this process may use. STATUS_UNSUPPORTED_VALUE naming scheduling.device when there
   is no such device. */
NODISCARD enum status device_open(struct backend *out, const char *name, int threads, struct error *err);
/* The devices of this machine, the CPU first; at most `room`. Returns how many. */
size_t device_list(struct device_info *out, size_t room);

#endif
