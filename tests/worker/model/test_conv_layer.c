/* Proves that the convolution of DeBERTa v2 is Transformers': its numbers against plain loops, each sequence by itself,
   dropout between the convolution and the activation; that its gradients are the derivatives, recomputed or not; that
   of all its numbers the biases alone can be trained. */
#include <stdio.h>

#include "tests/worker/engine_cpu.h"
#include "worker/model/conv_layer.h"

enum { C = 11, N = 30, B = 5, KERNEL_MAX = 5 };
static const char golden[] = "tests/golden/cases/deberta-conv-hra/model";
static const uint32_t offsets[B + 1] = {0, 5, 6, 8, 19, N};

static struct sequences sequences;

static int setup(void **state) {
  sequences = sequences_host(B, N, 11, offsets, NULL, NULL);
  return engine_setup(state);
}

/* --- the layer by itself -------------------------------------------------------------------------- */

struct trial {
  struct conv_layer layer;
  enum pooling rows;
  double dropout;
  float weight[C * C * KERNEL_MAX], norm_weight[C], norm_bias[C];
};

static void make(struct trial *t, size_t kernel, load_activation_op *activation, enum pooling rows, double dropout) {
  struct parameter *bias = matrix("bias", C, 0, 1);
  *t = (struct trial){.rows = rows, .dropout = dropout};
  fill(t->weight, C * C * kernel, 2);
  fill(t->norm_weight, C, 3);
  fill(t->norm_bias, C, 4);
  t->layer = (struct conv_layer){
      .kernel = kernel,
      .conv = {.name = "conv", .in = C * kernel, .out = C, .bias = bias->at, .trained_bias = bias},
      .norm = {.channels = C, .epsilon = 1e-5f},
      .activation = activation,
  };
  t->layer.conv.weight = weight_of(t->weight, C, C * kernel);
  t->layer.norm.weight = place_host(t->norm_weight);
  t->layer.norm.bias = place_host(t->norm_bias);
}

static void build(struct tape *tape, const struct graph *g, double *loss) {
  const struct trial *t = g->extra;
  struct tensor *x = graph_input(tape, g->x), *residual = graph_input(tape, g->y);
  tape_segment_begin(tape, 0);
  struct tensor *y = conv_layer_forward(tape, &t->layer, x, residual, &g->sequences, t->rows, t->dropout);
  tape_segment_end(tape);
  graph_loss(tape, y, loss);
}

static struct graph graph_of(const struct trial *t) {
  return (struct graph){.build = build,
                        .backend = &backend,
                        .x = matrix("x", N, C, 5),
                        .y = matrix("residual", t->rows == POOLING_CLS ? B : N, C, 6),
                        .sequences = sequences,
                        .extra = t};
}

/* conv(x) at one row of sequence b. */
static double convolved(const struct trial *t, const float *x, size_t b, size_t row, size_t out) {
  long half = (long)t->layer.kernel / 2;
  double sum = (double)t->layer.conv.trained_bias->data[out];
  for (size_t c = 0; c < C; c++)
    for (long k = 0; k < (long)t->layer.kernel; k++) {
      long seen = (long)row + k - half;
      if (seen >= (long)offsets[b] && seen < (long)offsets[b + 1])
        sum += (double)t->weight[(out * C + c) * t->layer.kernel + (size_t)k] * (double)x[(size_t)seen * C + c];
    }
  return sum;
}

/* The loss of the layer's output at one row; `at` is the row's place in the output. */
static double row_loss(const struct trial *t, const struct graph *g, const float *mask, size_t b, size_t row,
                       size_t at) {
  double v[C], mean = 0, squares = 0, loss = 0;
  for (size_t c = 0; c < C; c++) {
    double u = convolved(t, g->x->data, b, row, c) * (double)mask[at * C + c];
    v[c] = (double)g->y->data[at * C + c] + (t->layer.activation == op_tanh ? tanh(u) : u * 0.5 * erfc(-u / sqrt(2)));
    mean += v[c] / C;
  }
  for (size_t c = 0; c < C; c++)
    squares += (v[c] - mean) * (v[c] - mean) / C;
  for (size_t c = 0; c < C; c++)
    loss += (double)loss_weight(at * C + c) *
            ((v[c] - mean) / sqrt(squares + 1e-5) * (double)t->norm_weight[c] + (double)t->norm_bias[c]);
  return loss;
}

static void check_values(const struct trial *t) {
  struct graph g = graph_of(t);
  struct dropout d = dropout_make(t->dropout, 0, 0, 0); /* the first of a step */
  float ones[N * C], mask[N * C];
  double want = 0;
  for (size_t i = 0; i < COUNT_OF(ones); i++)
    ones[i] = mask[i] = 1;
  if (t->dropout > 0)
    backend.kernels->dropout(mask, ones, 0, N, C, &d);
  for (size_t b = 0; b < B; b++)
    for (size_t row = offsets[b]; row < (t->rows == POOLING_CLS ? offsets[b] + 1 : offsets[b + 1]); row++)
      want += row_loss(t, &g, mask, b, row, t->rows == POOLING_CLS ? b : row);
  double got = graph_run(&g, false);
  if (!(fabs(got - want) < 1e-4))
    fail_msg("kernel %zu, rows %d: %g, not %g", t->layer.kernel, (int)t->rows, got, want);
}

