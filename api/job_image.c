/* The member `image` of a job: what is learnt from pictures, and what previews are made. */
#include <string.h>

#include "api/job_fields.h"
#include "api/job_task.h"
#include "api/preview_encoder.h"

const char *const job_conditioning_names[] = {
    [CONDITIONING_IMAGE] = "conditioning_image", [CONDITIONING_CANNY] = "canny", [CONDITIONING_COUNT] = NULL};

#define AT(member) offsetof(struct image_spec, member)
const struct field job_image_rows[JOB_IMAGE_ROWS] = {
    {"instance_prompt", NULL, FIELD_STRING, AT(instance_prompt), 0, 1, 8192,
     .doc = "Prompt of the images that have no text in metadata.jsonl: \"a photo of sks dog\"."},
    {"with_prior_preservation", NULL, FIELD_BOOL, AT(with_prior_preservation),
     .doc = "Learn images of the class beside those of the subject, so that the class stays what it is; the base model "
            "makes them."},
    {"prior_loss_weight", NULL, FIELD_NUMBER, AT(prior_loss_weight), 0, 0, 1000, .initial = "1",
     .doc = "Weight of their loss."},
    {"class_prompt", NULL, FIELD_STRING, AT(class_prompt), 0, 1, 8192,
     .doc = "Prompt that they are made and learnt with: \"a photo of a dog\"."},
    {"num_class_images", NULL, FIELD_INT, AT(num_class_images), 0, 1, 10000, .initial = "100", .unit = "images",
     .doc = "How many of them are made."},
    {"snr_gamma", NULL, FIELD_NUMBER, AT(snr_gamma), 0, 0, 1000,
     .doc =
         "Time steps whose signal is more than so many times the noise weigh less (min-SNR; 5 is usual); 0: all weigh "
         "the same."},
    {"resolution", NULL, FIELD_INT, AT(resolution), 0, 0, 4096, .unit = "pixels",
     .doc = "Side of the square that images are brought to: resized by their shorter side, then cropped; 0: what the "
            "model was trained at."},
    {"center_crop", NULL, FIELD_BOOL, AT(center_crop),
     .doc = "Crop from the middle; false: from anywhere, as the seed decides."},
    {"conditioning", NULL, FIELD_CHOICE, AT(conditioning), 0, 0, 0, job_conditioning_names, "conditioning_image",
     .doc =
         "Hints of the task controllable: the pictures that metadata.jsonl names as conditioning_image, or the edges "
         "of the image itself (Canny's, thresholds 100 and 200)."},
    {"validation_prompts", "validation_prompt", FIELD_STRING_LIST, AT(validation_prompts), 0, 0, 16,
     .doc = "Previews of these are made at each evaluation, and are artifacts of the job; null: none."},
    {"num_validation_images", NULL, FIELD_INT, AT(num_validation_images), 0, 1, 64, .initial = "4", .unit = "images",
     .doc =
         "Previews of each prompt; of the task controllable: so many images of the validation file, with their hints."},
    {"num_inference_steps", NULL, FIELD_INT, AT(num_inference_steps), 0, 1, 1000, .initial = "25",
     .unit = "sampler steps", .doc = "Of previews and class images."},
    {"guidance_scale", NULL, FIELD_NUMBER, AT(guidance_scale), 0, 0, 100, .initial = "7.5",
     .doc = "Classifier-free guidance of previews and class images; 1 and less: none."},
    {"clip_model", NULL, FIELD_STRING, AT(clip_model), 0, 1, 255,
     .doc = "A CLIPModel in the models folder that measures previews: valid_clip_t, how like their prompts they are, "
            "and of "
            "a subject valid_clip_i, how like the training images (cosines of embeddings); null: none."},
    {"dino_model", NULL, FIELD_STRING, AT(dino_model), 0, 1, 255,
     .doc = "A ViTModel of DINO's or a Dinov2Model in the models folder that measures them likewise: valid_dino; null: "
            "none."},
};
#undef AT

static bool learns_images(const char *task) {
  for (int i = JOB_TASK_AUTO + 1; i < JOB_TASK_COUNT; i++)
    if (strcmp(job_task_names[i], task) == 0)
      return job_task_images(i);
  return false;
}

