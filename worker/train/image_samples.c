#include "worker/train/image_samples.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/job_task.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/hash.h"
#include "worker/diffusion/image_sampling.h"
#include "worker/image/canny.h"
#include "worker/image/image_png.h"
#include "worker/model/autoencoder_kl.h"
#include "worker/model/unet.h"
#include "worker/train/training.h"

/* Class pictures and previews begin with other noise. */
static const uint64_t CLASS_SEEDS = (uint64_t)1 << 40, PREVIEW_SEEDS = (uint64_t)2 << 40;

/* Called after each sampler step of a picture: says that the worker is at it. */
typedef enum status beat_function(void *context, struct error *err);

static enum status beat_of_class(void *context, struct error *err) {
  struct report *report = context;
  report_phase(report, "class_images");
  return report_poll(report, err);
}

/* How far the training is stays told. */
static enum status beat_of_preview(void *context, struct error *err) {
  struct training *t = context;
  training_progress(t, "preview", true);
  return report_poll(t->report, err);
}

/* hint NULL: there is none. */
static enum status sample(struct image *out, struct image_training *it, const struct image_spec *spec,
                          const char *prompt, const struct image *hint, uint64_t seed, beat_function *beat,
                          void *context, struct error *err) {
  struct diffusion_pipeline *p = it->encoder.pipeline;
  struct image_sampling sampling;
  const struct image_request request = {.prompt = prompt,
                                        .width = it->encoder.side,
                                        .height = it->encoder.side,
                                        .steps = (size_t)spec->num_inference_steps,
                                        .guidance_scale = spec->guidance_scale,
                                        .seed = seed,
                                        .hint = hint,
                                        .scheduler = p->scheduler};
  enum status status = image_sampling_begin(&sampling, p, &p->unet, &request, err);
  if (status)
    return status;
  while (!status && !image_sampling_over(&sampling)) {
    status = image_sampling_step(&sampling, err);
    status = status ? status : beat(context, err);
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
    status = sample(&image, it, &spec->image, spec->image.class_prompt, NULL,
                    (uint64_t)spec->seed + CLASS_SEEDS * (i + 1), beat_of_class, report, err);
    if (status)
      return status;
    status = image_set_add(&it->classes, &it->encoder, &image, prompt, NULL, err);
    image_done(&image);
  }
  return status;
}

/* The file is on disk, and the daemon learns of it at once. */
static enum status publish(const struct training *t, const struct image *image, const char *name, struct error *err) {
  char path[1100], sha256[HASH_HEX];
  unsigned char *bytes;
  size_t length;
  enum status status = image_png_encode(&bytes, &length, image, err);
  if (status)
    return status;
  snprintf(path, sizeof path, "%s/%s", t->task->output_dir, name);
  status = file_put(path, bytes, length, err);
  hash_bytes(sha256, bytes, length);
  free(bytes);
  if (status)
    return status;
  report_data(t->report, EVENT_ARTIFACT, "",
              json_pack("{s:s s:s s:I s:s s:b}", "name", name, "path", name, "bytes", (json_int_t)length, "sha256",
                        sha256, "preview", true));
  return STATUS_OK;
}

/* Preview `number` of prompt `p`, both from 0. */
static enum status preview(struct image *out, struct image_training *it, struct training *t, int64_t step,
                           const char *prompt, const struct image *hint, size_t p, int64_t number, struct error *err) {
  char name[100];
  enum status status =
      sample(out, it, &t->task->spec.image, prompt, hint,
             (uint64_t)t->task->spec.seed + PREVIEW_SEEDS * (uint64_t)(number + 1), beat_of_preview, t, err);
  if (status)
    return status;
  snprintf(name, sizeof name, "preview-%" PRId64 "-%zu-%" PRId64 ".png", step, p + 1, number + 1);
  status = publish(t, out, name, err);
  if (status)
    image_done(out);
  return status;
}

enum status image_samples_preview(struct image_training *it, struct training *t, struct error *err) {
  const struct image_spec *spec = &t->task->spec.image;
  if (!spec->validation_prompts.count)
    return STATUS_OK;
  enum status status = learner_factors(t->learner, err);
  image_metrics_begin(&it->metrics);
  for (size_t p = 0; p < spec->validation_prompts.count; p++)
    for (int64_t i = 0; !status && i < spec->num_validation_images; i++) {
      struct image image;
      status = preview(&image, it, t, t->progress.step, spec->validation_prompts.item[p], NULL, p, i, err);
      if (status)
        break;
      status = image_metrics_preview(&it->metrics, &image, p, err);
      image_done(&image);
    }
  it->measured_step = status ? -1 : t->progress.step;
  return status;
}

/* --- previews by hints ---------------------------------------------------------------------------- */

