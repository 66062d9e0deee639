/* What a worker may use up. */
#ifndef SANDBOX_LIMITS_H
#define SANDBOX_LIMITS_H

#include "base/error.h"
#include "sandbox/plan.h"

NODISCARD enum status limits_set(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err);

#endif
