#include "server/needs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/json_text.h"
#include "server/inspected.h"
#include "server/sandbox.h"
#include "storage/db_event.h"

enum { ARENA_BYTES = 16 << 20, GPU_OWN_MIB = 512, NUMBER_BYTES = 24 };

/* scheduling.threads of the spec's text; 0: none in particular. */
static int64_t threads_of(const struct job_row *job) {
  struct json_text spec = {job->spec, strlen(job->spec)}, value;
  char number[NUMBER_BYTES] = "";
  if (json_text_valid(spec) && json_text_get(&value, spec, "scheduling") && json_text_get(&value, value, "threads"))
    snprintf(number, sizeof number, "%.*s", (int)value.length, value.at);
  return strtoll(number, NULL, 10);
}

static int64_t weights_mib(const struct server *server, const struct job_row *job) {
  AUTO(arena_done) struct arena arena;
  struct base_model model;
  arena_init(&arena, ARENA_BYTES);
  if (models_find(&model, server->config->models, job->model, &arena, NULL))
    return 0; /* it is gone: the run says so */
  return budget_mib((int64_t)sandbox_model_bytes(model.path));
}

struct budget_need needs_of(const struct server *server, const struct job_row *job, const struct device_info *device) {
  if (device && device->gpu)
    return (struct budget_need){.memory_mib = weights_mib(server, job) + GPU_OWN_MIB};
  struct budget_need need = {.memory_mib = job->needs_memory,
                             .cores = budget_threads(&server->budget, server->config, threads_of(job))};
  if (need.memory_mib == 0)
    need.memory_mib = server->budget.memory_mib;
  return need;
}

/* ---- asking ---- */

struct answer {
  const struct job_row *job;
  int64_t memory_mib;
  const char *why; /* there is none */
};

static enum status store(struct db *db, const void *what, struct error *err) {
  const struct answer *answer = what;
  char text[sizeof((struct error){0}.text) + 100];
  struct event_row event = {
      .job_id = answer->job->id, .created_at = clock_unix(), .level = LOG_WARN, .message = text};
  enum status status = db_job_set_needs(db, answer->job->id, answer->memory_mib, err);
  if (status || !answer->why)
    return status;
  snprintf(text, sizeof text, "The memory that the job takes could not be planned (%s): it will run alone",
           answer->why);
  return db_event_add(db, &event, err);
}

static enum status keep(struct server *server, const struct job_row *job, const struct question *question,
                        const struct error *fault, struct error *err) {
  const json_t *bytes = question ? json_object_get(question->report, "peak_memory_bytes") : NULL;
  struct answer answer = {.job = job};
  if (json_is_integer(bytes) && json_integer_value(bytes) > 0)
    answer.memory_mib = budget_mib(json_integer_value(bytes));
  else
    answer.why = fault->status ? fault->text : "its worker did not say";
  return db_apply(server->db, store, &answer, true, err);
}

enum status needs_plan(struct question **out, struct server *server, const char *tenant, const struct job_spec *spec,
                       const struct base_model *model, struct error *err) {
  struct job_spec planned = *spec;
  const struct inspected *inspected = model ? inspected_of(server->inspected, model) : NULL;
  planned.seed = 0;
  return questions_ask(out, &server->questions, TASK_PLAN, tenant, &planned, inspected ? inspected->version : 0, err);
}

enum status needs_ask(bool *known, struct server *server, const struct job_row *job, struct error *err) {
  AUTO(arena_done) struct arena arena;
  AUTO(json_release) json_t *document = NULL;
  struct question *question;
  struct base_model model;
  struct job_spec spec;
  struct error fault = {0};
  arena_init(&arena, ARENA_BYTES);
  *known = true;
  if (db_job_spec(&spec, &document, job, &arena, &fault))
    return keep(server, job, NULL, &fault, err); /* damaged: its run says so */
  bool there = !models_find(&model, server->config->models, spec.model, &arena, NULL);
  *known = !needs_plan(&question, server, job->tenant, &spec, there ? &model : NULL, &fault) &&
           question->state == QUESTION_KNOWN;
  return *known ? keep(server, job, question, &question->error, err) : STATUS_OK;
}
