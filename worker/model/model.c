#include "worker/model/model.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"
#include "worker/adapter/target.h"

static const struct model_ops *const architectures[] = {&model_bert};

enum { LINEARS_MAX = 4096 };

static enum status no_memory(struct error *err) {
  return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the model");
}

static enum status load(struct model *m, const char *folder, uint64_t seed, struct error *err) {
  char path[1024];
  snprintf(path, sizeof path, "%s/config.json", folder);
  enum status status = json_parse_file(&m->config, path, NULL, err);
  if (status) {
    err->status = STATUS_MODEL_INVALID;
    return STATUS_MODEL_INVALID;
  }
  const char *type = json_string_value(json_object_get(m->config, "model_type"));
  for (size_t i = 0; type && i < COUNT_OF(architectures); i++)
    if (strcmp(architectures[i]->model_type, type) == 0)
      m->ops = architectures[i];
  if (!m->ops)
    return error_set(err, STATUS_MODEL_INVALID, "model", "%s: model_type \"%s\" is not supported; supported: bert",
                     path, type ? type : "(absent)");
  status = safetensors_open_model(&m->weights, folder, err);
  if (status)
    return status;
  m->linears = arena_array(&m->arena, LINEARS_MAX, sizeof *m->linears);
  m->norms = arena_array(&m->arena, LINEARS_MAX, sizeof *m->norms);
  if (!m->linears || !m->norms)
    return no_memory(err);
  return m->ops->load(m, seed, err);
}

enum status model_open(struct model *out, const char *folder, size_t num_labels, uint64_t seed, struct backend *backend,
                       struct error *err) {
  *out = (struct model){.backend = backend, .num_labels = num_labels};
  arena_init(&out->arena, SIZE_MAX / 2);
  out->parameters.arena = &out->arena;
  enum status status = load(out, folder, seed, err);
  if (status)
    model_close(out);
  return status;
}

void model_close(struct model *m) {
  json_decref(m->config);
  safetensors_close(&m->weights);
  arena_done(&m->arena);
  *m = (struct model){0};
}

/* Older BERT files call a norm's weight gamma and its bias beta. */
static const struct st_tensor *find(const struct model *m, const char *prefix, const char *name) {
  char with[512], renamed[512];
  snprintf(with, sizeof with, "%s%s", prefix, name);
  const struct st_tensor *t = safetensors_find(&m->weights, with);
  if (!t)
    t = safetensors_find(&m->weights, name);
  const char *norm = strstr(name, "LayerNorm.");
  if (t || !norm)
    return t;
  int head = (int)(norm - name) + 10;
  snprintf(renamed, sizeof renamed, "%.*s%s", head, name, strcmp(name + head, "weight") == 0 ? "gamma" : "beta");
  return find(m, prefix, renamed);
}

bool model_has_weight(const struct model *m, const char *prefix, const char *name) {
  return find(m, prefix, name) != NULL;
}

enum status model_weight(const float **out, struct model *m, const char *prefix, const char *name, size_t rows,
                         size_t cols, struct error *err) {
  const struct st_tensor *t = find(m, prefix, name);
  if (!t)
    return error_set(err, STATUS_MODEL_INVALID, "model", "the model's files have no tensor %s%s", prefix, name);
  if (t->rank != (cols ? 2 : 1) || t->shape[0] != (int64_t)rows || (cols && t->shape[1] != (int64_t)cols))
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "tensor %s has rank %d, shape [%lld, %lld]; config.json asks for [%zu, %zu]", t->name, t->rank,
                     (long long)t->shape[0], (long long)(t->rank > 1 ? t->shape[1] : 0), rows, cols);
  if (t->dtype == ST_F32 && (uintptr_t)t->bytes % _Alignof(float) == 0) {
    *out = (const float *)(const void *)t->bytes;
    return STATUS_OK;
  }
  float *copy = arena_array(&m->arena, rows * (cols ? cols : 1), sizeof *copy);
  if (!copy)
    return no_memory(err);
  *out = copy;
  return st_to_f32(copy, t, err);
}

enum status model_random(const float **out, struct model *m, const char *name, size_t rows, size_t cols,
                         double deviation, uint64_t seed, struct error *err) {
  float *w = arena_array(&m->arena, rows * cols, sizeof *w);
  if (!w)
    return no_memory(err);
  uint64_t stream = RNG_INIT;
  for (const char *c = name; *c; c++)
    stream = stream * 1099511628211u + (unsigned char)*c;
  struct rng rng;
  rng_init(&rng, seed, stream);
  for (size_t i = 0; i < rows * cols; i++) { /* Box and Muller */
    double u = 1.0 - (double)rng_uniform(&rng), v = (double)rng_uniform(&rng);
    w[i] = (float)(deviation * sqrt(-2 * log(u)) * cos(2 * M_PI * v));
  }
  *out = w;
  return STATUS_OK;
}

enum status model_add_linear(struct model *m, struct linear *linear, struct error *err) {
  if (m->linear_count == LINEARS_MAX)
    return error_set(err, STATUS_MODEL_INVALID, "model", "the model has more than %d linear modules", LINEARS_MAX);
  m->linears[m->linear_count++] = linear;
  return STATUS_OK;
}

