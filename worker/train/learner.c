#include "worker/train/learner.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/memory.h"

/* What a step ends in. */
enum goal { GOAL_TRAIN, GOAL_SCORE, GOAL_LOG_PROBS, GOAL_PREDICT };

struct step {
  enum goal goal;
  float weight;
  double *loss;
  size_t *correct;
};

/* Embeddings of the first texts of all examples, then of the second ones: in a batch each is told from all others. */
static void compare_embeddings(struct learner *l, const struct step *s, struct tensor *x) {
  struct tape *tape = &l->tape;
  struct tensor *unit = op_unit_rows(tape, x);
  size_t examples = x->rows / l->texts;
  if (l->scored)
    op_squared_error(tape, op_similarity(tape, unit, examples, SIMILARITY_OWN, 1), l->targets, s->weight, s->loss);
  else
    op_cross_entropy(tape, op_similarity(tape, unit, examples, SIMILARITY_ALL, l->scale), l->targets, s->weight,
                     s->loss);
}

/* Of a language model. */
static void end_in_next_tokens(struct learner *l, const struct step *s, struct tensor *x) {
  static const struct preference none = {.loss = PREFERENCE_NONE};
  const struct linear *head = l->model->head;
  if (l->preference.loss == PREFERENCE_NONE)
    op_linear_cross_entropy(&l->tape, x, head, &l->next, s->weight, s->loss, s->correct);
  else
    op_linear_preference(&l->tape, x, head, &l->next, s->goal == GOAL_LOG_PROBS ? &none : &l->preference,
                         &l->completions, s->loss, &l->scores);
}

/* The loss that the output asks for. */
static void end_in_loss(struct learner *l, const struct step *s, struct tensor *x) {
  switch (l->model->output) {
  case OUTPUT_TAGS:
  case OUTPUT_CLASS: op_cross_entropy(&l->tape, x, l->targets, s->weight, s->loss); return;
  case OUTPUT_NUMBER: op_squared_error(&l->tape, x, l->targets, s->weight, s->loss); return;
  case OUTPUT_LABELS: /* the mean over classes too */
    op_binary_cross_entropy(&l->tape, x, l->targets, s->weight / (float)x->cols, s->loss);
    return;
  case OUTPUT_TEXT: end_in_next_tokens(l, s, x); return;
  case OUTPUT_EMBEDDING: compare_embeddings(l, s, x); return;
  case OUTPUT_RELEVANCE: op_binary_cross_entropy(&l->tape, x, l->targets, s->weight, s->loss); return;
  case OUTPUT_IMAGE: /* denoiser.h has its steps */
  case OUTPUT_COUNT: break;
  }
  CHECK(!"an output");
}

/* Do targets have values, or else ids? */
static bool has_values(const struct learner *l) {
  enum job_output output = l->model->output;
  return output == OUTPUT_NUMBER || output == OUTPUT_LABELS || output == OUTPUT_RELEVANCE ||
         (output == OUTPUT_EMBEDDING && l->scored);
}

static struct tensor *step_forward(struct learner *l, const struct step *s) {
  const struct model *m = l->model;
  struct tensor *x = m->ops->forward(&l->tape, m, &l->sequences);
  if (m->language && s->goal == GOAL_PREDICT)
    return op_linear(&l->tape, x, m->head);
  if (s->goal != GOAL_PREDICT)
    end_in_loss(l, s, x);
  return x;
}

static void dry_run(struct learner *l, const struct batch_limits *limits, enum goal goal) {
  static const struct shared_prefix any;
  double loss;
  l->sequences = (struct sequences){.count = limits->sequences, .tokens = limits->tokens, .longest = limits->longest};
  l->sequences.prefixes = l->shares_prompts ? &any : NULL; /* what they are is not read */
  if (l->model->output == OUTPUT_TAGS)
    l->sequences.row_count = limits->tokens; /* each token may be a word */
  l->next = (struct next_tokens){.count = limits->tokens};
  tape_plan_begin(&l->tape, goal == GOAL_TRAIN);
  step_forward(l, &(struct step){.goal = goal, .weight = 1, .loss = &loss});
  if (goal == GOAL_TRAIN)
    tape_backward(&l->tape);
}

