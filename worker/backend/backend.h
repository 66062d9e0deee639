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
  const struct gemm_ukernel *gemm; /* of matmuls with a frozen operand */
  const struct attention_kernels *attention;
};

/* threads 0: all that this process may use. isa: a name that isa_find knows (worker/backend/cpu/isa.h), or NULL for
   that of REFLECT_ISA in the environment, or the best one. STATUS_UNSUPPORTED_VALUE when this processor does not run
   the named set. The precision is fp32. */
NODISCARD enum status backend_open(struct backend *out, int threads, const char *isa, struct error *err);
const char *backend_isa(const struct backend *backend);
/* Of matmuls with a frozen operand, and of attention's where tiles make them, from now on. Where the processor has no
   bf16 instructions, gemm is kernels->gemm_bf16_emulated. */
void backend_set_precision(struct backend *backend, enum precision precision);
void backend_close(struct backend *backend);

/* Splits `rows` into panels for pool tasks. The split depends on `rows` alone, so that sums over
   panels in order do not depend on the number of threads. */
enum { BACKEND_PANELS_MAX = 16, BACKEND_PANEL_ROWS = 128 };
size_t backend_panels(size_t rows);
/* Rows [*first, *first + returned) of panel `index` of `count`. */
size_t backend_panel(size_t *first, size_t rows, size_t index, size_t count);

#endif
