#include "worker/export/finished.h"

#include "api/job_task.h"
#include "worker/device.h"
#include "worker/export/export.h"
#include "worker/model/sentence.h"
#include "worker/peft/peft.h"

static enum status write_formats(const struct task *task, struct model *model, const struct adapter_spec *spec,
                                 struct report *report, struct error *err) {
  struct export e = {.model = model,
                     .spec = spec,
                     .base = task->spec.model,
                     .base_path = task->model_dir,
                     .output_dir = task->output_dir,
                     .report = report};
  return export_formats(&e, &task->exports, err);
}

/* Of a diffusion pipeline what is trained is its UNet. */
static enum status open_base(struct model *out, const struct task *task, const struct peft_head *head,
                             struct backend *backend, struct error *err) {
  if (job_task_images(task->spec.task))
    return model_open_component(out, task->model_dir, "unet", backend, err);
  return model_open(out, task->model_dir, head->output, head->classes.count, (uint64_t)task->spec.seed, backend, err);
}

enum status finished_export(const struct task *task, struct report *report, struct error *err) {
  struct backend backend = {0};
  struct model model = {0};
  struct arena arena;
  struct peft_head head;
  struct sentence_modules modules;
  struct adapter_spec spec; /* of what lies there */
  uint64_t seed = (uint64_t)task->spec.seed;
  arena_init(&arena, (size_t)64 << 20);
  report_phase(report, "export");
  enum status status = peft_read_head(&head, task->start, &arena, err);
  if (!status && !adapter_spec_saved(&spec, &task->spec.adapter, &arena))
    status = error_no_memory(err, "an export");
  status = status ? status : device_open(&backend, NULL, (int)task->threads, err);
  status = status ? status : open_base(&model, task, &head, &backend, err);
  if (!status && model.output == OUTPUT_EMBEDDING) {
    status = sentence_modules_read(&modules, task->model_dir, err);
    status =
        status ? status : sentence_settle(&model, &modules, (enum embedding_pooling)task->spec.embedding.pooling, err);
  }
  model.label_names = status ? NULL : head.classes.names;
  status = status ? status : model_adapt_again(&model, &spec, seed, err);
  status = status ? status : peft_load(&model, task->start, err);
  status = status ? status : write_formats(task, &model, &spec, report, err);
  model_close(&model);
  backend_close(&backend);
  arena_done(&arena);
  return status;
}
