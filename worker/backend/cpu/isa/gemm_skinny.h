/* The tall-skinny GEMM of kernels.h, for the table of kernels. */
#ifndef WORKER_BACKEND_CPU_ISA_GEMM_SKINNY_H
#define WORKER_BACKEND_CPU_ISA_GEMM_SKINNY_H

#include "worker/backend/cpu/isa/vector.h"

void ISA_NAME(gemm_skinny)(float *y, const float *x, const float *u, size_t m, size_t k, size_t R,
                           const float *prefetch, size_t prefetch_floats);

#endif
