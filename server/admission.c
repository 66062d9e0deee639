#include "server/admission.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "server/scheduler.h"
#include "storage/db_event.h"
#include "storage/db_job.h"

enum { ARENA_BYTES = 64 << 20 };

static bool has_text(const json_t *list, const char *text) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item)
    if (json_is_string(item) && strcmp(json_string_value(item), text) == 0)
      return true;
  return false;
}

/* A column the job names must be among those the check found. */
static void judge_column(const char *name, const char *param, const json_t *columns, const struct file_row *file,
                         struct fault_list *faults) {
  size_t i;
  json_t *item;
  if (!name || has_text(columns, name))
    return;
  AUTO(str_done) struct str names;
  str_init(&names, 300);
  json_array_foreach(columns, i, item)
    if (json_is_string(item))
      str_printf(&names, "%s\"%s\"", i ? ", " : "", json_string_value(item));
  fault_add(faults, STATUS_INVALID_VALUE, param, "%s has no column \"%.64s\"; its columns are %s", file->id, name,
            names.text);
}

static void judge_columns(const struct job_spec *spec, const struct file_row *file, const char *param,
                          struct fault_list *faults) {
  AUTO(json_release) json_t *report = NULL;
  if (!file->report || json_parse(&report, file->report, strlen(file->report), NULL, NULL))
    return;
  const char *kind = json_string_value(json_object_get(report, "kind"));
  if (kind && strcmp(kind, "adapter") == 0) {
    fault_add(faults, STATUS_INVALID_VALUE, param, "%s is an adapter, not data; from_checkpoint starts from it",
              file->id);
    return;
  }
  const json_t *columns = json_object_get(report, "columns");
  const char *format = json_string_value(json_object_get(report, "format"));
  if (!json_is_array(columns) || json_array_size(columns) == 0)
    return;
  /* Chats and completions need none of a table's columns. */
  if (has_text(columns, spec->columns.messages) ||
      (has_text(columns, spec->columns.prompt) && has_text(columns, spec->columns.completion)))
    return;
  judge_column(spec->columns.text, "dataset.text", columns, file, faults);
  /* Text alone trains a language model: the default label is asked for only in a table that has more. */
  bool named = spec->columns.label && strcmp(spec->columns.label, "label") != 0;
  bool table = format && strcmp(format, "jsonl") != 0 && json_array_size(columns) > 1;
  if (named || table)
    judge_column(spec->columns.label, "dataset.label", columns, file, faults);
}

void admission_judge(const struct job_spec *spec, const struct file_row *file, const char *param, bool *pending,
                     struct fault_list *faults) {
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
  case FILE_PROCESSED: judge_columns(spec, file, param, faults); return;
  case FILE_STATUS_COUNT: break;
  }
  CHECK(!"a file status");
}

static enum status check_file(bool *pending, struct fault_list *faults, struct server *server,
                              const struct job_spec *spec, const char *id, const char *param, struct arena *arena,
                              struct error *err) {
  struct file_row file;
  if (!id)
    return STATUS_OK;
  enum status status = db_file_get(&file, server->db, id, clock_unix(), arena, err);
  if (status == STATUS_FILE_NOT_FOUND) {
    fault_add(faults, status, param, "%s names no file: %.64s", param, id);
    return STATUS_OK;
  }
  if (!status)
    admission_judge(spec, &file, param, pending, faults);
  return status;
}

enum status admission_check(bool *pending, struct fault_list *faults, struct server *server,
                            const struct job_spec *spec, struct arena *arena, struct error *err) {
  *pending = false;
  enum status status =
      check_file(pending, faults, server, spec, spec->training_file, "training_file", arena, err);
  return status ? status
                : check_file(pending, faults, server, spec, spec->validation_file, "validation_file", arena, err);
}

/* One validating job; *moved tells whether it was decided. */
static enum status resume_job(bool *moved, struct server *server, const struct job_row *job, struct arena *arena,
                              struct error *err) {
  AUTO(json_release) json_t *body = NULL;
  struct job_spec spec;
  struct fault_list faults = {0};
  bool pending;
  *moved = false;
  pending = false;
  enum status status = STATUS_OK;
  if (json_parse(&body, job->spec, strlen(job->spec), NULL, err)) {
    log_error("%s: its stored specification is damaged: %s", job->id, err->text);
    fault_add(&faults, STATUS_INTERNAL, NULL, "the stored specification of the job is damaged: %s", err->text);
  } else {
    job_spec_parse(&spec, body, 0, arena, &faults);
  }
  if (faults.count == 0)
    status = admission_check(&pending, &faults, server, &spec, arena, err);
  if (status || (faults.count == 0 && pending))
    return status;
  struct event_row event = {.job_id = job->id, .created_at = clock_unix(), .level = LOG_INFO, .message = "queued"};
  const struct error *why = faults.count ? &faults.item[0] : NULL;
  if (why) {
    event.level = LOG_ERROR;
    event.message = why->text;
  }
  status = db_begin(server->db, err);
  if (status)
    return status;
  status = db_job_move(server->db, job->id, JOB_VALIDATING, why ? JOB_FAILED : JOB_QUEUED, why, event.created_at, moved,
                       err);
  if (!status && *moved)
    status = db_event_add(server->db, &event, err);
  if (status) {
    db_rollback(server->db);
    return status;
  }
  return db_commit(server->db, err);
}

/* One job after the other, each in memory of its own: any number of them may wait. */
enum status admission_resume(struct server *server, struct error *err) {
  int64_t after = 0;
  bool found = true, any = false;
  enum status status = STATUS_OK;
  while (!status && found) {
    AUTO(arena_done) struct arena arena;
    struct job_row job;
    bool moved = false;
    arena_init(&arena, ARENA_BYTES);
    status = db_job_next(&job, &found, server->db, JOB_VALIDATING, after, &arena, err);
    if (status || !found)
      break;
    after = job.seq;
    status = resume_job(&moved, server, &job, &arena, err);
    any |= moved;
  }
  if (any)
    scheduler_wake(server->scheduler);
  return status;
}
