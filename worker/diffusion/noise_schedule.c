#include "worker/diffusion/noise_schedule.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/rng.h"

enum { STEPS_MAX = 100000 };

static enum status invalid(struct error *err, const char *key, const char *what) {
  return error_set(err, STATUS_MODEL_INVALID, "model", "scheduler_config.json: %s %s", key, what);
}

/* A member that must be one of `known`; `fallback` COUNT: it must be there. */
static enum status read_name(size_t *out, const json_t *config, const char *key, const char *const *known, size_t count,
                             size_t fallback, struct error *err) {
  const json_t *value = json_object_get(config, key);
  if ((!value || json_is_null(value)) && fallback < count) {
    *out = fallback;
    return STATUS_OK;
  }
  const char *name = json_string_value(value);
  for (*out = 0; name && *out < count; ++*out)
    if (strcmp(name, known[*out]) == 0)
      return STATUS_OK;
  char names[200] = "must be ";
  for (size_t i = 0; i < count; i++)
    strncat(strncat(names, i ? " or " : "", sizeof names - strlen(names) - 1), known[i],
            sizeof names - strlen(names) - 1);
  return invalid(err, key, names);
}

static enum status read_positive(double *out, const json_t *config, const char *key, struct error *err) {
  const json_t *value = json_object_get(config, key);
  *out = json_number_value(value);
  return json_is_number(value) && *out > 0 && *out < 1 ? STATUS_OK
                                                       : invalid(err, key, "must be a number between 0 and 1");
}

/* What would change the numbers in a way that is not computed here. */
static enum status refuse_others(const json_t *config, struct error *err) {
  static const char *const off[] = {"clip_sample",       "thresholding",   "rescale_betas_zero_snr",
                                    "use_karras_sigmas", "use_lu_lambdas", "use_exponential_sigmas",
                                    "use_beta_sigmas",   "use_flow_sigmas"};
  for (size_t i = 0; i < COUNT_OF(off); i++)
    if (json_is_true(json_object_get(config, off[i])))
      return invalid(err, off[i], "is not supported; false is");
  const json_t *betas = json_object_get(config, "trained_betas");
  return betas && !json_is_null(betas) ? invalid(err, "trained_betas", "is not supported; null is") : STATUS_OK;
}

static enum status make_alphas(struct noise_schedule *s, double start, double end, bool scaled, struct arena *arena,
                               struct error *err) {
  double *alphas = arena_array(arena, s->count, sizeof *alphas), product = 1;
  if (!alphas)
    return error_no_memory(err, "the noise schedule");
  double from = scaled ? sqrt(start) : start, to = scaled ? sqrt(end) : end;
  for (size_t i = 0; i < s->count; i++) {
    double beta = from + (to - from) * (double)i / (double)(s->count > 1 ? s->count - 1 : 1);
    alphas[i] = product *= 1 - (scaled ? beta * beta : beta);
  }
  s->alphas = alphas;
  return STATUS_OK;
}

enum status noise_schedule_read(struct noise_schedule *out, const json_t *config, struct arena *arena,
                                struct error *err) {
  static const char *const schedules[] = {"linear", "scaled_linear"}, *const predictions[] = {"epsilon",
                                                                                              "v_prediction"};
  static const char *const spacings[] = {"leading", "linspace", "trailing"};
  size_t schedule, prediction, spacing;
  double start, end;
  int64_t count = 0, offset = 0;
  *out = (struct noise_schedule){0};
  enum status s = refuse_others(config, err);
  s = s ? s : read_name(&schedule, config, "beta_schedule", schedules, COUNT_OF(schedules), SIZE_MAX, err);
  s = s ? s : read_name(&prediction, config, "prediction_type", predictions, COUNT_OF(predictions), 0, err);
  s = s ? s : read_name(&spacing, config, "timestep_spacing", spacings, COUNT_OF(spacings), 0, err);
  s = s ? s : read_positive(&start, config, "beta_start", err);
  s = s ? s : read_positive(&end, config, "beta_end", err);
  if (!s && !json_is_integer(json_object_get(config, "num_train_timesteps")))
    s = invalid(err, "num_train_timesteps", "must be a whole number");
  s = s ? s : json_get_int(&count, config, "num_train_timesteps", 0, 1, STEPS_MAX, err);
  s = s ? s : json_get_int(&offset, config, "steps_offset", 0, 0, count - 1, err);
  if (s)
    return s;
  const json_t *to_one = json_object_get(config, "set_alpha_to_one");
  if (to_one && !json_is_boolean(to_one) && !json_is_null(to_one))
    return invalid(err, "set_alpha_to_one", "must be true or false");
  out->count = (size_t)count;
  out->steps_offset = (size_t)offset;
  out->prediction = (enum prediction_type)prediction;
  out->spacing = (enum timestep_spacing)spacing;
  s = make_alphas(out, start, end, schedule == 1, arena, err);
  if (!s)
    out->final_alpha = to_one && json_is_false(to_one) ? out->alphas[0] : 1;
  return s;
}

void noise_schedule_mix(float *noisy, float *target, const float *sample, const float *noise, size_t count,
                        const struct noise_schedule *s, size_t t) {
  CHECK(t < s->count);
  float signal = (float)sqrt(s->alphas[t]), rest = (float)sqrt(1 - s->alphas[t]);
  for (size_t i = 0; i < count; i++) {
    noisy[i] = signal * sample[i] + rest * noise[i];
    target[i] = s->prediction == PREDICTION_V ? signal * noise[i] - rest * sample[i] : noise[i];
  }
}

void noise_schedule_noise(float *out, size_t count, uint64_t seed, uint64_t stream) {
  struct rng rng;
  rng_init(&rng, seed, stream);
  for (size_t i = 0; i < count; i++)
    out[i] = (float)rng_normal(&rng);
}
