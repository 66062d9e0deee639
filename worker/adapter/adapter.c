#include "worker/adapter/adapter.h"

#include <math.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "worker/backend/cpu/decompose.h"
#include "worker/backend/cpu/kernels.h"

const struct adapter_ops *adapter_ops_of(const struct adapter_spec *spec) {
  static const struct adapter_ops *const rows[PEFT_COUNT] = {
#define METHOD(name, lower) [PEFT_##name] = &adapter_##lower,
#include "api/methods.def"
#undef METHOD
  };
  CHECK(spec->peft_type < PEFT_COUNT);
  return spec->peft_type == PEFT_LORA && spec->lora.use_dora ? &adapter_dora : rows[spec->peft_type];
}

enum status adapter_new(struct adapter **out, const struct adapter_spec *spec, const struct linear *linear,
                        struct parameter_list *parameters, uint64_t seed, struct error *err) {
  *out = arena_alloc(parameters->arena, sizeof **out);
  if (!*out)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", linear->name);
  **out = (struct adapter){.ops = adapter_ops_of(spec), .spec = spec, .linear = linear};
  enum status status = (*out)->ops->attach(*out, parameters, seed, err);
  if (!status && linear->convolution && !adapter_spec_on_conv2d(spec))
    return error_set(err, STATUS_UNSUPPORTED_TARGET, "adapter.target_modules",
                     "%s is a convolution: %s adapts linear modules only; hra and plain lora adapt both", linear->name,
                     adapter_spec_name(spec));
  return status;
}

void adapter_put(struct linear *linear, const struct adapter *adapter) {
  linear->low_rank = adapter->low.R ? &adapter->low : NULL;
  linear->rotation = adapter->rotation.block ? &adapter->rotation : NULL;
  linear->scale = adapter->scale.scale.buffer ? &adapter->scale : NULL;
}

void adapter_disable(struct linear *linear) {
  linear->low_rank = NULL;
  linear->rotation = NULL;
  linear->scale = NULL;
}

struct adapter *adapter_of(struct adapter *const *adapters, size_t count, const struct linear *linear) {
  for (size_t i = 0; i < count; i++)
    if (adapters[i]->linear == linear)
      return adapters[i];
  return NULL;
}

size_t adapter_room(size_t count) {
  enum { ALIGN = PLACE_ALIGN / sizeof(float) };
  return (count + ALIGN - 1) / ALIGN * ALIGN;
}

/* Memory for `parts` places of so many floats, in one buffer. The last ones are gradients. */
struct part {
  struct place *at;
  size_t count;
};

static enum status reserve(struct adapter *adapter, struct parameter_list *parameters, const struct part *parts,
                           size_t count, size_t grads, struct error *err) {
  size_t floats = 0;
  struct place all;
  for (size_t i = 0; i < count; i++)
    floats += adapter_room(parts[i].count);
  if (parameters->buffers) {
    enum status status = buffers_new(parameters->buffers, &all, floats * sizeof(float), err);
    if (status)
      return error_prefix(err, "the adapter of %s", adapter->linear->name);
  } else {
    all = place_host(arena_array(parameters->arena, floats, sizeof(float)));
    if (!all.buffer)
      return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the adapter of %s", adapter->linear->name);
  }
  for (size_t i = 0; i < count; i++) {
    size_t bytes = adapter_room(parts[i].count) * sizeof(float);
    if (i == count - grads)
      adapter->grads = all;
    adapter->grad_bytes += i < count - grads ? 0 : bytes;
    *parts[i].at = parts[i].count ? all : (struct place){0};
    all = place_at(all, bytes);
  }
  return STATUS_OK;
}

enum status adapter_low_rank(struct adapter *adapter, struct parameter_list *parameters, size_t rank, bool with_scale,
                             struct error *err) {
  struct low_rank *low = &adapter->low;
  struct output_scale *s = &adapter->scale;
  size_t in = adapter->linear->in, out = adapter->linear->out, R = (rank + 7) / 8 * 8;
  size_t scales = with_scale ? out : 0;
  adapter->rank = rank;
  *low = (struct low_rank){.R = R};
  const struct part parts[] = {{&low->down, in * R},        {&low->up_t, R * out},    {&low->up_back, out * R},
                               {&low->down_back_t, R * in}, {&s->scale, scales},      {&low->grad_down, in * R},
                               {&low->grad_up, out * R},    {&low->grad_core, R * R}, {&s->grad_scale, scales}};
  return reserve(adapter, parameters, parts, COUNT_OF(parts), 4, err);
}

enum status adapter_vectors(struct adapter *adapter, struct parameter_list *parameters, struct place *vectors,
                            size_t count, struct error *err) {
  enum { MAX = 4 };
  struct part parts[MAX];
  CHECK(count <= MAX);
  for (size_t i = 0; i < count; i++)
    parts[i] = (struct part){&vectors[i], adapter->linear->out};
  return reserve(adapter, parameters, parts, count, 0, err);
}

