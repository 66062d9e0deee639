#include "server/inspecting.h"

#include "base/log.h"
#include "server/host.h"

struct inspecting {
  struct run run;
  struct inspected *inspected;
  uint64_t version;  /* of its files when the run began */
  json_t *report;    /* NULL: none yet */
};

static struct inspecting *of(struct run *run) {
  return (struct inspecting *)run;
}

static enum status on_event(struct run *run, const struct event *event, const char *text, size_t length,
                            struct error *err) {
  struct inspecting *inspecting = of(run);
  (void)text;
  (void)length;
  switch (event->kind) {
  case EVENT_REPORT:
    json_decref(inspecting->report);
    inspecting->report = json_incref(event->data);
    return STATUS_OK;
  case EVENT_ERROR: run_note_error(run, event); return STATUS_OK;
  case EVENT_MESSAGE:
  case EVENT_PROGRESS:
  case EVENT_ALIVE: return STATUS_OK;
  case EVENT_METRICS:
  case EVENT_TELEMETRY:
  case EVENT_CHECKPOINT:
  case EVENT_STATE:
  case EVENT_GENERATION:
  case EVENT_ARTIFACT:
    return error_set(err, STATUS_WORKER_CRASHED, NULL, "an event that a look at a model does not send");
  case EVENT_KIND_COUNT: break;
  }
  CHECK(!"an event kind");
}

/* Only what the worker said of the model counts against it. Where it fell over, or the host failed it, nobody knows: a
   job may try. */
static void keep(struct inspecting *inspecting, const struct error *why) {
  const struct run *run = &inspecting->run;
  struct inspected *inspected = inspecting->inspected;
  json_decref(inspected->report);
  inspected->report = NULL;
  inspected->error = (struct error){0};
  if (run->has_error_event && !host_caused(run->error_event.status)) {
    inspected->error = run->error_event;
    log_warn("the model %s cannot be used: %s", inspected->id, run->error_event.text);
  } else if (why->status) {
    log_error("the model %s could not be looked at: %s", inspected->id, why->text);
  } else {
    inspected->report = json_incref(inspecting->report);
    log_info("the model %s was looked at", inspected->id);
  }
}

static void on_ended(struct run *run) {
  struct inspecting *inspecting = of(run);
  struct inspected *inspected = inspecting->inspected;
  struct evidence evidence = run_evidence(run);
  struct error why = {0};
  enum status verdict = verdict_of_check(&why, &evidence, inspecting->report != NULL);
  inspected->state = INSPECTED_WANTED;
  if (run->stop == STOP_NONE && verdict == STATUS_UNAVAILABLE && !run->has_error_event) {
    hold_begin(&run->server->hold, &why); /* of the host: looked at again */
  } else if (run->stop == STOP_NONE) {
    if (inspected->version == inspecting->version) {
      inspected->state = INSPECTED_KNOWN;
      keep(inspecting, &why);
    }
    inspected_key(run->known, inspected);
  }
  run_end(run);
}

static void on_done(struct run *run) {
  json_decref(of(run)->report);
}

const struct run_kind inspecting_kind = {.task = TASK_INSPECT,
                                         .bytes = sizeof(struct inspecting),
                                         .event = on_event,
                                         .ended = on_ended,
                                         .done = on_done};

enum status inspecting_start(struct run *run, struct inspected *inspected, struct error *err) {
  struct task task = {.kind = TASK_INSPECT, .model_dir = inspected->path, .threads = 1};
  of(run)->inspected = inspected;
  of(run)->version = inspected->version;
  enum status status = run_start_worker(run, &task, err);
  if (status)
    run_end(run);
  else
    inspected->state = INSPECTED_RUNNING;
  return status;
}
