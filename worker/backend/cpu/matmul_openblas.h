/* Matmul by OpenBLAS: matmul.c calls it. OpenBLAS runs single-threaded inside the tasks of our pool. */
#ifndef WORKER_BACKEND_CPU_MATMUL_OPENBLAS_H
#define WORKER_BACKEND_CPU_MATMUL_OPENBLAS_H

#include "worker/backend/cpu/matmul.h"

/* Before the first matmul: OpenBLAS uses no threads of its own from then on. */
void matmul_openblas_start(void);
/* The arguments are matmul.h's; rows is not 0. */
size_t matmul_openblas_scratch(const struct backend *backend, size_t rows, size_t k);
void matmul_openblas_run(const struct backend *backend, const struct matmul *matmul, float *scratch);

#endif
