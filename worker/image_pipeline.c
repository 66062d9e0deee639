#include "worker/image_pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "api/job_task.h"
#include "base/clock.h"
#include "worker/data/image_folder.h"
#include "worker/device.h"
#include "worker/model/unet.h"
#include "worker/notes.h"
#include "worker/peft/conditioning_file.h"
#include "worker/peft/peft.h"
#include "worker/results/results.h"
#include "worker/train/course.h"
#include "worker/train/estimate.h"
#include "worker/train/image_samples.h"
#include "worker/train/start.h"
#include "worker/train/trainer.h"

/* Everything a run holds; zero means not there yet. */
struct run {
  const struct task *task;
  struct report *report;
  struct backend backend;
  struct diffusion_pipeline pipeline;
  struct image_training images;
  struct image_folder training_folder, validation_folder;
  struct corpus training, validation; /* what the trainer counts: an example a picture */
  struct training trainer;
};

bool image_pipeline_is(const struct task *task) {
  return job_task_images(task->spec.task);
}

static void phase(const struct run *r, const char *name) {
  log_info("phase %s", name);
  report_phase(r->report, name);
}

/* --- the model ------------------------------------------------------------------------------------ */

/* The ops on images are the CPU's alone: where the server chose another device, the CPU it is. */
static enum status open_backend(struct run *r, struct error *err) {
  const struct task *task = r->task;
  bool elsewhere = task->device && strcmp(task->device, "cpu") != 0 && task->device_may_fit;
  if (elsewhere)
    report_message(r->report, LOG_WARN, "image models run on the CPU alone so far, and so does this job, not on %s",
                   task->device);
  enum status status = device_open(&r->backend, elsewhere ? "cpu" : task->device, (int)task->threads, err);
  if (status)
    return status;
  backend_set_precision(&r->backend, (enum precision)task->spec.hyperparameters.precision);
  backend_set_matmul(&r->backend, (enum matmul_library)task->matmul);
  return STATUS_OK;
}

static enum status open_model(struct run *r, struct error *err) {
  const struct image_spec *image = &r->task->spec.image;
  notes_tell_start(r->task, r->report);
  enum status status = open_backend(r, err);
  status = status ? status : diffusion_pipeline_open(&r->pipeline, r->task->model_dir, &r->backend, err);
  if (status)
    return status;
  size_t side = image->resolution ? (size_t)image->resolution : r->pipeline.side;
  status = image_encoder_init(&r->images.encoder, &r->pipeline, side, err);
  return status ? status : image_metrics_open(&r->images.metrics, r->task, &r->backend, err);
}

static bool is_controllable(const struct run *r) {
  return r->task->spec.task == JOB_TASK_CONTROLLABLE;
}

static enum status put_adapter(struct run *r, struct error *err) {
  const struct job_spec *spec = &r->task->spec;
  struct model *unet = &r->pipeline.unet;
  uint64_t seed = (uint64_t)spec->seed;
  unet->output = OUTPUT_IMAGE;
  if (!r->task->start)
    return model_adapt(unet, &spec->adapter, seed, err);
  enum status status = model_adapt_again(unet, &spec->adapter, seed, err);
  return status ? status : peft_start(unet, &spec->adapter, r->task->start, err);
}

static enum status adapt(struct run *r, struct error *err) {
  struct diffusion_pipeline *p = &r->pipeline;
  enum status status = put_adapter(r, err);
  if (!status && is_controllable(r))
    status = unet_condition(&p->unet, p->latent_scale, (uint64_t)r->task->spec.seed, err);
  if (!status && r->task->start && (status = conditioning_file_load(&p->unet, r->task->start, err)))
    error_prefix(err, "from_checkpoint");
  return status;
}

