/* Where the numbers live: this machine's cores, and the kernels chosen for them. */
#ifndef WORKER_BACKEND_BACKEND_H
#define WORKER_BACKEND_BACKEND_H

#include "api/job.h"
#include "base/error.h"
#include "worker/backend/cpu/kernels.h"
#include "worker/thread/pool.h"

struct backend {
  struct pool *pool;
  const struct isa *isa;
  const struct kernels *kernels;
  enum precision precision;
  enum matmul_library matmul;      /* what runs the matmuls with a frozen operand: NATIVE or OPENBLAS */
  const struct gemm_ukernel *gemm; /* of NATIVE */
  const struct attention_kernels *attention;
};

/* threads 0: all that this process may use. isa: a name that isa_find knows (worker/backend/cpu/isa.h), or NULL for
   that of REFLECT_ISA in the environment, or the best one. STATUS_UNSUPPORTED_VALUE when this processor does not run
   the named set. The precision is fp32, the matmul library AUTO. */
NODISCARD enum status backend_open(struct backend *out, int threads, const char *isa, struct error *err);
const char *backend_isa(const struct backend *backend);
/* Of matmuls with a frozen operand, and of attention's where tiles make them, from now on. Where the processor has no
   bf16 instructions, gemm is kernels->gemm_bf16_emulated. */
void backend_set_precision(struct backend *backend, enum precision precision);
/* From now on. OpenBLAS knows no bf16: with that precision its inputs are rounded, as gemm_bf16_emulated does. */
void backend_set_matmul(struct backend *backend, enum matmul_library library);
/* With precision bf16: fp32 arithmetic on inputs that were rounded to bf16. */
bool backend_emulates_bf16(const struct backend *backend);
void backend_close(struct backend *backend);

/* Splits `rows` into panels for pool tasks. The split depends on `rows` alone, so that sums over
   panels in order do not depend on the number of threads. */
enum { BACKEND_PANELS_MAX = 16, BACKEND_PANEL_ROWS = 128 };
size_t backend_panels(size_t rows);
/* Rows [*first, *first + returned) of panel `index` of `count`. */
size_t backend_panel(size_t *first, size_t rows, size_t index, size_t count);

#endif
