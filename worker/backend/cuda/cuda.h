/* GPUs of NVIDIA through CUDA's driver, as devices that run the kernels of worker/backend/device/. */
#ifndef WORKER_BACKEND_CUDA_CUDA_H
#define WORKER_BACKEND_CUDA_CUDA_H

#include "worker/backend/device/device.h"

struct cuda_listed {
  char id[16];     /* "cuda:0": what cuda_open takes, numbered as the driver does (CUDA_VISIBLE_DEVICES) */
  char name[128];  /* the GPU's, and its compute capability in brackets */
  uint64_t memory; /* bytes */
  int arch;        /* compute capability, major * 10 + minor */
};

/* The first `room` GPUs of this machine that can run the kernels into out; *count is how many there are. No context is
   made. STATUS_UNSUPPORTED_VALUE, the text saying which, when there is no driver, no GPU, none that is new enough, or
   no way to have kernels for them. */
NODISCARD enum status cuda_list(struct cuda_listed *out, size_t room, size_t *count, struct error *err);

/* A GPU with the kernels loaded; the caller calls its ops->close. STATUS_UNSUPPORTED_VALUE when there is no such one.
 */
NODISCARD enum status cuda_open(struct device **out, const char *id, struct error *err);

#endif
