#include "worker/diffusion/denoising.h"

#include <math.h>
#include <string.h>

/* DPM-Solver++ leaves out the last of one step more. */
static size_t timestep(const struct denoising *d, size_t i) {
  const struct noise_schedule *s = d->schedule;
  bool ddim = d->method == DENOISING_DDIM;
  size_t T = s->count, N = d->count, back = N - 1 - i;
  double ratio;
  switch (s->spacing) {
  case SPACING_LEADING: return ddim ? back * (T / N) + s->steps_offset : (back + 1) * (T / (N + 1)) + s->steps_offset;
  case SPACING_LINSPACE:
    ratio = ddim ? (N > 1 ? (double)back / (double)(N - 1) : 0) : (double)(back + 1) / (double)N;
    return (size_t)nearbyint((double)(T - 1) * ratio);
  case SPACING_TRAILING: return (size_t)nearbyint((double)T - (double)i * (double)T / (double)N) - 1;
  }
  CHECK(!"a spacing");
}

enum status denoising_init(struct denoising *out, enum denoising_method method, const struct noise_schedule *schedule,
                           size_t steps, size_t elements, struct arena *arena, struct error *err) {
  *out = (struct denoising){.method = method, .schedule = schedule, .count = steps, .elements = elements};
  if (steps < 1 || steps >= schedule->count)
    return error_set(err, STATUS_INVALID_VALUE, "num_inference_steps",
                     "num_inference_steps is %zu; it must be from 1 to %zu", steps, schedule->count - 1);
  size_t *timesteps = arena_array(arena, steps, sizeof *timesteps);
  out->before = method == DENOISING_DPM_SOLVER_2M ? arena_array(arena, elements, sizeof *out->before) : NULL;
  if (!timesteps || (method == DENOISING_DPM_SOLVER_2M && !out->before))
    return error_no_memory(err, "the sampler");
  for (size_t i = 0; i < steps; i++) {
    size_t t = timestep(out, i);
    timesteps[i] = t < schedule->count ? t : schedule->count - 1;
  }
  out->timesteps = timesteps;
  return STATUS_OK;
}

/* Of the sample without noise, and of the noise, where signal^2 + rest^2 = 1. */
struct split {
  float clean, noise;
};

static struct split split_of(const struct denoising *d, float x, float predicted, float signal, float rest) {
  if (d->schedule->prediction == PREDICTION_V)
    return (struct split){signal * x - rest * predicted, rest * x + signal * predicted};
  return (struct split){(x - rest * predicted) / signal, predicted};
}

static void ddim_step(struct denoising *d, float *x, const float *predicted) {
  const struct noise_schedule *s = d->schedule;
  size_t t = d->timesteps[d->at], each = s->count / d->count;
  double now = s->alphas[t], next = t >= each ? s->alphas[t - each] : s->final_alpha;
  float signal = (float)sqrt(now), rest = (float)sqrt(1 - now);
  for (size_t i = 0; i < d->elements; i++) {
    struct split of = split_of(d, x[i], predicted[i], signal, rest);
    x[i] = (float)sqrt(next) * of.clean + (float)sqrt(1 - next) * of.noise;
  }
}

/* Half the log of the ratio of signal to noise; after the last step there is no noise. */
static double lambda(const struct denoising *d, size_t step) {
  if (step == d->count)
    return INFINITY;
  double a = d->schedule->alphas[d->timesteps[step]];
  return (log(a) - log(1 - a)) / 2;
}

static double alpha(const struct denoising *d, size_t step) {
  return step == d->count ? 1 : d->schedule->alphas[d->timesteps[step]];
}

static void dpm_solver_step(struct denoising *d, float *x, const float *predicted) {
  size_t step = d->at;
  double now = alpha(d, step), next = alpha(d, step + 1), h = lambda(d, step + 1) - lambda(d, step);
  float signal = (float)sqrt(now), rest = (float)sqrt(1 - now);
  float keep = (float)(sqrt(1 - next) / sqrt(1 - now)), share = (float)(sqrt(next) * -expm1(-h)), slope = 0;
  if (step > 0 && step + 1 < d->count)
    slope = (float)(h / (lambda(d, step) - lambda(d, step - 1)) / 2);
  for (size_t i = 0; i < d->elements; i++) {
    float clean = split_of(d, x[i], predicted[i], signal, rest).clean;
    x[i] = keep * x[i] + share * (clean + (slope != 0 ? slope * (clean - d->before[i]) : 0));
    d->before[i] = clean;
  }
}

void denoising_step(struct denoising *d, float *sample, const float *predicted) {
  CHECK(d->at < d->count);
  (d->method == DENOISING_DDIM ? ddim_step : dpm_solver_step)(d, sample, predicted);
  d->at++;
}

void denoising_guide(float *out, const float *without, const float *with, float scale, size_t count) {
  for (size_t i = 0; i < count; i++)
    out[i] = without[i] + scale * (with[i] - without[i]);
}
