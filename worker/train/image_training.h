/* What a diffusion model's adapter is trained with: the steps and the evaluations of a training whose examples are
   pictures (DreamBooth: Ruiz et al., 2023; the loss of Ho et al., 2020).

   An example is a pass of its own through the UNet: latents drawn anew from what the VAE says of the picture, noise,
   and a time step, all by (seed, number of the example), so that a training that goes on goes on exactly. With prior
   preservation a picture of the class follows each, and weighs prior_loss_weight; of controllable generation each has
   its hint. */
#ifndef WORKER_TRAIN_IMAGE_TRAINING_H
#define WORKER_TRAIN_IMAGE_TRAINING_H

#include "base/hash.h"
#include "worker/train/denoiser.h"
#include "worker/train/evaluate.h"
#include "worker/train/image_metrics.h"
#include "worker/train/image_set.h"

struct training;

struct image_training {
  struct image_encoder encoder;
  struct denoiser denoiser; /* of one picture */
  struct image_set training, classes, validation;
  float *sample, *noise, *noisy, *target; /* [elements] each, one block */
  float *hint;                            /* [side][side][3]; NULL: there are none */
  struct image_metrics metrics;           /* of previews; empty where the job asks for none */
  int64_t measured_step;                  /* of the previews that they are of; -1: none yet */
};

/* Memory for a pass. Encoder and denoiser are there already. */
NODISCARD enum status image_training_init(struct image_training *training, struct error *err);
void image_training_done(struct image_training *training);
/* Adds the gradients of the training's examples order[first..end-1], one optimiser step; *loss += their part of its
   loss, which is a mean over them. */
NODISCARD enum status image_training_accumulate(struct image_training *images, struct training *training, size_t first,
                                                size_t end, double *loss, struct error *err);
/* The loss on the first `examples` validation pictures (0: all): of each at four time steps spread over all of them,
   with noise that is always the same. */
NODISCARD enum status image_training_evaluate(struct evaluation *out, struct image_training *images,
                                              struct training *training, size_t examples, struct error *err);
/* Adds what is learnt from. */
void image_training_identify(struct hash *hash, const struct image_training *training);

#endif
