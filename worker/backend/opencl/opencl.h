/* GPUs, and whatever else OpenCL 1.2 offers, as devices that run the kernels of worker/backend/device/. */
#ifndef WORKER_BACKEND_OPENCL_OPENCL_H
#define WORKER_BACKEND_OPENCL_OPENCL_H

#include "worker/backend/device/device.h"

struct opencl_listed {
  char id[16];        /* "opencl:0": what opencl_open takes; platforms' devices are numbered one after the other */
  char name[128];     /* the device's, and its platform's in brackets */
  uint64_t memory;    /* bytes */
  bool gpu;           /* or another accelerator; not the host's processor, which OpenCL can be too */
};

/* The first `room` devices of this machine into out; *count is how many there are. STATUS_UNSUPPORTED_VALUE, the text
   saying which, when there is no library, no platform or no device. */
NODISCARD enum status opencl_list(struct opencl_listed *out, size_t room, size_t *count, struct error *err);

/* A device with the kernels built for it; the caller calls its ops->close. STATUS_UNSUPPORTED_VALUE when there is no
   such device or when it cannot run the kernels; kernels that do not build are STATUS_INTERNAL with the compiler's
   words. */
NODISCARD enum status opencl_open(struct device **out, const char *id, struct error *err);

#endif
