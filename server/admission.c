#include "server/admission.h"

#include <string.h>

#include "api/data_fit.h"
#include "api/preview_encoder.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "server/inspected.h"
#include "server/models.h"
#include "storage/db_event.h"
#include "storage/db_job.h"

enum { ARENA_BYTES = 64 << 20, REPORT_BYTES_MAX = 1 << 20, TOGETHER = 256 };

static void judge_adapter(const struct data_file *file, struct fault_list *faults) {
  const char *kind = json_string_value(json_object_get(file->report, "kind"));
  if (kind && strcmp(kind, "adapter") == 0)
    fault_add(faults, STATUS_INVALID_VALUE, file->param, "%s is an adapter, not data; from_checkpoint starts from it",
              file->id);
}

/* Does the file's state let a job use it? */
static void judge_file(const struct file_row *file, const char *param, bool *pending, struct fault_list *faults) {
  if (strcmp(file->purpose, "fine-tune") != 0) {
    fault_add(faults, STATUS_INVALID_PURPOSE, param,
              "%s was uploaded with purpose \"%s\"; a job's files need the purpose \"fine-tune\"", file->id,
              file->purpose);
    return;
  }
  switch (file->status) {
  case FILE_UPLOADED: *pending = true; return;
  case FILE_ERROR:
    fault_add(faults, STATUS_DATASET_INVALID, param, "%s cannot be used: %s", file->id,
              file->status_details ? file->status_details : "its check failed");
    return;
  case FILE_PROCESSED: return;
  case FILE_STATUS_COUNT: break;
  }
  CHECK(!"a file status");
}

/* Is there anything in the report to judge data by? An older one has no facts, and neither has that of a very wide
   table; what it hides, training finds. */
static bool has_facts(const struct data_file *file) {
  return json_object_size(json_object_get(file->report, "facts")) > 0;
}

/* What the training file is used for is asked of the validation file too; among uses without labels it may have its
   own. */
static void judge_data(const struct job_spec *spec, const struct data_file *training,
                       const struct data_file *validation, struct data_tasks tasks, struct fault_list *faults) {
  const struct data_file *files[] = {training, validation};
  size_t before = faults->count;
  bool images = false;
  for (size_t i = 0; i < COUNT_OF(files); i++)
    if (files[i])
      data_judge_images(&images, spec, files[i], faults);
  if (images || faults->count > before)
    return;
  for (size_t i = 0; i < COUNT_OF(files); i++)
    if (files[i] && !has_facts(files[i]))
      data_judge_names(spec, files[i], faults);
  if (!has_facts(training))
    return;
  const struct data_tasks all = {.language = true, .classifier = true};
  enum data_use given = data_use(spec, training->report, all);
  if (!tasks.language && (given == USE_CHAT || given == USE_COMPLETION)) {
    fault_add(faults, STATUS_DATASET_INVALID, training->param,
              "%s has %s, which language models learn from; %.200s classifies texts and needs \"%.60s\" with \"%.60s\"",
              training->id, given == USE_CHAT ? "chats" : "prompts with completions", spec->model, spec->columns.text,
              spec->columns.label);
    return;
  }
  enum data_use use = data_use(spec, training->report, tasks);
  data_judge(spec, training, use, tasks, faults);
  bool both = validation && has_facts(validation);
  enum data_use other = use;
  if (both && data_use_is_language(use)) {
    const struct data_tasks language = {.language = true, .model = tasks.model};
    other = data_use(spec, validation->report, language);
    data_judge(spec, validation, other, language, faults);
  } else if (both) {
    data_judge(spec, validation, use, tasks, faults);
  }
  if (both)
    data_judge_generate(spec, validation, other, faults);
  if (use == USE_LABELLED || use == USE_LABELS || use == USE_TAGS)
    data_judge_labels(spec, use, training, both ? validation : NULL, faults);
  if (faults->count == 0)
    data_fit_judge(spec, use, training, faults);
}

void admission_judge(const struct job_spec *spec, const struct file_row *training, const struct file_row *validation,
                     struct data_tasks tasks, bool *pending, struct fault_list *faults) {
  const struct file_row *rows[] = {training, validation};
  struct data_file files[] = {{.param = "training_file"}, {.param = "validation_file"}};
  json_t *reports[COUNT_OF(rows)] = {NULL};
  static const struct json_limits limits = {.bytes_max = REPORT_BYTES_MAX};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    if (!rows[i])
      continue;
    judge_file(rows[i], files[i].param, pending, faults);
    if (rows[i]->report &&
        json_parse(&reports[i], rows[i]->report, strlen(rows[i]->report), &limits, NULL) == STATUS_OUT_OF_MEMORY)
      fault_add(faults, STATUS_OUT_OF_MEMORY, files[i].param, "no memory for what is known of the file");
    files[i].id = rows[i]->id;
    files[i].report = reports[i];
    judge_adapter(&files[i], faults);
  }
  if (training && faults->count == 0 && !*pending)
    judge_data(spec, &files[0], validation ? &files[1] : NULL, tasks, faults);
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    json_decref(reports[i]);
}

