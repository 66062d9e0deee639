#include "worker/model/rotary.h"

#include <math.h>
#include <string.h>

#include "base/json.h"

static enum status invalid(struct error *err, const char *member, const char *what) {
  return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s: %s", member, what);
}

struct scaling {
  const json_t *object; /* NULL: none */
  const char *member;   /* its name in config.json */
  const char *type;
  double theta;
};

/* What one object says, or the top level for it; theta is there where neither does. */
static enum status read_members(struct scaling *out, const struct model *m, struct error *err) {
  double partial;
  enum status status = load_number(&partial, m, "partial_rotary_factor", 1, err);
  status = status ? status : json_get_number(&out->theta, out->object, "rope_theta", out->theta, err);
  status = status ? status : json_get_number(&partial, out->object, "partial_rotary_factor", partial, err);
  if (status)
    return err->status = STATUS_MODEL_INVALID;
  if (!(out->theta > 0))
    return invalid(err, "rope_theta", "it must be positive");
  if (partial != 1)
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: partial_rotary_factor %g is not supported, 1 is",
                     partial);
  const json_t *type = json_object_get(out->object, "rope_type");
  type = type ? type : json_object_get(out->object, "type");
  out->type = type ? json_string_value(type) : "default";
  return out->type ? STATUS_OK : invalid(err, out->member, "rope_type must be a string");
}

/* One object has it all: rope_scaling (before Transformers 5) where it says anything, else rope_parameters. What it
   lacks is looked for at the top level. Transformers reads `type` where `rope_type` is absent. */
static enum status read_scaling(struct scaling *out, const struct model *m, double theta, struct error *err) {
  static const char *const members[] = {"rope_scaling", "rope_parameters"};
  const json_t *config = m->checkpoint.config, *value;
  *out = (struct scaling){NULL, members[1], "default", 0};
  for (size_t i = COUNT_OF(members); i-- > 0;) {
    const json_t *object = json_object_get(config, members[i]);
    if (object && !json_is_null(object) && !json_is_object(object))
      return invalid(err, members[i], "it must be an object");
    if (json_object_size(object))
      *out = (struct scaling){object, members[i], "default", 0};
  }
  const char *key;
  json_object_foreach((json_t *)(uintptr_t)out->object, key, value) {
    if (json_is_object(value))
      return error_set(err, STATUS_MODEL_INVALID, "model",
                       "config.json: %s: %.40s: rotary positions that differ from layer to layer are not supported",
                       out->member, key);
  }
  enum status status = load_number(&out->theta, m, "rope_theta", theta, err);
  return status ? status : read_members(out, m, err);
}

static enum status read_kind(struct scaling *out, const struct model *m, const struct rotary_kind *kind,
                             struct error *err) {
  static const char member[] = "rope_parameters";
  const json_t *parameters = json_object_get(m->checkpoint.config, member), *value;
  const char *key;
  const json_t *scaling = json_object_get(m->checkpoint.config, "rope_scaling");
  if (json_object_size(scaling) && kind->scaling == ROTARY_SCALING_REFUSED)
    return invalid(err, "rope_scaling", "it is not supported where rotary positions differ from layer to layer");
  if (parameters && !json_is_null(parameters) && !json_is_object(parameters))
    return invalid(err, member, "it must be an object");
  json_object_foreach((json_t *)(uintptr_t)parameters, key, value) {
    if (!json_is_object(value) && !json_is_null(value))
      return error_set(err, STATUS_MODEL_INVALID, "model",
                       "config.json: %s: %.40s: it must be an object for one kind of layers, \"%s\" for example",
                       member, key, kind->name);
  }
  *out = (struct scaling){json_object_get(parameters, kind->name), member, "default", 0};
  if (json_object_size(scaling) && kind->scaling == ROTARY_SCALING_TAKEN)
    *out = (struct scaling){scaling, "rope_scaling", "default", 0};
  enum status status = load_number(&out->theta, m, kind->theta_member, kind->theta, err);
  return status ? status : read_members(out, m, err);
}

static enum status need(double *out, const struct scaling *s, const char *key, struct error *err) {
  const json_t *value = json_object_get(s->object, key);
  *out = json_number_value(value);
  if (!json_is_number(value) || !(*out > 0))
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s: %s must be a positive number", s->member,
                     key);
  return STATUS_OK;
}

/* The length that the model was trained on first: a member beside the object goes before the one in it, and
   max_position_embeddings stands in for both. */
