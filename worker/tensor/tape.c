#include "worker/tensor/tape.h"

#include <stdlib.h>

#include "worker/tensor/plan.h"

/* Room for twice the ops of the largest model that loads (1000 layers). It is asked for once, and touched as far as it
   is used, so that no op can find that there is no more. */
enum { NODES_MAX = 1 << 16, TAPE_BYTES = NODES_MAX * 512 };

_Static_assert(PLAN_ALIGN % PLACE_ALIGN == 0, "every buffer of a plan is a place that ops may be given");

enum status tape_init(struct tape *tape, struct backend *backend, struct error *err) {
  *tape = (struct tape){.backend = backend};
  arena_init(&tape->arena, TAPE_BYTES);
  tape->nodes = malloc(NODES_MAX * sizeof *tape->nodes);
  if (!tape->nodes || !arena_reserve(&tape->arena, TAPE_BYTES))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the tape of a step: it reserves %zu MiB",
                     (NODES_MAX * sizeof *tape->nodes + TAPE_BYTES) >> 20);
  return STATUS_OK;
}

static void release_memory(struct tape *tape) {
  if (tape->memory.buffer)
    tape->backend->ops->release(tape->backend, tape->memory, tape->memory_bytes);
  tape->memory = (struct place){0};
  tape->memory_bytes = 0;
}

void tape_done(struct tape *tape) {
  release_memory(tape);
  free(tape->nodes);
  arena_done(&tape->arena);
  *tape = (struct tape){0};
}

static void start(struct tape *tape, struct plan *plan, bool dry, bool training) {
  arena_reset(&tape->arena);
  tape->plan = plan;
  tape->dry = dry;
  tape->training = training;
  tape->node_count = 0;
  tape->next_buffer = 0;
  tape->clock = 0;
  tape->in_segment = false;
  tape->newest = NULL;
  tape->dropouts = 0;
}

void tape_plan_begin(struct tape *tape, bool training) {
  struct plan *plan = calloc(1, sizeof *plan);
  start(tape, plan, true, training);
  tape->unplanned = !plan;
  tape->lacking = NULL;
}

enum status tape_plan_place(struct tape *tape, struct plan **out, struct error *err) {
  *out = tape->plan;
  tape->plan = NULL;
  if (!tape->unplanned && !tape->lacking && plan_place(*out))
    return STATUS_OK;
  tape_plan_free(*out);
  *out = NULL;
  if (tape->lacking)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
                     "%s does not have the op %s yet, which this model needs; the CPU has it",
                     tape->backend->device_name, tape->lacking);
  return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to plan a step: it has %d buffers", tape->next_buffer);
}

enum status tape_plan_measure(struct tape *tape, size_t *bytes, struct error *err) {
  struct plan *plan;
  enum status status = tape_plan_place(tape, &plan, err);
  *bytes = plan ? plan->bytes : 0;
  tape_plan_free(plan);
  return status;
}

enum status tape_plan_end(struct tape *tape, struct plan **out, struct error *err) {
  struct plan *plan;
  enum status status = tape_plan_place(tape, &plan, err);
  *out = NULL;
  if (status)
    return status;
  if (plan->bytes > tape->memory_bytes) {
    release_memory(tape);
    status = tape->backend->ops->allocate(tape->backend, &tape->memory, plan->bytes, err);
    if (status) {
      size_t need = plan->bytes;
      tape_plan_free(plan);
      return status == STATUS_OUT_OF_MEMORY ? error_set(err, status, NULL, "a step needs %zu MiB of memory", need >> 20)
                                            : status;
    }
    tape->memory_bytes = plan->bytes;
  }
  *out = plan;
  return STATUS_OK;
}

void tape_plan_free(struct plan *plan) {
  if (!plan)
    return;
  plan_done(plan);
  free(plan);
}

size_t tape_plan_bytes(const struct plan *plan) {
  return plan->bytes;
}

void tape_begin(struct tape *tape, struct plan *plan, bool training) {
  start(tape, plan, false, training);
}

void tape_segment_begin(struct tape *tape, size_t priority) {
  tape->in_segment = priority < tape->recompute_segments;
}

void tape_segment_end(struct tape *tape) {
  if (tape->in_segment && tape->newest)
    tape->newest->recompute = false;
  tape->in_segment = false;
}

/* The next buffer of the plan: noted in a dry run, looked up in a real one. */
static int take_buffer(struct tape *tape, size_t count, struct place *data) {
  size_t bytes = count * sizeof(float);
  int index = tape->next_buffer++;
  *data = (struct place){0};
  if (tape->dry) {
    tape->unplanned = tape->unplanned || !plan_add(tape->plan, bytes, tape->clock);
    return index;
  }
  CHECK((size_t)index < tape->plan->count);
  const struct plan_buffer *buffer = &tape->plan->buffers[index];
  CHECK(bytes <= buffer->bytes);
  *data = place_at(tape->memory, buffer->offset);
  return index;
}

static void touch(struct tape *tape, int buffer) {
  if (tape->dry && !tape->unplanned)
    plan_touch(tape->plan, buffer, tape->clock);
}

void *tape_attributes(struct tape *tape, size_t bytes) {
  void *memory = arena_alloc(&tape->arena, bytes);
  CHECK(memory);
  return memory;
}

