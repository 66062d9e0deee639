/* Proves HRA against its definition: the merged weight equals W H1 ... Hr built one reflection at a
   time (chain) or W (I - 2 Q Q^T) by Gram-Schmidt; the paired start is W itself; op_linear's output
   equals the merged weight's; gradients and the penalty's gradient are those of differences; the
   gradient is orthogonal to each reflection; singular parameters are refused by name. */
#include <stdlib.h>

#include "tests/worker/engine_cpu.h"

#include "worker/adapter/adapter.h"

enum { IN = 21, OUT = 13 };

struct fixture {
  struct adapter_spec spec;
  struct linear linear;
  struct parameter *x;
  struct adapter *adapter;
  double penalty_weight;
};

static struct fixture *make(int64_t r, bool gs, bool paired) {
  struct fixture *f = arena_alloc(&arena, sizeof *f);
  struct parameter *w = parameter_add(&list, "w", 2, OUT, IN), *b = parameter_add(&list, "b", 1, OUT, 0);
  struct error err;
  fill(w->data, w->count, 1);
  fill(b->data, b->count, 2);
  f->spec = (struct adapter_spec){.peft_type = PEFT_HRA, .hra = {.r = r, .apply_GS = gs, .init_weights = paired}};
  f->linear = (struct linear){
      .name = "layer.3.dense", .in = IN, .out = OUT, .weight = weight_of(w->data, OUT, IN), .bias = b->at};
  f->x = parameter_add(&list, "x", 2, 90, IN);
  fill(f->x->data, f->x->count, 3);
  assert_int_equal(adapter_new(&f->adapter, &f->spec, &f->linear, &list, 7, &err), STATUS_OK);
  adapter_put(&f->linear, f->adapter);
  return f;
}

static void prepare(struct fixture *f) {
  struct error err;
  assert_int_equal(adapter_forward_factors(&f->adapter, 1, &backend, &err), STATUS_OK);
}

/* The definition, column by column, in double. */
static void reference(double *H, const float *U, size_t r, bool gs) {
  double q[64][IN];
  for (size_t i = 0; i < r; i++) {
    for (size_t k = 0; k < IN; k++)
      q[i][k] = (double)U[k * r + i];
    for (size_t j = 0; gs && j < i; j++) {
      double dot = 0;
      for (size_t k = 0; k < IN; k++)
        dot += q[j][k] * q[i][k];
      for (size_t k = 0; k < IN; k++)
        q[i][k] -= dot * q[j][k];
    }
    double norm = 0;
    for (size_t k = 0; k < IN; k++)
      norm += q[i][k] * q[i][k];
    for (size_t k = 0; k < IN; k++)
      q[i][k] /= sqrt(norm);
  }
  for (size_t a = 0; a < IN; a++)
    for (size_t b = 0; b < IN; b++)
      H[a * IN + b] = a == b;
  for (size_t i = 0; i < r; i++) /* H <- H (I - 2 q q^T) */
    for (size_t a = 0; a < IN; a++) {
      double dot = 0;
      for (size_t k = 0; k < IN; k++)
        dot += H[a * IN + k] * q[i][k];
      for (size_t k = 0; k < IN; k++)
        H[a * IN + k] -= 2 * dot * q[i][k];
    }
}

static void merged_is(struct fixture *f, int64_t r, bool gs) {
  double H[IN * IN];
  float merged[OUT * IN];
  prepare(f);
  reference(H, f->adapter->parameters[0]->data, (size_t)r, gs);
  f->adapter->ops->merge(f->adapter, &backend, merged);
  for (size_t o = 0; o < OUT; o++)
    for (size_t c = 0; c < IN; c++) {
      double want = 0;
      for (size_t k = 0; k < IN; k++)
        want += (double)weight_part(&f->linear.weight, o, k, 1, NULL)[0] * H[k * IN + c];
      assert_true(fabs(want - (double)merged[o * IN + c]) < 1e-5);
    }
}

static void merge_is_the_definition(void **state) {
  (void)state;
  const int64_t ranks[] = {1, 2, 5, 8, 12, 17};
  for (size_t i = 0; i < COUNT_OF(ranks); i++)
    for (int gs = 0; gs < 2; gs++)
      merged_is(make(ranks[i], gs, false), ranks[i], gs);
}

static void paired_start_is_the_identity(void **state) {
  (void)state;
  float merged[OUT * IN];
  struct fixture *f = make(8, false, true);
  prepare(f);
  f->adapter->ops->merge(f->adapter, &backend, merged);
  for (size_t i = 0; i < OUT * IN; i++)
    assert_true(fabsf(merged[i] - weight_part(&f->linear.weight, 0, i, 1, NULL)[0]) < 1e-6f);
  const float *U = f->adapter->parameters[0]->data;
  float bound = 0.5f; /* 1 / sqrt(8 / 2) */
  for (size_t i = 0; i < IN * 8; i += 2) {
    assert_true(U[i] == U[i + 1]);
    assert_true(fabsf(U[i]) <= bound);
  }
}

static void build(struct tape *tape, const struct graph *g, double *loss) {
  const struct fixture *f = g->extra;
  struct error err;
  if (!tape->dry)
    assert_int_equal(adapter_forward_factors(&f->adapter, 1, &backend, &err), STATUS_OK);
  double value = 0;
  graph_loss(tape, op_linear(tape, graph_input(tape, g->x), &f->linear), loss);
  value = f->penalty_weight * f->adapter->penalty;
  *loss += value;
}

