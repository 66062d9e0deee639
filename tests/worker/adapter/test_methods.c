/* Conformance of every row of methods.def, as it comes and in its variants: gradients of the parameters, of the
   input and of a trained bias are those of differences, with and without recomputation; the merged weight and the
   low-rank form give the adapter's output; training starts at the base model; neither threads nor micro-batches
   change the gradient; dropout is LoRA's definition; what cannot be adapted is refused by name. */
#include "tests/worker/engine_impl.h"

#include "api/job_fields.h"
#include "base/json.h"
#include "worker/adapter/adapter.h"

enum { IN = 24, OUT = 13, ROWS = 90, MANY_ROWS = 700 };

/* Beside each method's defaults. */
static const char *const variants[] = {
    "{\"peft_type\":\"HRA\",\"r\":5}",
    "{\"peft_type\":\"HRA\",\"r\":6,\"apply_GS\":true}",
    "{\"peft_type\":\"HRA\",\"r\":17,\"init_weights\":false}",
    "{\"peft_type\":\"LORA\",\"r\":3,\"lora_alpha\":12}",
    "{\"peft_type\":\"LORA\",\"r\":9,\"use_rslora\":true,\"init_lora_weights\":\"gaussian\"}",
    "{\"peft_type\":\"LORA\",\"init_lora_weights\":false}",
    "{\"peft_type\":\"LORA\",\"lora_dropout\":0.3}",
    "{\"peft_type\":\"LORA\",\"rank_pattern\":{\"dense\":2},\"alpha_pattern\":{\"3.dense\":6}}",
    "{\"peft_type\":\"LORA\",\"use_dora\":true}",
    "{\"peft_type\":\"LORA\",\"use_dora\":true,\"r\":3,\"init_lora_weights\":false,\"lora_dropout\":0.3}",
    "{\"peft_type\":\"LORA\",\"init_lora_weights\":\"pissa\",\"r\":3,\"lora_alpha\":12}",
    "{\"peft_type\":\"LORA\",\"init_lora_weights\":\"pissa_niter_4\",\"r\":9,\"use_rslora\":true}",
    "{\"peft_type\":\"LORA\",\"init_lora_weights\":\"olora\",\"r\":13}",
    "{\"peft_type\":\"OFT\",\"oft_block_size\":8,\"num_cayley_neumann_terms\":3}",
    "{\"peft_type\":\"OFT\",\"oft_block_size\":3,\"use_cayley_neumann\":false}",
    "{\"peft_type\":\"OFT\",\"r\":2,\"num_cayley_neumann_terms\":7}",
    "{\"peft_type\":\"OFT\",\"oft_block_size\":6,\"block_share\":true}",
    "{\"peft_type\":\"OFT\",\"oft_block_size\":8,\"coft\":true,\"eps\":50}",
    "{\"peft_type\":\"OFT\",\"oft_block_size\":5,\"init_weights\":false}",
    "{\"peft_type\":\"BOFT\",\"boft_block_num\":8}",
    "{\"peft_type\":\"BOFT\",\"boft_block_size\":2,\"init_weights\":false}",
};
enum { VARIANTS = PEFT_COUNT + COUNT_OF(variants) };

static struct backend backend, one_thread;
static struct arena arena;

static int setup(void **state) {
  (void)state;
  struct error err;
  arena_init(&arena, (size_t)1 << 29);
  return cpu_open(&backend, 2, NULL, &err) != STATUS_OK || cpu_open(&one_thread, 1, NULL, &err) != STATUS_OK;
}

static int teardown(void **state) {
  (void)state;
  backend_close(&one_thread);
  backend_close(&backend);
  arena_done(&arena);
  return 0;
}

struct fixture {
  const char *text; /* the adapter as JSON */
  struct adapter_spec spec;
  struct linear linear;
  struct adapter *adapter;
  struct parameter *x, *bias;
  struct parameter_list list; /* the adapter's */
  float *y;                   /* rows x OUT, of the last run */
};

