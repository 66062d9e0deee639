/* Orthonormal bases of what a frozen weight maps from and to, for adapters that begin as a part of it. In double
   precision, by LAPACK, which OpenBLAS has. A call runs on its own thread alone: several may run at once, and results
   do not depend on how many do.
   W is the weight, out x in. A basis is k orthonormal vectors, one after the other: of `out` numbers if they are of the
   left (W's columns lie there), of `in` numbers if they are of the right (its rows do). */
#ifndef WORKER_BACKEND_CPU_DECOMPOSE_H
#define WORKER_BACKEND_CPU_DECOMPOSE_H

#include <stdbool.h>

#include "base/error.h"
#include "worker/backend/weight.h"

struct rng;

/* Before the first of the others: keeps OpenBLAS from starting threads of its own, as which sums would have another
   order. Not while one of them runs. */
void decompose_begin(void);
/* Bytes that one of the others takes beside what it is given; with `leading`, also decompose_leading. */
size_t decompose_bytes(const struct weight *weight, size_t k, bool leading);

/* Is the left the shorter side? A basis of it is the cheaper one. */
bool decompose_left_is_shorter(const struct weight *weight);

/* basis[k x shorter side]: the k leading singular vectors, the one of the largest value first, as eigenvectors of the
   Gram matrix of that side. k is at most that side. STATUS_INVALID_VALUE where W has numbers that are not finite;
   OUT_OF_MEMORY. */
NODISCARD enum status decompose_leading(double *basis, const struct weight *weight, size_t k, struct error *err);
/* basis[k x longer side]: the same approximately, by a randomised range finder with so many subspace iterations
   (Halko, Martinsson and Tropp, 2011, algorithms 4.4 and 5.1, without oversampling, as torch.svd_lowrank). */
NODISCARD enum status decompose_range(double *basis, const struct weight *weight, size_t k, int64_t iterations,
                                      struct rng *rng, struct error *err);
/* basis[k x out]: the first k columns of Q of W = Q R by Householder reflections. k is at most in and out. */
NODISCARD enum status decompose_qr(double *basis, const struct weight *weight, size_t k, struct error *err);

/* out[k x in] = basis W of the left; out[k x out] = basis W^T of the right. */
NODISCARD enum status decompose_project(double *out, const struct weight *weight, const double *basis, bool left,
                                        size_t k, struct error *err);

#endif
