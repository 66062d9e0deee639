#include "worker/train/image_set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "worker/image/canny.h"
#include "worker/image/image_png.h"
#include "worker/image/resize.h"
#include "worker/model/autoencoder_kl.h"
#include "worker/model/unet.h"

static struct tensor *encode(struct image_encoder *e) {
  struct images images = {1, e->side, e->side};
  struct tensor *x = op_input(&e->tape, e->pixels, images_rows(&images), 3);
  x = autoencoder_kl_encode(&e->tape, &e->pipeline->vae, x, &images);
  e->latents = images;
  return x;
}

static enum status plan(struct image_encoder *e, struct error *err) {
  e->pixels = malloc(3 * e->side * e->side * sizeof *e->pixels);
  if (!e->pixels)
    return error_no_memory(err, "an image");
  enum status status = tape_init(&e->tape, e->pipeline->vae.backend, err);
  if (status)
    return status;
  tape_plan_begin(&e->tape, false);
  encode(e);
  return tape_plan_end(&e->tape, &e->plan, err);
}

enum status image_encoder_init(struct image_encoder *out, struct diffusion_pipeline *pipeline, size_t side,
                               struct error *err) {
  *out = (struct image_encoder){
      .pipeline = pipeline, .side = side, .channels = autoencoder_kl_sizes(&pipeline->vae).latent_channels};
  if (side == 0 || side % pipeline->side_multiple != 0)
    return error_set(err, STATUS_INVALID_VALUE, "image.resolution",
                     "image.resolution is %zu; this model learns images whose side is a multiple of %zu", side,
                     pipeline->side_multiple);
  enum status status = plan(out, err);
  if (status)
    image_encoder_done(out);
  return status;
}

void image_encoder_done(struct image_encoder *e) {
  tape_plan_free(e->plan);
  if (e->tape.backend)
    tape_done(&e->tape);
  for (size_t i = 0; i < e->prompt_count; i++)
    free((void *)(uintptr_t)e->prompts[i]);
  free(e->prompts);
  free(e->rows);
  free(e->pixels);
  *e = (struct image_encoder){0};
}

static size_t row_floats(const struct image_encoder *e) {
  return e->pipeline->text_tokens * e->pipeline->text_cols;
}

enum status image_encoder_prompt(uint32_t *index, struct image_encoder *e, const char *text, const char *param,
                                 struct error *err) {
  size_t at = 0, floats = row_floats(e);
  while (at < e->prompt_count && strcmp(e->prompts[at], text) != 0)
    at++;
  *index = (uint32_t)at;
  if (at < e->prompt_count)
    return STATUS_OK;
  const char **prompts = grow(e->prompts, &e->prompt_size, at + 1, sizeof *prompts);
  e->prompts = prompts ? prompts : e->prompts;
  float *rows = grow(e->rows, &e->row_size, (at + 1) * floats, sizeof *rows);
  e->rows = rows ? rows : e->rows;
  if (!prompts || !rows)
    return error_no_memory(err, "the prompts");
  enum status status = diffusion_pipeline_encode(e->rows + at * floats, e->pipeline, text, param, err);
  if (status)
    return status;
  e->prompts[at] = strdup(text);
  if (!e->prompts[at])
    return error_no_memory(err, "the prompts");
  e->prompt_count++;
  return STATUS_OK;
}

const float *image_encoder_rows(const struct image_encoder *e, uint32_t prompt) {
  return e->rows + prompt * row_floats(e);
}

size_t image_encoder_elements(const struct image_encoder *e) {
  return images_rows(&e->latents) * e->channels;
}

static enum status run(float *moments, struct image_encoder *e, struct error *err) {
  struct backend *backend = e->pipeline->vae.backend;
  tape_begin(&e->tape, e->plan, false);
  const struct tensor *x = encode(e);
  CHECK(x->rows * x->cols == 2 * image_encoder_elements(e));
  backend->ops->read(backend, moments, x->data, x->rows * x->cols * sizeof *moments);
  return backend->ops->synchronise(backend, err);
}