static void parse(struct adapter_spec *out, const char *text) {
  struct fault_list faults = {0};
  struct error err;
  json_t *object;
  assert_int_equal(json_parse(&object, text, strlen(text), NULL, &err), STATUS_OK);
  job_adapter_parse(out, object, "adapter", &arena, &faults);
  json_decref(object);
  if (faults.count)
    fail_msg("%s: %s", text, faults.item[0].text);
}

static const char *variant(size_t index) {
  if (index >= PEFT_COUNT)
    return variants[index - PEFT_COUNT];
  return arena_format(&arena, "{\"peft_type\":\"%s\"}", method_of((enum peft_type)index)->peft_type);
}

/* As training starts. */
static struct fixture *make(const char *text, int64_t rows) {
  struct fixture *f = arena_alloc(&arena, sizeof *f);
  struct parameter_list others = {.arena = &arena};
  struct error err;
  f->text = text;
  f->list.arena = &arena;
  parse(&f->spec, text);
  struct parameter *w = parameter_add(&others, "w", 2, OUT, IN);
  f->bias = parameter_add(&others, "bias", 1, OUT, 0);
  f->x = parameter_add(&others, "x", 2, rows, IN);
  f->y = arena_array(&arena, (size_t)rows * OUT, sizeof *f->y);
  fill(w->data, w->count, 1);
  fill(f->bias->data, f->bias->count, 2);
  fill(f->x->data, f->x->count, 3);
  f->linear = (struct linear){.name = "layer.3.dense",
                              .in = IN,
                              .out = OUT,
                              .weight = weight_of(w->data, OUT, IN),
                              .bias = f->bias->at,
                              .trained_bias = f->bias};
  if (adapter_new(&f->adapter, &f->spec, &f->linear, &f->list, 7, &err) ||
      adapter_start(&f->adapter, 1, backend.pool, 7, &err))
    fail_msg("%s: %s", text, err.text);
  adapter_put(&f->linear, f->adapter);
  return f;
}

/* OUT x IN */
static const float *weights(const struct fixture *f) {
  return weight_rows(&f->linear.weight, 0, OUT, NULL);
}

/* As it is after some training. */
static struct fixture *make_trained(const char *text, int64_t rows) {
  struct fixture *f = make(text, rows);
  for (size_t i = 0; i < f->list.count; i++) {
    struct parameter *p = f->list.item[i];
    float *by = arena_array(&arena, p->count, sizeof *by);
    fill(by, p->count, 10 + i);
    for (size_t j = 0; j < p->count; j++)
      p->data[j] += 0.2f * by[j];
  }
  return f;
}

static void prepare(struct fixture *f, struct backend *on) {
  struct error err;
  if (adapter_forward_factors(&f->adapter, 1, on, &err))
    fail_msg("%s: %s", f->text, err.text);
}

static void keep_forward(struct tape *tape, const struct node *node) {
  float *const *y = node->attributes;
  size_t bytes = node->in[0]->rows * node->in[0]->cols * sizeof(float);
  tape->backend->ops->read(tape->backend, *y, node->in[0]->data, bytes);
}

static void keep_backward(struct tape *tape, const struct node *node) {
  (void)tape;
  (void)node;
}

static const struct op_body keep_body = {.forward = keep_forward, .backward = keep_backward};
static const struct op op_keep = {.name = "keep", .body = &keep_body};

/* x -> [linear -> gelu] -> loss, what is in brackets being a block that can be recomputed. */
static void build(struct tape *tape, const struct graph *g, double *loss) {
  const struct fixture *f = g->extra;
  struct tensor *x = graph_input(tape, g->x);
  tape_segment_begin(tape, 0);
  struct tensor *y = op_gelu(tape, op_linear(tape, x, &f->linear));
  tape_segment_end(tape);
  struct tensor *in[NODE_INPUTS] = {y}, *out[NODE_OUTPUTS] = {0};
  tape_record(tape, &op_keep, &f->y, in, out);
  graph_loss(tape, y, loss);
}

