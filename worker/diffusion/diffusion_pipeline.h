/* A diffusion pipeline on disk, in the layout that diffusers saves a StableDiffusionPipeline in (Rombach et al.,
   "High-resolution image synthesis with latent diffusion models", 2022): model_index.json, which names the classes of
   the components, and a folder for each: tokenizer, text_encoder, unet, vae, scheduler; or a single file
   (api/single_file.h). What the index lists beside these
   (safety_checker, feature_extractor) is neither read nor run. */
#ifndef WORKER_DIFFUSION_DIFFUSION_PIPELINE_H
#define WORKER_DIFFUSION_DIFFUSION_PIPELINE_H

#include "worker/diffusion/denoising.h"
#include "worker/model/model.h"
#include "worker/text/tokenizer.h"

struct diffusion_pipeline {
  struct arena arena;
  struct tokenizer *tokenizer;
  struct model text_encoder, unet, vae;
  struct noise_schedule schedule;
  enum image_scheduler scheduler; /* what the scheduler's class names; of any other class with such a noise schedule
                                     DPM-Solver++ */
  size_t text_tokens;             /* rows that a prompt is padded to */
  size_t text_cols;               /* floats of one */
  double scaling_factor;          /* the UNet's latents = what the VAE encodes * scaling_factor */
  size_t latent_scale;            /* a picture's height and width are so many times its latents' */
  size_t side_multiple;           /* of pixels: heights and widths that the UNet can halve as often as it does */
  size_t side;                    /* of pixels: what the UNet was trained at (its sample_size) */
};

/* Is there a model_index.json in the folder `path`, or is the model a single file? */
bool diffusion_pipeline_is(const char *path);
/* Opens all components. The backend outlives the pipeline. STATUS_MODEL_INVALID names the file and the member, class or
   tensor that cannot be used; STATUS_UNSUPPORTED_VALUE as model_open_component. *out is empty after a failure. */
NODISCARD enum status diffusion_pipeline_open(struct diffusion_pipeline *out, const char *path, struct backend *backend,
                                              struct error *err);
void diffusion_pipeline_close(struct diffusion_pipeline *pipeline);

/* A prompt with more tokens than text_tokens is STATUS_INVALID_VALUE: what is cut off would be missing from the
   picture. `param` is the prompt's name in errors. */
NODISCARD enum status diffusion_pipeline_check_prompt(const struct diffusion_pipeline *pipeline, const char *text,
                                                      const char *param, struct error *err);
/* What the UNet is conditioned on: the text encoder's rows of all tokens of a prompt that passes that check, padding
   among them, into out[text_tokens][text_cols]. */
NODISCARD enum status diffusion_pipeline_encode(float *out, struct diffusion_pipeline *pipeline, const char *text,
                                                const char *param, struct error *err);

#endif
