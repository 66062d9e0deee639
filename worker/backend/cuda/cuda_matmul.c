#include "worker/backend/cuda/cuda_matmul.h"

#include <stdlib.h>
#include <string.h>

enum { WORKSPACE_BYTES = 32 << 20, PLANS_MAX = 256, ALIGN_MAX = 256 };

/* What cuBLASLt chooses an algorithm by. */
struct shape {
  uint64_t rows, cols, depth, a_row, b_row, c_row;
  uint32_t transposed, bf16, bias;
  uint32_t align[4]; /* of A, B, C and D, as cuBLASLt calls them */
};

/* A matmul of one shape. cuBLASLt's matrices have columns where ours have rows: it is told C^T = B^T A^T, so that its A
   is our B. */
struct plan {
  struct shape shape;
  cublasLtMatmulDesc_t desc;
  cublasLtMatrixLayout_t a, b, c;
  cublasLtMatmulAlgo_t algo;
  bool supported;
};

struct cuda_matmul {
  const struct cuda_driver *cu;
  struct cuda_cublaslt lt;
  cublasLtHandle_t handle;
  CUdeviceptr workspace;
  struct plan plans[PLANS_MAX];
  size_t count, next; /* plans that are there, and the one that is given up for a new one when all are */
};

static enum status check(const struct cuda_matmul *m, cublasStatus_t code, const char *call, struct error *err) {
  if (code == CUBLAS_STATUS_SUCCESS)
    return STATUS_OK;
  enum status status = code == CUBLAS_STATUS_ALLOC_FAILED       ? STATUS_OUT_OF_MEMORY
                       : code == CUBLAS_STATUS_EXECUTION_FAILED ? STATUS_DEVICE_LOST
                                                                : STATUS_INTERNAL;
  return error_set(err, status, NULL, "%s failed: %s", call, m->lt.cublasLtGetStatusString(code));
}

/* --- plans ---------------------------------------------------------------------------------------- */

static uint32_t alignment(CUdeviceptr at) {
  uint32_t align = ALIGN_MAX;
  while (at % align)
    align /= 2;
  return align;
}

static struct shape shape_of(const struct cuda_gemm *g) {
  struct shape s;
  memset(&s, 0, sizeof s); /* shapes are compared as bytes */
  s.rows = g->rows;
  s.cols = g->cols;
  s.depth = g->depth;
  s.a_row = g->a_row;
  s.b_row = g->b_row;
  s.c_row = g->c_row;
  s.transposed = g->transposed;
  s.bf16 = g->bf16;
  s.bias = g->bias != 0;
  s.align[0] = alignment(g->b);
  s.align[1] = alignment(g->a);
  s.align[2] = s.align[3] = alignment(g->c);
  return s;
}

static void drop_plan(struct cuda_matmul *m, struct plan *p) {
  if (p->c)
    m->lt.cublasLtMatrixLayoutDestroy(p->c);
  if (p->b)
    m->lt.cublasLtMatrixLayoutDestroy(p->b);
  if (p->a)
    m->lt.cublasLtMatrixLayoutDestroy(p->a);
  if (p->desc)
    m->lt.cublasLtMatmulDescDestroy(p->desc);
  *p = (struct plan){0};
}

static enum status describe(struct cuda_matmul *m, struct plan *p, const struct shape *s, struct error *err) {
  const struct cuda_cublaslt *lt = &m->lt;
  cudaDataType_t type = s->bf16 ? CUDA_R_16BF : CUDA_R_32F;
  int32_t transa = s->transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_BIAS;
  /* 32F with fp32 operands is fp32, without TF32 */
  cublasStatus_t code = lt->cublasLtMatmulDescCreate(&p->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  if (!code)
    code = lt->cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSA, &transa, sizeof transa);
  if (!code && s->bias)
    code = lt->cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
  if (!code)
    code = lt->cublasLtMatrixLayoutCreate(&p->a, type, s->transposed ? s->depth : s->cols,
                                          s->transposed ? s->cols : s->depth, (int64_t)s->b_row);
  if (!code)
    code = lt->cublasLtMatrixLayoutCreate(&p->b, type, s->depth, s->rows, (int64_t)s->a_row);
  if (!code)
    code = lt->cublasLtMatrixLayoutCreate(&p->c, CUDA_R_32F, s->cols, s->rows, (int64_t)s->c_row);
  return check(m, code, "a description for cuBLASLt", err);
}

