/* The functions of engine.h; included by each test program once. */
#include "tests/worker/engine.h"

#include "worker/tensor/plan.h"

static void input_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  const struct parameter *p = node->attributes;
  memcpy(node->out[0]->data, p->data, p->count * sizeof(float));
}

static void input_backward(struct tape *tape, const struct node *node) {
  struct parameter *p = (struct parameter *)(uintptr_t)node->attributes;
  tape->backend->kernels->add(p->grad, node->out[0]->grad, p->count);
}

static const struct op op_input = {"input", input_forward, input_backward, NULL, 0, 0};

struct tensor *graph_input(struct tape *tape, struct parameter *p) {
  struct tensor *in[NODE_INPUTS] = {0};
  struct tensor *out[NODE_OUTPUTS] = {tape_tensor(tape, (size_t)p->shape[0], (size_t)p->shape[1])};
  out[0]->needs_grad = true;
  tape_record(tape, &op_input, p, in, out);
  return out[0];
}

static float loss_weight(size_t i) {
  return 0.25f * (float)(i * 5 % 7) - 0.6f;
}

static void loss_forward(struct tape *tape, const struct node *node) {
  (void)tape;
  double *const *loss = node->attributes, sum = 0;
  for (size_t i = 0; i < node->in[0]->rows * node->in[0]->cols; i++)
    sum += (double)loss_weight(i) * (double)node->in[0]->data[i];
  **loss = sum;
}

static void loss_backward(struct tape *tape, const struct node *node) {
  (void)tape;
  bool accumulate;
  float *dx = tape_grad(node->in[0], &accumulate);
  for (size_t i = 0; i < node->in[0]->rows * node->in[0]->cols; i++)
    dx[i] = (accumulate ? dx[i] : 0.0f) + loss_weight(i);
}

static const struct op op_loss = {"weighted sum", loss_forward, loss_backward, NULL, 1, 0};

void graph_loss(struct tape *tape, struct tensor *t, double *loss) {
  double **own = tape_attributes(tape, sizeof *own);
  *own = loss;
  struct tensor *in[NODE_INPUTS] = {t}, *out[NODE_OUTPUTS] = {0};
  tape_record(tape, &op_loss, own, in, out);
}

double graph_run(const struct graph *graph, bool backward) {
  struct tape tape;
  struct plan *plan;
  struct error err;
  double loss = 0;
  assert_int_equal(tape_init(&tape, graph->backend, &err), STATUS_OK);
  tape.recompute_blocks = graph->recompute ? SIZE_MAX : 0;
  tape_plan_begin(&tape, true);
  graph->build(&tape, graph, &loss);
  tape_backward(&tape);
  assert_int_equal(tape_plan_end(&tape, &plan, &err), STATUS_OK);
  /* Whatever the memory held before must not matter. */
  memset(tape.memory, 0xFF, tape.memory_bytes);
  tape_begin(&tape, plan, true);
  graph->build(&tape, graph, &loss);
  if (backward)
    tape_backward(&tape);
  tape_plan_free(plan);
  tape_done(&tape);
  return loss;
}

void graph_check(const struct graph *graph, struct parameter *p, size_t points, double tolerance) {
  double diff = 0, norm = 0;
  memset(p->grad, 0, p->count * sizeof(float));
  graph_run(graph, true);
  for (size_t n = 0; n < points; n++) {
    size_t i = (n * 7919 + 13) % p->count;
    float old = p->data[i], step = 1e-2f;
    double at[4];
    for (int k = 0; k < 4; k++) {
      p->data[i] = old + step * (float[]){-2, -1, 1, 2}[k];
      at[k] = graph_run(graph, false);
    }
    p->data[i] = old;
    double numeric = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * (double)step);
    diff += (numeric - (double)p->grad[i]) * (numeric - (double)p->grad[i]);
    norm += numeric * numeric;
  }
  if (!(sqrt(diff) <= tolerance * (sqrt(norm) + 1e-3)))
    fail_msg("%s: gradient off by %g of %g", p->key, sqrt(diff), sqrt(norm));
}
