/* Pictures that a training makes: previews of what it has learnt, and the base model's pictures of a class. */
#ifndef WORKER_TRAIN_IMAGE_SAMPLES_H
#define WORKER_TRAIN_IMAGE_SAMPLES_H

#include "api/task.h"
#include "worker/report.h"
#include "worker/train/image_training.h"

/* Makes training->classes: num_class_images pictures of class_prompt, by the UNet as it is, which has no adapter yet.
   Nothing where the job has no prior preservation. */
NODISCARD enum status image_samples_of_class(struct image_training *training, const struct job_spec *spec,
                                             struct report *report, struct error *err);
/* One preview of each validation prompt's, by the adapter as it is now: preview-<step>-<prompt>-<number>.png in the
   task's output folder, from 1 each. The same seed begins them at every step. They are measured
   (training->metrics). */
NODISCARD enum status image_samples_preview(struct image_training *images, struct training *training,
                                            struct error *err);
/* Of controllable generation: previews of the first num_validation_images validation pictures, with their prompts and
   hints, called preview-<step>-<picture>-1.png; the hints are hint-<picture>.png. They are measured, and where hints
   are edges, valid_canny_iou and valid_canny_f1 join the scores: means over these previews of how like their own edges
   are to the hints'. */
NODISCARD enum status image_samples_controlled(struct image_training *images, struct training *training, int64_t step,
                                               json_t *scores, struct error *err);
/* Once the validation pictures are there: their prompts are what such previews are compared with. */
NODISCARD enum status image_samples_prompts(struct image_training *images, const struct image_spec *spec,
                                            struct error *err);
/* Bytes that making one of them takes at a time, beside the models and the steps; 0 where the job makes none. The
   encoder of *training is there. */
NODISCARD enum status image_samples_memory(size_t *bytes, const struct image_training *training,
                                           const struct task *task, struct error *err);
/* Passes through the UNet, forward only, that all of these take: one evaluation's previews, or the class's pictures. */
int64_t image_samples_passes(const struct task *task, bool of_class);

#endif