static struct graph graph_of(const struct fixture *f) {
  return (struct graph){.build = build, .backend = &backend, .x = f->x, .extra = f};
}

static void clear(struct fixture *f) {
  parameter_zero_grads(&f->list);
  memset(f->x->grad, 0, f->x->count * sizeof(float));
  memset(f->bias->grad, 0, f->bias->count * sizeof(float));
}

/* One optimiser step's gradients; the loss. */
static double run(struct fixture *f, struct graph *g) {
  clear(f);
  prepare(f, g->backend);
  double loss = graph_run(g, true);
  adapter_backward_factors(&f->adapter, 1, g->backend, 0);
  return loss;
}

static double distance(const float *a, const float *b, size_t count, double *norm) {
  double diff = 0;
  *norm = 0;
  for (size_t i = 0; i < count; i++) {
    double d = (double)a[i] - (double)b[i];
    diff += d * d;
    *norm += (double)a[i] * (double)a[i];
  }
  *norm = sqrt(*norm);
  return sqrt(diff);
}

static void close_to(const struct fixture *f, const char *what, const float *a, const float *b, size_t count,
                     double tolerance) {
  double norm, diff = distance(a, b, count, &norm);
  if (!(diff <= tolerance * norm) || norm == 0)
    fail_msg("%s: %s is off by %g of %g", f->text, what, diff, norm);
}

/* The gradient that is in `p` against central differences. The lengths that DoRA divides by are constants of its A and
   B, so what is multiplied with is held. */
static void check_gradient(struct fixture *f, struct graph *g, struct parameter *p) {
  enum { POINTS = 30 };
  bool held = strstr(p->key, "lora_") && !strstr(p->key, "magnitude") && f->spec.lora.use_dora;
  float scale[OUT];
  if (held)
    memcpy(scale, place_floats(f->adapter->scale.scale), sizeof scale);
  float step = 1e-2f, numeric[POINTS], have[POINTS];
  for (size_t n = 0; n < POINTS; n++) {
    size_t i = (n * 7919 + 13) % p->count;
    float old = p->data[i];
    double at[4];
    for (int k = 0; k < 4; k++) {
      p->data[i] = old + step * (float[]){-2, -1, 1, 2}[k];
      prepare(f, g->backend);
      if (held)
        memcpy(place_floats(f->adapter->scale.scale), scale, sizeof scale);
      at[k] = graph_run(g, false);
    }
    p->data[i] = old;
    numeric[n] = (float)((at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * (double)step));
    have[n] = p->grad[i];
  }
  close_to(f, p->key, numeric, have, POINTS, 3e-3);
}

static void gradients_are_those_of_differences(void **state) {
  (void)state;
  for (size_t v = 0; v < VARIANTS; v++) {
    struct fixture *f = make_trained(variant(v), ROWS);
    struct graph g = graph_of(f);
    run(f, &g);
    for (size_t i = 0; i < f->list.count; i++)
      if (!f->list.item[i]->frozen)
        check_gradient(f, &g, f->list.item[i]);
    check_gradient(f, &g, f->x);
    check_gradient(f, &g, f->bias);
  }
}

static void recomputation_changes_nothing(void **state) {
  (void)state;
  for (size_t v = 0; v < VARIANTS; v++) {
    struct fixture *kept = make_trained(variant(v), ROWS), *again = make_trained(variant(v), ROWS);
    struct graph g = graph_of(kept), h = graph_of(again);
    h.recompute = true;
    assert_true(run(kept, &g) == run(again, &h));
    assert_memory_equal(kept->x->grad, again->x->grad, kept->x->count * sizeof(float));
    for (size_t i = 0; i < kept->list.count; i++)
      assert_memory_equal(kept->list.item[i]->grad, again->list.item[i]->grad,
                          kept->list.item[i]->count * sizeof(float));
  }
}