/* --- what the host gives a step ------------------------------------------------------------------- */

/* Target values of a sequence. */
static size_t answers(const struct learner *l) {
  return l->model->output == OUTPUT_LABELS ? l->model->num_labels : 1;
}

/* Room on the backend for the arrays of a batch, where its memory is not the host's. */
static enum status reserve_room(struct learner *l, const struct batch_limits *limits, struct error *err) {
  if (l->buffers.backend->ops->host_memory ||
      (limits->sequences <= l->room.sequences && limits->tokens <= l->room.tokens))
    return STATUS_OK;
  l->room.sequences = size_max(l->room.sequences, limits->sequences);
  l->room.tokens = size_max(l->room.tokens, limits->tokens);
  size_t tokens = l->room.tokens, targets = size_max(tokens, l->room.sequences * answers(l));
  buffers_release(&l->buffers);
  struct sequences *s = &l->sequences_room;
  enum status status = buffers_new(&l->buffers, &s->cu_seqlens, (l->room.sequences + 1) * sizeof(uint32_t), err);
  status = status ? status : buffers_new(&l->buffers, &s->token_ids, tokens * sizeof(int32_t), err);
  status = status ? status : buffers_new(&l->buffers, &s->token_type_ids, tokens, err);
  status = status ? status : buffers_new(&l->buffers, &l->next_room.rows, tokens * sizeof(uint32_t), err);
  return status ? status : buffers_new(&l->buffers, &l->next_room.targets, targets * sizeof(uint32_t), err);
}

/* Where the backend reads an array of the host. */
static struct place bring(const struct learner *l, struct place room, const void *host, size_t bytes) {
  struct backend *backend = l->buffers.backend;
  if (backend->ops->host_memory || !host)
    return place_host(host);
  backend->ops->write(backend, room, host, bytes);
  return room;
}

static void bring_sequences(struct learner *l, const struct sequences *s) {
  const struct sequences *room = &l->sequences_room;
  l->sequences = (struct sequences){.count = s->count, .tokens = s->tokens, .longest = s->longest};
  l->sequences.cu_seqlens = bring(l, room->cu_seqlens, place_address(s->cu_seqlens), (s->count + 1) * sizeof(uint32_t));
  l->sequences.token_ids = bring(l, room->token_ids, place_address(s->token_ids), s->tokens * sizeof(int32_t));
  l->sequences.token_type_ids = bring(l, room->token_type_ids, place_address(s->token_type_ids), s->tokens);
  l->sequences.prefixes = s->prefixes;
  l->sequences.row_count = s->row_count;
  if (s->row_count)
    l->sequences.rows = bring(l, l->next_room.rows, place_address(s->rows), s->row_count * sizeof(uint32_t));
}

static void bring_targets(struct learner *l, const struct targets *targets) {
  struct place room = l->next_room.targets;
  bool tokens = l->model->language || l->model->output == OUTPUT_TAGS;
  size_t count = tokens ? targets->count : l->sequences.count * answers(l);
  l->targets = has_values(l) ? bring(l, room, targets->values, count * sizeof(float))
                             : bring(l, room, targets->ids, count * sizeof(uint32_t));
  if (targets->completions)
    l->completions = *targets->completions;
  if (l->model->language)
    l->next =
        (struct next_tokens){bring(l, l->next_room.rows, targets->rows, count * sizeof(uint32_t)), l->targets, count};
}

/* --- the reference -------------------------------------------------------------------------------- */

static void enable_adapters(const struct model *m, bool on) {
  if (m->token_rows)
    m->token_rows->off = !on;
  for (size_t i = 0; i < m->linear_count; i++) {
    const struct adapter *adapter = adapter_of(m->adapters, m->adapter_count, m->linears[i]);
    if (adapter && on)
      adapter_put(m->linears[i], adapter);
    else if (adapter)
      adapter_disable(m->linears[i]);
  }
}

