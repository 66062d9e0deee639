/* Samplers: from noise to latents, a step at a time. The caller asks the model what it predicts of the sample at
   timesteps[i], and gives that to denoising_step; all numbers as diffusers makes them.
     ddim            DDIM (Song et al., "Denoising diffusion implicit models", 2021) with eta 0
     dpm_solver_2m   DPM-Solver++ (2M) (Lu et al., 2022), the midpoint form; its first and last steps are of order one
 */
#ifndef WORKER_DIFFUSION_DENOISING_H
#define WORKER_DIFFUSION_DENOISING_H

#include "worker/diffusion/noise_schedule.h"

enum denoising_method { DENOISING_DDIM, DENOISING_DPM_SOLVER_2M };

struct denoising {
  enum denoising_method method;
  const struct noise_schedule *schedule;
  size_t count;            /* steps */
  const size_t *timesteps; /* [count], the noisiest first */
  size_t elements;         /* of a sample */
  float *before;           /* DPM-Solver++: what the step before took the sample without noise to be */
  size_t at;               /* the next step */
};

/* Memory is the arena's. STATUS_INVALID_VALUE for more steps than the schedule has. */
NODISCARD enum status denoising_init(struct denoising *out, enum denoising_method method,
                                     const struct noise_schedule *schedule, size_t steps, size_t elements,
                                     struct arena *arena, struct error *err);
/* The next step: `sample` goes from timesteps[at] to what comes after. */
void denoising_step(struct denoising *denoising, float *sample, const float *predicted);
/* Classifier-free guidance (Ho and Salimans, 2022): out = without + scale * (with - without); out may be one of them.
 */
void denoising_guide(float *out, const float *without, const float *with, float scale, size_t count);

#endif