/* Steps. The other components stay: previews need them. */
static enum status make_denoiser(struct run *r, struct error *err) {
  const struct hyperparameters *h = &r->task->spec.hyperparameters;
  const struct diffusion_pipeline *p = &r->pipeline;
  struct denoiser *d = &r->images.denoiser;
  struct learner *l = &d->learner;
  bool hra = r->task->spec.adapter.peft_type == PEFT_HRA;
  l->seed = (uint64_t)r->task->spec.seed;
  l->orth_lambda = hra ? r->task->spec.adapter.hra.orth_lambda : 0;
  l->adamw = (struct adamw){.beta1 = h->adam_beta1,
                            .beta2 = h->adam_beta2,
                            .epsilon = h->adam_epsilon,
                            .weight_decay = h->weight_decay,
                            .max_grad_norm = h->max_grad_norm,
                            .uncorrected = !h->adam_bias_correction};
  l->memory_limit = (size_t)r->task->spec.scheduling.memory_limit << 20;
  l->memory_goal = (size_t)r->task->memory_bytes;
  size_t samples, metrics;
  enum status status = image_samples_memory(&samples, &r->images, r->task, err);
  status = status ? status : image_metrics_memory(&metrics, &r->images.metrics, err);
  if (status)
    return status;
  l->reserved = p->vae.mapped_bytes + p->text_encoder.mapped_bytes + r->images.encoder.tape.memory_bytes + samples +
                metrics + start_memory(&p->unet);
  status = denoiser_init(d, &r->pipeline.unet, &r->images.encoder.latents, p->text_tokens, err);
  return status ? status : image_training_init(&r->images, err);
}

/* --- data ----------------------------------------------------------------------------------------- */

/* A data file on its way into a set. */
struct reading {
  struct run *r;
  struct image_set *set;
  uint64_t use; /* crops of two files differ */
};

/* The prompt of a picture: its own, or the job's; NULL: neither has one. */
static const char *text_of(const struct run *r, const struct image_item *item) {
  return item->text ? item->text : r->task->spec.image.instance_prompt;
}

/* Where a picture is cropped, and its hint. */
static struct rng *crop_of(struct rng *rng, const struct reading *reading, const struct image_item *item) {
  const struct job_spec *spec = &reading->r->task->spec;
  rng_init(rng, (uint64_t)spec->seed, RNG_CROP | reading->use << 8 | (uint64_t)item->example << 16);
  return spec->image.center_crop ? NULL : rng;
}

static enum status beat(struct run *r, struct error *err) {
  report_phase(r->report, "encode");
  return report_poll(r->report, err);
}

static enum status take(void *with, const struct image_item *item, struct image *image, struct error *err) {
  struct reading *reading = with;
  struct run *r = reading->r;
  struct rng rng;
  uint32_t prompt;
  const bool edges = is_controllable(r) && r->task->spec.image.conditioning == CONDITIONING_CANNY;
  enum status status = image_encoder_prompt(&prompt, &r->images.encoder, text_of(r, item), "the text", err);
  if (!status)
    status = image_set_add(reading->set, &r->images.encoder, image, prompt, crop_of(&rng, reading, item), err);
  if (!status && edges)
    status =
        image_set_hint(reading->set, &r->images.encoder, item->example, image, true, crop_of(&rng, reading, item), err);
  if (!status && !reading->use && !is_controllable(r)) /* it has no subject */
    status = image_metrics_instance(&r->images.metrics, image, err);
  image_done(image);
  if (status)
    return status == STATUS_DATASET_INVALID ? error_prefix(err, "%.200s", item->path) : status;
  return beat(r, err);
}

static enum status take_hint(void *with, const struct image_item *item, struct image *image, struct error *err) {
  struct reading *reading = with;
  struct rng rng;
  enum status status = image_set_hint(reading->set, &reading->r->images.encoder, item->of->example, image, false,
                                      crop_of(&rng, reading, item->of), err);
  image_done(image);
  return status ? status : beat(reading->r, err);
}

/* The hints that the archive has: one for each picture. */
static enum status read_hints(struct reading *reading, struct image_folder *folder, const char *path,
                              struct error *err) {
  for (size_t i = 0; i < folder->count; i++)
    if (!folder->items[i].of && !folder->items[i].hint)
      return error_set(err, STATUS_DATASET_INVALID, NULL, "metadata.jsonl has no conditioning_image of %.200s",
                       folder->items[i].path);
  return image_folder_each_hint(folder, path, take_hint, reading, err);
}

/* What the trainer counts. */
static enum status count_examples(struct corpus *out, const struct run *r, size_t count, struct error *err) {
  *out = (struct corpus){.count = count, .longest = r->pipeline.text_tokens};
  out->cu_seqlens = malloc((count + 1) * sizeof *out->cu_seqlens);
  if (!out->cu_seqlens)
    return error_no_memory(err, "the examples");
  for (size_t i = 0; i <= count; i++)
    out->cu_seqlens[i] = i * r->pipeline.text_tokens;
  return STATUS_OK;
}