/* *row: NULL where the job names none, or one that is not there. */
static enum status find_file(struct file_row **row, struct file_row *place, struct fault_list *faults,
                             struct server *server, const char *tenant, const char *id, const char *param,
                             struct arena *arena, struct error *err) {
  *row = NULL;
  if (!id)
    return STATUS_OK;
  enum status status = db_file_get(place, server->db, tenant, id, clock_unix(), arena, err);
  if (status == STATUS_FILE_NOT_FOUND) {
    fault_add(faults, status, param, "%s names no file: %.64s", param, id);
    return STATUS_OK;
  }
  *row = status ? NULL : place;
  return status;
}

/* The model has no such module, or one that it says why nothing can be put on. */
static void refuse_target(const struct job_spec *spec, const json_t *model, const char *target, const char *near,
                          struct fault_list *faults) {
  const json_t *modules = json_object_get(model, "target_modules"), *module;
  const char *dot = strrchr(target, '.');
  bool other = json_list_has(json_object_get(model, "other_modules"), dot ? dot + 1 : target);
  const char *why = other ? json_string_value(json_object_get(model, "not_adapted")) : NULL;
  AUTO(str_done) struct str all;
  size_t at;
  str_init(&all, 1000);
  json_array_foreach(modules, at, module)
      str_printf(&all, "%s%s", at ? ", " : "", json_is_string(module) ? json_string_value(module) : "?");
  if (why)
    fault_add(faults, STATUS_UNSUPPORTED_TARGET, "adapter.target_modules",
              "\"%.100s\" of %.200s %.400s; adapters can be put on %s", target, spec->model, why, all.text);
  else
    fault_add(faults, STATUS_UNSUPPORTED_TARGET, "adapter.target_modules",
              "%.200s has no module \"%.100s\" that an adapter can be put on%s%s%s; it has %s", spec->model, target,
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "", all.text);
}

/* A name in target_modules ends with the name of a module that an adapter can be put on; the rest is training's to
   judge, which knows whole paths. */
static void judge_targets(const struct job_spec *spec, const json_t *model, struct fault_list *faults) {
  const struct string_list *names = &spec->adapter.target_modules.names;
  const json_t *modules = json_object_get(model, "target_modules"), *module;
  for (size_t i = 0; modules && !spec->from_checkpoint && i < names->count; i++) {
    const char *dot = strrchr(names->item[i], '.'), *name = dot ? dot + 1 : names->item[i], *near = NULL;
    size_t at, distance = 3;
    json_array_foreach(modules, at, module) if (json_is_string(module))
        str_nearer(&near, &distance, json_string_value(module), name);
    if (distance > 0)
      refuse_target(spec, model, names->item[i], near, faults);
  }
}

/* Why the method can be on none of the modules of that name; NULL: on some it can, or there are none. */
static const char *refused_type(const json_t *modules, const char *name, const struct adapter_spec *adapter) {
  const char *refused = NULL;
  const json_t *module;
  size_t at;
  json_array_foreach(modules, at, module) {
    const char *own = json_string_value(json_object_get(module, "name"));
    const char *type = json_string_value(json_object_get(module, "type"));
    if (!own || !type || strcmp(own, name) != 0)
      continue;
    bool conv2d = strcmp(type, "Conv2d") == 0, conv1d = strcmp(type, "Conv1D") == 0;
    if ((!conv2d || adapter_spec_on_conv2d(adapter)) && (!conv1d || method_of(adapter->peft_type)->on_conv1d))
      return NULL;
    refused =
        conv2d ? "convolutions, which hra and plain lora can be on" : "Conv1D modules, which PEFT puts LoRA alone on";
  }
  return refused;
}

/* What is named, or is the default, may be modules that the method cannot be on. Where others are excluded or a pattern
   selects, training judges. */
