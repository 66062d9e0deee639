/* What a worker would inherit from the daemon as a process. */
#ifndef SANDBOX_PROCESS_H
#define SANDBOX_PROCESS_H

#include "base/error.h"
#include "sandbox/plan.h"

/* Killed with the parent; a session of its own. */
NODISCARD enum status process_follow(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err);
/* Only standard input, output, error and the task stay open. */
NODISCARD enum status process_close(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err);
/* Only variables that a worker reads stay set. */
NODISCARD enum status process_clean(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err);
/* A network without interfaces, and no System V IPC of others. */
NODISCARD enum status process_unshare(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err);
/* A root's capabilities, but for reading files that belong to others. */
NODISCARD enum status process_drop(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err);

#endif
