#include "worker/backend/backend.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

static bool runs(const struct kernels *kernels) {
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (kernels == &kernels_avx2)
    return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

enum status backend_open(struct backend *out, int threads, const char *isa, struct error *err) {
  static const struct kernels *const best_first[] = {&kernels_avx512, &kernels_avx2};
  *out = (struct backend){0};
  if (!isa)
    isa = getenv("REFLECT_ISA");
  for (size_t i = 0; i < COUNT_OF(best_first) && !out->kernels; i++)
    if (runs(best_first[i]) && (!isa || strcmp(isa, best_first[i]->isa) == 0))
      out->kernels = best_first[i];
  if (!out->kernels)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "isa", "this processor cannot run %s kernels",
                     isa ? isa : "avx2 or avx512");
  openblas_set_num_threads(1);
  out->gemm = openblas_get_config();
  return pool_new(&out->pool, threads, err);
}

void backend_close(struct backend *backend) {
  pool_free(backend->pool);
  *backend = (struct backend){0};
}

void backend_gemm_nt(float *y, const float *x, const float *w, size_t n, size_t m, size_t d) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)n, (blasint)m, (blasint)d, 1.0f, x, (blasint)d, w,
              (blasint)d, 0.0f, y, (blasint)m);
}

void backend_gemm_nn(float *y, const float *x, const float *w, size_t n, size_t d, size_t m, bool accumulate) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)n, (blasint)d, (blasint)m, 1.0f, x, (blasint)m, w,
              (blasint)d, accumulate ? 1.0f : 0.0f, y, (blasint)d);
}

void backend_gemm(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb, bool transposed,
                  size_t m, size_t n, size_t k) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k,
              1.0f, a, (blasint)lda, b, (blasint)ldb, 0.0f, c, (blasint)ldc);
}

void backend_gemm_tn(float *y, const float *a, const float *b, size_t m, size_t d, size_t n) {
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)m, (blasint)d, (blasint)n, 1.0f, a, (blasint)m, b,
              (blasint)d, 1.0f, y, (blasint)d);
}

/* BLAS packs the weight once a panel, so panels are tall; but a few cores should find work even in a
   small batch. */
size_t backend_panels(size_t rows) {
  enum { FEW = 4, ROWS_FEW = 16 };
  size_t count = (rows + BACKEND_PANEL_ROWS - 1) / BACKEND_PANEL_ROWS, few = (rows + ROWS_FEW - 1) / ROWS_FEW;
  if (count < FEW)
    count = few < FEW ? few : FEW;
  return count > BACKEND_PANELS_MAX ? BACKEND_PANELS_MAX : count;
}

size_t backend_panel(size_t *first, size_t rows, size_t index, size_t count) {
  size_t from = rows * index / count, to = rows * (index + 1) / count;
  *first = from;
  return to - from;
}