static void threads_change_nothing(void **state) {
  (void)state;
  for (size_t v = 0; v < VARIANTS; v++) {
    struct fixture *two = make_trained(variant(v), MANY_ROWS), *one = make_trained(variant(v), MANY_ROWS);
    struct graph g = graph_of(two), h = graph_of(one);
    h.backend = &one_thread;
    assert_true(run(two, &g) == run(one, &h));
    assert_memory_equal(two->x->grad, one->x->grad, two->x->count * sizeof(float));
    assert_memory_equal(two->bias->grad, one->bias->grad, two->bias->count * sizeof(float));
    for (size_t i = 0; i < two->list.count; i++)
      assert_memory_equal(two->list.item[i]->grad, one->list.item[i]->grad, two->list.item[i]->count * sizeof(float));
  }
}

/* Two micro-batches between one `prepare` and one `finish` are two steps' gradients summed. */
static void micro_batches_add_up(void **state) {
  (void)state;
  for (size_t v = 0; v < VARIANTS; v++) {
    struct fixture *f = make_trained(variant(v), ROWS), *sum = make_trained(variant(v), ROWS);
    struct graph g = graph_of(f), h = graph_of(sum);
    prepare(f, &backend);
    for (int batch = 0; batch < 2; batch++) {
      fill(f->x->data, f->x->count, 20 + (uint64_t)batch);
      fill(sum->x->data, sum->x->count, 20 + (uint64_t)batch);
      graph_run(&g, true);
      prepare(sum, &backend);
      graph_run(&h, true);
      adapter_backward_factors(&sum->adapter, 1, &backend, 0);
    }
    adapter_backward_factors(&f->adapter, 1, &backend, 0);
    for (size_t i = 0; i < f->list.count; i++)
      if (!f->list.item[i]->frozen)
        close_to(f, f->list.item[i]->key, sum->list.item[i]->grad, f->list.item[i]->grad, f->list.item[i]->count, 1e-5);
  }
}

/* The output of a step that does not train. */
static void evaluate(struct fixture *f, const struct linear *linear, float *out) {
  struct tape tape;
  struct plan *plan;
  struct error err;
  double loss = 0;
  struct linear own = f->linear;
  struct graph g = graph_of(f);
  f->linear = *linear;
  f->y = out;
  assert_int_equal(tape_init(&tape, &backend, &err), STATUS_OK);
  tape_plan_begin(&tape, false);
  build(&tape, &g, &loss);
  assert_int_equal(tape_plan_end(&tape, &plan, &err), STATUS_OK);
  tape_begin(&tape, plan, false);
  build(&tape, &g, &loss);
  tape_plan_free(plan);
  tape_done(&tape);
  f->linear = own;
}

static void merged_and_low_rank_forms_are_the_adapter(void **state) {
  (void)state;
  for (size_t v = 0; v < VARIANTS; v++) {
    float merged[OUT * IN], low[OUT * IN], by_adapter[ROWS * OUT], by_merged[ROWS * OUT];
    struct fixture *f = make_trained(variant(v), ROWS);
    const struct adapter_ops *ops = f->adapter->ops;
    prepare(f, &backend);
    ops->merge(f->adapter, &backend, merged);
    struct linear plain = f->linear;
    plain.weight = weight_of(merged, OUT, IN);
    plain.low_rank = NULL;
    plain.rotation = NULL;
    plain.scale = NULL;
    evaluate(f, &f->linear, by_adapter);
    evaluate(f, &plain, by_merged);
    close_to(f, "the merged output", by_adapter, by_merged, ROWS * OUT, 1e-6);
    assert_int_equal(ops->low_rank != NULL, adapter_spec_low_rank(&f->spec));
    if (!ops->low_rank)
      continue;
    size_t r = f->adapter->rank;
    float *A = arena_array(&arena, r * IN, sizeof *A), *B = arena_array(&arena, OUT * r, sizeof *B);
    ops->low_rank(f->adapter, &backend, A, B);
    for (size_t o = 0; o < OUT; o++)
      for (size_t i = 0; i < IN; i++) {
        double sum = (double)weights(f)[o * IN + i];
        for (size_t j = 0; j < r; j++)
          sum += (double)B[o * r + j] * (double)A[j * IN + i];
        low[o * IN + i] = (float)sum;
      }
    close_to(f, "the low-rank form", merged, low, OUT * IN, 1e-6);
  }
}

