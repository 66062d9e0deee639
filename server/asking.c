#include "server/asking.h"

#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "server/host.h"
#include "server/materials.h"

enum { WARNINGS_MAX = 100 };

struct asking {
  struct run run;
  struct question *question; /* stays in its list as long as it runs */
  char folder[PATH_BYTES];   /* of a device's driver; "": none */
};

static struct asking *of(struct run *run) {
  return (struct asking *)run;
}

static enum status on_event(struct run *run, const struct event *event, const char *text, size_t length,
                            struct error *err) {
  struct question *question = of(run)->question;
  (void)text;
  (void)length;
  switch (event->kind) {
  case EVENT_REPORT:
    json_decref(question->report);
    question->report = json_incref(event->data);
    return STATUS_OK;
  case EVENT_ERROR: run_note_error(run, event); return STATUS_OK;
  case EVENT_MESSAGE:
    if (event->level >= LOG_WARN && json_array_size(question->warnings) < WARNINGS_MAX)
      json_array_append_new(question->warnings, json_string(event->message));
    return STATUS_OK;
  case EVENT_PROGRESS:
  case EVENT_ALIVE: return STATUS_OK;
  case EVENT_METRICS:
  case EVENT_TELEMETRY:
  case EVENT_CHECKPOINT:
  case EVENT_STATE:
  case EVENT_GENERATION:
  case EVENT_ARTIFACT: return error_set(err, STATUS_WORKER_CRASHED, NULL, "an event that answers no question");
  case EVENT_KIND_COUNT: break;
  }
  CHECK(!"an event kind");
}

static void remove_folder(const struct asking *asking) {
  struct error err;
  if (asking->folder[0] && file_remove_tree(asking->folder, &err))
    log_warn("%s", err.text);
}

/* The worker was ended by the kernel: what it was asked for takes more than there is. */
static void tell_memory(struct question *question, struct error *why) {
  question->report = json_pack("{s:b, s:s, s:[s, s]}", "fits", 0, "reason",
                               "the machine has not the memory that it takes", "lower", "batch_size", "max_seq_length");
  *why = (struct error){0};
}

static void answer(struct run *run) {
  struct question *question = of(run)->question;
  struct evidence evidence = run_evidence(run);
  struct error why = {0};
  enum status verdict = verdict_of_check(&why, &evidence, question->report != NULL);
  if (verdict == STATUS_UNAVAILABLE && !run->has_error_event) {
    hold_begin(&run->server->hold, &why); /* of the host: asked again */
    question->state = QUESTION_WANTED;
    return;
  }
  if (verdict && run->death.short_of_memory && question->kind == TASK_ESTIMATE)
    tell_memory(question, &why);
  question->error = why;
  question->state = QUESTION_KNOWN;
  question->known_ms = clock_boot_ms();
  snprintf(run->known, sizeof run->known, "%s", question->key);
}

static void on_ended(struct run *run) {
  remove_folder(of(run));
  if (run->stop == STOP_NONE)
    answer(run);
  else
    of(run)->question->state = QUESTION_WANTED; /* the daemon ends, and all questions with it */
  run_end(run);
}

const struct run_kind asking_kind = {
    .task = TASK_ESTIMATE, .bytes = sizeof(struct asking), .event = on_event, .ended = on_ended};

/* Drivers write a cache. */
static enum status make_folder(struct task *task, struct run *run, struct error *err) {
  struct asking *asking = of(run);
  if (!task->device || strcmp(task->device, "cpu") == 0)
    return STATUS_OK;
  enum status status =
      path_format(asking->folder, err, "%s/" PATH_ASKING, run->server->config->data, asking->question->key);
  status = status ? status : file_remove_tree(asking->folder, err);
  status = status ? status : file_mkdirs(asking->folder, err);
  task->output_dir = asking->folder;
  return status;
}

enum status asking_start(struct run *run, struct question *question, const char *device, struct error *err) {
  AUTO(json_release) json_t *document = NULL;
  struct task task = {.kind = question->kind, .device = device};
  of(run)->question = question;
  enum status status = job_spec_restore(&task.spec, &document, question->spec, &run->arena, err);
  status = status ? status : materials_find(&task, run, question->tenant, err);
  status = status ? status : make_folder(&task, run, err);
  if (!status) {
    task.memory_bytes = budget_bytes(run->server->budget.memory_mib);
    task.memory_bytes_max = question->kind == TASK_ESTIMATE ? task.memory_bytes : 0;
    task.device_may_fit = strcmp(task.spec.scheduling.device, "auto") == 0 && run->server->devices.cpu;
    status = run_start_worker(run, &task, err);
  }
  if (!status) {
    question->state = QUESTION_RUNNING;
    return STATUS_OK;
  }
  remove_folder(of(run));
  if (!host_caused(status)) {
    question->error = *err;
    question->state = QUESTION_KNOWN;
    question->known_ms = clock_boot_ms();
    snprintf(run->known, sizeof run->known, "%s", question->key);
  }
  run_end(run);
  return host_caused(status) ? status : STATUS_OK;
}
