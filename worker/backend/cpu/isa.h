/* The instruction sets that the kernels are compiled for, and which of them this processor runs. */
#ifndef WORKER_BACKEND_CPU_ISA_H
#define WORKER_BACKEND_CPU_ISA_H

#include "api/job.h"
#include "base/error.h"
#include "worker/backend/cpu/kernels.h"

struct isa {
  const char *name;
  bool (*runs)(void);
  const struct kernels *kernels;
  const struct gemm_ukernel *bf16;                /* NULL: the processor has no bf16 instructions */
  const struct attention_kernels *bf16_attention; /* NULL: attention stays in fp32 */
  enum matmul_library matmul;                     /* what AUTO is: NATIVE where a microkernel was made for the set */
};

/* The next set that runs here, the best one first (after: NULL); NULL: there are no more. The last one is "generic",
   which runs everywhere. */
const struct isa *isa_next(const struct isa *after);

/* The set of that name; name NULL: the best one. STATUS_UNSUPPORTED_VALUE: there is no such set, or it does not run
   here; the message names those that do. */
NODISCARD enum status isa_find(const struct isa **out, const char *name, struct error *err);

#endif