static enum status read_images(struct run *r, struct image_folder *folder, const struct task_file *file,
                               const char *name, struct image_set *set, struct corpus *corpus, struct error *err) {
  struct reading reading = {.r = r, .set = set, .use = set == &r->images.validation};
  enum status status = image_folder_each(folder, file->path, take, &reading, err);
  if (!status && is_controllable(r) && r->task->spec.image.conditioning == CONDITIONING_IMAGE)
    status = read_hints(&reading, folder, file->path, err);
  if (status)
    return status == STATUS_DATASET_INVALID ? error_prefix(err, "%s file %s", name, file->filename) : status;
  return count_examples(corpus, r, set->count, err);
}

static enum status read_data(struct run *r, struct error *err) {
  const struct task *task = r->task;
  enum status status =
      read_images(r, &r->training_folder, &task->training, "training", &r->images.training, &r->training, err);
  if (!status && task->validation.path)
    status = read_images(r, &r->validation_folder, &task->validation, "validation", &r->images.validation,
                         &r->validation, err);
  if (!status && is_controllable(r))
    status = image_samples_prompts(&r->images, &task->spec.image, err);
  return status;
}

/* --- what is refused before anything is learnt ---------------------------------------------------- */

static enum status check_text(const struct run *r, const struct task_file *file, const char *param,
                              const struct image_item *item, struct error *err) {
  const char *text = text_of(r, item);
  if (!text)
    return error_set(err, STATUS_MISSING_PARAMETER, "image.instance_prompt",
                     "image.instance_prompt is required: metadata.jsonl has no text of %.200s", item->path);
  enum status status =
      diffusion_pipeline_check_prompt(&r->pipeline, text, item->text ? "the text" : "image.instance_prompt", err);
  if (status != STATUS_INVALID_VALUE || !item->text)
    return status;
  struct error why = *err;
  return error_set(err, STATUS_DATASET_INVALID, param, "%s: %.200s: %s", file->filename, item->path, why.text);
}

/* Which pictures a data file has, and whether the model can read their prompts. */
static enum status open_images(struct image_folder *folder, const struct run *r, const struct task_file *file,
                               const char *name, const char *param, struct error *err) {
  enum status status = image_folder_open(folder, file->path, err);
  if (status)
    return error_prefix(err, "%s file %s", name, file->filename);
  for (size_t i = 0; !status && i < folder->count; i++)
    if (!folder->items[i].of)
      status = check_text(r, file, param, &folder->items[i], err);
  return status;
}

static enum status open_data(struct run *r, struct error *err) {
  const struct task *task = r->task;
  enum status status = open_images(&r->training_folder, r, &task->training, "training", "training_file", err);
  if (!status && task->validation.path)
    status = open_images(&r->validation_folder, r, &task->validation, "validation", "validation_file", err);
  return status;
}

/* The job's own prompts that the model cannot read, and previews that cannot be made. */
static enum status check(const struct run *r, struct error *err) {
  const struct image_spec *image = &r->task->spec.image;
  enum status status = STATUS_OK;
  if (image->class_prompt)
    status = diffusion_pipeline_check_prompt(&r->pipeline, image->class_prompt, "image.class_prompt", err);
  for (size_t i = 0; !status && i < image->validation_prompts.count; i++)
    status = diffusion_pipeline_check_prompt(&r->pipeline, image->validation_prompts.item[i],
                                             "image.validation_prompts", err);
  if (!status && (size_t)image->num_inference_steps > r->pipeline.schedule.count)
    status = error_set(err, STATUS_INVALID_VALUE, "image.num_inference_steps",
                       "image.num_inference_steps is %lld; the model's noise schedule has %zu steps",
                       (long long)image->num_inference_steps, r->pipeline.schedule.count);
  return status;
}

/* --- the run -------------------------------------------------------------------------------------- */

