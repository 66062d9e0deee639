#include "worker/diffusion/denoising.h"

#include <math.h>
#include <string.h>

/* --- the calls ------------------------------------------------------------------------------------ */

/* Of the i-th of N steps, the noisiest first. DPM-Solver++ leaves out the last of one step more. */
static double timestep(const struct denoising *d, size_t i, size_t N) {
  const struct noise_schedule *s = d->schedule;
  bool is_dpm_solver = d->scheduler == IMAGE_SCHEDULER_DPM;
  size_t T = s->count, back = N - 1 - i;
  double ratio, t = 0;
  switch (s->spacing) {
  case SPACING_LEADING:
    t = (double)(is_dpm_solver ? (back + 1) * (T / (N + 1)) : back * (T / N)) + (double)s->steps_offset;
    break;
  case SPACING_LINSPACE:
    ratio = is_dpm_solver ? (double)(back + 1) / (double)N : N > 1 ? (double)back / (double)(N - 1) : 0;
    t = (double)(T - 1) * ratio;
    if (d->scheduler != IMAGE_SCHEDULER_EULER)
      t = nearbyint(t);
    break;
  case SPACING_TRAILING: t = nearbyint((double)T - (double)i * (double)T / (double)N) - 1; break;
  }
  return fmin(t, (double)(T - 1));
}

static double sigma_squared(double alpha) {
  return (1 - alpha) / alpha;
}

/* a_t between two time steps: sigma is linear there. */
static double alpha_at(const struct noise_schedule *s, double t) {
  size_t low = (size_t)t;
  double part = t - (double)low;
  if (part == 0)
    return s->alphas[low];
  double sigma = (1 - part) * sqrt(sigma_squared(s->alphas[low])) + part * sqrt(sigma_squared(s->alphas[low + 1]));
  return 1 / (1 + sigma * sigma);
}

/* Where DDIM and PNDM go from t: the time steps of one step less, wherever the next call is. */
static double alpha_after(const struct noise_schedule *s, double t, size_t each) {
  return t >= (double)each ? s->alphas[(size_t)t - each] : s->final_alpha;
}

/* Where PNDM's second call is said to be. */
static double alpha_before(const struct noise_schedule *s, double t, size_t each) {
  size_t before = (size_t)t + each;
  return s->alphas[before < s->count ? before : s->count - 1];
}

static void make_calls(const struct denoising *d, struct denoising_call *calls, size_t steps) {
  const struct noise_schedule *s = d->schedule;
  const size_t each = s->count / steps;
  const bool goes_on = d->scheduler == IMAGE_SCHEDULER_DPM || d->scheduler == IMAGE_SCHEDULER_EULER;
  for (size_t i = 0; i < d->count; i++) {
    /* PNDM's second call is at what its first step made, and takes that step again. */
    const bool again = d->scheduler == IMAGE_SCHEDULER_PNDM && i == 1;
    const double t = timestep(d, d->count > steps && i > 0 && !again ? i - 1 : i, steps);
    calls[i] = (struct denoising_call){.timestep = (float)t, .now = alpha_at(s, t)};
    if (again)
      calls[i].next = calls[i].now, calls[i].now = alpha_before(s, t, each);
    else if (!goes_on)
      calls[i].next = alpha_after(s, t, each);
    else
      calls[i].next = i + 1 < steps ? alpha_at(s, timestep(d, i + 1, steps)) : 1;
  }
}

enum { PLMS_ORDER = 4, PLMS_HISTORY = PLMS_ORDER + 1 };

static size_t history_blocks(enum image_scheduler scheduler) {
  return scheduler == IMAGE_SCHEDULER_DPM ? 1 : scheduler == IMAGE_SCHEDULER_PNDM ? PLMS_HISTORY : 0;
}

enum status denoising_init(struct denoising *out, enum image_scheduler scheduler, const struct noise_schedule *schedule,
                           size_t steps, size_t elements, struct arena *arena, struct error *err) {
  CHECK(scheduler != IMAGE_SCHEDULER_AUTO);
  *out = (struct denoising){.scheduler = scheduler, .schedule = schedule, .elements = elements, .noise_scale = 1};
  if (steps < 1 || steps >= schedule->count)
    return error_set(err, STATUS_INVALID_VALUE, "num_inference_steps",
                     "num_inference_steps is %zu; it must be from 1 to %zu", steps, schedule->count - 1);
  const size_t blocks = history_blocks(scheduler);
  out->count = steps + (scheduler == IMAGE_SCHEDULER_PNDM && steps > 1);
  struct denoising_call *calls = arena_array(arena, out->count, sizeof *calls);
  out->history = blocks ? arena_array(arena, blocks * elements, sizeof *out->history) : NULL;
  if (!calls || (blocks && !out->history))
    return error_no_memory(err, "the sampler");
  make_calls(out, calls, steps);
  out->calls = calls;
  if (scheduler == IMAGE_SCHEDULER_EULER && schedule->spacing != SPACING_LEADING)
    out->noise_scale = (float)sqrt(1 - calls[0].now);
  return STATUS_OK;
}

