/* A picture from a prompt, a step at a time: latents of noise, which the UNet takes the noise from under
   classifier-free guidance, and the VAE decodes. It depends on the request alone, not on what else is made. */
#ifndef WORKER_DIFFUSION_IMAGE_SAMPLING_H
#define WORKER_DIFFUSION_IMAGE_SAMPLING_H

#include "worker/diffusion/diffusion_pipeline.h"
#include "worker/image/image.h"

struct image_request {
  const char *prompt;
  const char *negative_prompt; /* what the guidance leads away from; NULL: "" */
  size_t width, height;        /* pixels: multiples of the pipeline's side_multiple */
  size_t steps;
  double guidance_scale;          /* of classifier-free guidance; 1 and less: there is none */
  uint64_t seed;                  /* of the noise, by Philox, channels last */
  const struct image *hint;       /* of the picture's size, where the UNet has a conditioning embedding; else NULL */
  enum image_scheduler scheduler; /* not IMAGE_SCHEDULER_AUTO */
};

struct image_sampling {
  struct diffusion_pipeline *pipeline;
  struct model *unet;
  struct arena arena;
  struct tape tape;
  struct plan *plan;
  struct denoising denoising;
  size_t width, height; /* of the latents */
  size_t passes;        /* images of a batch: with the prompt, and before it without */
  size_t bytes;         /* of memory that a step takes, or the decoding, which comes when that is free again */
  double guidance_scale;
  float *texts;   /* [passes][text_tokens][text_cols] */
  float *latents; /* [passes][pixels][channels], all the same */
  float *hints;   /* [passes][pixels of the picture][3], likewise: the hint stays where the prompt is left out */
};

/* `unet`: the pipeline's, or another one opened from its files that has an adapter on it, whose factors are made
   (adapter_forward_factors); both outlive it. STATUS_INVALID_VALUE names the member of the request ("size", "prompt",
   "negative_prompt", "num_inference_steps", "conditioning_image"). Empty after a failure. */
NODISCARD enum status image_sampling_begin(struct image_sampling *out, struct diffusion_pipeline *pipeline,
                                           struct model *unet, const struct image_request *request, struct error *err);
/* One step of the sampler; not after the last one. */
NODISCARD enum status image_sampling_step(struct image_sampling *sampling, struct error *err);
bool image_sampling_over(const struct image_sampling *sampling);
/* After the last step, once. The picture is the caller's. */
NODISCARD enum status image_sampling_decode(struct image *out, struct image_sampling *sampling, struct error *err);
void image_sampling_done(struct image_sampling *sampling);

#endif