enum status adapter_rotation(struct adapter *adapter, struct parameter_list *parameters, size_t block, bool with_scale,
                             struct error *err) {
  struct rotation *o = &adapter->rotation;
  struct output_scale *s = &adapter->scale;
  size_t in = adapter->linear->in, out = with_scale ? adapter->linear->out : 0;
  *o = (struct rotation){.block = block, .blocks = in / block};
  const struct part parts[] = {
      {&o->r, in * block}, {&o->r_t, in * block}, {&s->scale, out}, {&o->grad_r, in * block}, {&s->grad_scale, out}};
  return reserve(adapter, parameters, parts, COUNT_OF(parts), 2, err);
}

void adapter_zero_grads(const struct adapter *adapter, struct backend *backend) {
  backend->ops->zero(backend, adapter->grads, adapter->grad_bytes);
}

/* Numbers of the backend on the host, to be freed; like every export it ends the process when there is no memory. */
float *adapter_fetch(struct backend *backend, struct place place, size_t count) {
  if (!place.buffer)
    return NULL;
  float *numbers = malloc(count * sizeof *numbers);
  CHECK(numbers);
  backend->ops->read(backend, numbers, place, count * sizeof *numbers);
  return numbers;
}

void adapter_merge_low_rank(const struct adapter *adapter, struct backend *backend, float *merged) {
  const struct low_rank *low = &adapter->low;
  size_t in = adapter->linear->in, out = adapter->linear->out, R = low->R;
  float *up_back = adapter_fetch(backend, low->up_back, out * R),
        *down_back_t = adapter_fetch(backend, low->down_back_t, R * in);
  weight_read(merged, &adapter->linear->weight);
  backend->kernels->gemm(merged, in, up_back, R, 1, down_back_t, in, out, in, R, low->sign, true);
  free(up_back);
  free(down_back_t);
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

void adapter_lr_ratios(const struct adapter_spec *spec, const struct parameter_list *parameters) {
  const struct adapter_ops *ops = adapter_ops_of(spec);
  for (size_t i = 0; ops->lr_ratio && i < parameters->count; i++)
    parameters->item[i]->lr_ratio = ops->lr_ratio(spec, parameters->item[i]);
}

bool adapter_owns(struct adapter *const *adapters, size_t count, const struct parameter *parameter) {
  for (size_t a = 0; a < count; a++)
    for (size_t k = 0; k < ADAPTER_PARAMETERS_MAX; k++)
      if (adapters[a]->parameters[k] == parameter)
        return true;
  return false;
}

/* --- all adapters --------------------------------------------------------------------------------- */

struct factors_job {
  struct adapter *const *adapters;
  struct backend *backend;
  struct error *errors; /* one an adapter */
  double penalty_weight;
  uint64_t seed;
};

static void forward_solve(void *payload, size_t index, int thread) {
  (void)thread;
  const struct factors_job *job = payload;
  struct adapter *a = job->adapters[index];
  job->errors[index].status = STATUS_OK;
  if (a->ops->forward_solve) {
    enum status status = a->ops->forward_solve(a, &job->errors[index]);
    CHECK(status == job->errors[index].status);
  }
}

static void backward_solve(void *payload, size_t index, int thread) {
  (void)thread;
  const struct factors_job *job = payload;
  struct adapter *a = job->adapters[index];
  if (a->ops->backward_solve)
    a->ops->backward_solve(a, job->penalty_weight);
}

/* All stages of an adapter. */
static void forward_one(void *payload, size_t index, int thread) {
  const struct factors_job *job = payload;
  struct adapter *a = job->adapters[index];
  if (a->ops->forward_ask)
    a->ops->forward_ask(a, job->backend);
  forward_solve(payload, index, thread);
  if (!job->errors[index].status)
    a->ops->forward_factors(a, job->backend);
}

static void backward_one(void *payload, size_t index, int thread) {
  const struct factors_job *job = payload;
  struct adapter *a = job->adapters[index];
  if (a->ops->backward_ask)
    a->ops->backward_ask(a, job->backend);
  backward_solve(payload, index, thread);
  a->ops->backward_factors(a, job->backend);
}

/* Runs a task that can fail for each adapter. */
static enum status each(const struct factors_job *of, struct pool *pool, size_t count, pool_task *task,
                        struct error *err) {
  enum { AT_ONCE = 64 }; /* so that the errors fit on the stack */
  struct error errors[AT_ONCE];
  for (size_t first = 0; first < count; first += AT_ONCE) {
    size_t n = count - first < AT_ONCE ? count - first : AT_ONCE;
    struct factors_job job = *of;
    job.adapters += first;
    job.errors = errors;
    pool_run(pool, n, task, &job);
    for (size_t i = 0; i < n; i++)
      if (errors[i].status) {
        *err = errors[i];
        return err->status;
      }
  }
  return STATUS_OK;
}

/* --- their start ---------------------------------------------------------------------------------- */

static void start_one(void *payload, size_t index, int thread) {
  (void)thread;
  const struct factors_job *job = payload;
  struct adapter *a = job->adapters[index];
  job->errors[index].status = STATUS_OK;
  if (a->ops->start) {
    enum status status = a->ops->start(a, job->seed, &job->errors[index]);
    CHECK(status == job->errors[index].status);
  }
}

enum status adapter_start(struct adapter *const *adapters, size_t count, struct pool *pool, uint64_t seed,
                          struct error *err) {
  const struct factors_job job = {.adapters = adapters, .seed = seed};
  decompose_begin();
  return each(&job, pool, count, start_one, err);
}

size_t adapter_start_bytes(struct adapter *const *adapters, size_t count, size_t at_once) {
  size_t most = 0;
  for (size_t i = 0; i < count; i++) {
    size_t bytes = adapters[i]->ops->start_bytes ? adapters[i]->ops->start_bytes(adapters[i]) : 0;
    most = bytes > most ? bytes : most;
  }
  return most * at_once;
}

/* --- a backend with memory of its own ------------------------------------------------------------- */

/* The cores of all adapters: those that are told, then those that are given. */
struct exchange {
  struct place at;
  size_t told, given; /* floats */
  float *host;        /* as many as the larger half has */
};

/* The places of all cores from now on. */
static struct exchange exchange_begin(struct adapter *const *adapters, size_t count, struct backend *backend) {
  struct exchange x = {0};
  for (size_t i = 0; i < count; i++) {
    x.told += adapter_room(adapters[i]->told_count);
    x.given += adapter_room(adapters[i]->given_count);
  }
  if (x.told + x.given == 0)
    return x;
  x.at = backend->ops->cores(backend, x.told + x.given);
  x.host = calloc(x.told > x.given ? x.told : x.given, sizeof *x.host);
  CHECK(x.host);
  size_t told = 0, given = x.told;
  for (size_t i = 0; i < count; i++) {
    adapters[i]->told.at = place_at(x.at, told * sizeof(float));
    adapters[i]->given.at = place_at(x.at, given * sizeof(float));
    told += adapter_room(adapters[i]->told_count);
    given += adapter_room(adapters[i]->given_count);
  }
  return x;
}

static void exchange_read(const struct exchange *x, struct adapter *const *adapters, size_t count,
                          struct backend *backend) {
  const float *from = x->host;
  if (x->told)
    backend->ops->read(backend, x->host, x->at, x->told * sizeof(float));
  for (size_t i = 0; i < count; from += adapter_room(adapters[i]->told_count), i++)
    for (size_t j = 0; j < adapters[i]->told_count; j++)
      adapters[i]->told.host[j] = (double)from[j];
}

static void exchange_write(const struct exchange *x, struct adapter *const *adapters, size_t count,
                           struct backend *backend) {
  float *to = x->host;
  for (size_t i = 0; i < count; to += adapter_room(adapters[i]->given_count), i++)
    for (size_t j = 0; j < adapters[i]->given_count; j++)
      to[j] = (float)adapters[i]->given.host[j];
  if (x->given)
    backend->ops->write(backend, place_at(x->at, x->told * sizeof(float)), x->host, x->given * sizeof(float));
}

/* What the device could not do is told before what came of it. */
static enum status forward_in_stages(const struct factors_job *job, size_t count, struct error *err) {
  struct exchange x = exchange_begin(job->adapters, count, job->backend);
  for (size_t i = 0; i < count; i++)
    if (job->adapters[i]->ops->forward_ask)
      job->adapters[i]->ops->forward_ask(job->adapters[i], job->backend);
  exchange_read(&x, job->adapters, count, job->backend);
  enum status status = x.told ? job->backend->ops->synchronise(job->backend, err) : STATUS_OK;
  status = status ? status : each(job, job->backend->pool, count, forward_solve, err);
  if (!status) {
    exchange_write(&x, job->adapters, count, job->backend);
    for (size_t i = 0; i < count; i++)
      job->adapters[i]->ops->forward_factors(job->adapters[i], job->backend);
  }
  free(x.host);
  return status;
}

static void backward_in_stages(struct factors_job *job, size_t count) {
  struct exchange x = exchange_begin(job->adapters, count, job->backend);
  for (size_t i = 0; i < count; i++)
    if (job->adapters[i]->ops->backward_ask)
      job->adapters[i]->ops->backward_ask(job->adapters[i], job->backend);
  exchange_read(&x, job->adapters, count, job->backend);
  pool_run(job->backend->pool, count, backward_solve, job);
  exchange_write(&x, job->adapters, count, job->backend);
  for (size_t i = 0; i < count; i++)
    job->adapters[i]->ops->backward_factors(job->adapters[i], job->backend);
  free(x.host);
}

enum status adapter_forward_factors(struct adapter *const *adapters, size_t count, struct backend *backend,
                                    struct error *err) {
  const struct factors_job job = {.adapters = adapters, .backend = backend};
  return backend->ops->cores ? forward_in_stages(&job, count, err) : each(&job, backend->pool, count, forward_one, err);
}

void adapter_backward_factors(struct adapter *const *adapters, size_t count, struct backend *backend,
                              double penalty_weight) {
  struct factors_job job = {.adapters = adapters, .backend = backend, .penalty_weight = penalty_weight};
  if (backend->ops->cores)
    backward_in_stages(&job, count);
  else
    pool_run(backend->pool, count, backward_one, &job);
}