/* --- the steps ------------------------------------------------------------------------------------ */

/* Of the sample without noise, and of the noise, where signal^2 + rest^2 = 1. */
struct split {
  float clean, noise;
};

static struct split split_of(const struct denoising *d, float x, float predicted, float signal, float rest) {
  if (d->schedule->prediction == PREDICTION_V)
    return (struct split){signal * x - rest * predicted, rest * x + signal * predicted};
  return (struct split){(x - rest * predicted) / signal, predicted};
}

/* sqrt(a) of a call's sample and sqrt(1 - a), before and after. */
struct levels {
  float signal, rest, next_signal, next_rest;
};

static struct levels levels_of(const struct denoising_call *call) {
  return (struct levels){(float)sqrt(call->now), (float)sqrt(1 - call->now), (float)sqrt(call->next),
                         (float)sqrt(1 - call->next)};
}

/* DDIM: the noise that is predicted is added again, as much of it as comes next. */
static float transfer(const struct denoising *d, const struct levels *l, float x, float predicted) {
  struct split of = split_of(d, x, predicted, l->signal, l->rest);
  return l->next_signal * of.clean + l->next_rest * of.noise;
}

static void ddim_step(struct denoising *d, float *x, const float *predicted) {
  const struct levels levels = levels_of(&d->calls[d->at]);
  for (size_t i = 0; i < d->elements; i++)
    x[i] = transfer(d, &levels, x[i], predicted[i]);
}

/* By the newest prediction first: the formulas of Adams and Bashforth of order 1 to 4. */
static const float adams_bashforth[PLMS_ORDER][PLMS_ORDER] = {
    {1}, {3 / 2.f, -1 / 2.f}, {23 / 12.f, -16 / 12.f, 5 / 12.f}, {55 / 24.f, -59 / 24.f, 37 / 24.f, -9 / 24.f}};

/* The history is the first sample, then the predictions of the last steps in a ring. The second call's prediction
   counts once, in the mean with the first one's. */
static void plms_step(struct denoising *d, float *x, const float *predicted) {
  const struct levels levels = levels_of(&d->calls[d->at]);
  const size_t n = d->elements, newest = d->at ? d->at - 1 : 0, order = newest < PLMS_ORDER ? newest + 1 : PLMS_ORDER;
  float *first = d->history, *ring = d->history + n;
  if (d->at == 1) {
    for (size_t i = 0; i < n; i++)
      x[i] = transfer(d, &levels, first[i], (ring[i] + predicted[i]) / 2);
    return;
  }
  if (d->at == 0)
    memcpy(first, x, n * sizeof *x);
  memcpy(ring + newest % PLMS_ORDER * n, predicted, n * sizeof *x);
  for (size_t i = 0; i < n; i++) {
    float mean = 0;
    for (size_t j = 0; j < order; j++)
      mean += adams_bashforth[order - 1][j] * ring[(newest - j) % PLMS_ORDER * n + i];
    x[i] = transfer(d, &levels, x[i], mean);
  }
}

/* Half the log of the ratio of signal to noise; after the last step there is no noise. */
static double lambda(double alpha) {
  return alpha < 1 ? -log(sigma_squared(alpha)) / 2 : (double)INFINITY;
}

static void dpm_solver_step(struct denoising *d, float *x, const float *predicted) {
  const struct denoising_call *call = &d->calls[d->at];
  const struct levels l = levels_of(call);
  double h = lambda(call->next) - lambda(call->now);
  float keep = (float)(sqrt(1 - call->next) / sqrt(1 - call->now)), share = (float)(sqrt(call->next) * -expm1(-h)),
        slope = 0;
  if (d->at > 0 && d->at + 1 < d->count)
    slope = (float)(h / (lambda(call->now) - lambda(call[-1].now)) / 2);
  for (size_t i = 0; i < d->elements; i++) {
    float clean = split_of(d, x[i], predicted[i], l.signal, l.rest).clean;
    x[i] = keep * x[i] + share * (clean + (slope != 0 ? slope * (clean - d->history[i]) : 0));
    d->history[i] = clean;
  }
}

void denoising_step(struct denoising *d, float *sample, const float *predicted) {
  CHECK(d->at < d->count);
  (d->scheduler == IMAGE_SCHEDULER_DPM    ? dpm_solver_step
   : d->scheduler == IMAGE_SCHEDULER_PNDM ? plms_step
                                          : ddim_step)(d, sample, predicted);
  d->at++;
}

void denoising_guide(float *out, const float *without, const float *with, float scale, size_t count) {
  for (size_t i = 0; i < count; i++)
    out[i] = without[i] + scale * (with[i] - without[i]);
}