static void judge_types(const struct job_spec *spec, const json_t *model, struct fault_list *faults) {
  const struct adapter_spec *adapter = &spec->adapter;
  const struct string_list *names = &adapter->target_modules.names;
  const json_t *modules = json_object_get(model, "modules");
  const json_t *defaults = json_object_get(model, "default_target_modules");
  if (spec->from_checkpoint || adapter->target_modules.pattern || adapter->exclude_modules.pattern ||
      adapter->exclude_modules.names.count)
    return;
  size_t count = names->count ? names->count : json_array_size(defaults);
  for (size_t i = 0; i < count; i++) {
    const char *name = names->count ? names->item[i] : json_string_value(json_array_get(defaults, i));
    const char *dot = name ? strrchr(name, '.') : NULL;
    const char *refused = name ? refused_type(modules, dot ? dot + 1 : name, adapter) : NULL;
    if (refused)
      fault_add(faults, STATUS_UNSUPPORTED_TARGET, "adapter.target_modules",
                "%s cannot be on \"%.100s\" of %.200s: those are %s", adapter_spec_name(adapter), name, spec->model,
                refused);
  }
}

static void judge_resolution(const struct job_spec *spec, const json_t *model, struct fault_list *faults) {
  json_int_t multiple = json_integer_value(json_object_get(json_object_get(model, "image"), "size_multiple"));
  if (multiple > 0 && spec->image.resolution % multiple != 0)
    fault_add(faults, STATUS_INVALID_VALUE, "image.resolution",
              "image.resolution is %lld; %.200s learns images whose side is a multiple of %lld",
              (long long)spec->image.resolution, spec->model, (long long)multiple);
}

void admission_judge_model(const struct job_spec *spec, const json_t *report, struct fault_list *faults) {
  judge_targets(spec, report, faults);
  judge_types(spec, report, faults);
  judge_resolution(spec, report, faults);
}

/* --- encoders of pictures ------------------------------------------------------------------------- */

/* PREVIEW_ENCODER_COUNT: the report is of another model, or there is none. */
static enum preview_encoder encoder_of(const struct inspected *inspected) {
  return preview_encoder_find(inspected ? json_string_value(json_object_get(inspected->report, "architecture")) : NULL);
}

static enum status judge_encoder(bool *pending, struct fault_list *faults, struct server *server,
                                 enum preview_encoder encoder, const char *id, struct arena *arena, struct error *err) {
  const struct preview_encoder_row *row = &preview_encoders[encoder];
  struct base_model model;
  enum status status = models_find(&model, server->config->models, id, arena, err);
  if (status == STATUS_MODEL_NOT_FOUND)
    fault_add(faults, status, row->param, "%s: %s", row->param, err->text);
  if (status)
    return status == STATUS_MODEL_NOT_FOUND ? STATUS_OK : status;
  const struct inspected *inspected = inspected_of(server->inspected, &model);
  *pending |= inspected && inspected->state != INSPECTED_KNOWN;
  if (!inspected || inspected->state != INSPECTED_KNOWN)
    return STATUS_OK;
  if (inspected->error.status)
    fault_add(faults, inspected->error.status, row->param, "%s: %.200s cannot be used: %s", row->param, id,
              inspected->error.text);
  else if (inspected->report && encoder_of(inspected) != encoder)
    fault_add(faults, STATUS_INVALID_VALUE, row->param, "%s must be %s; %.200s is none", row->param, row->words, id);
  return STATUS_OK;
}

static enum status judge_encoders(bool *pending, struct fault_list *faults, struct server *server,
                                  const struct job_spec *spec, struct arena *arena, struct error *err) {
  enum status status = STATUS_OK;
  for (int i = 0; !status && i < PREVIEW_ENCODER_COUNT; i++) {
    const char *id = preview_encoder_id(spec, (enum preview_encoder)i);
    if (id)
      status = judge_encoder(pending, faults, server, (enum preview_encoder)i, id, arena, err);
  }
  return status;
}

/* --- all of it ------------------------------------------------------------------------------------ */

/* What the base model can learn; a fault where it cannot be used. One that is not there any more, training names. */
static struct data_tasks judge_model(bool *pending, struct fault_list *faults, struct server *server,
                                     const struct job_spec *spec, struct arena *arena) {
  struct base_model model;
  const struct inspected *inspected = NULL;
  if (!models_find(&model, server->config->models, spec->model, arena, NULL))
    inspected = inspected_of(server->inspected, &model);
  *pending |= inspected && inspected->state != INSPECTED_KNOWN;
  if (inspected && inspected->state == INSPECTED_KNOWN && inspected->error.status)
    fault_add(faults, inspected->error.status, "model", "the model %.200s cannot be used: %s", spec->model,
              inspected->error.text);
  else if (inspected && inspected->state == INSPECTED_KNOWN)
    admission_judge_model(spec, inspected->report, faults);
  struct data_tasks tasks = inspected_tasks(inspected && inspected->state == INSPECTED_KNOWN ? inspected : NULL);
  enum preview_encoder encoder = encoder_of(inspected);
  if (encoder != PREVIEW_ENCODER_COUNT)
    fault_add(faults, STATUS_UNSUPPORTED_VALUE, "model",
              "%.200s is %s: previews can be measured by it (%s), no job can train it", spec->model,
              preview_encoders[encoder].words, preview_encoders[encoder].param);
  else
    data_judge_task(spec, tasks, faults);
  return tasks;
}

