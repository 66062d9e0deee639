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
  double theta, partial;
  const struct rotary_class *class;
};

/* What one object says, or the top level for it; theta is there where neither does. */
static enum status read_members(struct scaling *out, const struct model *m, struct error *err) {
  enum status status = load_number(&out->partial, m, "partial_rotary_factor", 1, err);
  status = status ? status : json_get_number(&out->theta, out->object, "rope_theta", out->theta, err);
  status = status ? status : json_get_number(&out->partial, out->object, "partial_rotary_factor", out->partial, err);
  if (status)
    return err->status = STATUS_MODEL_INVALID;
  if (!(out->theta > 0))
    return invalid(err, "rope_theta", "it must be positive");
  if (!(out->partial > 0 && out->partial <= 1) || (out->partial != 1 && !out->class->partial))
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: partial_rotary_factor %g is not supported, %s",
                     out->partial, out->class->partial ? "above 0 and up to 1 is" : "1 is for this model_type");
  const json_t *type = json_object_get(out->object, "rope_type");
  type = type ? type : json_object_get(out->object, "type");
  out->type = type ? json_string_value(type) : "default";
  if (!out->type)
    return invalid(err, out->member, "rope_type must be a string");
  if (out->class->longrope_alone && (strcmp(out->type, "su") == 0 || strcmp(out->type, "yarn") == 0))
    out->type = "longrope";
  if (out->class->longrope_alone && strcmp(out->type, "default") != 0 && strcmp(out->type, "longrope") != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: %s: the type \"%.40s\" is none of this model_type; default and longrope are",
                     out->member, out->type);
  return STATUS_OK;
}

/* One object has it all: rope_scaling (before Transformers 5) where it says anything, else rope_parameters. What it
   lacks is looked for at the top level. Transformers reads `type` where `rope_type` is absent. */
static enum status read_scaling(struct scaling *out, const struct model *m, const struct rotary_class *class,
                                struct error *err) {
  static const char *const members[] = {"rope_scaling", "rope_parameters"};
  const json_t *config = m->checkpoint.config, *value;
  *out = (struct scaling){.member = members[1], .class = class};
  for (size_t i = COUNT_OF(members); i-- > 0;) {
    const json_t *object = json_object_get(config, members[i]);
    if (object && !json_is_null(object) && !json_is_object(object))
      return invalid(err, members[i], "it must be an object");
    if (json_object_size(object))
      *out = (struct scaling){.object = object, .member = members[i], .class = class};
  }
  const char *key;
  json_object_foreach((json_t *)(uintptr_t)out->object, key, value) {
    if (json_is_object(value))
      return error_set(err, STATUS_MODEL_INVALID, "model",
                       "config.json: %s: %.40s: rotary positions that differ from layer to layer are not supported",
                       out->member, key);
  }
  enum status status = load_number(&out->theta, m, "rope_theta", class->theta, err);
  return status ? status : read_members(out, m, err);
}

