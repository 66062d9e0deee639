/* The backend of a device: the ops' bodies (op_*.c) and the functions for adapters as launches of kernels, whatever the
   device is. */
#ifndef WORKER_BACKEND_DEVICE_DEVICE_BACKEND_H
#define WORKER_BACKEND_DEVICE_DEVICE_BACKEND_H

#include "worker/backend/backend.h"
#include "worker/backend/device/device.h"

/* What the optimiser's kernels read of each trained tensor (struct trained_tensor), and of which slices that is. */
struct device_table {
  struct place at;
  struct adamw_slice *of;
  size_t count, groups; /* rows, and work-groups of all of them */
};

/* Memory that grows when more is asked for. */
struct device_memory {
  struct place at;
  size_t floats;
};

struct device_backend {
  struct device *device;
  struct backend_ops ops;     /* as this kind of device has them */
  struct error fault;         /* the first one; nothing runs after it. STATUS_OK: none */
  size_t allocated;           /* bytes */
  struct device_memory work;  /* of the functions for adapters and the optimiser */
  struct device_memory cores; /* what host and device tell each other about adapters */
  struct place library;       /* panels of operands for the device's own matmul library (device_library.c) */
  struct device_table table;
};

/* A backend on `device`, which it closes, named "opencl" or as the kind of device is. threads: of the host, 0: all that
   this process may use. isa and kernels of *out are left to the caller. On failure the device is closed. */
NODISCARD enum status device_backend_open(struct backend *out, struct device *device, int threads, struct error *err);

#endif
