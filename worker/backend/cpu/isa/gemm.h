/* The register-blocked product of kernels.h, for the files of this folder. */
#ifndef WORKER_BACKEND_CPU_ISA_GEMM_H
#define WORKER_BACKEND_CPU_ISA_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/backend/cpu/isa/vector.h"

void ISA_NAME(gemm)(float *c, size_t ldc, const float *a, size_t row_a, size_t col_a, const float *b, size_t ldb,
                    size_t m, size_t n, size_t depth, float alpha, bool accumulate);

#endif
