/* What cuda.c needs to find a GPU. */
#ifndef WORKER_BACKEND_CUDA_CUDA_LIST_H
#define WORKER_BACKEND_CUDA_CUDA_LIST_H

#include "worker/backend/cuda/cuda.h"
#include "worker/backend/cuda/cuda_library.h"

/* The GPU of that number in the driver's order. STATUS_UNSUPPORTED_VALUE when it is too old for the kernels. */
NODISCARD enum status cuda_list_describe(const struct cuda_driver *cu, int number, CUdevice *id,
                                         struct cuda_listed *out, struct error *err);

#endif
