/* A matmul is done as its descriptors say, in the columns' order that cuBLASLt has. An algorithm is good for the
   problem and the alignments that it was asked for with, and for no other. */
#include <stdbool.h>
#include <stdint.h>

#include "tests/worker/backend/cuda/standin/standin.h"

#define CUDA_FUNCTION(result, name, parameters) result name parameters;
#include "worker/backend/cuda/cublaslt.def"
#undef CUDA_FUNCTION

enum { INVALID = 7, WORKSPACE = 4096 };

struct cublaslt_context {
  bool alive;
};
struct cublaslt_matmul_desc {
  int32_t transa;
  uint32_t epilogue;
  const void *bias;
};
struct cublaslt_matrix_layout {
  cudaDataType_t type;
  uint64_t rows, cols;
  int64_t ld;
};
struct cublaslt_preference {
  uint64_t workspace;
  uint32_t reduction, align[4];
};

/* What an algorithm is for. */
struct problem {
  uint32_t m, n, k, lda, ldb, ldc;
  uint32_t type, transa, epilogue, align[4];
};
_Static_assert(sizeof(struct problem) <= sizeof(cublasLtMatmulAlgo_t), "it fits");

static struct cublaslt_context handle;

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out) {
  handle.alive = true;
  *out = &handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t h) {
  if (h != &handle || !h->alive)
    STANDIN_WRONG("cublasLtDestroy of no handle");
  h->alive = false;
  return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion(void) {
  return 130000;
}

const char *cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED" : "another status";
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute, cudaDataType_t scale) {
  if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F)
    STANDIN_WRONG("sums of type %u, factors of type %u", compute, scale);
  *out = calloc(1, sizeof **out);
  (*out)->epilogue = 1;
  return CUBLAS_STATUS_SUCCESS;
}

