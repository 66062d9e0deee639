/* Recipes: members of a job's body that a name stands for. They are put where the body gives nothing, and written out
   in the job like all others, so that nothing is hidden and each can be given otherwise. */
#ifndef API_RECIPE_H
#define API_RECIPE_H

#include "api/job.h"

enum recipe {
  RECIPE_NONE,
  RECIPE_GLUE,     /* what works on GLUE's tasks: the best of the evaluations is the adapter */
  RECIPE_HRA_GLUE, /* what HRA's authors ran (Yuan et al., 2024): their schedule, optimiser and frozen head among it */
  RECIPE_COUNT
};
extern const char *const recipe_names[]; /* by enum recipe, ended by NULL */

/* What `recipe` gives to a job of `task` (a name; NULL: none): {hyperparameters, adapter, seed, dataset, evaluation,
   checkpointing}, the last two where there is a validation file. A new reference; NULL where there is nothing, with a
   fault where the recipe is none of that task. */
NODISCARD json_t *recipe_members(const char *recipe, const char *task, bool validated, struct fault_list *faults);

/* `given` laid over `members`: what is null or, in fields that know it, "auto" is not given; an alias is its field.
   Either may be NULL. A new reference, or NULL where both are or memory runs out. */
NODISCARD json_t *recipe_lay(const json_t *members, const json_t *given, const struct field_table *fields);

#endif
