#include "worker/adapter/adapter.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "worker/backend/backend.h"
#include "worker/op/op.h"

const struct adapter_ops *adapter_ops_of(enum peft_type type) {
  static const struct adapter_ops *const rows[PEFT_COUNT] = {
#define METHOD(name, lower) [PEFT_##name] = &adapter_##lower,
#include "api/methods.def"
#undef METHOD
  };
  CHECK(type < PEFT_COUNT);
  return rows[type];
}

enum status adapter_new(struct adapter **out, const struct adapter_spec *spec, const struct linear *linear,
                        struct parameter_list *parameters, uint64_t seed, struct error *err) {
  *out = arena_alloc(parameters->arena, sizeof **out);
  if (!*out)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", linear->name);
  **out = (struct adapter){.ops = adapter_ops_of(spec->peft_type), .spec = spec, .linear = linear};
  return (*out)->ops->attach(*out, parameters, seed, err);
}

void adapter_put(struct linear *linear, const struct adapter *adapter) {
  linear->low_rank = adapter->low.R ? &adapter->low : NULL;
  linear->rotation = adapter->rotation.block ? &adapter->rotation : NULL;
}

struct adapter *adapter_of(struct adapter *const *adapters, size_t count, const struct linear *linear) {
  for (size_t i = 0; i < count; i++)
    if (adapters[i]->linear == linear)
      return adapters[i];
  return NULL;
}

bool adapter_low_rank(struct adapter *adapter, struct parameter_list *parameters, size_t rank) {
  struct low_rank *low = &adapter->low;
  size_t in = adapter->linear->in, out = adapter->linear->out, R = (rank + 7) / 8 * 8;
  adapter->rank = rank;
  *low = (struct low_rank){.R = R};
  struct {
    float **at;
    size_t count;
  } parts[] = {{&low->down, in * R},        {&low->up_t, R * out},     {&low->up_back, out * R},
               {&low->down_back_t, R * in}, {&low->grad_down, in * R}, {&low->grad_up, out * R},
               {&low->grad_core, R * R}};
  for (size_t i = 0; i < COUNT_OF(parts); i++)
    if (!(*parts[i].at = arena_array(parameters->arena, parts[i].count, sizeof(float))))
      return false;
  return true;
}

bool adapter_rotation(struct adapter *adapter, struct parameter_list *parameters, size_t block, bool with_scale) {
  struct rotation *o = &adapter->rotation;
  size_t in = adapter->linear->in, out = with_scale ? adapter->linear->out : 0;
  *o = (struct rotation){.block = block, .blocks = in / block};
  o->r = arena_array(parameters->arena, in * block, sizeof(float));
  o->r_t = arena_array(parameters->arena, in * block, sizeof(float));
  o->grad_r = arena_array(parameters->arena, in * block, sizeof(float));
  o->scale = out ? arena_array(parameters->arena, out, sizeof(float)) : NULL;
  o->grad_scale = out ? arena_array(parameters->arena, out, sizeof(float)) : NULL;
  return o->r && o->r_t && o->grad_r && (!out || (o->scale && o->grad_scale));
}

/* What HRA drew from the name alone stays as it was: use "" changes nothing. */
void adapter_rng(struct rng *rng, const struct adapter *adapter, uint64_t seed, const char *use) {
  char digest[HASH_HEX], text[600];
  uint64_t stream = RNG_INIT;
  snprintf(text, sizeof text, "%s%s", adapter->linear->name, use);
  hash_bytes(digest, text, strlen(text));
  for (int i = 0; i < 12; i++)
    stream = stream << 4 | (uint64_t)(digest[i] <= '9' ? digest[i] - '0' : digest[i] - 'a' + 10);
  rng_init(rng, seed, stream);
}

struct parameter *adapter_parameter(struct adapter *adapter, struct parameter_list *parameters, const char *suffix,
                                    int rank, const int64_t *shape) {
  char *key = arena_format(parameters->arena, "base_model.model.%s.%s", adapter->linear->name, suffix);
  return key ? parameter_add_shaped(parameters, key, rank, shape) : NULL;
}

bool adapter_owns(struct adapter *const *adapters, size_t count, const struct parameter *parameter) {
  for (size_t a = 0; a < count; a++)
    for (size_t k = 0; k < ADAPTER_PARAMETERS_MAX; k++)
      if (adapters[a]->parameters[k] == parameter)
        return true;
  return false;
}

struct batch {
  struct adapter *const *adapters;
  const struct kernels *kernels;
  struct error *errors; /* one an adapter */
  double penalty_weight;
};

static void forward_one(void *payload, size_t index, int thread) {
  (void)thread;
  const struct batch *batch = payload;
  struct adapter *adapter = batch->adapters[index];
  batch->errors[index].status = STATUS_OK;
  enum status status = adapter->ops->forward_factors(adapter, batch->kernels, &batch->errors[index]);
  CHECK(status == batch->errors[index].status);
}

static void backward_one(void *payload, size_t index, int thread) {
  (void)thread;
  const struct batch *batch = payload;
  batch->adapters[index]->ops->backward_factors(batch->adapters[index], batch->kernels, batch->penalty_weight);
}

enum status adapter_forward_factors(struct adapter *const *adapters, size_t count, struct backend *backend,
                                    struct error *err) {
  enum { AT_ONCE = 64 }; /* so that the errors fit on the stack */
  struct error errors[AT_ONCE];
  for (size_t first = 0; first < count; first += AT_ONCE) {
    size_t n = count - first < AT_ONCE ? count - first : AT_ONCE;
    struct batch batch = {.adapters = adapters + first, .kernels = backend->kernels, .errors = errors};
    pool_run(backend->pool, n, forward_one, &batch);
    for (size_t i = 0; i < n; i++)
      if (errors[i].status) {
        *err = errors[i];
        return err->status;
      }
  }
  return STATUS_OK;
}

void adapter_backward_factors(struct adapter *const *adapters, size_t count, struct backend *backend,
                              double penalty_weight) {
  struct batch batch = {.adapters = adapters, .kernels = backend->kernels, .penalty_weight = penalty_weight};
  pool_run(backend->pool, count, backward_one, &batch);
}
