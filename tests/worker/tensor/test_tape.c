/* Proves that planned buffers that live at the same time never overlap, that a recomputed graph gives
   the gradients of a kept one bit by bit with less memory, and that a step allocates nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/worker/engine_cpu.h"

static void buffers_alive_together_are_apart(void **state) {
  (void)state;
  struct plan plan = {0};
  struct rng rng;
  rng_init(&rng, 5, 6);
  for (int i = 0; i < 400; i++) {
    int from = (int)rng_below(&rng, 300);
    assert_true(plan_add(&plan, (size_t)rng_below(&rng, 5000), from));
    plan_touch(&plan, i, from + (int)rng_below(&rng, 40));
  }
  assert_true(plan_place(&plan));
  size_t together = 0;
  for (size_t i = 0; i < plan.count; i++) {
    const struct plan_buffer *p = &plan.buffers[i];
    assert_true(p->offset % PLAN_ALIGN == 0 && p->offset + p->bytes <= plan.bytes);
    for (size_t j = 0; j < i; j++) {
      const struct plan_buffer *q = &plan.buffers[j];
      if (p->first > q->last || q->first > p->last)
        continue;
      assert_true(p->offset + p->bytes <= q->offset || q->offset + q->bytes <= p->offset);
    }
  }
  for (int tick = 0; tick < 340; tick++) { /* no placement can do better than the fullest tick */
    size_t sum = 0;
    for (size_t i = 0; i < plan.count; i++)
      sum += plan.buffers[i].first <= tick && tick <= plan.buffers[i].last ? plan.buffers[i].bytes : 0;
    together = sum > together ? sum : together;
  }
  assert_true(plan.bytes >= together && plan.bytes < together + together / 4);
  plan_done(&plan);
}

static struct linear layers[6];

static void build(struct tape *tape, const struct graph *g, double *loss) {
  struct dropout d = dropout_make(0.1, 1, 2, 3);
  struct tensor *x = graph_input(tape, g->x);
  for (size_t i = 0; i < COUNT_OF(layers); i++) {
    tape_segment_begin(tape, 0);
    struct tensor *h = op_gelu(tape, op_linear(tape, x, &layers[i]));
    x = op_dropout(tape, op_tanh(tape, op_gelu(tape, op_linear(tape, h, &layers[i]))), &d);
    tape_segment_end(tape);
  }
  graph_loss(tape, x, loss);
}

static size_t memory_of(const struct graph *g) {
  struct tape tape;
  struct plan *plan;
  struct error err;
  double loss;
  assert_int_equal(tape_init(&tape, &backend, &err), STATUS_OK);
  tape.recompute_segments = g->recompute;
  tape_plan_begin(&tape, true);
  g->build(&tape, g, &loss);
  tape_backward(&tape);
  assert_int_equal(tape_plan_end(&tape, &plan, &err), STATUS_OK);
  size_t bytes = tape_plan_bytes(plan);
  tape_plan_free(plan);
  tape_done(&tape);
  return bytes;
}

static void recomputing_changes_memory_not_numbers(void **state) {
  (void)state;
  enum { C = 40, N = 1500 };
  struct parameter *w = parameter_add(&list, "w", 2, C, C);
  fill(w->data, w->count, 1);
  for (size_t i = 0; i < w->count; i++)
    w->data[i] *= 0.4f;
  for (size_t i = 0; i < COUNT_OF(layers); i++)
    layers[i] =
        (struct linear){.name = "l", .in = C, .out = C, .weight = weight_of(w->data, C, C), .trained_weight = w};
  struct graph g = {.build = build, .backend = &backend, .x = parameter_add(&list, "x", 2, N, C)};
  fill(g.x->data, g.x->count, 2);
  static float kept[2][N * C];
  double loss = graph_run(&g, true);
  memcpy(kept[0], g.x->grad, sizeof(float) * N * C);
  memcpy(kept[1], w->grad, sizeof(float) * C * C);
  size_t all = memory_of(&g);
  g.recompute = true;
  memset(g.x->grad, 0, sizeof(float) * N * C);
  memset(w->grad, 0, sizeof(float) * C * C);
  assert_true(graph_run(&g, true) == loss);
  assert_memory_equal(kept[0], g.x->grad, sizeof(float) * N * C);
  assert_memory_equal(kept[1], w->grad, sizeof(float) * C * C);
  assert_true(memory_of(&g) < all * 3 / 4);
}

#ifndef __SANITIZE_ADDRESS__ /* whose own memory needs more than any limit */
/* Lets the process have so many more bytes of address space; *old is what it may have had. */
static void limit_memory(struct rlimit *old, size_t more) {
  char statm[64] = "";
  FILE *file = fopen("/proc/self/statm", "r");
  assert_true(file && fgets(statm, sizeof statm, file));
  fclose(file);
  assert_int_equal(getrlimit(RLIMIT_AS, old), 0);
  struct rlimit tight = *old;
  tight.rlim_cur = (rlim_t)strtoul(statm, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) + more;
  assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
}

/* What a step cannot have is an error that says how much it is, wherever it is missing. */
static void memory_that_is_not_there_is_an_error(void **state) {
  (void)state;
  struct tape tape;
  struct plan *plan;
  struct error err;
  struct rlimit old;
  assert_int_equal(tape_init(&tape, &backend, &err), STATUS_OK);
  limit_memory(&old, 64 << 20);
  tape_plan_begin(&tape, true);
  tape_tensor(&tape, 1 << 20, 100);
  assert_int_equal(tape_plan_end(&tape, &plan, &err), STATUS_OUT_OF_MEMORY);
  assert_non_null(strstr(err.text, "needs 400 MiB"));
  assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
  limit_memory(&old, 1 << 20);
  tape_plan_begin(&tape, true);
  for (int i = 0; i < 100000; i++)
    tape_tensor(&tape, 1, 1);
  assert_int_equal(tape_plan_end(&tape, &plan, &err), STATUS_OUT_OF_MEMORY);
  assert_non_null(strstr(err.text, "it has 100000 buffers"));
  tape_done(&tape);
  assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
  limit_memory(&old, 1 << 20);
  assert_int_equal(tape_init(&tape, &backend, &err), STATUS_OUT_OF_MEMORY);
  assert_non_null(strstr(err.text, "32 MiB"));
  tape_done(&tape);
  assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(buffers_alive_together_are_apart),
      cmocka_unit_test(recomputing_changes_memory_not_numbers),
#ifndef __SANITIZE_ADDRESS__
      cmocka_unit_test(memory_that_is_not_there_is_an_error),
#endif
  };
  return cmocka_run_group_tests(tests, engine_setup, engine_teardown);
}
