/* Archives of images, and the jobs that learn from them. */
#include "api/data_use.h"

void data_judge_images(bool *images, const struct job_spec *spec, const struct data_file *file,
                       struct fault_list *faults) {
  const json_t *found = json_object_get(file->report, "images");
  json_int_t count = json_integer_value(json_object_get(found, "count"));
  bool learns = job_task_images(spec->task);
  *images = learns;
  if (learns && !found)
    fault_add(faults, STATUS_DATASET_INVALID, file->param, "%s is no archive of images, which the task %s learns from",
              file->id, job_task_names[spec->task]);
  else if (learns && !spec->image.instance_prompt && json_integer_value(json_object_get(found, "with_text")) < count)
    fault_add(faults, STATUS_MISSING_PARAMETER, "image.instance_prompt",
              "image.instance_prompt is required: not every image of %s has a text in metadata.jsonl", file->id);
  else if (learns && spec->task == JOB_TASK_CONTROLLABLE && spec->image.conditioning == CONDITIONING_IMAGE &&
           json_integer_value(json_object_get(found, "with_conditioning_image")) < count)
    fault_add(faults, STATUS_DATASET_INVALID, file->param,
              "not every image of %s has a conditioning_image in metadata.jsonl, which the task %s learns from; "
              "image.conditioning \"canny\" needs none",
              file->id, job_task_names[spec->task]);
  else if (!learns && found)
    fault_add(faults, STATUS_DATASET_INVALID, file->param,
              "%s is an archive of images, which the tasks %s and %s learn from", file->id,
              job_task_names[JOB_TASK_SUBJECT_DRIVEN], job_task_names[JOB_TASK_CONTROLLABLE]);
}
