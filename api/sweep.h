/* A sweep: the body of POST /v1/fine_tuning/sweeps, and the jobs that it stands for. Pure data. */
#ifndef API_SWEEP_H
#define API_SWEEP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/field.h"

enum { SWEEP_JOBS_MAX = 100, SWEEP_FIELDS_MAX = 16, SWEEP_NAME_MAX = 128, SWEEP_PATH_MAX = 128 };

/* What a sweep is judged by where nothing is evaluated. */
#define SWEEP_TRAIN_LOSS "train_loss"

enum sweep_goal { SWEEP_GOAL_AUTO, SWEEP_MINIMIZE, SWEEP_MAXIMIZE };
extern const char *const sweep_goal_names[]; /* by enum sweep_goal, ended by NULL */
/* The metric decides: MINIMIZE or MAXIMIZE. */
enum sweep_goal sweep_goal_of(const char *metric);

struct sweep_spec {
  const char *name;           /* 1..SWEEP_NAME_MAX bytes, or NULL */
  const char *metric;         /* a row of job_metric_names, or SWEEP_TRAIN_LOSS; NULL: as the job says */
  int goal;                   /* enum sweep_goal */
  int match;                  /* of methods: their trainable parameters, the only way there is */
  struct string_list methods; /* names of api/variant.h; count 0: the job's own */
  const json_t *job;          /* a job's body; borrowed, as the next two are */
  const json_t *grid;         /* {field: [values]}, or NULL */
  const json_t *list;         /* [{field: value}], or NULL */
  size_t count;               /* jobs, 1..SWEEP_JOBS_MAX */
};
extern const struct field_table sweep_fields; /* all members but job, grid and list */

/* Adds a fault for each thing that is wrong, but for what is wrong with the jobs themselves; *out is complete only if
   there is none. Fields are paths in a job's body ("adapter.r"); of a hyperparameter its name is enough. Borrows from
   `body`; strings live in the arena. */
void sweep_parse(struct sweep_spec *out, const json_t *body, struct arena *arena, struct fault_list *faults);

/* What differs, as a JSON array of names: "method" and "size" where methods are compared, then fields. A new reference;
   NULL: no memory. */
json_t *sweep_varied(const struct sweep_spec *sweep);

struct sweep_combination {
  json_t *body;   /* of a job */
  json_t *values; /* {name: value} of what differs */
};
/* The jobs in order: methods vary slowest, then the grid's fields, the last one fastest. A body without a seed gets
   `seed`: jobs that are compared have the same. Ends with sweep_combination_done, also on failure. */
NODISCARD enum status sweep_combine(struct sweep_combination *out, const struct sweep_spec *sweep, size_t index,
                                    int64_t seed, struct error *err);
void sweep_combination_done(struct sweep_combination *combination);

/* "adapter.r = 8, learning_rate = 0.001", cut where it does not fit. */
void sweep_describe(char *out, size_t size, const json_t *values);

#endif