static void values_are_those_of_plain_loops(void **state) {
  (void)state;
  load_activation_op *const activations[] = {op_gelu, op_tanh};
  const size_t kernels[] = {1, 3, 5};
  static struct trial t;
  for (size_t k = 0; k < COUNT_OF(kernels); k++)
    for (size_t a = 0; a < COUNT_OF(activations); a++)
      for (int dropped = 0; dropped < 2; dropped++) {
        make(&t, kernels[k], activations[a], POOLING_NONE, dropped * 0.3);
        check_values(&t);
        make(&t, kernels[k], activations[a], POOLING_CLS, dropped * 0.3);
        check_values(&t);
      }
}

static void gradients_are_derivatives(void **state) {
  (void)state;
  static struct trial t;
  for (int cls = 0; cls < 2; cls++) {
    make(&t, 3, cls ? op_tanh : op_gelu, cls ? POOLING_CLS : POOLING_NONE, 0.3);
    struct graph g = graph_of(&t);
    for (int recompute = 0; recompute < 2; recompute++) {
      g.recompute = recompute;
      graph_check(&g, g.x, 100, 3e-3);
      graph_check(&g, g.y, 50, 3e-3);
      graph_check(&g, t.layer.conv.trained_bias, C, 3e-3);
    }
  }
}

/* --- in a model ----------------------------------------------------------------------------------- */

static struct adapter_spec spec_of(const char *pattern, enum adapter_bias bias) {
  return (struct adapter_spec){.peft_type = PEFT_HRA,
                               .bias = bias,
                               .hra = {.r = 4, .init_weights = true},
                               .target_modules = {.pattern = pattern}};
}

static void open_model(struct model *model) {
  struct error err;
  if (model_open(model, golden, OUTPUT_CLASS, 3, 5, &backend, &err))
    fail_msg("%s", err.text);
}

static size_t parameters_within(const struct model *m, const char *part) {
  size_t count = 0;
  for (size_t i = 0; i < m->parameters.count; i++)
    count += strstr(m->parameters.item[i]->key, part) != NULL;
  return count;
}

static void biases_alone_are_trained(void **state) {
  (void)state;
  static const enum adapter_bias biases[] = {BIAS_NONE, BIAS_METHOD_ONLY, BIAS_ALL};
  struct error err;
  for (size_t i = 0; i < COUNT_OF(biases); i++) {
    struct model model;
    struct adapter_spec spec = spec_of("all-linear", biases[i]);
    open_model(&model);
    if (model_adapt(&model, &spec, 5, &err))
      fail_msg("%s", err.text);
    assert_string_equal(model.convolution->name, "deberta.encoder.conv.conv");
    size_t all = biases[i] == BIAS_ALL;
    assert_int_equal(parameters_within(&model, ".conv."), 2 * all);
    assert_int_equal(parameters_within(&model, "base_model.model.deberta.encoder.conv.conv.bias"), all);
    assert_int_equal(parameters_within(&model, "base_model.model.deberta.encoder.conv.LayerNorm.bias"), all);
    model_close(&model);
  }
}

static void refuses(struct adapter_spec spec, const char *member) {
  struct model model;
  struct error err;
  open_model(&model);
  assert_int_equal(model_adapt(&model, &spec, 5, &err), STATUS_UNSUPPORTED_TARGET);
  assert_string_equal(err.param, member);
  if (!strstr(err.text, "Conv1d"))
    fail_msg("%s", err.text);
  model_close(&model);
}

static void no_adapter_goes_on_it(void **state) {
  (void)state;
  static const char *targets[] = {"query_proj", "conv.conv"}, *saved[] = {"conv"};
  struct adapter_spec listed = spec_of(NULL, BIAS_NONE), whole = spec_of("all-linear", BIAS_NONE);
  listed.target_modules.names = (struct string_list){2, targets};
  whole.modules_to_save = (struct string_list){1, saved};
  refuses(listed, "adapter.target_modules");
  refuses(spec_of(".*(query_proj|conv)", BIAS_NONE), "adapter.target_modules");
  refuses(whole, "adapter.modules_to_save");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_are_those_of_plain_loops),
      cmocka_unit_test(gradients_are_derivatives),
      cmocka_unit_test(biases_alone_are_trained),
      cmocka_unit_test(no_adapter_goes_on_it),
  };
  return cmocka_run_group_tests(tests, setup, engine_teardown);
}
