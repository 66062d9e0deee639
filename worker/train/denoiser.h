/* A diffusion model being trained: what learner.h is for models of text. The model is a UNet2DConditionModel, a step
   the mean squared error of what it predicts (Ho et al., 2020). The verbs of a step that do not ask what a batch is are
   the learner's: learner_begin, learner_finish, learner_update. */
#ifndef WORKER_TRAIN_DENOISER_H
#define WORKER_TRAIN_DENOISER_H

#include "worker/model/unet.h"
#include "worker/train/learner.h"

struct denoiser {
  struct learner learner; /* its model, memory and optimiser; adamw's settings, orth_lambda and the
                            limits of memory are set before */
  struct images images;   /* the latents of a batch: all have this size */
  size_t text_tokens;     /* of each image */
};

/* STATUS_INVALID_VALUE when the latents have a size that the model cannot halve as often as it does;
   STATUS_OUT_OF_MEMORY when a step does not fit learner.memory_limit whatever is recomputed;
   STATUS_UNSUPPORTED_VALUE naming the op that the backend does not have. */
NODISCARD enum status denoiser_init(struct denoiser *denoiser, struct model *unet, const struct images *images,
                                    size_t text_tokens, struct error *err);
void denoiser_done(struct denoiser *denoiser);
/* Forward and backward of one micro-batch. target: [pixels of all latents][out_channels], the noise or the velocity.
 *loss = weight * the sum of squared errors; `weight` is 1 / elements of the whole step. */
NODISCARD enum status denoiser_accumulate(struct denoiser *denoiser, const struct unet_input *input,
                                          const float *target, float weight, double *loss, struct error *err);
/* What the model predicts; *out [pixels of all latents][out_channels] lives until the next call. */
NODISCARD enum status denoiser_predict(struct denoiser *denoiser, const struct unet_input *input, const float **out,
                                       struct error *err);

#endif