/* A method's defaults leave the base model as it is; "init..." : false does not. */
static void training_starts_at_the_base_model(void **state) {
  (void)state;
  for (size_t v = 0; v < VARIANTS; v++) {
    float merged[OUT * IN];
    double norm;
    struct fixture *f = make(variant(v), ROWS);
    bool away = strstr(f->text, "weights\":false") || strstr(f->text, "apply_GS") || strstr(f->text, "\"r\":5");
    prepare(f, &backend);
    f->adapter->ops->merge(f->adapter, &backend, merged);
    double diff = distance(weights(f), merged, OUT * IN, &norm);
    if (away ? diff < 1e-2 * norm : diff > 1e-6 * norm)
      fail_msg("%s starts %g of %g away", f->text, diff, norm);
    for (size_t i = 0; i < f->list.count; i++)
      assert_true(f->list.item[i]->decay);
  }
}

static void seeds_and_names_decide_the_start(void **state) {
  (void)state;
  for (size_t v = 0; v < VARIANTS; v++) {
    struct fixture *f = make(variant(v), 1), *same = make(variant(v), 1);
    struct adapter *other;
    struct linear linear = f->linear;
    struct parameter_list list = {.arena = &arena};
    struct error err;
    linear.name = "layer.4.dense";
    const char *text = strstr(f->text, "pattern") ? "{\"peft_type\":\"LORA\",\"r\":2}" : f->text;
    parse(&same->spec, text);
    assert_int_equal(adapter_new(&other, &same->spec, &linear, &list, 7, &err), STATUS_OK);
    for (size_t i = 0; i < f->list.count; i++) {
      const struct parameter *p = f->list.item[i];
      bool constant = true;
      for (size_t j = 1; j < p->count && constant; j++)
        constant = p->data[j] == p->data[0];
      assert_memory_equal(p->data, same->list.item[i]->data, p->count * sizeof(float));
      assert_int_equal(p->count, list.item[i]->count);
      bool follows = strstr(p->key, "magnitude") != NULL; /* from the weight */
      if (!constant && !follows && memcmp(p->data, list.item[i]->data, p->count * sizeof(float)) == 0)
        fail_msg("%s: two layers start with the same %s", f->text, p->key);
    }
  }
}

/* Blocks of two with the same skew-symmetric Q: the Cayley transform turns each plane by 2 atan(q). */
static void telemetry_tells_the_angle(void **state) {
  (void)state;
  struct fixture *f = make("{\"peft_type\":\"BOFT\",\"boft_block_size\":2}", 1);
  struct adapter_telemetry told;
  float *R = f->adapter->parameters[0]->data;
  prepare(f, &backend);
  f->adapter->ops->telemetry(f->adapter, &told);
  assert_true(told.angle < 1e-3 && told.defect_max < 1e-6);
  for (size_t i = 0; i < f->adapter->parameters[0]->count; i += 4) {
    R[i + 1] = 0.3f;
    R[i + 2] = -0.3f;
  }
  prepare(f, &backend);
  f->adapter->ops->telemetry(f->adapter, &told);
  assert_true(fabs(told.angle - 2 * atan(0.3)) < 1e-5);
  assert_true(told.defect_max < 1e-6);
  f = make("{\"peft_type\":\"LORA\",\"r\":4}", 1);
  prepare(f, &backend);
  assert_null(f->adapter->ops->telemetry); /* no orthogonal map */
}

