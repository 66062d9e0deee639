/* GEMV kernels for frozen weights, for the table of kernels. */
#ifndef WORKER_BACKEND_CPU_ISA_GEMV_H
#define WORKER_BACKEND_CPU_ISA_GEMV_H

#include "worker/backend/cpu/isa/vector.h"
#include "worker/backend/cpu/kernels.h"

/* They are struct kernels' members of these names. */
void ISA_NAME(gemv)(const struct gemv *gemv);
void ISA_NAME(gemv_fixed)(int16_t *out, struct gemv_group *groups, const float *x, size_t k);

#endif
