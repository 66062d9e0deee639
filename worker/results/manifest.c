#include "worker/results/manifest.h"

#include <stdio.h>
#include <string.h>

#include "api/preview_encoder.h"
#include "api/single_file.h"
#include "base/file.h"
#include "base/json.h"
#include "worker/results/base_files.h"

enum status manifest_data(json_t **out, const struct task_file *file, struct error *err) {
  char sha256[HASH_HEX];
  uint64_t bytes;
  *out = NULL;
  enum status status = file_hash(sha256, &bytes, file->path, err);
  if (!status)
    *out = json_pack("{s:s s:s s:I s:s}", "id", file->id, "filename", file->filename, "bytes", (json_int_t)bytes,
                     "sha256", sha256);
  return status || *out ? status : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "describing a data file");
}

static json_t *describe_engine(const struct training *t) {
  json_t *engine = training_engine(t);
  json_object_set_new(engine, "threads", json_integer(pool_threads(t->learner->model->backend->pool)));
  return engine;
}

/* Members that most jobs do not have. */
static void add_course(json_t *manifest, const struct training *t) {
  static const char *const ends[END_COUNT] = {[END_PATIENCE] = "early_stopping", [END_RUNTIME] = "max_runtime"};
  if (ends[t->progress.ended])
    json_object_set_new(manifest, "ended_by", json_string(ends[t->progress.ended]));
  if (t->progress.best_step)
    json_object_set_new(manifest, "best", training_best(t));
  if (t->progress.last_step)
    json_object_set_new(manifest, "last", training_last(t));
  if (t->adapter_step != t->progress.step)
    json_object_set_new(manifest, "adapter_step", json_integer(t->adapter_step));
  if (t->resume.engines) /* the results are then not those of a run in one piece */
    json_object_set(manifest, "earlier_engines", t->resume.engines);
}

/* The one hash that tells the weights, of a model whose weights are one file. */
static void add_weights(json_t *manifest, const json_t *base) {
  const json_t *file, *only = NULL;
  size_t index, count = 0;
  json_array_foreach(base, index, file) {
    const char *name = json_string_value(json_object_get(file, "name"));
    if (strcmp(name, "model.safetensors") == 0 || strcmp(name, "pytorch_model.bin") == 0 || strstr(name, ".gguf") ||
        (single_file_named(name) && !strchr(name, '/'))) {
      only = file;
      count++;
    }
  }
  if (count == 1)
    json_object_set(manifest, "base_model_sha256", json_object_get(only, "sha256"));
}

static enum status add_validation(json_t *manifest, const struct training *t, struct error *err) {
  json_t *data;
  if (!t->task->validation.path)
    return STATUS_OK;
  enum status status = manifest_data(&data, &t->task->validation, err);
  if (status)
    return status;
  json_object_set_new(manifest, "validation_file", data);
  json_object_set_new(manifest, "valid_loss", json_real(t->evaluation.loss));
  json_object_set(manifest, "scores", t->evaluation.scores);
  return STATUS_OK;
}

/* What previews were measured with. */
static enum status add_encoders(json_t *manifest, const struct task *task, struct error *err) {
  const char *const folders[PREVIEW_ENCODER_COUNT] = {task->clip_dir, task->dino_dir};
  enum status status = STATUS_OK;
  for (int i = 0; !status && i < PREVIEW_ENCODER_COUNT; i++) {
    const char *member = strrchr(preview_encoders[i].param, '.') + 1;
    json_t *files;
    if (!folders[i])
      continue;
    status = base_files(&files, folders[i], err);
    if (!status &&
        json_object_set_new(
            manifest, member,
            json_pack("{s:s s:o}", "id", preview_encoder_id(&task->spec, (enum preview_encoder)i), "files", files)))
      status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "describing the encoders of the previews");
  }
  return status;
}

enum status manifest_make(json_t **out, struct training *t, const struct dataset *learnt, json_t *files,
                          struct error *err) {
  const struct task *task = t->task;
  AUTO(json_release) json_t *data = NULL;
  AUTO(json_release) json_t *base = NULL;
  enum status status = manifest_data(&data, &task->training, err);
  if (!status)
    status = base_files(&base, task->model_dir, err);
  if (status)
    return status;
  json_t *labels = json_array(), *file;
  size_t index;
  for (size_t i = 0; learnt && i < learnt->num_labels; i++)
    json_array_append_new(labels, json_string(learnt->label_names[i]));
  json_t *manifest = json_pack(
      "{s:s s:s s:s s:o s:O s:I s:I s:I s:o s:o s:{s:s s:O}}", "version", REFLECTD_VERSION, "job", task->job_id,
      "fine_tuned_model", task->fine_tuned_model, "spec", job_spec_json(&task->spec), "training_file", data,
      "trained_tokens", (json_int_t)t->progress.tokens, "steps", (json_int_t)t->progress.step, "trainable_parameters",
      (json_int_t)parameter_trained(&t->learner->model->parameters), "labels", labels, "engine", describe_engine(t),
      "base_model", "id", task->spec.model, "files", base);
  CHECK(manifest);
  status = add_validation(manifest, t, err);
  status = status ? status : add_encoders(manifest, task, err);
  if (status) {
    json_decref(manifest);
    return status;
  }
  add_course(manifest, t);
  add_weights(manifest, base);
  json_array_foreach(files, index, file) {
    if (strcmp(json_string_value(json_object_get(file, "name")), "adapter_model.safetensors") == 0)
      json_object_set(manifest, "adapter_sha256", json_object_get(file, "sha256"));
  }
  json_object_set(manifest, "files", files);
  *out = manifest;
  return STATUS_OK;
}