static void add_likeness(struct canny_likeness *sum, const unsigned char *edges, const unsigned char *wanted,
                         size_t count) {
  struct canny_likeness l = canny_compare(edges, wanted, count);
  sum->iou += l.iou;
  sum->f1 += l.f1;
}

/* Adds how like the edges of a preview are to its hint, which is edges. */
static enum status compare_edges(struct canny_likeness *sum, const struct image *image, const struct image *hint,
                                 struct error *err) {
  const size_t pixels = image->width * image->height;
  unsigned char *edges = malloc(2 * pixels);
  if (!edges)
    return error_no_memory(err, "the edges of a preview");
  enum status status = canny_edges(edges, image, CANNY_LOW, CANNY_HIGH, err);
  for (size_t i = 0; i < pixels; i++)
    edges[pixels + i] = hint->pixels[3 * i] > 0;
  if (!status)
    add_likeness(sum, edges, edges + pixels, pixels);
  free(edges);
  return status;
}

/* The first pictures of the validation file, as many as the job asks for. */
static size_t hint_count(const struct image_training *it, const struct image_spec *spec) {
  return size_min((size_t)spec->num_validation_images, it->validation.count);
}

static const char *prompt_of(const struct image_training *it, size_t index) {
  return it->encoder.prompts[it->validation.prompts[index]];
}

enum status image_samples_prompts(struct image_training *it, const struct image_spec *spec, struct error *err) {
  const size_t count = hint_count(it, spec);
  const char **prompts = malloc((count + 1) * sizeof *prompts);
  if (!prompts)
    return error_no_memory(err, "the prompts");
  for (size_t i = 0; i < count; i++)
    prompts[i] = prompt_of(it, i);
  enum status status = image_metrics_prompts(&it->metrics, prompts, count, "validation_file", err);
  free(prompts);
  return status;
}

static enum status preview_hint(struct canny_likeness *sum, struct image_training *it, struct training *t, int64_t step,
                                size_t index, struct error *err) {
  struct image image, hint;
  char name[64];
  enum status status = image_set_hint_of(&hint, &it->validation, index, err);
  if (status)
    return status;
  snprintf(name, sizeof name, "hint-%zu.png", index + 1);
  status = publish(t, &hint, name, err); /* each time, so that it stays among the newest */
  status = status ? status : preview(&image, it, t, step, prompt_of(it, index), &hint, index, 0, err);
  if (!status) {
    status = compare_edges(sum, &image, &hint, err);
    status = status ? status : image_metrics_preview(&it->metrics, &image, index, err);
    image_done(&image);
  }
  image_done(&hint);
  return status;
}

enum status image_samples_controlled(struct image_training *it, struct training *t, int64_t step, json_t *scores,
                                     struct error *err) {
  const struct image_spec *spec = &t->task->spec.image;
  const size_t count = hint_count(it, spec);
  struct canny_likeness sum = {0, 0};
  enum status status = learner_factors(t->learner, err);
  image_metrics_begin(&it->metrics);
  for (size_t i = 0; !status && i < count; i++)
    status = preview_hint(&sum, it, t, step, i, err);
  it->measured_step = status ? -1 : step;
  if (status || spec->conditioning != CONDITIONING_CANNY)
    return status;
  return json_object_set_new(scores, "valid_canny_iou", json_real(sum.iou / (double)count)) == 0 &&
                 json_object_set_new(scores, "valid_canny_f1", json_real(sum.f1 / (double)count)) == 0
             ? STATUS_OK
             : error_no_memory(err, "an evaluation");
}

/* --- what they take ------------------------------------------------------------------------------- */

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

/* Previews of one evaluation. */
static int64_t preview_count(const struct task *task) {
  const struct image_spec *image = &task->spec.image;
  if (task->spec.task == JOB_TASK_CONTROLLABLE)
    return task->validation.path ? image->num_validation_images : 0;
  return (int64_t)image->validation_prompts.count * image->num_validation_images;
}

enum status image_samples_memory(size_t *bytes, const struct image_training *it, const struct task *task,
                                 struct error *err) {
  size_t denoising, decoding;
  *bytes = 0;
  if (!preview_count(task) && !task->spec.image.with_prior_preservation)
    return STATUS_OK;
  enum status status = measure(&denoising, &it->encoder, task->spec.image.guidance_scale > 1 ? 2 : 1, false, err);
  status = status ? status : measure(&decoding, &it->encoder, 1, true, err);
  if (!status)
    *bytes = denoising > decoding ? denoising : decoding; /* the one is free when the other begins */
  return status;
}

int64_t image_samples_passes(const struct task *task, bool of_class) {
  const struct image_spec *image = &task->spec.image;
  int64_t guided = image->guidance_scale > 1 ? 2 : 1, steps = image->num_inference_steps * guided;
  if (of_class)
    return image->with_prior_preservation ? image->num_class_images * steps : 0;
  return preview_count(task) * steps;
}
