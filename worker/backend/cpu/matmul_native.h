/* Matmul by our own microkernels (struct gemm_ukernel): matmul.c calls it. */
#ifndef WORKER_BACKEND_CPU_MATMUL_NATIVE_H
#define WORKER_BACKEND_CPU_MATMUL_NATIVE_H

#include "worker/backend/cpu/matmul.h"

/* The arguments are matmul.h's; rows is not 0. */
size_t matmul_native_scratch(const struct backend *backend, size_t rows, size_t k, size_t R);
void matmul_native_run(const struct backend *backend, const struct matmul *matmul, float *scratch);

#endif
