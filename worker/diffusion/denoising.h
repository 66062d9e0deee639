/* Samplers: from noise to latents, a call of the model at a time. The caller asks the model what it predicts of the
   sample at calls[at].timestep, and gives that to denoising_step; all numbers as the schedulers of diffusers make them.
     DDIMScheduler                DDIM (Song et al., "Denoising diffusion implicit models", 2021) with eta 0
     DPMSolverMultistepScheduler  DPM-Solver++ (2M) (Lu et al., 2022), the midpoint form; its first and last steps are
   of order one PNDMScheduler                PLMS (Liu et al., "Pseudo numerical methods for diffusion models on
   manifolds", 2022), without Runge-Kutta steps EulerDiscreteScheduler       Euler's method in sigma (Karras et al.,
   2022, algorithm 2) without churn. diffusers' sample is x / sqrt(a_t) of ours, whose step is DDIM's */
#ifndef WORKER_DIFFUSION_DENOISING_H
#define WORKER_DIFFUSION_DENOISING_H

#include "api/generation.h"
#include "worker/diffusion/noise_schedule.h"

struct denoising_call {
  float timestep;   /* what the model is told */
  double now, next; /* a_t of the sample that the step starts from, and of what it makes */
};

struct denoising {
  enum image_scheduler scheduler;
  const struct noise_schedule *schedule;
  size_t count;                       /* calls: the steps; of PNDM one more, since the first step is taken twice */
  const struct denoising_call *calls; /* [count], the noisiest first */
  size_t elements;                    /* of a sample */
  float noise_scale;                  /* the first sample is this times normal noise */
  float *history;                     /* what former calls left, blocks of `elements`; DDIM and Euler: NULL */
  size_t at;                          /* the next call */
};

/* Memory is the arena's. `scheduler` is not IMAGE_SCHEDULER_AUTO. STATUS_INVALID_VALUE for more steps than the schedule
   has. */
NODISCARD enum status denoising_init(struct denoising *out, enum image_scheduler scheduler,
                                     const struct noise_schedule *schedule, size_t steps, size_t elements,
                                     struct arena *arena, struct error *err);
/* The next step: `sample` goes from calls[at].now to calls[at].next. */
void denoising_step(struct denoising *denoising, float *sample, const float *predicted);
/* Classifier-free guidance (Ho and Salimans, 2022): out = without + scale * (with - without); out may be one of them.
 */
void denoising_guide(float *out, const float *without, const float *with, float scale, size_t count);

#endif