/* The constraint is met, and a second `prepare` finds nothing left to do. */
static void constrained_rotations_stay_near_the_identity(void **state) {
  (void)state;
  static const char *const texts[] = {
      "{\"peft_type\":\"OFT\",\"oft_block_size\":8,\"coft\":true,\"eps\":0.4}",
      "{\"peft_type\":\"OFT\",\"oft_block_size\":8,\"coft\":true,\"eps\":0.4,\"block_share\":true}"};
  for (size_t t = 0; t < COUNT_OF(texts); t++) {
    struct fixture *f = make_trained(texts[t], 1);
    struct parameter *p = f->list.item[0];
    size_t rows = (size_t)p->shape[0], cols = (size_t)p->shape[1];
    float *once = arena_array(&arena, p->count, sizeof *once);
    prepare(f, &backend);
    for (size_t i = 0; i < rows; i++) {
      double sum = 0;
      for (size_t j = 0; j < cols; j++)
        sum += 2 * (double)p->data[i * cols + j] * (double)p->data[i * cols + j];
      assert_true(fabs(sqrt(sum) - 0.4 / sqrt((double)rows)) < 1e-6);
    }
    for (uint64_t seed = 30; seed < 60; seed++) { /* whichever way the first one rounded */
      fill(p->data, p->count, seed);
      prepare(f, &backend);
      memcpy(once, p->data, p->count * sizeof *once);
      prepare(f, &backend);
      assert_memory_equal(once, p->data, p->count * sizeof *once);
    }
  }
}

/* y = x W^T + b + s (mask * x) A^T B^T, the mask being that of the tape's first dropout; none in evaluation. */
static void dropout_masks_what_lora_reads(void **state) {
  (void)state;
  static float x[ROWS * IN], want[ROWS * OUT], gelu[ROWS * OUT], y[ROWS * OUT], plain[ROWS * OUT];
  struct fixture *f = make_trained("{\"peft_type\":\"LORA\",\"r\":4,\"lora_dropout\":0.4}", ROWS);
  struct graph g = graph_of(f);
  f->y = y;
  prepare(f, &backend);
  graph_run(&g, false);
  struct dropout mask = dropout_make(0.4, 0, 0, 0);
  const float *A = f->list.item[0]->data, *B = f->list.item[1]->data;
  backend.kernels->dropout(x, f->x->data, 0, ROWS, IN, &mask);
  for (size_t n = 0; n < ROWS; n++)
    for (size_t o = 0; o < OUT; o++) {
      double sum = (double)f->bias->data[o];
      for (size_t i = 0; i < IN; i++) {
        sum += (double)f->x->data[n * IN + i] * (double)weights(f)[o * IN + i];
        for (size_t j = 0; j < 4; j++)
          sum += 8.0 / 4 * (double)x[n * IN + i] * (double)A[j * IN + i] * (double)B[o * 4 + j];
      }
      want[n * OUT + o] = (float)sum;
    }
  backend.kernels->gelu(gelu, want, ROWS * OUT);
  close_to(f, "the output with dropout", gelu, y, ROWS * OUT, 1e-6);
  evaluate(f, &f->linear, plain);
  double norm, diff = distance(plain, y, ROWS * OUT, &norm);
  assert_true(diff > 1e-2 * norm);
}

static void refused(const char *text, size_t in, enum status status, const char *param, const char *says) {
  struct adapter_spec spec;
  struct adapter *adapter;
  struct error err;
  struct parameter_list list = {.arena = &arena};
  float weight[OUT * IN] = {0};
  struct linear linear = {.name = "layer.3.dense", .in = in, .out = OUT, .weight = weight_of(weight, OUT, in)};
  parse(&spec, text);
  enum status got = adapter_new(&adapter, &spec, &linear, &list, 7, &err);
  if (got != status || strcmp(err.param, param) != 0 || !strstr(err.text, says))
    fail_msg("%s: %s %s: %s", text, status_code(got), got ? err.param : "", got ? err.text : "accepted");
}

