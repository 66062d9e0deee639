/* A worker that holds a base model and answers what is asked of it (servings.h), until nobody has asked for a while. */
#ifndef SERVER_SERVING_H
#define SERVER_SERVING_H

#include "server/run.h"
#include "server/servings.h"

extern const struct run_kind serving_kind;
/* What holding a base model takes of the budget. */
struct budget_need serving_need(const struct config *config, const struct serving *serving);
/* Counts a run of that kind among the busy, the idle or those that leave. */
void serving_count(struct budget_use *use, const struct run *run);

/* Starts the run's worker. The status says what of the host kept it from starting; what was asked has failed then, for
   that reason or for its own. */
NODISCARD enum status serving_start(struct run *run, struct serving *serving, struct error *err);
/* Has it nothing to do, so that it may leave for another model? */
bool serving_idle(const struct run *run);
/* Boot clock: since when. */
int64_t serving_idle_ms(const struct run *run);
void serving_retire(struct run *run);
/* The daemon ends: it leaves after what it is at, in the time that workers have. */
void serving_drain(struct run *run);

#endif
