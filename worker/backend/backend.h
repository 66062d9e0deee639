/* Where the numbers live: this machine's cores. The one place that knows BLAS. Everything runs in
   panels of rows on the pool, with OpenBLAS single-threaded under it, so that two pools never fight
   for the cores. */
#ifndef WORKER_BACKEND_BACKEND_H
#define WORKER_BACKEND_BACKEND_H

#include "base/error.h"
#include "worker/backend/kernels.h"
#include "worker/backend/pool.h"

struct backend {
  struct pool *pool;
  const struct kernels *kernels;
  const char *gemm; /* name of the GEMM library and its core type, for logs and benchmarks */
};

/* threads 0: all that this process may use. isa: "avx2", "avx512", or NULL for the best one this
   processor runs (overridden by REFLECT_ISA in the environment). STATUS_UNSUPPORTED_VALUE on a
   processor without AVX2 and FMA, or when it cannot run the named set. */
NODISCARD enum status backend_open(struct backend *out, int threads, const char *isa, struct error *err);
void backend_close(struct backend *backend);

/* One-thread products for use inside pool tasks; row-major.
   y (n x m) = x (n x d) w^T (w: m x d) */
void backend_gemm_nt(float *y, const float *x, const float *w, size_t n, size_t m, size_t d);
/* y (n x d) = [y +] x (n x m) w (w: m x d) */
void backend_gemm_nn(float *y, const float *x, const float *w, size_t n, size_t d, size_t m, bool accumulate);
/* c (m x n, rows ldc apart) = a (m x k) b, b: k x n, or n x k when transposed */
void backend_gemm(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb, bool transposed,
                  size_t m, size_t n, size_t k);
/* y (m x d) += a^T b, a: n x m, b: n x d */
void backend_gemm_tn(float *y, const float *a, const float *b, size_t m, size_t d, size_t n);

/* Splits `rows` into panels for pool tasks. The split depends on `rows` alone, so that sums over
   panels in order do not depend on the number of threads. */
enum { BACKEND_PANELS_MAX = 16, BACKEND_PANEL_ROWS = 128 };
size_t backend_panels(size_t rows);
/* Rows [*first, *first + returned) of panel `index` of `count`. */
size_t backend_panel(size_t *first, size_t rows, size_t index, size_t count);

#endif
