#include "worker/image_samples.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "worker/diffusion/image_sampling.h"
#include "worker/image/image_png.h"
#include "worker/model/autoencoder_kl.h"
#include "worker/model/unet.h"
#include "worker/trainer.h"

/* Class pictures and previews begin with other noise. */
static const uint64_t CLASS_SEEDS = (uint64_t)1 << 40, PREVIEW_SEEDS = (uint64_t)2 << 40;

static enum status beat(struct report *report, const char *phase, struct error *err) {
  report_phase(report, phase);
  return report_poll(report, err);
}

static enum status sample(struct image *out, struct image_training *it, const struct image_spec *spec,
                          const char *prompt, uint64_t seed, const char *phase, struct report *report,
                          struct error *err) {
  struct diffusion_pipeline *p = it->encoder.pipeline;
  struct image_sampling sampling;
  const struct image_request request = {.prompt = prompt,
                                        .width = it->encoder.side,
                                        .height = it->encoder.side,
                                        .steps = (size_t)spec->num_inference_steps,
                                        .guidance_scale = spec->guidance_scale,
                                        .seed = seed,
                                        .method = p->method};
  enum status status = image_sampling_begin(&sampling, p, &p->unet, &request, err);
  if (status)
    return status;
  while (!status && !image_sampling_over(&sampling)) {
    status = image_sampling_step(&sampling, err);
    status = status ? status : beat(report, phase, err);
  }
  status = status ? status : image_sampling_decode(out, &sampling, err);
  image_sampling_done(&sampling);
  return status;
}

enum status image_samples_of_class(struct image_training *it, const struct job_spec *spec, struct report *report,
                                   struct error *err) {
  uint32_t prompt;
  if (!spec->image.with_prior_preservation)
    return STATUS_OK;
  enum status status = image_encoder_prompt(&prompt, &it->encoder, spec->image.class_prompt, "image.class_prompt", err);
  for (int64_t i = 0; !status && i < spec->image.num_class_images; i++) {
    struct image image;
    status = sample(&image, it, &spec->image, spec->image.class_prompt, (uint64_t)spec->seed + CLASS_SEEDS * (i + 1),
                    "class_images", report, err);
    if (status)
      return status;
    status = image_set_add(&it->classes, &it->encoder, &image, prompt, NULL, err);
    image_done(&image);
  }
  return status;
}

/* The file is on disk, and will be announced with the results; of too many the oldest goes. */
static enum status keep(struct image_training *it, const struct trainer *t, const struct image *image, const char *name,
                        struct error *err) {
  char path[1100];
  unsigned char *bytes;
  size_t length;
  enum status status = image_png_encode(&bytes, &length, image, err);
  if (status)
    return status;
  snprintf(path, sizeof path, "%s/%s", t->task->output_dir, name);
  status = file_put(path, bytes, length, err);
  free(bytes);
  if (status)
    return status;
  if (json_array_append_new(it->previews, json_string(name)) != 0)
    return error_no_memory(err, "a preview");
  if (json_array_size(it->previews) <= IMAGE_SAMPLES_KEPT)
    return STATUS_OK;
  snprintf(path, sizeof path, "%s/%s", t->task->output_dir, json_string_value(json_array_get(it->previews, 0)));
  if (unlink(path) != 0)
    return error_set_errno(err, STATUS_IO, NULL, "removing %s", path);
  return json_array_remove(it->previews, 0) == 0 ? STATUS_OK : error_no_memory(err, "a preview");
}

enum status image_samples_preview(struct image_training *it, struct trainer *t, struct error *err) {
  const struct image_spec *spec = &t->task->spec.image;
  enum status status = learner_factors(t->learner, err);
  for (size_t p = 0; p < spec->validation_prompts.count; p++)
    for (int64_t i = 0; !status && i < spec->num_validation_images; i++) {
      char name[100];
      struct image image;
      status = sample(&image, it, spec, spec->validation_prompts.item[p],
                      (uint64_t)t->task->spec.seed + PREVIEW_SEEDS * (uint64_t)(i + 1), "preview", t->report, err);
      if (status)
        return status;
      snprintf(name, sizeof name, "preview-%" PRId64 "-%zu-%" PRId64 ".png", t->progress.step, p + 1, i + 1);
      status = keep(it, t, &image, name, err);
      image_done(&image);
    }
  return status;
}

/* What a tape needs for one pass through the UNet, with the text and without, or through the VAE's decoder. */
static enum status measure(size_t *bytes, const struct image_encoder *e, size_t passes, bool decodes,
                           struct error *err) {
  struct diffusion_pipeline *p = e->pipeline;
  struct images images = {passes, e->latents.height, e->latents.width};
  struct tape tape;
  enum status status = tape_init(&tape, p->unet.backend, err);
  if (status)
    return status;
  tape_plan_begin(&tape, false);
  if (decodes)
    autoencoder_kl_decode(&tape, &p->vae, op_input(&tape, NULL, images_rows(&images), e->channels), &images);
  else
    unet_forward(&tape, &p->unet, &(struct unet_input){.images = images, .text_tokens = p->text_tokens});
  status = tape_plan_measure(&tape, bytes, err);
  tape_done(&tape);
  return status;
}

enum status image_samples_memory(size_t *bytes, const struct image_training *it, const struct image_spec *image,
                                 struct error *err) {
  size_t denoising, decoding;
  *bytes = 0;
  if (!image->validation_prompts.count && !image->with_prior_preservation)
    return STATUS_OK;
  enum status status = measure(&denoising, &it->encoder, image->guidance_scale > 1 ? 2 : 1, false, err);
  status = status ? status : measure(&decoding, &it->encoder, 1, true, err);
  if (!status)
    *bytes = denoising > decoding ? denoising : decoding; /* the one is free when the other begins */
  return status;
}

int64_t image_samples_passes(const struct image_spec *image, bool of_class) {
  int64_t guided = image->guidance_scale > 1 ? 2 : 1, steps = image->num_inference_steps * guided;
  if (of_class)
    return image->with_prior_preservation ? image->num_class_images * steps : 0;
  return (int64_t)image->validation_prompts.count * image->num_validation_images * steps;
}