static void gradients_of(int64_t r, bool gs, double penalty_weight) {
  struct fixture *f = make(r, gs, false);
  struct parameter *u = f->adapter->parameters[0];
  f->penalty_weight = penalty_weight;
  struct graph g = {.build = build, .backend = &backend, .x = f->x, .extra = f};
  graph_check(&g, f->x, 40, 2e-3);
  /* The parameter's gradient is complete only after `finish`. */
  memset(u->grad, 0, u->count * sizeof(float));
  graph_run(&g, true);
  adapter_backward_factors(&f->adapter, 1, &backend, penalty_weight);
  double diff = 0, norm = 0;
  for (size_t i = 0; i < u->count; i++) {
    float old = u->data[i], step = 5e-3f;
    u->data[i] = old + step;
    double up = graph_run(&g, false);
    u->data[i] = old - step;
    double down = graph_run(&g, false);
    u->data[i] = old;
    double numeric = (up - down) / (2 * (double)step);
    diff += (numeric - (double)u->grad[i]) * (numeric - (double)u->grad[i]);
    norm += numeric * numeric;
  }
  assert_true(norm > 0);
  assert_true(sqrt(diff) < 5e-3 * sqrt(norm));
  for (int64_t j = 0; j < r; j++) { /* the map does not depend on a reflection's length */
    double dot = 0, lu = 0, lg = 0;
    for (int64_t i = 0; i < IN; i++) {
      double a = (double)u->data[i * r + j], b = (double)u->grad[i * r + j];
      dot += a * b;
      lu += a * a;
      lg += b * b;
    }
    assert_true(fabs(dot) < 1e-4 * sqrt(lu * lg));
  }
}

static void chain_gradients(void **state) {
  (void)state;
  gradients_of(6, false, 0);
  gradients_of(5, false, 0);
}

static void gram_schmidt_gradients(void **state) {
  (void)state;
  gradients_of(6, true, 0);
}

static void penalty_gradients(void **state) {
  (void)state;
  gradients_of(6, false, 3.0);
}

/* Against the dense map: the mean cosine over r dimensions by its trace, the cosines between the reflections. */
static void telemetry_is_that_of_the_dense_map(void **state) {
  (void)state;
  const int64_t ranks[] = {1, 2, 5, 8};
  for (size_t n = 0; n < 2 * COUNT_OF(ranks); n++) {
    size_t r = (size_t)ranks[n / 2];
    bool gs = n % 2;
    struct fixture *f = make((int64_t)r, gs, false);
    struct adapter_telemetry told;
    double H[IN * IN], trace = 0, most = 0, sum = 0;
    const float *U = f->adapter->parameters[0]->data;
    prepare(f);
    reference(H, U, r, gs);
    for (size_t i = 0; i < IN; i++)
      trace += 1 - H[i * IN + i];
    for (size_t i = 0; i < r; i++)
      for (size_t j = 0; j < r; j++) {
        double dot = 0, ni = 0, nj = 0;
        for (size_t k = 0; k < IN; k++) {
          double a = (double)U[k * r + i], b = (double)U[k * r + j];
          dot += a * b, ni += a * a, nj += b * b;
        }
        double cosine = i == j ? 0 : fabs(dot) / sqrt(ni * nj);
        sum += cosine;
        most = fmax(most, cosine);
      }
    f->adapter->ops->telemetry(f->adapter, &told);
    assert_true(fabs(cos(told.angle) - (1 - trace / (double)r)) < 1e-6);
    assert_true(fabs(told.defect_max - most) < 1e-6);
    assert_true(fabs(told.defect - (r > 1 ? sum / (double)(r * (r - 1)) : 0)) < 1e-6);
  }
  struct fixture *f = make(8, false, true);
  struct adapter_telemetry told;
  prepare(f);
  f->adapter->ops->telemetry(f->adapter, &told);
  assert_true(told.angle < 1e-3);
  assert_true(fabs(told.defect_max - 1) < 1e-6); /* pairs are equal at the start */
}

static void singular_parameters_are_refused(void **state) {
  (void)state;
  struct error err;
  struct fixture *f = make(4, false, false);
  for (size_t i = 0; i < IN; i++)
    f->adapter->parameters[0]->data[i * 4 + 2] = 0;
  assert_int_equal(adapter_forward_factors(&f->adapter, 1, &backend, &err), STATUS_INVALID_VALUE);
  assert_non_null(strstr(err.text, "reflection 2 of layer.3.dense"));
  f = make(4, true, false);
  for (size_t i = 0; i < IN; i++)
    f->adapter->parameters[0]->data[i * 4 + 3] = 2 * f->adapter->parameters[0]->data[i * 4 + 1];
  assert_int_equal(adapter_forward_factors(&f->adapter, 1, &backend, &err), STATUS_INVALID_VALUE);
  assert_string_equal(err.param, "adapter.apply_GS");
  f = make(4, false, false);
  f->adapter->parameters[0]->data[5] = NAN;
  assert_int_equal(adapter_forward_factors(&f->adapter, 1, &backend, &err), STATUS_NAN_LOSS);
  struct adapter *adapter;
  f->spec.hra = (struct hra_spec){.r = IN + 1, .apply_GS = true};
  assert_int_equal(adapter_new(&adapter, &f->spec, &f->linear, &list, 7, &err), STATUS_INVALID_VALUE);
  assert_non_null(strstr(err.text, "layer.3.dense"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(merge_is_the_definition),
      cmocka_unit_test(paired_start_is_the_identity),
      cmocka_unit_test(chain_gradients),
      cmocka_unit_test(gram_schmidt_gradients),
      cmocka_unit_test(penalty_gradients),
      cmocka_unit_test(telemetry_is_that_of_the_dense_map),
      cmocka_unit_test(singular_parameters_are_refused),
  };
  return cmocka_run_group_tests(tests, engine_setup, engine_teardown);
}
