/* Matmuls with a frozen operand: most of a step's arithmetic. They run on the pool.

   The weight stays where its file has it, in the file's type. A task decodes and packs a KC x NC block of it that fits
   L2, and multiplies several hundred rows of activations with the block. So a weight is decoded once for many rows, and
   there is no packed or dequantised copy of it in memory. The bias and an adapter's low-rank part are rows of the
   packed block, in fp32.

   A forward matmul of at most 16 rows (a generated token, a classifier's head) packs nothing: it reads the weight once,
   by GEMV kernels, whichever library is chosen for taller ones (matmul_gemv.h).

   With precision bf16, A and B are rounded to bf16 (nearest, ties to even); accumulation is fp32. */
#ifndef WORKER_BACKEND_CPU_MATMUL_H
#define WORKER_BACKEND_CPU_MATMUL_H

#include "worker/backend/cpu/cpu.h"
#include "worker/backend/weight.h"

/* C = [C +] A B + sign * Q V + bias. B is the weight's transpose (forward) or the weight itself (backward).
   C: rows x columns(B), A: rows x k(B), Q: rows x R, V: R x columns(B), all fp32, row-major, without gaps.
   The order in which an element of C is summed depends on the shapes alone. */
struct matmul {
  float *c;
  const float *a;
  size_t rows;
  const struct weight *weight;
  bool transposed; /* B is the weight's transpose */
  bool accumulate; /* add to C */
  size_t R;        /* 0: no low-rank part */
  const float *q, *v;
  float sign;
  const float *bias; /* columns(B), or NULL */
};

/* Floats of scratch for matmuls of up to `rows` rows, with up to k rows of B and a rank of up to R. */
size_t matmul_scratch(const struct backend *backend, size_t rows, size_t k, size_t R);
void matmul_run(const struct backend *backend, const struct matmul *matmul, float *scratch);

/* Tall-skinny GEMMs of a weight with an adapter's R columns, on one thread.
   y (rows x R) = W u with u cols x R; transposed: y (cols x R) += W^T u with u rows x R. */
void matmul_skinny(float *y, const struct weight *weight, const float *u, size_t R, const struct kernels *kernels);
void matmul_skinny_transposed(float *y, const struct weight *weight, const float *u, size_t R,
                              const struct kernels *kernels);

#endif
