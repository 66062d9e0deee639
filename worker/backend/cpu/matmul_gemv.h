/* Matmul of few rows, by the GEMV kernels: matmul.c calls it. Packing a block of the weight would cost more than its
   product with few rows; here the weight is read once, from where it lies. An element of C is the same whatever rows
   are computed beside it. */
#ifndef WORKER_BACKEND_CPU_MATMUL_GEMV_H
#define WORKER_BACKEND_CPU_MATMUL_GEMV_H

#include "worker/backend/cpu/matmul.h"

enum { MATMUL_GEMV_ROWS = 16 }; /* at most */

/* Whether this is a matmul of few rows: forward, in fp32. */
bool matmul_gemv_serves(const struct backend *backend, const struct matmul *matmul);
/* The arguments are matmul.h's; rows is not 0. */
size_t matmul_gemv_scratch(const struct backend *backend, size_t rows, size_t k);
void matmul_gemv_run(const struct backend *backend, const struct matmul *matmul, float *scratch);

#endif