/* --- memory --------------------------------------------------------------------------------------- */

static enum status plan(struct learner *l, struct plan **out, const struct batch_limits *limits, enum goal goal,
                        struct error *err) {
  dry_run(l, limits, goal);
  return tape_plan_end(&l->tape, out, err);
}

size_t learner_memory_default(const struct model *m) {
  size_t share = m->weight_bytes * 3, least = (size_t)1 << 30;
  return share > least ? share : least;
}

/* What training takes beside its steps: what is there now, or is once the first step has written to it (factors and
   gradients), the mapped weights, which come in then, too, what is reserved, and the optimiser's moments. */
static size_t beside_steps(const struct learner *l) {
  const struct model *m = l->model;
  return memory_written() + m->mapped_bytes + l->reserved + 2 * parameter_trained(&m->parameters) * sizeof(float);
}

static enum status measure(struct learner *l, size_t *bytes, const struct learner_step *step, size_t blocks,
                           struct error *err) {
  l->tape.recompute_segments = blocks;
  step->dry_run(step->payload);
  return tape_plan_measure(&l->tape, bytes, err);
}

/* Bytes of a step by default: in proportion to the model, but not what this machine does not have. A device with memory
   of its own gives what it has left. */
static size_t default_limit(const struct learner *l) {
  const struct backend *backend = l->model->backend;
  if (backend->ops->memory_available)
    return backend->ops->memory_available(backend) / 10 * 9;
  size_t share = learner_memory_default(l->model), available = memory_available() / 10 * 9;
  size_t rest = available > l->model->mapped_bytes ? available - l->model->mapped_bytes : 1;
  return !available || share < rest ? share : rest;
}

enum status learner_fit(struct learner *l, const struct learner_step *step, size_t *out, struct error *err) {
  size_t most = default_limit(l), bytes = 0, beside = *out = beside_steps(l);
  size_t low = l->recompute_segments, high = l->model->blocks, measured = SIZE_MAX;
  if (l->memory_limit)
    most = l->memory_limit > beside ? l->memory_limit - beside : 0;
  size_t limit = most, goal = l->memory_goal > beside ? l->memory_goal - beside : 0;
  if (l->memory_goal && l->model->backend->ops->host_memory && goal < limit)
    limit = goal;
  while (low < high) {
    size_t middle = low == l->recompute_segments ? low : (low + high) / 2; /* mostly nothing must be done */
    enum status status = measure(l, &bytes, step, middle, err);
    if (status)
      return status;
    measured = middle;
    if (bytes <= limit)
      high = middle;
    else
      low = middle + 1;
  }
  l->recompute_segments = l->tape.recompute_segments = low;
  enum status status = low == measured ? STATUS_OK : measure(l, &bytes, step, low, err);
  if (!status && l->memory_limit && bytes > most)
    status =
        error_set(err, STATUS_OUT_OF_MEMORY, "scheduling.memory_limit",
                  "memory_limit is %zu MiB; this job needs %zu MiB: %zu for the model and the data, %zu for a step "
                  "that recomputes all it can. A smaller %s needs less.",
                  l->memory_limit >> 20, (beside + bytes) >> 20, beside >> 20, bytes >> 20, step->smaller);
  return status;
}

static void dry_run_training(void *payload) {
  struct learner *l = payload;
  dry_run(l, &l->limits, GOAL_TRAIN);
}

static enum status reserve(struct model *m, size_t longest, struct error *err) {
  return m->ops->reserve ? m->ops->reserve(m, longest, err) : STATUS_OK;
}