static enum status read_kind(struct scaling *out, const struct model *m, const struct rotary_kind *kind,
                             struct error *err) {
  static const char member[] = "rope_parameters";
  static const struct rotary_class class = {0};
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
  *out = (struct scaling){.object = json_object_get(parameters, kind->name), .member = member, .class = &class};
  if (json_object_size(scaling) && kind->scaling == ROTARY_SCALING_TAKEN)
    *out = (struct scaling){.object = scaling, .member = "rope_scaling", .class = &class};
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

/* The length that the model was trained on first: a member beside the object, which some classes always have, goes
   before the one in it, and max_position_embeddings stands in for both. */
static enum status need_context(double *out, const struct scaling *s, const struct model *m, struct error *err) {
  static const char key[] = "original_max_position_embeddings";
  const json_t *top = json_object_get(m->checkpoint.config, key);
  size_t original = s->class->original_positions;
  if ((!top || json_is_null(top)) && !original && json_object_get(s->object, key))
    return need(out, s, key, err);
  enum status status = load_number(out, m, key, (double)(original ? original : m->positions), err);
  return status || *out > 0 ? status : invalid(err, key, "it must be positive");
}

/* A positive number that may lack, or be null or 0. */
static enum status may_have(double *out, const struct scaling *s, const char *key, double fallback, struct error *err) {
  const json_t *value = json_object_get(s->object, key);
  *out = fallback;
  return !value || json_is_null(value) || (json_is_number(value) && json_number_value(value) == 0)
             ? STATUS_OK
             : need(out, s, key, err);
}

/* --- the types ------------------------------------------------------------------------------------ */

/* Each changes the frequencies, and may set what else the config has. */
typedef enum status scale_frequencies(struct rotary_config *out, float *f, struct model *m, const struct scaling *s,
                                      struct error *err);

static enum status scale_linear(struct rotary_config *out, float *f, struct model *m, const struct scaling *s,
                                struct error *err) {
  double factor = 1;
  enum status status = need(&factor, s, "factor", err);
  (void)m;
  for (size_t k = 0; k < out->turned / 2; k++)
    f[k] = (float)((double)f[k] / factor);
  return status;
}

/* Long waves are slowed down by `factor`, short ones stay, those between are blended (LLaMA 3.1). */
static enum status scale_llama3(struct rotary_config *out, float *f, struct model *m, const struct scaling *s,
                                struct error *err) {
  double factor = 1, low = 1, high = 4, context = 8192;
  enum status status = need(&factor, s, "factor", err);
  status = status ? status : need(&low, s, "low_freq_factor", err);
  status = status ? status : need(&high, s, "high_freq_factor", err);
  status = status ? status : need_context(&context, s, m, err);
  if (!status && !(high > low))
    status = invalid(err, s->member, "high_freq_factor must be above low_freq_factor");
  for (size_t k = 0; !status && k < out->turned / 2; k++) {
    double wave = 2 * M_PI / (double)f[k];
    double blend = (context / wave - low) / (high - low);
    if (wave > context / low)
      f[k] = (float)((double)f[k] / factor);
    else if (wave >= context / high)
      f[k] = (float)((1 - blend) * (double)f[k] / factor + blend * (double)f[k]);
  }
  return status;
}

/* `factor`, or how many times as long as at first the sequences may be. */
static enum status read_factor(double *out, double *context, const struct scaling *s, const struct model *m,
                               struct error *err) {
  enum status status = need_context(context, s, m, err);
  return status ? status : may_have(out, s, "factor", (double)m->positions / *context, err);
}

static double mscale(double factor, double by) {
  return factor <= 1 ? 1 : 0.1 * by * log(factor) + 1;
}

/* Pairs that turn at least beta_fast times in the first context stay, those that turn at most beta_slow times are
   slowed down by `factor`, those between are blended; attention is the sharper for it (Peng et al., "YaRN", 2023). */
static enum status scale_yarn(struct rotary_config *out, float *f, struct model *m, const struct scaling *s,
                              struct error *err) {
  double factor = 1, context = 1, fast, slow, one, all, dim = (double)out->turned, ends[2];
  bool whole = !json_is_false(json_object_get(s->object, "truncate"));
  enum status status = read_factor(&factor, &context, s, m, err);
  status = status ? status : may_have(&fast, s, "beta_fast", 32, err);
  status = status ? status : may_have(&slow, s, "beta_slow", 1, err);
  status = status ? status : may_have(&one, s, "mscale", 0, err);
  status = status ? status : may_have(&all, s, "mscale_all_dim", 0, err);
  if (status)
    return status;
  double attention = one > 0 && all > 0 ? mscale(factor, one) / mscale(factor, all) : mscale(factor, 1);
  status = may_have(&out->attention_factor, s, "attention_factor", attention, err);
  for (int end = 0; end < 2; end++)
    ends[end] = dim * log(context / ((end ? slow : fast) * 2 * M_PI)) / (2 * log(s->theta));
  double low = fmax(whole ? floor(ends[0]) : ends[0], 0), high = fmin(whole ? ceil(ends[1]) : ends[1], dim - 1);
  high = low == high ? high + 0.001 : high;
  for (size_t k = 0; k < out->turned / 2; k++) {
    double ramp = fmin(fmax(((double)k - low) / (high - low), 0), 1);
    f[k] = (float)((double)f[k] / factor * ramp + (double)f[k] * (1 - ramp));
  }
  return status;
}

/* Divides the frequencies by a list's numbers. */
static enum status divide(float *f, size_t count, const json_t *divisors, const char *member, struct error *err) {
  if (json_array_size(divisors) != count)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: %s: it must have a number for each of the %zu pairs of channels that turn", member,
                     count);
  for (size_t k = 0; k < count; k++) {
    double by = json_number_value(json_array_get(divisors, k));
    if (!(by > 0))
      return invalid(err, member, "its numbers must be positive");
    f[k] = (float)((double)f[k] / by);
  }
  return STATUS_OK;
}

/* Divisors of sequences up to the first context, and of longer ones (Ding et al., "LongRoPE", 2024). */
static enum status scale_longrope(struct rotary_config *out, float *f, struct model *m, const struct scaling *s,
                                  struct error *err) {
  double factor = 1, context = 1;
  size_t half = out->turned / 2;
  float *longer = arena_array(&m->arena, half, sizeof *longer);
  if (!longer)
    return error_no_memory(err, "the model");
  memcpy(longer, f, half * sizeof *f);
  enum status status = read_factor(&factor, &context, s, m, err);
  status = status ? status : divide(f, half, json_object_get(s->object, "short_factor"), "short_factor", err);
  status = status ? status : divide(longer, half, json_object_get(s->object, "long_factor"), "long_factor", err);
  if (!status && !(context >= 2 && context < (double)SIZE_MAX / 2))
    status = invalid(err, "original_max_position_embeddings", "it must be a number of tokens");
  if (status)
    return status;
  out->long_frequencies = longer;
  out->short_most = (size_t)context;
  return may_have(&out->attention_factor, s, "attention_factor",
                  factor <= 1 ? 1 : sqrt(1 + log(factor) / log(context)), err);
}

