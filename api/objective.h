/* What a job trains towards, OpenAI's method.type: each a row of objectives.def. Preference tuning (all but supervised)
   is of language models, and has hyperparameters of its own beside those that all have. Pure data. */
#ifndef API_OBJECTIVE_H
#define API_OBJECTIVE_H

#include "api/job.h"

enum objective {
#define OBJECTIVE(id, name, needs) OBJECTIVE_##id,
#include "api/objectives.def"
#undef OBJECTIVE
  OBJECTIVE_COUNT
};
extern const char *const objective_names[]; /* by enum objective, ended by NULL */
/* OBJECTIVE_COUNT where no row has that name. */
enum objective objective_parse(const char *name);
/* "pairs of answers: ..." */
const char *objective_needs(enum objective objective);
/* Its own hyperparameters, offsets into struct hyperparameters. */
struct field_table objective_fields(enum objective objective);

/* hyperparameters.loss_type of dpo */
enum dpo_loss { DPO_LOSS_SIGMOID, DPO_LOSS_IPO, DPO_LOSS_ROBUST, DPO_LOSS_COUNT };

/* What method.type, named `type`, and the rest of the spec make of each other: preference tuning has the task
   preference. Adds a fault for what contradicts it. */
void objective_settle(struct job_spec *spec, struct fault_list *faults);

#endif
