/* The optimiser's functions of struct backend_ops on a device: a launch for all tensors whose buffers are the same, and
   one read for the gradients' norm. */
#ifndef WORKER_BACKEND_DEVICE_DEVICE_ADAMW_H
#define WORKER_BACKEND_DEVICE_DEVICE_ADAMW_H

#include "worker/backend/device/device_backend.h"

double device_adamw_grad_squares(struct backend *backend, const struct adamw_slice *slices, size_t count);
void device_adamw_update(struct backend *backend, const struct adamw_slice *slices, size_t count,
                         const struct adamw_step *step);
/* Of a backend that is closed. */
void device_adamw_release(struct device_backend *device);

#endif