static void layers_that_do_not_fit_are_refused(void **state) {
  (void)state;
  refused("{\"peft_type\":\"OFT\",\"oft_block_size\":2}", 21, STATUS_INVALID_VALUE, "adapter.oft_block_size",
          "layer.3.dense has 21 inputs");
  refused("{\"peft_type\":\"OFT\",\"r\":24}", 24, STATUS_INVALID_VALUE, "adapter.r", "layer.3.dense has 24 inputs");
  refused("{\"peft_type\":\"BOFT\"}", 21, STATUS_INVALID_VALUE, "adapter.boft_block_size",
          "boft_block_size 4 does not divide");
  refused("{\"peft_type\":\"BOFT\",\"boft_block_num\":5}", 21, STATUS_INVALID_VALUE, "adapter.boft_block_num",
          "boft_block_num 5 does not divide");
  refused("{\"peft_type\":\"LORA\",\"rank_pattern\":{\"(\":2}}", 21, STATUS_INVALID_VALUE, "adapter.rank_pattern",
          "no regular expression");
  refused("{\"peft_type\":\"LORA\",\"use_dora\":true}", 21, STATUS_INVALID_VALUE, "adapter.use_dora",
          "row 0 of layer.3.dense is all zeros");
  refused("{\"peft_type\":\"LORA\",\"init_lora_weights\":\"pissa\",\"r\":14}", 21, STATUS_INVALID_VALUE, "adapter.r",
          "14 for layer.3.dense, whose weight is 13 x 21");
  refused("{\"peft_type\":\"HRA\",\"r\":22,\"apply_GS\":true}", 21, STATUS_INVALID_VALUE, "adapter.r", "layer.3.dense");
}

/* s B A, as a part of the weight: what is left of it is orthogonal to it (PiSSA, OLoRA), and as small as a matrix of
   rank r can leave it (PiSSA); training changes A and B alone. */
static void starts_from_the_weight_are_parts_of_it(void **state) {
  (void)state;
  static const char *const texts[] = {
      "{\"peft_type\":\"LORA\",\"init_lora_weights\":\"pissa\",\"r\":4,\"lora_alpha\":12}",
      "{\"peft_type\":\"LORA\",\"init_lora_weights\":\"pissa_niter_16\",\"r\":4}",
      "{\"peft_type\":\"LORA\",\"init_lora_weights\":\"olora\",\"r\":4}"};
  double left[COUNT_OF(texts)];
  for (size_t t = 0; t < COUNT_OF(texts); t++) {
    struct fixture *f = make(texts[t], 1);
    struct parameter **p = f->adapter->parameters;
    const float *A = p[0]->data, *B = p[1]->data;
    double s = f->spec.lora.init_lora_weights == LORA_INIT_OLORA ? 1 : f->spec.lora.lora_alpha / 4, inner = 0, all = 0;
    left[t] = 0;
    assert_int_equal(f->list.count, 4);
    assert_int_equal(f->adapter->rank, 8);
    assert_int_equal(parameter_trained(&f->list), p[0]->count + p[1]->count);
    for (size_t o = 0; o < OUT; o++)
      for (size_t i = 0; i < IN; i++) {
        double part = 0, w = (double)weights(f)[o * IN + i];
        for (size_t k = 0; k < 4; k++)
          part += s * (double)B[o * 4 + k] * (double)A[k * IN + i];
        inner += part * (w - part);
        all += w * w;
        left[t] += (w - part) * (w - part);
      }
    assert_true(fabs(inner) < 1e-6 * all && left[t] < 0.9 * all);
  }
  assert_true(left[0] < left[2] && fabs(left[1] / left[0] - 1) < 0.02);
}