/* Diffusers' settings, with the rates of HRA's authors. Of a subject an image a step, since a few are all there is. */
json_t *job_image_members(const char *task, struct fault_list *faults) {
  if (!learns_images(task))
    return NULL;
  bool controllable = strcmp(task, job_task_names[JOB_TASK_CONTROLLABLE]) == 0;
  json_t *out = json_pack("{s:{s:f, s:s, s:f, s:f, s:i, s:i}, s:{s:i}, s:{s:i}}", "hyperparameters", "learning_rate",
                          controllable ? 9e-4 : 1e-4, "lr_scheduler_type", "constant", "warmup_ratio", 0.0,
                          "weight_decay", 0.01, "batch_size", controllable ? 8 : 1, "n_epochs", controllable ? 20 : 100,
                          "evaluation", "every_steps", 100, "checkpointing", "every_steps", 500);
  if (!out)
    fault_add(faults, STATUS_OUT_OF_MEMORY, "task", "the task's settings do not fit into memory");
  return out;
}

/* Hints come from pictures, which neither classes nor prompts have. */
static void settle_hints(const struct job_spec *spec, struct fault_list *faults) {
  const struct image_spec *image = &spec->image;
  bool controllable = spec->task == JOB_TASK_CONTROLLABLE, edges = image->conditioning == CONDITIONING_CANNY;
  if (!controllable && edges)
    fault_add(faults, STATUS_INVALID_VALUE, "image.conditioning", "image.conditioning is for the task %s alone",
              job_task_names[JOB_TASK_CONTROLLABLE]);
  if (!controllable)
    return;
  if (image->with_prior_preservation)
    fault_add(faults, STATUS_INVALID_VALUE, "image.with_prior_preservation",
              "image.with_prior_preservation is not for the task %s: images of a class have no hints",
              job_task_names[spec->task]);
  if (image->validation_prompts.count)
    fault_add(faults, STATUS_INVALID_VALUE, "image.validation_prompts",
              "image.validation_prompts is not for the task %s: previews have prompts and hints of the validation file",
              job_task_names[spec->task]);
  if (!edges && spec->evaluation.metric != METRIC_LOSS)
    fault_add(faults, STATUS_INVALID_VALUE, "evaluation.metric",
              "evaluation.metric is %s, which is measured where image.conditioning is canny",
              job_metric_names[spec->evaluation.metric]);
}

/* Encoders compare previews with their prompts, and with the subject where there is one. */
static void settle_encoder(const struct job_spec *spec, enum preview_encoder encoder, struct fault_list *faults) {
  const char *id = preview_encoder_id(spec, encoder), *param = preview_encoders[encoder].param;
  const bool controllable = spec->task == JOB_TASK_CONTROLLABLE;
  const bool previews = controllable ? spec->validation_file != NULL : spec->image.validation_prompts.count > 0;
  if (!id)
    return;
  if (controllable && encoder == PREVIEW_ENCODER_DINO)
    fault_add(faults, STATUS_INVALID_VALUE, param, "%s is for the task %s alone: it compares previews with the subject",
              param, job_task_names[JOB_TASK_SUBJECT_DRIVEN]);
  else if (!previews)
    fault_add(faults, STATUS_INVALID_VALUE, param, "%s measures previews: it needs %s", param,
              controllable ? "validation_file" : "image.validation_prompts");
}

void job_image_settle(const struct job_spec *spec, struct fault_list *faults) {
  const struct image_spec *image = &spec->image;
  if (!job_task_images(spec->task))
    return;
  if (image->with_prior_preservation && !image->class_prompt)
    fault_add(faults, STATUS_MISSING_PARAMETER, "image.class_prompt",
              "image.with_prior_preservation needs image.class_prompt: what the images of the class are made with");
  if (!image->with_prior_preservation && image->class_prompt)
    fault_add(faults, STATUS_INVALID_VALUE, "image.class_prompt",
              "image.class_prompt is used with image.with_prior_preservation only, which is false");
  settle_hints(spec, faults);
  for (int i = 0; i < PREVIEW_ENCODER_COUNT; i++)
    settle_encoder(spec, (enum preview_encoder)i, faults);
  job_exports_judge(&spec->exports, EXPORT_MODEL_IMAGE, faults);
}