/* The first of its heuristics' algorithms that adds in a fixed order: the same one from run to run. */
static cublasStatus_t choose(struct cuda_matmul *m, struct plan *p, const struct shape *s) {
  const struct cuda_cublaslt *lt = &m->lt;
  static const cublasLtMatmulPreferenceAttributes_t aligned[] = {
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
  cublasLtMatmulPreference_t preference;
  cublasLtMatmulHeuristicResult_t result;
  uint64_t workspace = WORKSPACE_BYTES;
  uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  int count = 0;
  cublasStatus_t code = lt->cublasLtMatmulPreferenceCreate(&preference);
  if (code)
    return code;
  code = lt->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                                  sizeof workspace);
  if (!code)
    code = lt->cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction,
                                                    sizeof reduction);
  for (size_t i = 0; i < 4 && !code; i++)
    code = lt->cublasLtMatmulPreferenceSetAttribute(preference, aligned[i], &s->align[i], sizeof s->align[i]);
  if (!code)
    code =
        lt->cublasLtMatmulAlgoGetHeuristic(m->handle, p->desc, p->a, p->b, p->c, p->c, preference, 1, &result, &count);
  lt->cublasLtMatmulPreferenceDestroy(preference);
  p->supported = !code && count > 0 && result.state == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= workspace;
  if (p->supported)
    p->algo = result.algo;
  return code == CUBLAS_STATUS_NOT_SUPPORTED ? CUBLAS_STATUS_SUCCESS : code;
}

static enum status set_bias(struct cuda_matmul *m, struct plan *p, CUdeviceptr bias, struct error *err) {
  const void *pointer = (const void *)(uintptr_t)bias;
  cublasStatus_t code =
      m->lt.cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &pointer, sizeof pointer);
  return check(m, code, "cublasLtMatmulDescSetAttribute", err);
}

/* The plan for a shape: kept, since a step asks for the same ones again. */
static enum status plan_of(struct cuda_matmul *m, const struct cuda_gemm *g, struct plan **out, struct error *err) {
  const struct shape s = shape_of(g);
  for (size_t i = 0; i < m->count; i++)
    if (memcmp(&m->plans[i].shape, &s, sizeof s) == 0) {
      *out = &m->plans[i];
      return g->bias ? set_bias(m, *out, g->bias, err) : STATUS_OK;
    }
  struct plan *p = &m->plans[m->count < PLANS_MAX ? m->count : m->next];
  drop_plan(m, p);
  enum status status = describe(m, p, &s, err);
  if (!status && g->bias)
    status = set_bias(m, p, g->bias, err); /* the heuristics look at its alignment */
  status = status ? status : check(m, choose(m, p, &s), "cublasLtMatmulAlgoGetHeuristic", err);
  if (status) {
    drop_plan(m, p);
    return status;
  }
  p->shape = s;
  if (m->count < PLANS_MAX)
    m->count++;
  else
    m->next = (m->next + 1) % PLANS_MAX;
  *out = p;
  return STATUS_OK;
}

/* --- what others call ----------------------------------------------------------------------------- */

static const void *pointer_of(CUdeviceptr at) {
  return (const void *)(uintptr_t)at;
}

enum status cuda_matmul_run(struct cuda_matmul *m, const struct cuda_gemm *g, CUstream stream, struct error *err) {
  struct plan *p = NULL;
  float beta = g->accumulate ? 1 : 0;
  enum status status = plan_of(m, g, &p, err);
  if (status)
    return status;
  if (!p->supported)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
                     "cuBLASLt has no algorithm for a product of %zu x %zu x %zu", g->rows, g->cols, g->depth);
  void *c = (void *)(uintptr_t)g->c;
  cublasStatus_t code =
      m->lt.cublasLtMatmul(m->handle, p->desc, &g->alpha, pointer_of(g->b), p->a, pointer_of(g->a), p->b, &beta, c,
                           p->c, c, p->c, &p->algo, (void *)(uintptr_t)m->workspace, WORKSPACE_BYTES, stream);
  return check(m, code, "cublasLtMatmul", err);
}

size_t cuda_matmul_version(const struct cuda_matmul *m) {
  return m->lt.cublasLtGetVersion();
}

void cuda_matmul_close(struct cuda_matmul *m) {
  if (!m)
    return;
  for (size_t i = 0; i < m->count; i++)
    drop_plan(m, &m->plans[i]);
  if (m->handle)
    m->lt.cublasLtDestroy(m->handle);
  if (m->workspace)
    m->cu->cuMemFree_v2(m->workspace);
  free(m);
}

enum status cuda_matmul_open(struct cuda_matmul **out, const struct cuda_driver *cu, struct error *err) {
  struct cuda_matmul *m = calloc(1, sizeof *m);
  if (!m)
    return error_no_memory(err, "matmuls");
  m->cu = cu;
  enum status status = cuda_library_cublaslt(&m->lt, err);
  if (!status && m->lt.cublasLtCreate(&m->handle) != CUBLAS_STATUS_SUCCESS) {
    m->handle = NULL;
    status = error_set(err, STATUS_INTERNAL, NULL, "cublasLtCreate failed");
  }
  status =
      status ? status : cuda_library_check(cu, cu->cuMemAlloc_v2(&m->workspace, WORKSPACE_BYTES), "cuMemAlloc", err);
  if (status)
    cuda_matmul_close(m);
  else
    *out = m;
  return status;
}
