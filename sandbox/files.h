/* Landlock: what a worker may open. */
#ifndef SANDBOX_FILES_H
#define SANDBOX_FILES_H

#include "base/error.h"
#include "sandbox/plan.h"

NODISCARD enum status files_set(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err);

#endif