static void take(void *to, size_t size, const void *from, size_t bytes) {
  if (size != bytes)
    STANDIN_WRONG("an attribute of %zu bytes where %zu are", bytes, size);
  memcpy(to, from, bytes);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t which,
                                              const void *value, size_t bytes) {
  if (which == CUBLASLT_MATMUL_DESC_TRANSA)
    take(&d->transa, sizeof d->transa, value, bytes);
  else if (which == CUBLASLT_MATMUL_DESC_EPILOGUE)
    take(&d->epilogue, sizeof d->epilogue, value, bytes);
  else if (which == CUBLASLT_MATMUL_DESC_BIAS_POINTER)
    take(&d->bias, sizeof d->bias, value, bytes);
  else
    STANDIN_WRONG("attribute %u of a matmul", which);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) {
  free(d);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType_t type, uint64_t rows,
                                          uint64_t cols, int64_t ld) {
  if ((type != CUDA_R_32F && type != CUDA_R_16BF) || !rows || !cols || ld < (int64_t)rows)
    STANDIN_WRONG("a matrix of type %u, %llu x %llu, a column each %lld", type, (unsigned long long)rows,
                  (unsigned long long)cols, (long long)ld);
  *out = malloc(sizeof **out);
  **out = (struct cublaslt_matrix_layout){type, rows, cols, ld};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l) {
  free(l);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out) {
  *out = calloc(1, sizeof **out);
  for (int i = 0; i < 4; i++)
    (*out)->align[i] = 256;
  (*out)->reduction = 7;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t which, const void *value,
                                                    size_t bytes) {
  if (which == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
    take(&p->workspace, sizeof p->workspace, value, bytes);
  else if (which == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
    take(&p->reduction, sizeof p->reduction, value, bytes);
  else if (which >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES && which <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
    take(&p->align[which - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], sizeof *p->align, value, bytes);
  else
    STANDIN_WRONG("attribute %u of a preference", which);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) {
  free(p);
  return CUBLAS_STATUS_SUCCESS;
}

static struct problem problem_of(cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                 cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t out, const uint32_t align[4]) {
  struct problem p = {.m = (uint32_t)out->rows,
                      .n = (uint32_t)out->cols,
                      .k = (uint32_t)b->rows,
                      .lda = (uint32_t)a->ld,
                      .ldb = (uint32_t)b->ld,
                      .ldc = (uint32_t)out->ld,
                      .type = a->type,
                      .transa = (uint32_t)d->transa,
                      .epilogue = d->epilogue};
  bool transposed = d->transa == CUBLAS_OP_T;
  if ((transposed ? a->cols : a->rows) != p.m || (transposed ? a->rows : a->cols) != p.k || b->cols != p.n ||
      a->type != b->type || out->type != CUDA_R_32F || memcmp(c, out, sizeof *c) != 0)
    STANDIN_WRONG("matrices that do not fit each other");
  if ((d->epilogue != 1 && d->epilogue != CUBLASLT_EPILOGUE_BIAS) || (d->epilogue != 1) != (d->bias != NULL))
    STANDIN_WRONG("epilogue %u with bias %p", d->epilogue, d->bias);
  memcpy(p.align, align, sizeof p.align);
  return p;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t h, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t out, cublasLtMatmulPreference_t preference,
                                              int wanted, cublasLtMatmulHeuristicResult_t *results, int *count) {
  const struct problem p = problem_of(d, a, b, c, out, preference->align);
  if (h != &handle || wanted < 1 || preference->workspace < WORKSPACE)
    STANDIN_WRONG("a question for algorithms");
  if (preference->reduction & 1)
    STANDIN_WRONG("sums may be made in place");
  *count = standin_setting("algorithms", 1) ? 1 : 0;
  if (*count == 0)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  memset(results, 0, sizeof *results);
  memcpy(&results->algo, &p, sizeof p);
  results->workspaceSize = WORKSPACE;
  return CUBLAS_STATUS_SUCCESS;
}

struct work {
  struct problem p;
  const void *a, *b, *bias;
  const float *c;
  float *d;
  float alpha, beta;
};

static float number(const void *matrix, uint32_t type, size_t at) {
  uint32_t bits;
  uint16_t high;
  float value;
  if (type == CUDA_R_32F)
    return ((const float *)matrix)[at];
  memcpy(&high, (const char *)matrix + 2 * at, sizeof high);
  bits = (uint32_t)high << 16;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void run_matmul(void *data) {
  const struct work *w = data;
  const struct problem *p = &w->p;
  for (size_t j = 0; j < p->n; j++)
    for (size_t i = 0; i < p->m; i++) {
      float sum = 0;
      for (size_t k = 0; k < p->k; k++)
        sum +=
            number(w->a, p->type, p->transa ? k + i * p->lda : i + k * p->lda) * number(w->b, p->type, k + j * p->ldb);
      float *to = w->d + i + j * p->ldc;
      float value = w->alpha * sum + (w->bias ? ((const float *)w->bias)[i] : 0);
      *to = w->beta != 0 ? value + w->beta * w->c[i + j * p->ldc] : value;
    }
}

static void *matrix(const void *pointer, cublasLtMatrixLayout_t l, uint32_t align) {
  CUdeviceptr at = (CUdeviceptr)(uintptr_t)pointer;
  size_t size = l->type == CUDA_R_32F ? 4 : 2;
  if (at % align)
    STANDIN_WRONG("a matrix that is aligned to less than %u bytes", align);
  return standin_memory(at, ((l->cols - 1) * (size_t)l->ld + l->rows) * size);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t h, cublasLtMatmulDesc_t d, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t la, const void *b, cublasLtMatrixLayout_t lb, const void *beta,
                              const void *c, cublasLtMatrixLayout_t lc, void *out, cublasLtMatrixLayout_t lout,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes, CUstream stream) {
  struct problem meant;
  struct work w;
  memcpy(&meant, algo, sizeof meant);
  w.p = problem_of(d, la, lb, lc, lout, meant.align);
  if (h != &handle || !h->alive || memcmp(&w.p, &meant, sizeof meant) != 0)
    STANDIN_WRONG("an algorithm for another problem");
  if (bytes < WORKSPACE || !standin_memory((CUdeviceptr)(uintptr_t)workspace, bytes))
    STANDIN_WRONG("%zu bytes of workspace", bytes);
  w.a = matrix(a, la, meant.align[0]);
  w.b = matrix(b, lb, meant.align[1]);
  w.c = matrix(c, lc, meant.align[2]);
  w.d = matrix(out, lout, meant.align[3]);
  w.bias = d->bias ? standin_memory((CUdeviceptr)(uintptr_t)d->bias, w.p.m * sizeof(float)) : NULL;
  memcpy(&w.alpha, alpha, sizeof w.alpha);
  memcpy(&w.beta, beta, sizeof w.beta);
  standin_enqueue(stream, run_matmul, &w, sizeof w);
  return CUBLAS_STATUS_SUCCESS;
}