enum status learner_init(struct learner *l, struct model *model, const struct batch_limits *training,
                         const struct batch_limits *evaluation, struct error *err) {
  l->model = model;
  l->training = l->evaluation = l->reference = l->logits = NULL;
  memset(l->smaller, 0, sizeof l->smaller);
  l->limits = *training;
  l->prepared = false;
  l->buffers = (struct buffers){.backend = model->backend};
  l->room = (struct batch_limits){0};
  l->logits_copy = NULL;
  enum status status = tape_init(&l->tape, model->backend, err);
  size_t longest = training->longest > evaluation->longest ? training->longest : evaluation->longest;
  if (!status)
    status = reserve(model, longest, err);
  status = status ? status : reserve_room(l, training, err);
  status = status ? status : reserve_room(l, evaluation, err);
  parameter_upload(&model->parameters);
  size_t beside = 0;
  if (!status)
    status = learner_fit(l, &(struct learner_step){dry_run_training, l, "batch_size or max_seq_length"}, &beside, err);
  if (!status)
    status = plan(l, &l->training, training, GOAL_TRAIN, err);
  if (!status)
    status = plan(l, &l->evaluation, evaluation, model->language ? GOAL_SCORE : GOAL_PREDICT, err);
  if (!status && l->reference_base) {
    enable_adapters(model, false);
    status = plan(l, &l->reference, evaluation, GOAL_LOG_PROBS, err);
    enable_adapters(model, true);
  }
  l->estimate = beside + l->tape.memory_bytes;
  return status ? status : adamw_init(&l->adamw, &model->parameters, model->backend, err);
}

void learner_done(struct learner *l) {
  for (size_t i = 0; i < COUNT_OF(l->smaller); i++)
    tape_plan_free(l->smaller[i]);
  tape_plan_free(l->training);
  tape_plan_free(l->evaluation);
  tape_plan_free(l->reference);
  tape_plan_free(l->logits);
  adamw_done(&l->adamw);
  if (l->buffers.backend)
    buffers_release(&l->buffers);
  free(l->logits_copy);
  tape_done(&l->tape);
}

size_t learner_bytes(const struct learner *l) {
  return l->tape.memory_bytes;
}

enum status learner_factors(struct learner *l, struct error *err) {
  if (l->prepared)
    return STATUS_OK;
  enum status status = adapter_forward_factors(l->model->adapters, l->model->adapter_count, l->model->backend, err);
  l->prepared = !status;
  l->accumulated = l->accumulated && status;
  return status;
}

enum status learner_begin(struct learner *l, double *penalty, struct error *err) {
  l->prepared = l->prepared && !l->accumulated;
  enum status status = learner_factors(l, err);
  if (status)
    return status;
  parameter_zero_grads(&l->model->parameters);
  double sum = 0;
  for (size_t i = 0; i < l->model->adapter_count; i++)
    sum += l->model->adapters[i]->penalty;
  if (penalty)
    *penalty = l->orth_lambda > 0 ? l->orth_lambda * sum : 0;
  return STATUS_OK;
}

/* Most batches are smaller than the largest that can be. Their own plans keep them to a part of the memory: a job's
   first step waits until the pages it touches are cleared. */
static struct plan *plan_for(struct learner *l, size_t tokens) {
  size_t part = (tokens * LEARNER_PARTS + l->limits.tokens - 1) / l->limits.tokens;
  size_t most = l->limits.tokens * part / LEARNER_PARTS;
  size_t sequences = size_min(l->limits.sequences, most);
  if (l->texts > 1) /* whole examples */
    sequences = sequences / l->texts * l->texts;
  struct batch_limits limits = {sequences, most, size_min(l->limits.longest, most)};
  struct error err;
  if (part == 0 || part >= LEARNER_PARTS)
    return l->training;
  struct plan **plan = &l->smaller[part - 1];
  if (!*plan) {
    dry_run(l, &limits, GOAL_TRAIN);
    if (tape_plan_place(&l->tape, plan, &err))
      return l->training;
  }
  return tape_plan_bytes(*plan) <= l->tape.memory_bytes ? *plan : l->training;
}

