/* What opencl.c needs to find a device. */
#ifndef WORKER_BACKEND_OPENCL_OPENCL_LIST_H
#define WORKER_BACKEND_OPENCL_OPENCL_LIST_H

#include "worker/backend/opencl/opencl.h"
#include "worker/backend/opencl/opencl_library.h"

enum { OPENCL_DEVICES_MAX = 32, OPENCL_PLATFORMS_MAX = 16 };

/* All devices of all platforms, at most OPENCL_DEVICES_MAX; *count is at least 1 when the status is STATUS_OK. */
NODISCARD enum status opencl_list_ids(const struct opencl_library *cl, cl_device_id ids[OPENCL_DEVICES_MAX],
                                      size_t *count, struct error *err);
NODISCARD enum status opencl_list_describe(const struct opencl_library *cl, cl_device_id id, size_t number,
                                           struct opencl_listed *out, struct error *err);

#endif
