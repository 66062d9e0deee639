/* GET /v1/files/{id}/validation: what the check of the upload found, and what a closer look finds that a worker takes
   when somebody asks: lengths for a model, texts that come again, labels, lines that cannot be used. */
#include <string.h>

#include "base/clock.h"
#include "server/http/ask.h"
#include "server/http/reply.h"
#include "server/http/wait.h"
#include "server/materials.h"
#include "storage/db_file.h"

/* Of the query: members of the job that the file is looked at for. */
static const struct {
  const char *name, *section, *member;
} asked[] = {{"task", NULL, "task"},
             {"text", "dataset", "text"},
             {"text_pair", "dataset", "text_pair"},
             {"label", "dataset", "label"},
             {"labels", "dataset", "labels"},
             {"tokens", "dataset", "tokens"},
             {"tags", "dataset", "tags"},
             {"messages", "dataset", "messages"},
             {"prompt", "dataset", "prompt"},
             {"completion", "dataset", "completion"}};

static void read_columns(json_t *body, const struct query *query) {
  for (size_t i = 0; i < COUNT_OF(asked); i++) {
    const char *value = query_get(query, asked[i].name);
    json_t *into = body;
    if (!value)
      continue;
    if (asked[i].section && !(into = json_object_get(body, asked[i].section))) {
      into = json_object();
      json_object_set_new(body, asked[i].section, into);
    }
    json_object_set_new(into, asked[i].member, json_string(value));
  }
}

/* The job that the file is looked at for; without a model it is nobody's. */
static enum status read_spec(struct job_spec *spec, json_t **body, struct request *request, struct fault_list *faults,
                             struct error *err) {
  const char *model = query_get(&request->query, "model"), *against = query_get(&request->query, "against");
  int64_t most;
  enum status status = query_int(&most, &request->query, "max_seq_length", 512, 4, 131072, err);
  if (status)
    return status;
  *body = json_pack("{s:s, s:s, s:s?, s:{s:I}, s:i}", "model", model ? model : MATERIALS_NO_MODEL, "training_file",
                    request_param(request, 0), "validation_file", against, "hyperparameters", "max_seq_length",
                    (json_int_t)most, "seed", 0);
  if (!*body)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "reading the query");
  read_columns(*body, &request->query);
  job_spec_parse(spec, *body, 0, &request->arena, faults);
  return STATUS_OK;
}

/* One that is still checked is waited for, once. *waits: the handler is called again. */
static enum status find_file(struct file_row *file, bool *waits, struct request *request, const char *id,
                             const char *param, struct error *err) {
  struct server *server = request->server;
  enum status status = db_file_get(file, server->db, request->tenant, id, clock_unix(), &request->arena, err);
  if (status) {
    snprintf(err->param, sizeof err->param, "%s", param);
    return status;
  }
  if (file->status == FILE_UPLOADED && request->waited)
    return error_set(err, STATUS_OVERLOADED, param, "%s is still being checked; ask again in a moment", id);
  if (file->status == FILE_UPLOADED) {
    wait_for(request, id, server->config->upload_check_wait_ms);
    *waits = true;
    return STATUS_OK;
  }
  AUTO(json_release) json_t *report = reply_stored(file->report);
  const char *kind = json_string_value(json_object_get(report, "kind"));
  if (kind && strcmp(kind, "adapter") == 0)
    return error_set(err, STATUS_INVALID_VALUE, param, "%s is an adapter, not data", id);
  if (kind && strcmp(kind, "images") == 0)
    return error_set(err, STATUS_INVALID_VALUE, param,
                     "%s is an archive of images: what there is to say of it is the file's own \"validation\"", id);
  return STATUS_OK;
}

/* {line, column, code, message} of a sentence: "line 3, column 5: ..." */
static json_t *warning(const char *text) {
  long long line = 0, column = 0;
  int length = 0;
  if (sscanf(text, "line %lld, column %lld: %n", &line, &column, &length) < 2)
    length = 0;
  return json_pack("{s:o, s:o, s:s, s:s}", "line", reply_number(line), "column", reply_number(column), "code",
                   "doubtful", "message", text + length);
}

static json_t *warnings_of(const json_t *texts, const json_t *more) {
  json_t *out = json_array();
  const json_t *text;
  size_t i;
  json_array_foreach(texts, i, text) json_array_append_new(out, warning(json_string_value(text)));
  json_array_foreach(more, i, text) json_array_append_new(out, warning(json_string_value(text)));
  return out;
}

static json_t *object(struct request *request, const struct file_row *file, const struct question *answer) {
  json_t *out = reply_stored(file->report);
  static const char *const names[] = {"format",     "kind", "columns", "lines",       "labels",
                                      "text_bytes", "chat", "tokens",  "tokens_error"};
  if (!json_is_object(out)) {
    json_decref(out);
    out = json_object();
  }
  json_t *warnings = warnings_of(json_object_get(out, "warnings"), answer->warnings);
  json_object_del(out, "facts");
  json_object_update(out, answer->report);
  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (!json_object_get(out, names[i]))
      json_object_set_new(out, names[i], json_null());
  json_object_set_new(out, "object", json_string("file.validation"));
  json_object_set_new(out, "file_id", json_string(file->id));
  json_object_set_new(out, "filename", json_string(file->filename));
  json_object_set_new(out, "bytes", json_integer(file->bytes));
  json_object_set_new(out, "status", json_string(file_status_name(file->status)));
  json_object_set_new(out, "status_details", reply_message(request->server, file->status_details));
  json_object_set_new(out, "warning_count", json_integer((json_int_t)json_array_size(warnings)));
  json_object_set_new(out, "warnings", warnings);
  return out;
}

static enum status validate(struct request *request, const struct job_spec *spec, struct error *err) {
  struct file_row file, other;
  const struct question *answer;
  struct base_model model;
  bool waits = false, has_model = query_get(&request->query, "model") != NULL;
  enum status status = find_file(&file, &waits, request, spec->training_file, "file_id", err);
  if (!status && !waits && spec->validation_file)
    status = find_file(&other, &waits, request, spec->validation_file, "against", err);
  if (!status && has_model)
    status = models_find(&model, request->server->config->models, spec->model, &request->arena, err);
  if (status || waits)
    return status;
  status = ask(&answer, request, TASK_SURVEY, spec, has_model ? &model : NULL, err);
  if (status || !answer)
    return status;
  if (answer->error.status) {
    *err = answer->error;
    return err->status;
  }
  reply_json(request, object(request, &file, answer));
  return STATUS_OK;
}

void http_files_validation(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct fault_list faults = {0};
  struct job_spec spec;
  struct error err;
  enum status status = read_spec(&spec, &body, request, &faults, &err);
  if (!status && faults.count)
    reply_faults(request, &faults);
  else if (!status)
    status = validate(request, &spec, &err);
  if (status)
    reply_error(request, &err);
}
