#include "server/materials.h"

#include <stdio.h>
#include <string.h>

#include "api/preview_encoder.h"
#include "base/clock.h"
#include "server/source.h"
#include "storage/db_file.h"

static enum status find_file(struct task_file *out, struct run *run, const char *tenant, const char *id,
                             struct error *err) {
  struct file_row file;
  enum status status = db_file_get(&file, run->server->db, tenant, id, 0, &run->arena, err);
  if (status)
    return status;
  *out = (struct task_file){.id = file.id,
                            .path = arena_format(&run->arena, "%s/%s", run->server->config->data, file.path),
                            .filename = file.filename};
  return out->path ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "starting %s", run->id);
}

enum status materials_model(struct base_model *out, const char *folder, const char *id, struct arena *arena,
                            struct error *err) {
  struct base_model *models;
  size_t count;
  enum status status = models_find(out, folder, id, arena, err);
  if (status != STATUS_MODEL_NOT_FOUND)
    return status;
  struct error other;
  enum status listed = models_list(&models, &count, folder, arena, &other);
  if (!listed && count == 0)
    return error_set(err, STATUS_UNAVAILABLE, "models", "the models folder %s holds no model", folder);
  if (listed)
    *err = other;
  return listed ? listed : status;
}

static enum status find_encoder(const char **out, struct run *run, const struct job_spec *spec,
                                enum preview_encoder encoder, struct error *err) {
  const char *id = preview_encoder_id(spec, encoder);
  struct base_model model;
  if (!id)
    return STATUS_OK;
  enum status status = materials_model(&model, run->server->config->models, id, &run->arena, err);
  if (status == STATUS_MODEL_NOT_FOUND)
    snprintf(err->param, sizeof err->param, "%s", preview_encoders[encoder].param);
  if (!status)
    *out = model.path;
  return status;
}

enum status materials_find(struct task *task, struct run *run, const char *tenant, struct error *err) {
  const struct job_spec *spec = &task->spec;
  const struct config *config = run->server->config;
  struct base_model model = {0};
  struct source source = {0};
  enum status status = task->kind == TASK_SURVEY && strcmp(spec->model, MATERIALS_NO_MODEL) == 0
                           ? STATUS_OK
                           : materials_model(&model, config->models, spec->model, &run->arena, err);
  if (!status)
    status = find_file(&task->training, run, tenant, spec->training_file, err);
  if (!status && spec->validation_file)
    status = find_file(&task->validation, run, tenant, spec->validation_file, err);
  if (!status && spec->from_checkpoint)
    status = source_find(&source, NULL, run->server, tenant, spec->from_checkpoint, &run->arena, err);
  status = status ? status : find_encoder(&task->clip_dir, run, spec, PREVIEW_ENCODER_CLIP, err);
  status = status ? status : find_encoder(&task->dino_dir, run, spec, PREVIEW_ENCODER_DINO, err);
  if (status)
    return status;
  task->start = source.path;
  task->model_dir = model.path;
  task->threads = budget_threads(&run->server->budget, config, spec->scheduling.threads);
  task->matmul = spec->scheduling.matmul ? spec->scheduling.matmul : config->matmul;
  return STATUS_OK;
}
