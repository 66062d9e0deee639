#include "tests/golden/reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum status reference_get(float **out, size_t *count, struct reference *ref, const char *name, struct error *err) {
  const struct st_tensor *t = safetensors_find(&ref->io, name);
  if (!t)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "io.safetensors has no %s", name);
  *count = (size_t)st_elements(t);
  *out = arena_array(&ref->arena, *count + 1, sizeof **out);
  CHECK(*out);
  if (t->dtype != ST_I64)
    return st_to_f32(*out, t, err);
  for (size_t i = 0; i < *count; i++) {
    int64_t value;
    memcpy(&value, t->bytes + 8 * i, sizeof value);
    (*out)[i] = (float)value;
  }
  return STATUS_OK;
}

double reference_norm_error(const float *a, const float *b, size_t n) {
  double diff = 0, norm = 0;
  for (size_t i = 0; i < n; i++) {
    diff += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    norm += (double)b[i] * (double)b[i];
  }
  return sqrt(diff) / (sqrt(norm) > 0 ? sqrt(norm) : 1);
}

double reference_max_error(const float *a, const float *b, size_t n) {
  double diff = 0, top = 0;
  for (size_t i = 0; i < n; i++) {
    diff = fmax(diff, fabs((double)a[i] - (double)b[i]));
    top = fmax(top, fabs((double)b[i]));
    if (isnan(a[i]))
      return INFINITY;
  }
  return diff / (top > 0 ? top : 1);
}

enum status reference_parameters(double *worst, const struct model *m, struct reference *ref, const char *prefix,
                                 bool gradients, struct error *err) {
  char name[600];
  for (size_t i = 0; i < m->parameters.count; i++) {
    const struct parameter *p = m->parameters.item[i];
    float *want;
    size_t count;
    if (p->frozen)
      continue;
    snprintf(name, sizeof name, "%s%s", prefix, p->key);
    enum status status = reference_get(&want, &count, ref, name, err);
    if (status)
      return status;
    CHECK(count == p->count);
    *worst = fmax(*worst, reference_norm_error(gradients ? p->grad : p->data, want, count));
  }
  return STATUS_OK;
}

/* A Conv1D's weight is in x out in files. */
static void turn_conv1d(float *merged, const struct linear *l, struct reference *ref) {
  float *copy = arena_array(&ref->arena, l->in * l->out, sizeof *copy);
  CHECK(copy);
  memcpy(copy, merged, l->in * l->out * sizeof *copy);
  for (size_t i = 0; i < l->in; i++)
    for (size_t j = 0; j < l->out; j++)
      merged[i * l->out + j] = copy[j * l->in + i];
}

enum status reference_merged(double *worst, struct learner *l, struct reference *ref, struct error *err) {
  enum status status = learner_begin(l, NULL, err);
  for (size_t i = 0; !status && i < l->model->adapter_count; i++) {
    const struct adapter *a = l->model->adapters[i];
    char name[600];
    snprintf(name, sizeof name, "merged.%s.weight", a->linear->name);
    if (!safetensors_find(&ref->io, name))
      continue;
    float *want, *merged = arena_array(&ref->arena, a->linear->in * a->linear->out, sizeof *merged);
    size_t count;
    CHECK(merged);
    status = reference_get(&want, &count, ref, name, err);
    a->ops->merge(a, l->model->backend, merged);
    if (a->linear->conv1d)
      turn_conv1d(merged, a->linear, ref);
    *worst = fmax(*worst, status ? 0 : reference_norm_error(merged, want, count));
    return status;
  }
  return status ? status : error_set(err, STATUS_MODEL_INVALID, NULL, "io.safetensors has no merged weight");
}