/* Both sides as long as the encoder's. */
static enum status bring_to_size(struct image *out, const struct image_encoder *e, const struct image *image,
                                 struct rng *rng, struct error *err) {
  struct image resized;
  enum status status = resize_shorter_side(&resized, image, e->side, RESIZE_BILINEAR, err);
  if (status)
    return status;
  status = resize_crop(out, &resized, e->side, rng, err);
  image_done(&resized);
  return status;
}

enum status image_set_add(struct image_set *set, struct image_encoder *e, const struct image *image, uint32_t prompt,
                          struct rng *rng, struct error *err) {
  size_t numbers = 2 * image_encoder_elements(e);
  struct image cropped;
  float *moments = grow(set->moments, &set->moment_size, (set->count + 1) * numbers, sizeof *moments);
  set->moments = moments ? moments : set->moments;
  uint32_t *prompts = grow(set->prompts, &set->prompt_size, set->count + 1, sizeof *prompts);
  set->prompts = prompts ? prompts : set->prompts;
  if (!moments || !prompts)
    return error_no_memory(err, "the images' latents");
  enum status status = bring_to_size(&cropped, e, image, rng, err);
  if (status)
    return status;
  image_floats(e->pixels, &cropped);
  image_done(&cropped);
  set->prompts[set->count] = prompt;
  status = run(set->moments + set->count * numbers, e, err);
  set->count += !status;
  return status;
}

/* The picture becomes its edges. */
static enum status draw_edges(struct image *image, struct error *err) {
  size_t pixels = image->width * image->height;
  unsigned char *edges = malloc(pixels);
  enum status status =
      edges ? canny_edges(edges, image, CANNY_LOW, CANNY_HIGH, err) : error_no_memory(err, "the edges of an image");
  for (size_t i = 0; !status && i < 3 * pixels; i++)
    image->pixels[i] = edges[i / 3] ? 255 : 0;
  free(edges);
  return status;
}

enum status image_set_hint(struct image_set *set, const struct image_encoder *e, size_t index,
                           const struct image *image, bool edges, struct rng *rng, struct error *err) {
  struct image hint;
  const size_t had = set->hint_size;
  struct packed_image *hints = grow(set->hints, &set->hint_size, index + 1, sizeof *hints);
  if (!hints)
    return error_no_memory(err, "the images' hints");
  set->hints = hints;
  memset(hints + had, 0, (set->hint_size - had) * sizeof *hints);
  enum status status = bring_to_size(&hint, e, image, rng, err);
  if (status)
    return status;
  status = edges ? draw_edges(&hint, err) : STATUS_OK;
  status = status ? status : image_png_encode(&hints[index].png, &hints[index].length, &hint, err);
  image_done(&hint);
  return status;
}

enum status image_set_hint_of(struct image *out, const struct image_set *set, size_t index, struct error *err) {
  int upright;
  return image_png_decode(out, &upright, set->hints[index].png, set->hints[index].length, err);
}

void image_set_done(struct image_set *set) {
  free(set->moments);
  free(set->prompts);
  for (size_t i = 0; i < set->hint_size; i++)
    free(set->hints[i].png);
  free(set->hints);
  *set = (struct image_set){0};
}

void image_set_draw(float *out, const struct image_set *set, const struct image_encoder *e, size_t index, uint64_t seed,
                    uint64_t stream) {
  const size_t elements = image_encoder_elements(e), channels = e->channels;
  const float *moments = set->moments + index * 2 * elements;
  noise_schedule_noise(out, elements, seed, stream);
  for (size_t i = 0; i < elements; i++) {
    const float *pixel = moments + i / channels * 2 * channels;
    float mean = pixel[i % channels], logvar = fminf(fmaxf(pixel[channels + i % channels], -30), 20);
    out[i] = (mean + expf(0.5f * logvar) * out[i]) * (float)e->pipeline->scaling_factor;
  }
}