enum status model_add_norm(struct model *m, const char *name, struct norm *norm, struct error *err) {
  if (m->norm_count == LINEARS_MAX)
    return error_set(err, STATUS_MODEL_INVALID, "model", "the model has more than %d norms", LINEARS_MAX);
  m->norms[m->norm_count].name = name;
  m->norms[m->norm_count++].norm = norm;
  return STATUS_OK;
}

/* A trainable copy of frozen numbers under PEFT's key. */
static enum status train(struct parameter **out, struct model *m, const char *module, const char *suffix,
                         const float *from, size_t rows, size_t cols, struct error *err) {
  char *key = arena_format(&m->arena, "base_model.model.%s.%s", module, suffix);
  *out = key ? parameter_add(&m->parameters, key, cols ? 2 : 1, (int64_t)rows, (int64_t)cols) : NULL;
  if (!*out)
    return no_memory(err);
  memcpy((*out)->data, from, (*out)->count * sizeof(float));
  (*out)->decay = cols != 0;
  return STATUS_OK;
}

static enum status train_module(struct model *m, struct linear *l, struct error *err) {
  enum status status = train(&l->trained_weight, m, l->name, "weight", l->weight, l->out, l->in, err);
  if (!status) {
    l->weight = l->trained_weight->data;
    if (l->bias)
      status = train(&l->trained_bias, m, l->name, "bias", l->bias, l->out, 0, err);
    if (!status && l->bias)
      l->bias = l->trained_bias->data;
  }
  return status;
}

static enum status train_biases(struct model *m, enum adapter_bias which, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; which != BIAS_NONE && !status && i < m->linear_count; i++) {
    struct linear *l = m->linears[i];
    if (!l->bias || l->trained_bias || (which == BIAS_METHOD_ONLY && !l->adapter))
      continue;
    status = train(&l->trained_bias, m, l->name, l->adapter ? "base_layer.bias" : "bias", l->bias, l->out, 0, err);
    if (!status)
      l->bias = l->trained_bias->data;
  }
  for (size_t i = 0; which == BIAS_ALL && !status && i < m->norm_count; i++) {
    struct norm *n = m->norms[i].norm;
    status = train(&n->trained_bias, m, m->norms[i].name, "bias", n->bias, m->linears[0]->in, 0, err);
    if (!status)
      n->bias = n->trained_bias->data;
  }
  return status;
}

/* modules_to_save of the job, plus what a classifier always saves (PEFT's SEQ_CLS). */
static enum status collect_saved(struct model *m, const struct string_list *asked, struct error *err) {
  static const char *const always[] = {"classifier", "score"};
  struct string_list *saved = &m->modules_to_save;
  size_t have = saved->count;
  const char **item = arena_array(&m->arena, have + asked->count + COUNT_OF(always), sizeof *item);
  if (!item)
    return no_memory(err);
  if (have)
    memcpy(item, saved->item, have * sizeof *item);
  saved->item = item;
  for (size_t i = 0; i < asked->count + COUNT_OF(always); i++) {
    const char *name = i < asked->count ? asked->item[i] : always[i - asked->count];
    bool seen = false, found = i >= asked->count;
    for (size_t j = 0; j < saved->count && !seen; j++)
      seen = strcmp(item[j], name) == 0;
    for (size_t j = 0; j < m->linear_count && !found; j++)
      found = target_suffix(m->linears[j]->name, name);
    for (size_t j = 0; j < COUNT_OF(always) && !found; j++)
      found = strcmp(always[j], name) == 0;
    if (!found)
      return error_set(err, STATUS_UNSUPPORTED_TARGET, "adapter.modules_to_save",
                       "modules_to_save: \"%s\" is no linear module of this model (containers cannot be saved)", name);
    if (!seen)
      item[saved->count++] = arena_string(&m->arena, name);
  }
  return STATUS_OK;
}

static enum status attach(struct model *m, const struct adapter_spec *spec, const bool *selected, uint64_t seed,
                          struct error *err) {
  m->adapters = arena_array(&m->arena, m->linear_count, sizeof *m->adapters);
  if (!m->adapters)
    return no_memory(err);
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < m->linear_count; i++)
    if (selected[i]) {
      struct adapter *adapter;
      status = adapter_new(&adapter, spec, m->linears[i], &m->parameters, seed, err);
      if (!status)
        m->linears[i]->adapter = m->adapters[m->adapter_count++] = adapter;
    }
  for (size_t i = 0; !status && i < m->linear_count; i++)
    for (size_t s = 0; !status && s < m->modules_to_save.count; s++)
      if (target_suffix(m->linears[i]->name, m->modules_to_save.item[s]) && !m->linears[i]->trained_weight)
        status = train_module(m, m->linears[i], err);
  return status ? status : train_biases(m, spec->bias, err);
}

enum status model_adapt(struct model *m, const struct adapter_spec *spec, uint64_t seed, struct error *err) {
  enum status status = collect_saved(m, &spec->modules_to_save, err);
  const char **names = arena_array(&m->arena, m->linear_count, sizeof *names);
  bool *selected = arena_array(&m->arena, m->linear_count, sizeof *selected);
  if (status)
    return status;
  if (!names || !selected)
    return no_memory(err);
  for (size_t i = 0; i < m->linear_count; i++)
    names[i] = m->linears[i]->name;
  struct target_modules modules = {names, m->linear_count, names[m->linear_count - 1], m->default_targets,
                                   &m->modules_to_save};
  status = target_select(selected, &modules, spec, err);
  return status ? status : attach(m, spec, selected, seed, err);
}
