/* Pictures as a diffusion model learns them. The VAE and the text encoder are frozen, so that what they make of a
   picture and of its prompt is computed once, before the first step. */
#ifndef WORKER_TRAIN_IMAGE_SET_H
#define WORKER_TRAIN_IMAGE_SET_H

#include "base/rng.h"
#include "worker/diffusion/diffusion_pipeline.h"
#include "worker/image/image.h"

/* The two encoders, for pictures of one size. */
struct image_encoder {
  struct diffusion_pipeline *pipeline;
  size_t side;           /* pixels of a picture's */
  struct images latents; /* of one picture */
  size_t channels;       /* of a latent */
  struct tape tape;      /* of the VAE */
  struct plan *plan;
  float *pixels;        /* [side][side][3] */
  const char **prompts; /* [prompt_count], each once, owned */
  float *rows;          /* [prompt_count][text_tokens][text_cols]: what the UNet is conditioned on */
  size_t prompt_count, prompt_size, row_size;
};

/* STATUS_INVALID_VALUE naming image.resolution where the pipeline cannot have pictures of that side. Empty after a
   failure. The pipeline outlives it. */
NODISCARD enum status image_encoder_init(struct image_encoder *out, struct diffusion_pipeline *pipeline, size_t side,
                                         struct error *err);
void image_encoder_done(struct image_encoder *encoder);
/* The rows of a prompt, made where they are not there yet. `param` names it in errors. */
NODISCARD enum status image_encoder_prompt(uint32_t *index, struct image_encoder *encoder, const char *text,
                                           const char *param, struct error *err);
const float *image_encoder_rows(const struct image_encoder *encoder, uint32_t prompt);
/* Numbers of one picture's latents. */
size_t image_encoder_elements(const struct image_encoder *encoder);

struct image_set {
  size_t count, moment_size, prompt_size, hint_size;
  float *moments;    /* [count][pixels of the latents][2 * channels]: mean, then log-variance */
  uint32_t *prompts; /* [count] of the encoder's */
  struct packed_image {
    unsigned char *png;
    size_t length;
  } * hints; /* [count], of the side's size; NULL: the pictures have none */
};

/* One more picture: resized by its shorter side, cropped to the square (`rng` as resize_crop), encoded. */
NODISCARD enum status image_set_add(struct image_set *set, struct image_encoder *encoder, const struct image *image,
                                    uint32_t prompt, struct rng *rng, struct error *err);
/* The hint of picture `index`: resized and cropped likewise. With `edges` what is given is the picture itself, and the
   hint its edges (canny.h), white on black, found when it has its size. */
NODISCARD enum status image_set_hint(struct image_set *set, const struct image_encoder *encoder, size_t index,
                                     const struct image *image, bool edges, struct rng *rng, struct error *err);
/* It again; the caller's to end. */
NODISCARD enum status image_set_hint_of(struct image *out, const struct image_set *set, size_t index,
                                        struct error *err);
void image_set_done(struct image_set *set);
/* Latents of a picture, drawn from what the VAE says of them: scaling_factor * (mean + exp(log-variance / 2) * noise),
   the log-variance between -30 and 20, with the normal numbers of (seed, stream). out: image_encoder_elements. */
void image_set_draw(float *out, const struct image_set *set, const struct image_encoder *encoder, size_t index,
                    uint64_t seed, uint64_t stream);

#endif
