/* How much of an image a time step has left (Ho et al., "Denoising diffusion probabilistic models", 2020): x_t =
   sqrt(a_t) x_0 + sqrt(1 - a_t) noise, a_t the product of 1 - beta up to t. Read from scheduler_config.json of
   diffusers. */
#ifndef WORKER_DIFFUSION_NOISE_SCHEDULE_H
#define WORKER_DIFFUSION_NOISE_SCHEDULE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

/* What a model predicts: the noise, or the velocity sqrt(a_t) noise - sqrt(1 - a_t) x_0 (Salimans and Ho, 2022). */
enum prediction_type { PREDICTION_EPSILON, PREDICTION_V };
/* Which time steps a sampler takes (Lin et al., "Common diffusion noise schedules", 2023, table 2). */
enum timestep_spacing { SPACING_LEADING, SPACING_LINSPACE, SPACING_TRAILING };

struct noise_schedule {
  size_t count;         /* time steps */
  const double *alphas; /* [count]: a_t */
  double final_alpha;   /* of what comes after the last step: 1, or a_0 */
  size_t steps_offset;
  enum prediction_type prediction;
  enum timestep_spacing spacing;
};

/* Every member that decides the numbers must be there: diffusers' defaults are other models'. Numbers live in `arena`.
   STATUS_MODEL_INVALID names the member. */
NODISCARD enum status noise_schedule_read(struct noise_schedule *out, const json_t *config, struct arena *arena,
                                          struct error *err);
/* noisy = x_t of `sample` with `noise`; target = what the model is to predict there. `count` numbers each, t < count of
   the schedule. */
void noise_schedule_mix(float *noisy, float *target, const float *sample, const float *noise, size_t count,
                        const struct noise_schedule *schedule, size_t t);
/* Normal numbers, by (seed, stream, position) alone (base/rng.h): the same wherever they are made. */
void noise_schedule_noise(float *out, size_t count, uint64_t seed, uint64_t stream);

#endif
