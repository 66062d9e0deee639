#include "worker/export/merged_tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/export/numbers.h"

static bool belongs(const char *name, const char *module) {
  size_t length = strlen(module);
  return strncmp(name, module, length) == 0 && name[length] == '.';
}

/* Files without the model's prefix get it: with a head beside them only full names are understood. */
static const char *full_name(struct merged_tensors *p, const char *name) {
  const struct model *m = p->model;
  const char *prefix = m->ops->prefix;
  bool full = strncmp(name, "lm_head.", 8) == 0 || m->output == OUTPUT_EMBEDDING;
  for (size_t i = 0; i < m->linear_count && !full; i++)
    full = belongs(name, m->linears[i]->name);
  for (size_t i = 0; i < m->norm_count && !full; i++)
    full = belongs(name, m->norms[i].name);
  return full || strncmp(name, prefix, strlen(prefix)) == 0 ? name : arena_format(&p->arena, "%s%s", prefix, name);
}

static bool add(struct merged_tensors *p, const char *name, const char *source, const float *made, int rank,
                const int64_t *shape) {
  struct merged_tensor *t = &p->item[p->count++];
  *t = (struct merged_tensor){.name = name, .rank = rank, .source = source, .made = made};
  memcpy(t->shape, shape, (size_t)rank * sizeof *shape);
  return name != NULL;
}

/* A head or pooler that the base's files have not, or have in another shape. */
static bool add_made(struct merged_tensors *p, const struct linear *l) {
  const char *weight = arena_format(&p->arena, "%s.weight", l->name),
             *bias = arena_format(&p->arena, "%s.bias", l->name);
  const int64_t shape[2] = {(int64_t)l->out, (int64_t)l->in};
  bool ok = weight && bias;
  for (size_t i = 0; ok && i < p->count; i++)
    if (strcmp(p->item[i].name, weight) == 0)
      return true;
  ok = ok && add(p, weight, NULL, l->trained_weight->data, 2, shape);
  return ok && (!l->trained_bias || add(p, bias, NULL, l->trained_bias->data, 1, shape));
}

/* The numbers of a norm that the base's files have not. */
static bool add_made_vector(struct merged_tensors *p, const char *module, const char *kind, const struct norm *n,
                            const struct place *at) {
  struct backend *backend = p->model->backend;
  const char *name = arena_format(&p->arena, "%s.%s", module, kind);
  float *numbers = arena_array(&p->arena, n->channels, sizeof *numbers);
  const int64_t shape[1] = {(int64_t)n->channels};
  if (!name || !numbers)
    return false;
  backend->ops->read(backend, numbers, *at, n->channels * sizeof *numbers);
  return add(p, name, NULL, numbers, 1, shape);
}

static bool add_made_norm(struct merged_tensors *p, const char *module, const struct norm *n) {
  return add_made_vector(p, module, "weight", n, &n->weight) &&
         (!n->bias.buffer || add_made_vector(p, module, "bias", n, &n->bias));
}

/* Is a head of the base's file that was replaced. */
static bool replaced(const struct model *m, const struct checkpoint_tensor *t) {
  char weight[300], bias[300];
  if (m->language || !m->head)
    return false;
  snprintf(weight, sizeof weight, "%s.weight", m->head->name);
  snprintf(bias, sizeof bias, "%s.bias", m->head->name);
  return strcmp(t->name, weight) == 0 || strcmp(t->name, bias) == 0 || strncmp(t->name, "lm_head.", 8) == 0;
}

size_t merged_tensor_elements(const struct merged_tensor *t) {
  size_t elements = 1;
  for (int i = 0; i < t->rank; i++)
    elements *= (size_t)t->shape[i];
  return elements;
}

static enum status list(struct merged_tensors *p, struct error *err) {
  const struct model *m = p->model;
  size_t count = checkpoint_count(&m->checkpoint), most = count + 2 * (m->linear_count + m->norm_count);
  p->item = arena_array(&p->arena, most, sizeof *p->item);
  if (!p->item)
    return error_no_memory(err, "the merged model");
  for (size_t i = 0; i < count; i++) {
    struct checkpoint_tensor t = checkpoint_at(&m->checkpoint, i);
    if (!checkpoint_is_float(&m->checkpoint, t.name) || replaced(m, &t))
      continue; /* position ids and the like */
    const char *name = full_name(p, t.name);
    if (!name || !add(p, name, t.name, NULL, t.rank, t.shape))
      return error_no_memory(err, "the merged model");
  }
  for (size_t i = 0; i < m->linear_count; i++)
    if (m->linears[i]->trained_weight && !add_made(p, m->linears[i]))
      return error_no_memory(err, "the merged model");
  for (size_t i = 0; i < m->norm_count; i++)
    if (m->norms[i].made && !add_made_norm(p, m->norms[i].name, m->norms[i].norm))
      return error_no_memory(err, "the merged model");
  for (size_t i = 0; i < p->count; i++) {
    size_t elements = merged_tensor_elements(&p->item[i]);
    p->largest = elements > p->largest ? elements : p->largest;
  }
  return STATUS_OK;
}

enum status merged_tensors_list(struct merged_tensors *out, const struct model *model, struct error *err) {
  *out = (struct merged_tensors){.model = model};
  arena_init(&out->arena, (size_t)1 << 30);
  return list(out, err);
}

void merged_tensors_done(struct merged_tensors *tensors) {
  free(tensors->numbers);
  arena_done(&tensors->arena);
}

enum status merged_tensors_read(const float **out, struct merged_tensors *tensors, size_t index, struct error *err) {
  const struct merged_tensor *t = &tensors->item[index];
  *out = t->made;
  if (t->made)
    return STATUS_OK;
  if (!tensors->numbers && !(tensors->numbers = malloc(tensors->largest * sizeof *tensors->numbers)))
    return error_no_memory(err, "the merged model");
  *out = tensors->numbers;
  return numbers_read(tensors->numbers, tensors->model, t->source, err);
}
