/* The functions of engine.h; included by each test program once. */
#include "tests/worker/engine.h"

#include "worker/backend/cpu/cpu.h"
#include "worker/tensor/plan.h"

/* The inputs' parameters are in host memory, whatever the backend. */
static void input_forward(struct tape *tape, const struct node *node) {
  const struct parameter *p = node->attributes;
  tape->backend->ops->write(tape->backend, node->out[0]->data, p->data, p->count * sizeof(float));
}

static void input_backward(struct tape *tape, const struct node *node) {
  const struct parameter *p = node->attributes;
  float *grad = malloc(p->count * sizeof *grad);
  assert_non_null(grad);
  tape->backend->ops->read(tape->backend, grad, node->out[0]->grad, p->count * sizeof *grad);
  for (size_t i = 0; i < p->count; i++)
    p->grad[i] += grad[i];
  free(grad);
}

static const struct op_body input_body = {.forward = input_forward, .backward = input_backward};
static const struct op op_graph_input = {.name = "input", .body = &input_body};

struct tensor *graph_input(struct tape *tape, struct parameter *p) {
  struct tensor *in[NODE_INPUTS] = {0};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, (size_t)p->shape[0], (size_t)p->shape[1])};
  out[0]->needs_grad = true;
  tape_record(tape, &op_graph_input, p, in, out);
  return out[0];
}

static float loss_weight(size_t i) {
  return 0.25f * (float)(i * 5 % 7) - 0.6f;
}

static void loss_forward(struct tape *tape, const struct node *node) {
  double *const *loss = node->attributes, sum = 0;
  size_t count = node->in[0]->rows * node->in[0]->cols;
  float *x = malloc(count * sizeof *x);
  assert_non_null(x);
  tape->backend->ops->read(tape->backend, x, node->in[0]->data, count * sizeof *x);
  for (size_t i = 0; i < count; i++)
    sum += (double)loss_weight(i) * (double)x[i];
  **loss = sum;
  free(x);
}

static void loss_backward(struct tape *tape, const struct node *node) {
  bool accumulate;
  size_t count = node->in[0]->rows * node->in[0]->cols;
  struct place dx = tape_grad(node->in[0], &accumulate);
  float *grad = malloc(count * sizeof *grad);
  assert_non_null(grad);
  tape->backend->ops->read(tape->backend, grad, dx, count * sizeof *grad);
  for (size_t i = 0; i < count; i++)
    grad[i] = (accumulate ? grad[i] : 0.0f) + loss_weight(i);
  tape->backend->ops->write(tape->backend, dx, grad, count * sizeof *grad);
  free(grad);
}

static const struct op_body loss_body = {.forward = loss_forward, .backward = loss_backward};
static const struct op op_loss = {.name = "weighted sum", .body = &loss_body, .saves_inputs = 1 << 0};

void graph_loss(struct tape *tape, struct tensor *t, double *loss) {
  double **own = tape_attributes(tape, sizeof *own);
  *own = loss;
  struct tensor *in[NODE_INPUTS] = {t}, *out[NODE_OUTPUTS] = {0};
  tape_record(tape, &op_loss, own, in, out);
}

struct planned {
  struct tape tape;
  struct plan *plan;
};

static void planned_open(struct planned *planned, const struct graph *graph) {
  struct tape *tape = &planned->tape;
  struct error err;
  double loss = 0;
  assert_int_equal(tape_init(tape, graph->backend, &err), STATUS_OK);
  tape->recompute_segments = graph->recompute ? SIZE_MAX : 0;
  tape_plan_begin(tape, true);
  graph->build(tape, graph, &loss);
  tape_backward(tape);
  assert_int_equal(tape_plan_end(tape, &planned->plan, &err), STATUS_OK);
  /* Whatever the memory held before must not matter. */
  unsigned char *old = malloc(tape->memory_bytes);
  assert_non_null(old);
  memset(old, 0xFF, tape->memory_bytes);
  tape->backend->ops->write(tape->backend, tape->memory, old, tape->memory_bytes);
  free(old);
}

static double planned_run(struct planned *planned, const struct graph *graph, bool backward) {
  double loss = 0;
  tape_begin(&planned->tape, planned->plan, true);
  graph->build(&planned->tape, graph, &loss);
  if (backward)
    tape_backward(&planned->tape);
  return loss;
}

static void planned_close(struct planned *planned) {
  tape_plan_free(planned->plan);
  tape_done(&planned->tape);
}

double graph_run(const struct graph *graph, bool backward) {
  struct planned planned;
  planned_open(&planned, graph);
  double loss = planned_run(&planned, graph, backward);
  planned_close(&planned);
  return loss;
}

void graph_check(const struct graph *graph, struct parameter *p, size_t points, double tolerance) {
  double diff = 0, norm = 0;
  struct planned planned;
  memset(p->grad, 0, p->count * sizeof(float));
  planned_open(&planned, graph);
  planned_run(&planned, graph, true);
  for (size_t n = 0; n < points; n++) {
    size_t i = (n * 7919 + 13) % p->count;
    float old = p->data[i], step = 1e-2f;
    double at[4];
    for (int k = 0; k < 4; k++) {
      p->data[i] = old + step * (float[]){-2, -1, 1, 2}[k];
      at[k] = planned_run(&planned, graph, false);
    }
    p->data[i] = old;
    double numeric = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * (double)step);
    diff += (numeric - (double)p->grad[i]) * (numeric - (double)p->grad[i]);
    norm += numeric * numeric;
  }
  planned_close(&planned);
  if (!(sqrt(diff) <= tolerance * (sqrt(norm) + 1e-3)))
    fail_msg("%s: gradient off by %g of %g", p->key, sqrt(diff), sqrt(norm));
}