static enum status need_context(double *out, const struct scaling *s, const struct model *m, struct error *err) {
  static const char key[] = "original_max_position_embeddings";
  const json_t *top = json_object_get(m->checkpoint.config, key);
  if ((!top || json_is_null(top)) && json_object_get(s->object, key))
    return need(out, s, key, err);
  enum status status = load_number(out, m, key, (double)m->positions, err);
  return status || *out > 0 ? status : invalid(err, key, "it must be positive");
}

/* Long waves are slowed down by `factor`, short ones stay, those between are blended (LLaMA 3.1). */
static enum status scale_llama3(float *f, size_t count, const struct scaling *s, const struct model *m,
                                struct error *err) {
  double factor = 1, low = 1, high = 4, context = 8192;
  enum status status = need(&factor, s, "factor", err);
  status = status ? status : need(&low, s, "low_freq_factor", err);
  status = status ? status : need(&high, s, "high_freq_factor", err);
  status = status ? status : need_context(&context, s, m, err);
  if (!status && !(high > low))
    status = invalid(err, s->member, "high_freq_factor must be above low_freq_factor");
  for (size_t k = 0; !status && k < count; k++) {
    double wave = 2 * M_PI / (double)f[k];
    double blend = (context / wave - low) / (high - low);
    if (wave > context / low)
      f[k] = (float)((double)f[k] / factor);
    else if (wave >= context / high)
      f[k] = (float)((1 - blend) * (double)f[k] / factor + blend * (double)f[k]);
  }
  return status;
}

/* A GGUF file carries llama3's scaling as divisors. */
static enum status divide(float *f, size_t count, const json_t *divisors, struct error *err) {
  if (!divisors || json_is_null(divisors))
    return STATUS_OK;
  if (json_array_size(divisors) != count)
    return invalid(err, "rope_freqs", "it must have half a head's size of numbers");
  for (size_t k = 0; k < count; k++) {
    double by = json_number_value(json_array_get(divisors, k));
    if (!(by > 0))
      return invalid(err, "rope_freqs", "its numbers must be positive");
    f[k] = (float)((double)f[k] / by);
  }
  return STATUS_OK;
}

static enum status make_frequencies(struct rotary_config *out, struct model *m, size_t head_size,
                                    const struct scaling *s, struct error *err) {
  size_t half = head_size / 2;
  double factor = 1;
  float *f = arena_array(&m->arena, half, sizeof *f);
  if (!f)
    return error_no_memory(err, "the model");
  for (size_t k = 0; k < half; k++)
    f[k] = (float)pow(s->theta, -2.0 * (double)k / (double)head_size);
  *out = (struct rotary_config){head_size, f};
  enum status status = STATUS_OK;
  if (strcmp(s->type, "llama3") == 0) {
    status = scale_llama3(f, half, s, m, err);
  } else if (strcmp(s->type, "linear") == 0) {
    status = need(&factor, s, "factor", err);
    for (size_t k = 0; k < half; k++)
      f[k] = (float)((double)f[k] / factor);
  } else if (strcmp(s->type, "default") != 0) {
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: %s: the type \"%.40s\" is not supported; default, linear and llama3 are", s->member,
                     s->type);
  }
  return status ? status : divide(f, half, json_object_get(m->checkpoint.config, "rope_freqs"), err);
}

enum status rotary_read(struct rotary_config *out, struct model *m, size_t head_size, double theta, struct error *err) {
  struct scaling s;
  enum status status = read_scaling(&s, m, theta, err);
  return status ? status : make_frequencies(out, m, head_size, &s, err);
}

enum status rotary_read_kind(struct rotary_config *out, struct model *m, size_t head_size,
                             const struct rotary_kind *kind, struct error *err) {
  struct scaling s;
  enum status status = read_kind(&s, m, kind, err);
  return status ? status : make_frequencies(out, m, head_size, &s, err);
}

enum status rotary_make(struct rotary *out, struct model *m, const struct rotary_config *config, size_t positions,
                        struct error *err) {
  size_t half = config->head_size / 2;
  float *cosines = arena_array(&m->arena, positions * half, sizeof *cosines);
  float *sines = arena_array(&m->arena, positions * half, sizeof *sines);
  if (!cosines || !sines)
    return error_no_memory(err, "the model");
  for (size_t p = 0; p < positions; p++)
    for (size_t k = 0; k < half; k++) {
      float angle = (float)p * config->frequencies[k]; /* in float, as the models were trained */
      cosines[p * half + k] = cosf(angle);
      sines[p * half + k] = sinf(angle);
    }
  *out = (struct rotary){.head_size = config->head_size};
  size_t bytes = positions * half * sizeof *cosines;
  enum status status = buffers_import(&m->buffers, &out->cos, cosines, bytes, err);
  return status ? status : buffers_import(&m->buffers, &out->sin, sines, bytes, err);
}
