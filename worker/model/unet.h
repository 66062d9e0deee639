/* UNet2DConditionModel of diffusers (Rombach et al., 2022), as Stable Diffusion 1.5 and 2.x have it: predicts the noise
   (or the velocity) in latents at a time step, conditioned on a text encoder's rows. Forward and backward, adapters on
   its linear layers and convolutions; perhaps conditioned on a hint too, a picture (conditioning_embedding.h). */
#ifndef WORKER_MODEL_UNET_H
#define WORKER_MODEL_UNET_H

#include "worker/model/model.h"

/* A batch, in host memory that outlives the step. Its arrays may be NULL in a dry run. */
struct unet_input {
  struct images images;        /* the latents' size */
  size_t text_tokens;          /* rows of an image's text */
  const float *sample;         /* [pixels of all images][in_channels]: channels last */
  const float *timesteps;      /* [images] */
  const float *encoder_states; /* [images * text_tokens][cross_attention_dim] */
  const float *hints;          /* [pixels of all hints][3], from 0 to 1, where the model has a conditioning embedding */
};

/* Columns of a sample, of what is predicted and of a text's rows; what the latents' height and width are to be
   multiples of. */
struct unet_sizes {
  size_t in_channels, out_channels, cross_attention_dim, multiple;
};
struct unet_sizes unet_sizes(const struct model *model);
/* Gives the model a conditioning embedding, whose hints are `scale` times as high and wide as latents. Once, after
   model_adapt. */
NODISCARD enum status unet_condition(struct model *model, size_t scale, uint64_t seed, struct error *err);
/* How many times; 0: it has none. */
size_t unet_hint_scale(const struct model *model);
/* (pixels, out_channels). The height and width must be multiples of unet_sizes(model).multiple. */
struct tensor *unet_forward(struct tape *tape, const struct model *model, const struct unet_input *input);

#endif
