/* The layers by name, and all of them in their order. */
#ifndef SANDBOX_LAYERS_H
#define SANDBOX_LAYERS_H

#include "base/error.h"
#include "sandbox/plan.h"

const char *layer_name(enum layer layer);
/* May a kernel or a container lack it? The others are there everywhere. */
bool layer_may_lack(enum layer layer);
/* Sets one layer on this process, for good. `detail` receives what a person wants to know of it; may be empty. */
NODISCARD enum status layer_set(enum layer layer, const struct plan *plan, char detail[LAYER_DETAIL_BYTES],
                                struct error *err);
/* Sets all that the plan does not leave out, or fails: none is left out in silence. */
NODISCARD enum status layers_set(const struct plan *plan, struct error *err);

#endif
