/* Matmuls by cuBLASLt. */
#ifndef WORKER_BACKEND_CUDA_CUDA_MATMUL_H
#define WORKER_BACKEND_CUDA_CUDA_MATMUL_H

#include <stdbool.h>

#include "worker/backend/cuda/cuda_library.h"

/* struct device_gemm with addresses. */
struct cuda_gemm {
  CUdeviceptr a, b, c, bias; /* bias 0: none */
  size_t rows, cols, depth;
  size_t a_row, b_row, c_row;
  bool transposed, bf16, accumulate;
  float alpha;
};

struct cuda_matmul;

/* In the current context, whose memory it takes for a workspace of a fixed size. STATUS_UNSUPPORTED_VALUE where there
   is no cuBLASLt. */
NODISCARD enum status cuda_matmul_open(struct cuda_matmul **out, const struct cuda_driver *cu, struct error *err);
/* Queued in the stream. STATUS_UNSUPPORTED_VALUE: cuBLASLt has no algorithm for it. */
NODISCARD enum status cuda_matmul_run(struct cuda_matmul *matmul, const struct cuda_gemm *gemm, CUstream stream,
                                      struct error *err);
/* Of cuBLASLt: 130000 is 13.0. */
size_t cuda_matmul_version(const struct cuda_matmul *matmul);
/* After what is in the stream. NULL: nothing. */
void cuda_matmul_close(struct cuda_matmul *matmul);

#endif
