/* The CPU backend: this machine's cores, and the kernels chosen for them. Its memory is the host's. */
#ifndef WORKER_BACKEND_CPU_CPU_H
#define WORKER_BACKEND_CPU_CPU_H

#include "worker/backend/backend.h"
#include "worker/backend/cpu/kernels.h"

/* threads 0: all that this process may use. isa: a name that isa_find knows (worker/backend/cpu/isa.h), or NULL for
   that of REFLECT_ISA in the environment, or the best one. STATUS_UNSUPPORTED_VALUE when this processor does not run
   the named set. The precision is fp32. With precision bf16, where the processor has no bf16 instructions, gemm is
   kernels->gemm_bf16_emulated. */
NODISCARD enum status cpu_open(struct backend *out, int threads, const char *isa, struct error *err);
const char *cpu_isa(const struct backend *backend);

/* Splits `rows` into panels for pool tasks. The split depends on `rows` alone, so that sums over
   panels in order do not depend on the number of threads. */
enum { CPU_PANELS_MAX = 16, CPU_PANEL_ROWS = 128 };
size_t cpu_panels(size_t rows);
/* Rows [*first, *first + returned) of panel `index` of `count`. */
size_t cpu_panel(size_t *first, size_t rows, size_t index, size_t count);

#endif
