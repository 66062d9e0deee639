#include "server/inspecting.h"

#include "base/log.h"
#include "server/host.h"

enum { LINE_ARENA_BYTES = 1 << 20 };

static bool on_line(void *context, const char *text, size_t length, struct error *err) {
  struct run *run = context;
  AUTO(arena_done) struct arena arena;
  struct event event;
  bool known = true;
  arena_init(&arena, LINE_ARENA_BYTES);
  if (event_parse(&event, text, length, &arena, err))
    return false;
  if (event.kind == EVENT_REPORT) {
    json_decref(run->report);
    run->report = json_incref(event.data);
  } else if (event.kind == EVENT_ERROR) {
    run_note_error(run, &event);
  } else if (event.kind != EVENT_MESSAGE && event.kind != EVENT_PROGRESS) {
    error_set(err, STATUS_WORKER_CRASHED, NULL, "an event that a look at a model does not send");
    known = false;
  }
  json_decref(event.data);
  return known;
}

static void on_batch(void *context) {
  (void)context;
}

/* Only what the worker said of the model counts against it. Where it fell over, or the host failed it, nobody knows: a
   job may try. */
static void take(struct run *run, struct inspected *inspected, const struct error *why) {
  json_decref(inspected->report);
  inspected->report = NULL;
  inspected->error = (struct error){0};
  if (run->has_reported && !host_caused(run->reported.status)) {
    inspected->error = run->reported;
    log_warn("the model %s cannot be used: %s", inspected->id, run->reported.text);
  } else if (why->status) {
    log_error("the model %s could not be looked at: %s", inspected->id, why->text);
  } else {
    inspected->report = json_incref(run->report);
    log_info("the model %s was looked at", inspected->id);
  }
}

static void on_end(void *context, const struct death *death) {
  struct run *run = context;
  struct inspected *inspected = run->inspected;
  struct error why = {0};
  run->worker = NULL;
  run->death = *death;
  struct evidence evidence = {.death = *death,
                              .stop = run->stop,
                              .reported = run->has_reported ? &run->reported : NULL,
                              .log_tail = ""};
  enum status verdict = verdict_of_check(&why, &evidence, run->report != NULL);
  inspected->state = INSPECTED_WANTED;
  if (run->stop == STOP_NONE && verdict == STATUS_UNAVAILABLE && !run->has_reported) {
    hold_begin(&run->server->hold, &why); /* of the host: looked at again */
  } else if (run->stop == STOP_NONE) {
    if (inspected->version == run->inspected_version) {
      inspected->state = INSPECTED_KNOWN;
      take(run, inspected, &why);
    }
    inspection_key(run->known, inspected);
  }
  run_end(run);
}

enum status inspecting_start(struct run *run, struct inspected *inspected, struct error *err) {
  struct task task = {.kind = TASK_INSPECT, .model_dir = inspected->path, .threads = 1};
  run->inspected = inspected;
  run->inspected_version = inspected->version;
  enum status status = run_start_worker(run, &task, &(struct worker_calls){on_line, on_batch, NULL, on_end}, err);
  if (status)
    run_end(run);
  else
    inspected->state = INSPECTED_RUNNING;
  return status;
}