struct tensor *tape_tensor(struct tape *tape, size_t rows, size_t cols) {
  struct tensor *t = tape_attributes(tape, sizeof *t);
  *t = (struct tensor){.rows = rows, .cols = cols, .grad_buffer = -1, .recompute = tape->in_segment};
  t->buffer = take_buffer(tape, rows * cols, &t->data);
  return t;
}

/* Runs one direction of an op with its scratch memory, or notes that it would. */
static void run_op(struct tape *tape, const struct node *node, bool backward) {
  const struct op_body *body = node->op->body ? node->op->body : tape->backend->ops->bodies[node->op->kind];
  tape->scratch = (struct place){0};
  if (!body) {
    CHECK(tape->dry);
    tape->lacking = tape->lacking ? tape->lacking : node->op->name;
    return;
  }
  if (body->scratch)
    take_buffer(tape, body->scratch(tape, node), &tape->scratch);
  if (!tape->dry && (!backward || body->backward))
    (backward ? body->backward : body->forward)(tape, node);
}

void tape_record(struct tape *tape, const struct op *op, const void *attributes, struct tensor *const in[NODE_INPUTS],
                 struct tensor *const out[NODE_OUTPUTS]) {
  struct node *node = tape_attributes(tape, sizeof *node);
  bool needs_grad = !out[0];
  *node = (struct node){.op = op, .attributes = attributes};
  for (int i = 0; i < NODE_INPUTS && (node->in[i] = in[i]); i++) {
    touch(tape, in[i]->buffer);
    if (out[0] && in[i]->needs_grad)
      out[0]->needs_grad = true;
  }
  for (int i = 0; i < NODE_OUTPUTS && (node->out[i] = out[i]); i++) {
    out[i]->maker = node;
    needs_grad |= out[i]->needs_grad;
  }
  run_op(tape, node, false);
  tape->clock++;
  tape->newest = out[0];
  if (!tape->training || !needs_grad)
    return;
  CHECK(tape->node_count < NODES_MAX);
  tape->nodes[tape->node_count++] = node;
}

static void ensure_inputs(struct tape *tape, const struct node *node, unsigned which);

/* Recomputes the data of a tensor that was not saved, and whatever that needs. */
static void ensure_data(struct tape *tape, struct tensor *t) {
  if (t->recompute && !t->recomputed) {
    struct node *node = t->maker;
    ensure_inputs(tape, node, ~0u);
    for (int i = 0; i < NODE_OUTPUTS && node->out[i]; i++) {
      struct tensor *out = node->out[i];
      if (out->recompute) {
        out->buffer = take_buffer(tape, out->rows * out->cols, &out->data);
        out->recomputed = true;
      }
      touch(tape, out->buffer); /* the op writes all of its outputs again, saved ones too */
    }
    run_op(tape, node, false);
    tape->clock++;
  }
  touch(tape, t->buffer);
}

/* Makes all of them before it touches any: making one takes time in which another could end. */
static void ensure_inputs(struct tape *tape, const struct node *node, unsigned which) {
  for (int i = 0; i < NODE_INPUTS && node->in[i]; i++)
    if (which >> i & 1)
      ensure_data(tape, node->in[i]);
  for (int i = 0; i < NODE_INPUTS && node->in[i]; i++)
    if (which >> i & 1)
      touch(tape, node->in[i]->buffer);
}

static void take_grad(struct tape *tape, struct tensor *t) {
  if (t->grad_buffer < 0)
    t->grad_buffer = take_buffer(tape, t->rows * t->cols, &t->grad);
  touch(tape, t->grad_buffer);
}

void tape_backward(struct tape *tape) {
  for (size_t n = tape->node_count; n-- > 0;) {
    struct node *node = tape->nodes[n];
    if (node->out[0] && !node->out[0]->grad_written)
      continue; /* nothing that the loss depends on */
    for (int i = 0; i < NODE_OUTPUTS && node->out[i]; i++)
      if (node->op->saves_outputs >> i & 1)
        ensure_data(tape, node->out[i]);
    ensure_inputs(tape, node, node->op->saves_inputs);
    for (int i = 0; i < NODE_OUTPUTS && node->out[i]; i++) {
      if (node->op->saves_outputs >> i & 1)
        touch(tape, node->out[i]->buffer);
      touch(tape, node->out[i]->grad_buffer);
    }
    for (int i = 0; i < NODE_INPUTS && node->in[i]; i++)
      if (node->in[i]->needs_grad)
        take_grad(tape, node->in[i]);
    run_op(tape, node, true);
    tape->clock++;
    for (int i = 0; i < NODE_INPUTS && node->in[i]; i++)
      node->in[i]->grad_written |= node->in[i]->needs_grad;
  }
}

struct place tape_grad(struct tensor *t, bool *accumulate) {
  *accumulate = t->grad_written;
  if (!t->needs_grad)
    return (struct place){0};
  CHECK(t->grad.buffer);
  t->grad_written = true;
  return t->grad;
}

bool tape_grad_apart(const struct node *node, int i) {
  const struct tensor *t = node->in[i];
  bool twice = false;
  for (int j = 0; j < i; j++)
    twice = twice || node->in[j] == t;
  return !t->needs_grad || t->grad_written || twice;
}