static void judge_device(const struct job_spec *spec, const struct server *server, struct fault_list *faults) {
  const char *wanted = spec->scheduling.device;
  AUTO(str_done) struct str names;
  str_init(&names, 1000);
  if (!wanted || devices_has(&server->devices, wanted))
    return;
  devices_names(&names, &server->devices);
  fault_add(faults, STATUS_UNSUPPORTED_VALUE, "scheduling.device", "this server has no device \"%.40s\"; it has %s",
            wanted, names.text);
}

static void judge_threads(const struct job_spec *spec, const struct server *server, struct fault_list *faults) {
  int64_t most = budget_threads_max(&server->budget, server->config);
  if (spec->scheduling.threads > most)
    fault_add(faults, STATUS_INVALID_VALUE, "scheduling.threads",
              "scheduling.threads is %lld; a job has at most %lld on this server, and 0 means its choice",
              (long long)spec->scheduling.threads, (long long)most);
}

enum status admission_check(bool *pending, struct fault_list *faults, struct server *server, const char *tenant,
                            const struct job_spec *spec, struct arena *arena, struct error *err) {
  struct file_row places[2], *training, *validation;
  *pending = false;
  struct data_tasks tasks = judge_model(pending, faults, server, spec, arena);
  judge_device(spec, server, faults);
  judge_threads(spec, server, faults);
  enum status status = judge_encoders(pending, faults, server, spec, arena, err);
  if (!status)
    status = find_file(&training, &places[0], faults, server, tenant, spec->training_file, "training_file", arena, err);
  if (!status)
    status = find_file(&validation, &places[1], faults, server, tenant, spec->validation_file, "validation_file", arena,
                       err);
  if (!status)
    admission_judge(spec, training, validation, tasks, pending, faults);
  return status;
}

struct judged {
  const struct job_row *job;
  const struct error *why; /* NULL: nothing is wrong */
};

static enum status store_judged(struct db *db, const void *what, struct error *err) {
  const struct judged *it = what;
  bool moved;
  struct event_row event = {.job_id = it->job->id,
                            .created_at = clock_unix(),
                            .level = it->why ? LOG_ERROR : LOG_INFO,
                            .message = it->why ? it->why->text : "queued"};
  enum status status = db_job_move(db, it->job->id, JOB_VALIDATING, it->why ? JOB_FAILED : JOB_QUEUED, it->why,
                                   event.created_at, &moved, err);
  return status || !moved ? status : db_event_add(db, &event, err);
}

/* One validating job. */
static enum status resume_job(struct server *server, const struct job_row *job, struct arena *arena,
                              struct error *err) {
  AUTO(json_release) json_t *document = NULL;
  struct job_spec spec;
  struct fault_list faults = {0};
  bool pending = false;
  enum status status = db_job_spec(&spec, &document, job, arena, err);
  if (status == STATUS_DAMAGED) {
    log_error("%s", err->text);
    fault_add(&faults, status, NULL, "%s", err->text);
    status = STATUS_OK;
  } else if (!status) {
    status = admission_check(&pending, &faults, server, job->tenant, &spec, arena, err);
  }
  if (status || (faults.count == 0 && pending))
    return status;
  const struct judged judged = {job, faults.count ? &faults.item[0] : NULL};
  return db_apply(server->db, store_judged, &judged, false, err);
}

/* The next validating job, in memory of its own: any number of them may wait. *after: the last that was seen. */
static enum status resume_next(struct server *server, int64_t *after, bool *found, struct error *err) {
  AUTO(arena_done) struct arena arena;
  struct job_row job;
  arena_init(&arena, ARENA_BYTES);
  enum status status = db_job_next(&job, found, server->db, JOB_VALIDATING, *after, &arena, err);
  if (status || !*found)
    return status;
  *after = job.seq;
  db_join(server->db);
  status = resume_job(server, &job, &arena, err);
  if (db_leave(server->db) || status)
    return status;
  return error_set(err, STATUS_DATABASE_BUSY, NULL, "what was found out of %s was not stored", job.id);
}

/* The disk is waited for once for some of them. */
enum status admission_resume(struct server *server, struct error *err) {
  int64_t after = 0;
  bool found = true;
  enum status status = STATUS_OK;
  while (!status && found) {
    struct error late;
    for (size_t n = 0; !status && found && n < TOGETHER; n++)
      status = resume_next(server, &after, &found, err);
    if (!db_gathered(server->db) || !db_settle(server->db, &late) || status)
      continue;
    *err = late;
    status = late.status;
  }
  return status;
}
