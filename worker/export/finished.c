#include "worker/export/finished.h"

#include <stdio.h>

#include "base/json.h"
#include "worker/adapter/peft.h"
#include "worker/export/export.h"

/* The manifest's `labels`, or none. They borrow from *manifest. */
static size_t read_labels(const char ***out, json_t **manifest, const struct task *task, struct arena *arena) {
  char path[1200];
  struct error ignored;
  *out = NULL;
  snprintf(path, sizeof path, "%s/../training_manifest.json", task->start);
  if (json_parse_file(manifest, path, NULL, &ignored))
    return 0;
  const json_t *labels = json_object_get(*manifest, "labels");
  size_t count = json_array_size(labels);
  const char **names = arena_array(arena, count + 1, sizeof *names);
  for (size_t i = 0; names && i < count; i++)
    if (!(names[i] = json_string_value(json_array_get(labels, i))))
      return 0;
  *out = names;
  return names ? count : 0;
}

static enum status write(const struct task *task, struct model *model, struct report *report, struct error *err) {
  struct arena arena;
  AUTO(json_release) json_t *manifest = NULL;
  const char **labels;
  arena_init(&arena, 1 << 20);
  struct export e = {.model = model,
                     .spec = &task->spec.adapter,
                     .base = task->spec.model,
                     .base_path = task->model_dir,
                     .output_dir = task->output_dir,
                     .report = report};
  e.label_count = read_labels(&labels, &manifest, task, &arena);
  e.label_names = labels;
  enum status status = export_formats(&e, &task->exports, err);
  arena_done(&arena);
  return status;
}

enum status finished_export(const struct task *task, struct report *report, struct error *err) {
  struct backend backend = {0};
  struct model model = {0};
  size_t num_labels;
  uint64_t seed = (uint64_t)task->spec.seed;
  report_data(report, EVENT_PROGRESS, "", json_pack("{s:s}", "phase", "export"));
  enum status status = peft_num_labels(&num_labels, task->start, err);
  status = status ? status : backend_open(&backend, (int)task->threads, NULL, err);
  status = status ? status : model_open(&model, task->model_dir, num_labels, seed, &backend, err);
  status = status ? status : model_adapt(&model, &task->spec.adapter, seed, err);
  status = status ? status : peft_load(&model, task->start, err);
  status = status ? status : write(task, &model, report, err);
  model_close(&model);
  backend_close(&backend);
  return status;
}