static const struct {
  const char *name;
  scale_frequencies *scale; /* NULL: as they are */
} types[] = {{"default", NULL},
             {"linear", scale_linear},
             {"llama3", scale_llama3},
             {"yarn", scale_yarn},
             {"longrope", scale_longrope}};

static enum status make_frequencies(struct rotary_config *out, struct model *m, size_t head_size,
                                    const struct scaling *s, struct error *err) {
  size_t turned = (size_t)((double)head_size * s->partial), type = 0;
  const json_t *divisors = json_object_get(m->checkpoint.config, "rope_freqs"); /* llama3's scaling in a GGUF file */
  if (turned < 2 || turned % 2 != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: partial_rotary_factor %g of head_dim %zu is %zu: rotary positions turn pairs",
                     s->partial, head_size, turned);
  while (type < COUNT_OF(types) && strcmp(s->type, types[type].name) != 0)
    type++;
  if (type == COUNT_OF(types))
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: %s: the type \"%.40s\" is not supported; default, linear, llama3, yarn and longrope "
                     "are",
                     s->member, s->type);
  float *f = arena_array(&m->arena, turned / 2, sizeof *f);
  if (!f)
    return error_no_memory(err, "the model");
  for (size_t k = 0; k < turned / 2; k++)
    f[k] = (float)pow(s->theta, -2.0 * (double)k / (double)turned);
  *out = (struct rotary_config){.head_size = head_size,
                                .turned = turned,
                                .frequencies = f,
                                .attention_factor = 1,
                                .theta = s->theta,
                                .type = types[type].name,
                                .scaling = s->object};
  enum status status = types[type].scale ? types[type].scale(out, f, m, s, err) : STATUS_OK;
  return status || !divisors || json_is_null(divisors) ? status : divide(f, turned / 2, divisors, "rope_freqs", err);
}

enum status rotary_read(struct rotary_config *out, struct model *m, size_t head_size, const struct rotary_class *class,
                        struct error *err) {
  struct scaling s;
  enum status status = read_scaling(&s, m, class, err);
  return status ? status : make_frequencies(out, m, head_size, &s, err);
}

enum status rotary_read_kind(struct rotary_config *out, struct model *m, size_t head_size,
                             const struct rotary_kind *kind, struct error *err) {
  struct scaling s;
  enum status status = read_kind(&s, m, kind, err);
  status = status ? status : make_frequencies(out, m, head_size, &s, err);
  if (!status && out->long_frequencies)
    return invalid(err, s.member, "longrope is not supported where rotary positions differ from layer to layer");
  return status;
}

/* --- tables --------------------------------------------------------------------------------------- */

static void fill_table(float *cosines, float *sines, const float *frequencies, const struct rotary_config *config,
                       size_t positions) {
  size_t half = config->turned / 2;
  for (size_t p = 0; p < positions; p++)
    for (size_t k = 0; k < half; k++) {
      float angle = (float)p * frequencies[k]; /* in float, as the models were trained */
      cosines[p * half + k] = cosf(angle) * (float)config->attention_factor;
      sines[p * half + k] = sinf(angle) * (float)config->attention_factor;
    }
}

enum status rotary_make(struct rotary *out, struct model *m, const struct rotary_config *config, size_t positions,
                        struct error *err) {
  bool longer = config->long_frequencies && positions > config->short_most;
  size_t half = config->turned / 2, first = longer ? config->short_most : positions, rows = first + longer * positions;
  float *cosines = arena_array(&m->arena, rows * half, sizeof *cosines);
  float *sines = arena_array(&m->arena, rows * half, sizeof *sines);
  if (!cosines || !sines)
    return error_no_memory(err, "the model");
  fill_table(cosines, sines, config->frequencies, config, first);
  if (longer)
    fill_table(cosines + first * half, sines + first * half, config->long_frequencies, config, positions);
  *out = (struct rotary){.head_size = config->head_size,
                         .turned = config->turned,
                         .short_most = longer ? config->short_most : 0,
                         .long_row = first};
  size_t bytes = rows * half * sizeof *cosines;
  enum status status = buffers_import(&m->buffers, &out->cos, cosines, bytes, err);
  return status ? status : buffers_import(&m->buffers, &out->sin, sines, bytes, err);
}