enum status learner_accumulate(struct learner *l, const struct sequences *s, const struct targets *targets,
                               float weight, uint64_t dropout_step, double *loss, size_t *correct, struct error *err) {
  struct backend *backend = l->model->backend;
  l->accumulated = true;
  l->tape.seed = l->seed;
  l->tape.step = dropout_step;
  tape_begin(&l->tape, plan_for(l, s->tokens), true);
  bring_sequences(l, s);
  bring_targets(l, targets);
  step_forward(l, &(struct step){GOAL_TRAIN, weight, loss, correct});
  tape_backward(&l->tape);
  return backend->ops->synchronise(backend, err);
}

void learner_finish(struct learner *l) {
  adapter_backward_factors(l->model->adapters, l->model->adapter_count, l->model->backend, l->orth_lambda);
}

void learner_changed(struct learner *l) {
  parameter_upload(&l->model->parameters);
  l->prepared = false;
}

enum status learner_update(struct learner *l, double learning_rate, double *grad_norm, struct error *err) {
  l->prepared = false;
  return adamw_update(&l->adamw, learning_rate, grad_norm, err);
}

enum status learner_score(struct learner *l, const struct sequences *s, const struct targets *targets, double *loss,
                          size_t *correct, struct error *err) {
  enum status status = learner_factors(l, err);
  if (status)
    return status;
  tape_begin(&l->tape, l->evaluation, false);
  bring_sequences(l, s);
  bring_targets(l, targets);
  step_forward(l, &(struct step){GOAL_SCORE, 1, loss, correct});
  return l->model->backend->ops->synchronise(l->model->backend, err);
}

enum status learner_log_probs(struct learner *l, const struct sequences *s, const struct targets *targets, bool base,
                              double *logps, struct error *err) {
  double loss;
  enum status status = base ? STATUS_OK : learner_factors(l, err);
  CHECK(l->preference.loss != PREFERENCE_NONE && (!base || l->reference));
  if (status)
    return status;
  if (base)
    enable_adapters(l->model, false);
  tape_begin(&l->tape, base ? l->reference : l->evaluation, false);
  bring_sequences(l, s);
  bring_targets(l, targets);
  l->completions.logps = logps;
  step_forward(l, &(struct step){GOAL_LOG_PROBS, 1, &loss, NULL});
  status = l->model->backend->ops->synchronise(l->model->backend, err);
  if (base)
    enable_adapters(l->model, true);
  return status;
}

/* The logits of a language model's whole batch are planned for that batch, when it is asked for. */
static enum status plan_logits(struct learner *l, const struct sequences *s, struct error *err) {
  tape_plan_free(l->logits);
  l->logits = NULL;
  struct batch_limits limits = {s->count, s->tokens, s->longest};
  enum status status = reserve(l->model, s->longest, err);
  status = status ? status : reserve_room(l, &limits, err);
  return status ? status : plan(l, &l->logits, &limits, GOAL_PREDICT, err);
}

/* Logits on the host. */
static enum status fetch_logits(struct learner *l, struct logits *out, const struct tensor *x, struct error *err) {
  struct backend *backend = l->model->backend;
  size_t bytes = x->rows * x->cols * sizeof(float);
  *out = (struct logits){.rows = x->rows, .cols = x->cols};
  if (backend->ops->host_memory) {
    out->data = place_floats(x->data);
    return STATUS_OK;
  }
  free(l->logits_copy);
  l->logits_copy = malloc(bytes);
  if (!l->logits_copy)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for %zu MiB of logits", bytes >> 20);
  backend->ops->read(backend, l->logits_copy, x->data, bytes);
  out->data = l->logits_copy;
  return backend->ops->synchronise(backend, err);
}

enum status learner_predict(struct learner *l, const struct sequences *s, struct logits *logits, struct error *err) {
  enum status status = learner_factors(l, err);
  if (!status && l->model->language)
    status = plan_logits(l, s, err);
  if (status)
    return status;
  tape_begin(&l->tape, l->model->language ? l->logits : l->evaluation, false);
  bring_sequences(l, s);
  return fetch_logits(l, logits, step_forward(l, &(struct step){.goal = GOAL_PREDICT}), err);
}
