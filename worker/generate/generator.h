/* Requests to one base model and its adapters, a batch at a time. Requests join and leave at any batch (continuous
   batching; Yu et al., "Orca", 2022): a batch has the next token of each that decodes, and parts of prompts (prefill)
   beside them. Requests to the same adapter share a batch. What a request's tokens are does not depend on the others.
 */
#ifndef WORKER_GENERATE_GENERATOR_H
#define WORKER_GENERATE_GENERATOR_H

#include "api/generation.h"
#include "api/task.h"
#include "worker/model/model.h"
#include "worker/text/tokenizer.h"

struct generator;

/* Is called with all that is said of requests, from generator_add and generator_step. */
typedef void generator_tell(void *context, const struct generation_event *event);

/* The base model at task->model_dir, adapters in task->output_dir. Opens it as what it is; STATUS_MODEL_INVALID, ...
   where it cannot be used. */
NODISCARD enum status generator_open(struct generator **out, const struct task *task, struct backend *backend,
                                     generator_tell *tell, void *context, struct error *err);
/* A language model that is open already, with its adapter. All of it is its owner's and outlives the generator; its
   adapter's factors must be those of its parameters at each step. */
struct generator_base {
  struct model *model; /* on a backend in the host's memory */
  const struct tokenizer *tokenizer;
  const char *path; /* of the base model */
  size_t context;   /* tokens of prompt and completion together at most */
  size_t memory;    /* bytes of KV caches */
};
/* Requests without an adapter are that model's. */
NODISCARD enum status generator_over(struct generator **out, const struct generator_base *base, generator_tell *tell,
                                     void *context, struct error *err);
/* Of a batch's activations. */
size_t generator_bytes(const struct generator *generator);
void generator_close(struct generator *generator);

/* Tokens of prompt and completion together at most. */
size_t generator_context(const struct generator *generator);
/* A new array of the names of kinds of requests that the base or its adapters can answer. */
NODISCARD json_t *generator_kinds(const struct generator *generator);

/* Carries out a line. Faults of a request are told of it. What the line's strings and JSON live in, `arena` and
   `document`, is the generator's from here on. */
void generator_hear(struct generator *generator, const struct generation_line *line, struct arena *arena,
                    json_t *document);
/* Is there something to compute? */
bool generator_busy(const struct generator *generator);
/* Requests that have not ended. */
size_t generator_requests(const struct generator *generator);
/* Computes a batch. A failure is of the worker, not of a request. */
NODISCARD enum status generator_step(struct generator *generator, struct error *err);

#endif
