#include "server/source.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "storage/db_artifact.h"
#include "storage/db_checkpoint.h"
#include "storage/db_file.h"
#include "storage/db_job.h"

static const char PARAM[] = "from_checkpoint";

static enum status invalid(struct error *err, const char *id, const char *why) {
  return error_set(err, STATUS_INVALID_VALUE, PARAM, "from_checkpoint: %.64s %s", id, why);
}

static enum status describe(struct source *out, json_t **adapter, const struct job_row *job, struct arena *arena,
                            struct error *err) {
  AUTO(json_release) json_t *document = NULL;
  struct job_spec spec;
  struct adapter_spec saved;
  out->model = job->model;
  if (!adapter)
    return STATUS_OK;
  enum status status = db_job_spec(&spec, &document, job, arena, err);
  if (!status && adapter_spec_saved(&saved, &spec.adapter, arena))
    *adapter = job_spec_adapter(&saved);
  return status || *adapter ? status : error_no_memory(err, "the adapter to start from");
}

static enum status find_job(struct source *out, json_t **adapter, const struct server *server, const char *tenant,
                            const char *id, struct arena *arena, struct error *err) {
  struct job_row job;
  struct artifact_row weights;
  enum status status = db_job_get(&job, server->db, tenant, id, arena, err);
  if (status == STATUS_JOB_NOT_FOUND)
    return error_set(err, status, PARAM, "from_checkpoint names no job: %.64s", id);
  if (status)
    return status;
  if (job.state != JOB_SUCCEEDED || job.model_deleted)
    return invalid(err, id, job.model_deleted ? "has had its adapter deleted" : "has not succeeded: it has no adapter");
  status = db_artifact_get(&weights, server->db, id, "adapter_model.safetensors", arena, err);
  if (status)
    return status;
  const char *slash = strrchr(weights.path, '/');
  out->path =
      arena_format(arena, "%s/%.*s", server->config->data, (int)(slash ? slash - weights.path : 0), weights.path);
  return describe(out, adapter, &job, arena, err);
}

static enum status find_checkpoint(struct source *out, json_t **adapter, const struct server *server,
                                   const char *tenant, const char *id, struct arena *arena, struct error *err) {
  struct checkpoint_row checkpoint;
  struct job_row job;
  struct stat info;
  bool found;
  enum status status = db_checkpoint_get(&checkpoint, &found, server->db, tenant, id, arena, err);
  if (!status && !found)
    return invalid(err, id, "names no checkpoint");
  if (!status)
    status = db_job_get(&job, server->db, tenant, checkpoint.job_id, arena, err);
  if (status)
    return status;
  out->path = arena_format(arena, "%s/%s", server->config->data, checkpoint.path);
  if (out->path && stat(out->path, &info) != 0)
    return invalid(err, id, "is no longer there: the job keeps its newest checkpoints only (checkpointing.keep_last)");
  return describe(out, adapter, &job, arena, err);
}

static enum status find_file(struct source *out, json_t **adapter, const struct server *server, const char *tenant,
                             const char *id, struct arena *arena, struct error *err) {
  struct file_row file;
  AUTO(json_release) json_t *report = NULL;
  enum status status = db_file_get(&file, server->db, tenant, id, clock_unix(), arena, err);
  if (status == STATUS_FILE_NOT_FOUND)
    return error_set(err, status, PARAM, "from_checkpoint names no file: %.64s", id);
  if (status)
    return status;
  if (file.status == FILE_UPLOADED)
    return invalid(err, id, "is still being checked; try again in a moment");
  if (file.status == FILE_ERROR)
    return error_set(err, STATUS_INVALID_VALUE, PARAM, "from_checkpoint: %.64s cannot be used: %s", id,
                     file.status_details ? file.status_details : "its check failed");
  if (file.report && json_parse(&report, file.report, strlen(file.report), NULL, err) == STATUS_OUT_OF_MEMORY)
    return STATUS_OUT_OF_MEMORY;
  const char *kind = json_string_value(json_object_get(report, "kind"));
  if (!kind || strcmp(kind, "adapter") != 0)
    return invalid(err, id,
                   "is no adapter archive (adapter_config.json and adapter_model.safetensors in a tar or zip)");
  out->path = arena_format(arena, "%s/%s", server->config->data, file.path);
  if (adapter)
    *adapter = json_incref(json_object_get(report, "adapter"));
  return STATUS_OK;
}

/* "ft:...": the name of a finished job's model, or of a checkpoint as the list of them shows it. */
static enum status find_name(struct source *out, json_t **adapter, const struct server *server, const char *tenant,
                             const char *name, struct arena *arena, struct error *err) {
  struct checkpoint_row checkpoint;
  struct job_row job;
  bool found;
  enum status status = db_job_of_model(&job, server->db, tenant, name, arena, err);
  if (!status)
    return find_job(out, adapter, server, tenant, job.id, arena, err);
  if (status != STATUS_MODEL_NOT_FOUND)
    return status;
  status = db_checkpoint_of_name(&checkpoint, &found, server->db, tenant, name, arena, err);
  if (status)
    return status;
  char id[40];
  snprintf(id, sizeof id, "ftckpt-%lld", found ? (long long)checkpoint.seq : 0);
  return found ? find_checkpoint(out, adapter, server, tenant, id, arena, err)
               : error_set(err, STATUS_MODEL_NOT_FOUND, PARAM,
                           "from_checkpoint names no fine-tuned model and no"
                           " checkpoint: %.300s",
                           name);
}

enum status source_find(struct source *out, json_t **adapter, const struct server *server, const char *tenant,
                        const char *id, struct arena *arena, struct error *err) {
  *out = (struct source){0};
  if (adapter)
    *adapter = NULL;
  enum status status;
  if (strncmp(id, "ftjob-", 6) == 0)
    status = find_job(out, adapter, server, tenant, id, arena, err);
  else if (strncmp(id, "ftckpt-", 7) == 0)
    status = find_checkpoint(out, adapter, server, tenant, id, arena, err);
  else if (strncmp(id, "file-", 5) == 0)
    status = find_file(out, adapter, server, tenant, id, arena, err);
  else if (strncmp(id, "ft:", 3) == 0)
    status = find_name(out, adapter, server, tenant, id, arena, err);
  else
    return invalid(err, id, "is no id of a job (ftjob-...), a checkpoint (ftckpt-...) or a file (file-...), and no name"
                   " of a fine-tuned model (ft:...)");
  if (!status && !out->path)
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "finding %.64s", id);
  if (status && adapter) {
    json_decref(*adapter);
    *adapter = NULL;
  }
  return status;
}