static void a_weight_that_is_not_finite_is_refused(void **state) {
  (void)state;
  static const char *const inits[] = {"pissa", "pissa_niter_2", "olora"};
  for (size_t i = 0; i < COUNT_OF(inits); i++) {
    struct fixture *f = make("{\"peft_type\":\"LORA\"}", 1);
    struct adapter *adapter;
    struct error err;
    float *w = (float *)(uintptr_t)weights(f);
    w[3 * IN] = NAN;
    parse(&f->spec, arena_format(&arena, "{\"peft_type\":\"LORA\",\"r\":4,\"init_lora_weights\":\"%s\"}", inits[i]));
    assert_int_equal(adapter_new(&adapter, &f->spec, &f->linear, &f->list, 7, &err), STATUS_OK);
    assert_int_equal(adapter_start(&adapter, 1, backend.pool, 7, &err), STATUS_INVALID_VALUE);
    assert_non_null(strstr(err.text, "layer.3.dense: the weight has numbers that are not finite"));
  }
}

/* y = x W^T + b + (c - 1) o (d W^T) + c o s (d A^T B^T), d = dropout(x), c = m / |W + s B A|. */
static void dora_is_pefts_definition(void **state) {
  (void)state;
  static float d[ROWS * IN], want[ROWS * OUT], gelu[ROWS * OUT], y[ROWS * OUT];
  struct fixture *f = make_trained("{\"peft_type\":\"LORA\",\"r\":4,\"use_dora\":true,\"lora_dropout\":0.4}", ROWS);
  struct graph g = graph_of(f);
  f->y = y;
  prepare(f, &backend);
  graph_run(&g, false);
  struct dropout mask = dropout_make(0.4, 0, 0, 0);
  const float *A = f->list.item[0]->data, *B = f->list.item[1]->data, *m = f->list.item[2]->data;
  backend.kernels->dropout(d, f->x->data, 0, ROWS, IN, &mask);
  for (size_t o = 0; o < OUT; o++) {
    double change[IN], squares = 0;
    for (size_t i = 0; i < IN; i++) {
      change[i] = 0;
      for (size_t j = 0; j < 4; j++)
        change[i] += 8.0 / 4 * (double)B[o * 4 + j] * (double)A[j * IN + i];
      squares += pow((double)weights(f)[o * IN + i] + change[i], 2);
    }
    double c = (double)m[o] / sqrt(squares);
    for (size_t n = 0; n < ROWS; n++) {
      double sum = (double)f->bias->data[o];
      for (size_t i = 0; i < IN; i++) {
        double w = (double)weights(f)[o * IN + i], at = (double)d[n * IN + i];
        sum += (double)f->x->data[n * IN + i] * w + (c - 1) * at * w + c * at * change[i];
      }
      want[n * OUT + o] = (float)sum;
    }
  }
  backend.kernels->gelu(gelu, want, ROWS * OUT);
  close_to(f, "the output of DoRA with dropout", gelu, y, ROWS * OUT, 1e-6);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_are_those_of_differences),
      cmocka_unit_test(recomputation_changes_nothing),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(micro_batches_add_up),
      cmocka_unit_test(merged_and_low_rank_forms_are_the_adapter),
      cmocka_unit_test(training_starts_at_the_base_model),
      cmocka_unit_test(seeds_and_names_decide_the_start),
      cmocka_unit_test(constrained_rotations_stay_near_the_identity),
      cmocka_unit_test(telemetry_tells_the_angle),
      cmocka_unit_test(dropout_masks_what_lora_reads),
      cmocka_unit_test(dora_is_pefts_definition),
      cmocka_unit_test(layers_that_do_not_fit_are_refused),
      cmocka_unit_test(starts_from_the_weight_are_parts_of_it),
      cmocka_unit_test(a_weight_that_is_not_finite_is_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
