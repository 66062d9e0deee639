/* seccomp: the system calls of a worker. */
#ifndef SANDBOX_CALLS_H
#define SANDBOX_CALLS_H

#include "base/error.h"
#include "sandbox/plan.h"

NODISCARD enum status calls_set(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err);

#endif
