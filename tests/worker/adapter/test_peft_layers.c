/* Proves every method against PEFT itself: layers that PEFT adapted with random parameters (peft_layers.json, made by
   make_peft_layers.py) give the same outputs, gradients and merged weights here, with the same configuration. */
#include "tests/worker/engine_impl.h"

#include "api/job_fields.h"
#include "base/json.h"
#include "worker/adapter/adapter.h"
#include "worker/file/safetensors.h"

enum { OUT = 10 };

static struct backend backend;
static struct arena arena;
static struct safetensors file;
static json_t *cases;

static int setup(void **state) {
  (void)state;
  struct error err;
  arena_init(&arena, (size_t)1 << 28);
  return cpu_open(&backend, 2, NULL, &err) != STATUS_OK ||
         safetensors_open(&file, "tests/worker/adapter/peft_layers.safetensors", &err) != STATUS_OK ||
         json_parse_file(&cases, "tests/worker/adapter/peft_layers.json", NULL, &err) != STATUS_OK;
}

static int teardown(void **state) {
  (void)state;
  json_decref(cases);
  safetensors_close(&file);
  backend_close(&backend);
  arena_done(&arena);
  return 0;
}

struct layer {
  const char *name; /* of the case */
  struct adapter_spec spec;
  struct linear linear;
  struct adapter *adapter;
  struct parameter *x;
  struct parameter_list list; /* the adapter's parameters only */
  float *y;                   /* rows x OUT */
};

static const struct st_tensor *tensor(const char *format, ...) {
  char name[100];
  va_list args;
  va_start(args, format);
  vsnprintf(name, sizeof name, format, args);
  va_end(args);
  const struct st_tensor *t = safetensors_find(&file, name);
  if (!t)
    fail_msg("no tensor %s", name);
  return t;
}

static float *values(const struct st_tensor *t) {
  struct error err;
  float *out = arena_array(&arena, (size_t)st_elements(t), sizeof *out);
  assert_non_null(out);
  assert_int_equal(st_to_f32(out, t, &err), STATUS_OK);
  return out;
}

/* `want` of the case against what is here, relative to its norm. */
static void near(const struct layer *l, const char *what, const float *have, const struct st_tensor *t) {
  const float *want = values(t);
  double diff = 0, norm = 0;
  for (int64_t i = 0; i < st_elements(t); i++) {
    double d = (double)want[i] - (double)have[i];
    diff += d * d;
    norm += (double)want[i] * (double)want[i];
  }
  if (!(sqrt(diff) <= 2e-6 * sqrt(norm)))
    fail_msg("%s: %s is off by %g of %g", l->name, what, sqrt(diff), sqrt(norm));
}

/* An op in front of the loss that keeps the output for the test. */
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

static void build(struct tape *tape, const struct graph *g, double *loss) {
  const struct layer *l = g->extra;
  struct error err;
  if (!tape->dry)
    assert_int_equal(adapter_forward_factors(&l->adapter, 1, g->backend, &err), STATUS_OK);
  struct tensor *y = op_linear(tape, graph_input(tape, g->x), &l->linear);
  float *const *to = &l->y;
  struct tensor *in[NODE_INPUTS] = {y}, *out[NODE_OUTPUTS] = {0};
  tape_record(tape, &op_keep, to, in, out);
  graph_loss(tape, y, loss);
}

static void load(struct layer *l, const json_t *item, size_t index) {
  struct fault_list faults = {0};
  struct error err;
  *l = (struct layer){.name = json_string_value(json_object_get(item, "name")), .list = {.arena = &arena}};
  long long in = json_integer_value(json_object_get(item, "inputs"));
  job_adapter_parse(&l->spec, json_object_get(item, "adapter"), "adapter", &arena, &faults);
  if (faults.count)
    fail_msg("%s: %s", l->name, faults.item[0].text);
  l->linear = (struct linear){.name = "layer.3.dense",
                              .in = (size_t)in,
                              .out = OUT,
                              .weight = weight_of(values(tensor("%lld.weight", in)), OUT, (size_t)in),
                              .bias = place_host(values(tensor("%lld.bias", in)))};
  const struct st_tensor *x = tensor("%lld.x", in);
  struct parameter_list inputs = {.arena = &arena};
  l->x = parameter_add(&inputs, "x", 2, x->shape[0], x->shape[1]);
  memcpy(l->x->data, values(x), l->x->count * sizeof(float));
  l->y = arena_array(&arena, (size_t)x->shape[0] * OUT, sizeof *l->y);
  if (adapter_new(&l->adapter, &l->spec, &l->linear, &l->list, 7, &err))
    fail_msg("%s: %s", l->name, err.text);
  adapter_put(&l->linear, l->adapter);
  assert_int_equal(l->list.count, json_array_size(json_object_get(item, "parameters")));
  for (size_t i = 0; i < l->list.count; i++) {
    struct parameter *p = l->list.item[i];
    const char *suffix = p->key + strlen("base_model.model.layer.3.dense.");
    const struct st_tensor *t = tensor("%zu.%s", index, suffix);
    assert_int_equal(t->rank, p->rank);
    for (int d = 0; d < p->rank; d++)
      if (t->shape[d] != p->shape[d])
        fail_msg("%s: dimension %d of %s is %lld, PEFT's %lld", l->name, d, p->key, (long long)p->shape[d],
                 (long long)t->shape[d]);
    memcpy(p->data, values(t), p->count * sizeof(float));
  }
}

static void compare(const json_t *item, size_t index) {
  struct layer l;
  load(&l, item, index);
  struct graph g = {.build = build, .backend = &backend, .x = l.x, .extra = &l};
  graph_run(&g, true);
  adapter_backward_factors(&l.adapter, 1, &backend, 0);
  near(&l, "the output", l.y, tensor("%zu.y", index));
  near(&l, "the input's gradient", l.x->grad, tensor("%zu.grad.x", index));
  for (size_t i = 0; i < l.list.count; i++) {
    const struct parameter *p = l.list.item[i];
    const char *suffix = p->key + strlen("base_model.model.layer.3.dense.");
    near(&l, suffix, p->grad, tensor("%zu.grad.%s", index, suffix));
    if (l.spec.peft_type == PEFT_OFT && l.spec.oft.coft)
      near(&l, "the projected parameter", p->data, tensor("%zu.projected.%s", index, suffix));
  }
  float merged[OUT * 24];
  l.adapter->ops->merge(l.adapter, &backend, merged);
  near(&l, "the merged weight", merged, tensor("%zu.merged", index));
}

static void layers_are_those_of_peft(void **state) {
  (void)state;
  size_t index, seen[PEFT_COUNT] = {0};
  json_t *item;
  json_array_foreach(cases, index, item) {
    compare(item, index);
    seen[method_parse(json_string_value(json_object_get(json_object_get(item, "adapter"), "peft_type")))]++;
  }
  for (int type = 0; type < PEFT_COUNT; type++)
    if (seen[type] < 2)
      fail_msg("%s has no layers to compare with", method_of((enum peft_type)type)->peft_type);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(layers_are_those_of_peft)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