static void make_trainer(struct run *r, double began) {
  r->trainer = (struct training){.task = r->task,
                                 .learner = &r->images.denoiser.learner,
                                 .rule = course_rule(r->task),
                                 .training = &r->training,
                                 .validation = r->task->validation.path ? &r->validation : NULL,
                                 .images = &r->images,
                                 .report = r->report,
                                 .prepared = clock_seconds() - began};
}

static void say_what(const struct run *r) {
  const struct backend *b = &r->backend;
  const struct model *unet = &r->pipeline.unet;
  char text[800];
  snprintf(text, sizeof text,
           "%zu training images of %zu x %zu pixels%s; %zu adapted modules, %zu trainable parameters; about %zu MiB of "
           "memory; on %s (%s), %s matmul, %d threads",
           r->training.count, r->images.encoder.side, r->images.encoder.side,
           r->images.classes.count ? " with images of the class" : "", unet->adapter_count,
           parameter_trained(&unet->parameters), r->images.denoiser.learner.estimate >> 20, b->device_name,
           b->ops->processor(b), b->ops->set_matmul ? job_matmul_names[b->matmul] : "its own", pool_threads(b->pool));
  report_data(r->report, EVENT_MESSAGE, text, json_pack("{s:s}", "device", b->device_name));
}

static enum status train(struct run *r, struct error *err) {
  double began = clock_seconds();
  phase(r, "load");
  enum status status = open_model(r, err);
  status = status ? status : open_data(r, err);
  status = status ? status : check(r, err);
  phase(r, "encode");
  status = status ? status : read_data(r, err);
  status = status ? status : image_samples_of_class(&r->images, &r->task->spec, r->report, err);
  status = status ? status : adapt(r, err);
  status = status ? status : make_denoiser(r, err);
  if (status)
    return status;
  make_trainer(r, began);
  status = estimate_check(&r->trainer, err);
  if (status)
    return status;
  estimate_tell_plan(&r->trainer, r->report);
  say_what(r);
  status = trainer_run(&r->trainer, err);
  if (status)
    return status;
  training_progress(&r->trainer, "export", true);
  return results_publish(&r->trainer, NULL, NULL, err);
}

static enum status plan(struct run *r, struct error *err) {
  enum status status = open_model(r, err);
  status = status ? status : open_data(r, err);
  status = status ? status : check(r, err);
  status = status ? status : adapt(r, err);
  status = status ? status : make_denoiser(r, err);
  if (status)
    return status;
  make_trainer(r, clock_seconds());
  estimate_tell_plan(&r->trainer, r->report);
  return STATUS_OK;
}

/* Class images are not made for it: the training's stand for them, which take as long to learn. */
static enum status estimate(struct run *r, struct error *err) {
  double began = clock_seconds();
  json_t *found;
  enum status status = open_model(r, err);
  status = status ? status : open_data(r, err);
  status = status ? status : check(r, err);
  status = status ? status : read_data(r, err);
  status = status ? status : adapt(r, err);
  status = status ? status : make_denoiser(r, err);
  if (status)
    return status;
  if (r->task->spec.image.with_prior_preservation)
    r->images.classes = r->images.training;
  make_trainer(r, began);
  status = estimate_check(&r->trainer, err);
  status = status ? status : trainer_prepare(&r->trainer, err);
  status = status ? status : estimate_measure(&found, &r->trainer, err);
  if (r->images.classes.moments == r->images.training.moments)
    r->images.classes = (struct image_set){0};
  if (status)
    return status;
  json_object_set_new(found, "fits", json_true());
  json_object_set_new(found, "learns", json_string(job_output_of(OUTPUT_IMAGE)->words));
  report_data(r->report, EVENT_REPORT, "", found);
  return STATUS_OK;
}

enum status image_pipeline_run(const struct task *task, struct report *report, struct error *err) {
  struct run run = {.task = task, .report = report}, *r = &run;
  enum status status = task->kind == TASK_TRAIN  ? train(r, err)
                       : task->kind == TASK_PLAN ? plan(r, err)
                                                 : estimate(r, err);
  trainer_done(&r->trainer);
  image_training_done(&r->images);
  corpus_done(&r->training);
  corpus_done(&r->validation);
  image_folder_close(&r->training_folder);
  image_folder_close(&r->validation_folder);
  diffusion_pipeline_close(&r->pipeline);
  backend_close(&r->backend);
  return status;
}
