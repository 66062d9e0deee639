/* Tensors and the tape. A model is written forward only: each op makes its output tensors, runs on the tape's backend,
   and is recorded; tape_backward walks the record in reverse. Gradients exist only where something trainable lies
   below.

   Memory is planned by a dry run: the same model code runs once without arithmetic on the largest
   batch, the tape notes when each buffer is first and last used, and gives buffers whose lives do
   not overlap the same place in one block. Real steps take their buffers in the same order, so a
   step allocates nothing, and the bytes a job needs are known before it starts.

   A tensor marked `recompute` is not saved for the backward pass: the op that made it runs again when a backward op
   needs it. A checkpoint segment (tape_segment_begin) does the same for everything between two points (one transformer
   block), which trades time for memory. */
#ifndef WORKER_TENSOR_TAPE_H
#define WORKER_TENSOR_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "worker/backend/backend.h"

struct node;

/* A row-major fp32 matrix. Lives until the next step begins. */
struct tensor {
  size_t rows, cols;
  struct place data;       /* nowhere in a dry run */
  struct place grad;       /* rows x cols, or nowhere until a backward op asks for it */
  bool needs_grad;         /* something trainable lies below */
  bool grad_written;       /* the gradient holds a value: add to it, do not overwrite */
  bool recompute;          /* data is recomputed in the backward pass instead of saved */
  struct node *maker;      /* NULL: not made by an op */
  int buffer, grad_buffer; /* of the plan; -1: none */
  bool recomputed;         /* in this backward pass */
};

enum { NODE_INPUTS = 6, NODE_OUTPUTS = 3 };

/* One row an op, `const struct op` in worker/op/<name>.c: what is saved for the backward pass. The backend has what
   runs, by `kind` (enum op_kind), unless the op brings a body of its own (tests do). */
struct op {
  const char *name;
  int kind;
  const struct op_body *body; /* NULL: the backend's */
  unsigned saves_inputs;      /* bit i: backward reads input i's data */
  unsigned saves_outputs;     /* bit i: backward reads output i's data */
};

struct node {
  const struct op *op;
  struct tensor *in[NODE_INPUTS]; /* unused: NULL */
  struct tensor *out[NODE_OUTPUTS];
  const void *attributes; /* the op's own struct, in the tape's arena or longer-lived */
};

struct tape {
  struct backend *backend;
  bool dry;           /* planning: no data, no arithmetic */
  bool training;      /* record for backward, apply dropout */
  struct arena arena; /* nodes, tensors, attributes of this step */
  struct node **nodes;
  size_t node_count;
  struct plan *plan;   /* buffers of this topology */
  bool unplanned;      /* memory ran out in a dry run: reported when it ends */
  const char *lacking; /* likewise: the first op that the backend does not have; NULL: none */
  struct place memory; /* what the plan's offsets point into */
  size_t memory_bytes;
  struct place scratch; /* of the op that runs */
  int next_buffer;
  int clock;
  uint64_t seed, step;       /* of dropout: set by the caller before a training step */
  uint32_t dropouts;         /* drawn so far in this step */
  size_t recompute_segments; /* segments of a lower priority than this are recomputed in the backward pass */
  bool in_segment;           /* one that is recomputed */
  struct tensor *newest;     /* output of the newest node */
};

/* A tape on `backend`. */
NODISCARD enum status tape_init(struct tape *tape, struct backend *backend, struct error *err);
void tape_done(struct tape *tape);

/* Starts a dry run; what follows (forward, then tape_backward if training) is noted, not computed. */
void tape_plan_begin(struct tape *tape, bool training);
/* Ends it: places the buffers and makes the block of memory. STATUS_UNSUPPORTED_VALUE names the op that the backend
   does not have. The plan is kept in *out (owned by the
   caller, freed by tape_plan_free), so that one tape can serve several topologies (training,
   evaluation) in one block as large as the largest. */
NODISCARD enum status tape_plan_end(struct tape *tape, struct plan **out, struct error *err);
/* Ends it without making memory: *out must only be used where the block is as large as it asks. */
NODISCARD enum status tape_plan_place(struct tape *tape, struct plan **out, struct error *err);
/* The same for the number alone: *bytes is what the step would need. */
NODISCARD enum status tape_plan_measure(struct tape *tape, size_t *bytes, struct error *err);
void tape_plan_free(struct plan *plan);
size_t tape_plan_bytes(const struct plan *plan);

/* Starts a real step with a plan. Every tensor must have at most the size it had in the dry run. */
void tape_begin(struct tape *tape, struct plan *plan, bool training);

/* A checkpoint segment. If its recompute priority is below tape->recompute_segments, nothing made between these two is
   saved for the backward pass but the output of the last op. Priorities count from 0; what frees most memory for the
   least work comes first. */
void tape_segment_begin(struct tape *tape, size_t priority);
void tape_segment_end(struct tape *tape);

/* For ops. A new tensor; memory for attributes; recording (runs forward unless dry). */
struct tensor *tape_tensor(struct tape *tape, size_t rows, size_t cols);
void *tape_attributes(struct tape *tape, size_t bytes);
void tape_record(struct tape *tape, const struct op *op, const void *attributes, struct tensor *const in[NODE_INPUTS],
                 struct tensor *const out[NODE_OUTPUTS]);

/* Runs the backward ops from the last node on. The caller has written the gradient of the last
   output by tape_grad, or the last op needs none (losses). */
void tape_backward(struct tape *tape);
/* In a backward op: where to put the gradient of `t` and whether to add (*accumulate) or overwrite.
   Nowhere when nothing below needs it. An op must ask for every input whose needs_grad is set. */
struct place tape_grad(struct tensor *t, bool *accumulate);
/* Before that, where scratch memory is asked for: is the gradient of input i to be added to what is there, or not asked
   for? An op whose kernel overwrites makes it apart then. */
bool tape_grad_apart(const struct node *node, int i);

#endif
