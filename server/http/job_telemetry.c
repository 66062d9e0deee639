/* /v1/fine_tuning/jobs/{job_id}/telemetry: how far each adapted module turns, by steps. */
#include <string.h>

#include "base/json.h"
#include "server/http/reply.h"
#include "storage/db_job.h"
#include "storage/db_telemetry.h"

/* A training tells it about fifty times. */
enum { STEPS_MAX = 200 };

/* The quantities of a module. */
static const char *const quantities[] = {"angle", "defect"};

/* {"name", "angle": [], "defect": []} for each of these modules, without values yet. */
static json_t *new_modules(const json_t *names) {
  json_t *modules = json_array();
  const json_t *name;
  size_t i;
  json_array_foreach(names, i, name)
      json_array_append_new(modules, json_pack("{s:O, s:[], s:[]}", "name", name, quantities[0], quantities[1]));
  return modules;
}

static bool same_modules(const json_t *modules, const json_t *names) {
  const json_t *name;
  size_t i;
  json_array_foreach(names, i, name) {
    if (!json_equal(name, json_object_get(json_array_get(modules, i), "name")))
      return false;
  }
  return json_array_size(names) == json_array_size(modules);
}

/* A row whose text is damaged, or that is of other modules than the first one, is left out. */
static void add_row(json_t *steps, json_t **modules, const struct telemetry_row *row) {
  AUTO(json_release) json_t *data = NULL;
  if (!row->data || json_parse(&data, row->data, strlen(row->data), NULL, NULL))
    return;
  const json_t *names = json_object_get(data, "modules");
  if (json_array_size(*modules) == 0) {
    json_decref(*modules);
    *modules = new_modules(names);
  } else if (!same_modules(*modules, names))
    return;
  json_array_append_new(steps, json_integer(row->step));
  for (size_t q = 0; q < COUNT_OF(quantities); q++)
    for (size_t i = 0; i < json_array_size(*modules); i++) {
      json_t *value = json_array_get(json_object_get(data, quantities[q]), i);
      json_array_append_new(json_object_get(json_array_get(*modules, i), quantities[q]),
                            value ? json_incref(value) : json_null());
    }
}

static json_t *telemetry_object(const struct job_row *job, const struct telemetry_row *rows, size_t count, bool more) {
  json_t *steps = json_array(), *modules = json_array();
  for (size_t i = 0; i < count; i++)
    add_row(steps, &modules, &rows[i]);
  return json_pack("{s:s, s:s, s:s, s:b, s:o, s:o}", "object", "fine_tuning.job.telemetry", "job_id", job->id, "status",
                   job_state_name(job->state), "has_more", more, "steps", steps, "modules", modules);
}

void http_jobs_telemetry(struct request *request) {
  struct job_row job;
  struct telemetry_row *rows;
  struct error err;
  size_t count;
  int64_t first;
  bool more;
  enum status status = query_int(&first, &request->query, "from_step", 0, 0, INT64_MAX, &err);
  if (!status)
    status = db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status)
    status =
        db_telemetry_list(&rows, &count, &more, request->server->db, job.id, first, STEPS_MAX, &request->arena, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, telemetry_object(&job, rows, count, more));
}
