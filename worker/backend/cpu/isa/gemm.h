/* The small GEMM of kernels.h, for the table of kernels. */
#ifndef WORKER_BACKEND_CPU_ISA_GEMM_H
#define WORKER_BACKEND_CPU_ISA_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/backend/cpu/isa/vector.h"

void ISA_NAME(gemm)(float *c, size_t ldc, const float *a, size_t rs_a, size_t cs_a, const float *b, size_t ldb,
                    size_t m, size_t n, size_t k, float alpha, bool accumulate);

#endif
