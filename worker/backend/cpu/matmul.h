/* Products of activations with a frozen matrix, on the pool: most of a step's arithmetic.

   The matrix is taken where it lies. A task takes a group of its columns (as they are in the product), decodes and
   packs them into panels that fit the core's cache, and multiplies all of its rows with them; so a weight is
   decoded once for several hundred rows, in whatever type its file has it, and no packed copy needs memory.
   An adapter's low-rank part and the bias are further rows of the panel, always floats.

   With precision bf16, A and B are rounded to bf16 (to nearest even) before they are multiplied; sums are floats. */
#ifndef WORKER_BACKEND_CPU_MATMUL_H
#define WORKER_BACKEND_CPU_MATMUL_H

#include "worker/backend/backend.h"
#include "worker/backend/weight.h"

/* C = [C +] A B + sign * Q V + bias, all row-major and without gaps unless a stride says so. B is the weight's
   transpose (rows x cols becomes cols x rows: the forward direction) or the weight itself (backward).
   C: rows x columns(B), A: rows x depth(B), Q: rows x R, V: R x columns(B). Every element of C is summed in an
   order that depends on the shapes alone. */
struct matmul {
  float *c;
  const float *a;
  size_t rows;
  const struct weight *weight;
  bool transposed;
  bool accumulate; /* add to C */
  size_t R;        /* 0: no low-rank part */
  const float *q, *v;
  float sign;
  const float *bias; /* columns(B), or NULL */
};

/* Floats of scratch that products of up to `rows` rows, with B up to `depth` deep and a rank up to R, need. */
size_t matmul_scratch(const struct backend *backend, size_t rows, size_t depth, size_t R);
void matmul_run(const struct backend *backend, const struct matmul *product, float *scratch);

/* An adapter's products with its weight, on one thread: y (rows x R) = W u, u: cols x R; y (cols x R) += W^T u,
   u: rows x R. */
void matmul_thin(float *y, const struct weight *weight, const float *u, size_t R, const struct kernels *kernels);
void matmul_thin_transposed(float *y, const struct weight *weight, const float *u, size_t R,
                             const struct kernels *kernels);

#endif
