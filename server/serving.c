#include "server/serving.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "server/host.h"

enum { MIB = 1 << 20 };

struct serving_run {
  struct run run;
  struct serving *serving; /* stays in its list as long as it runs */
  int64_t leave_ms;        /* boot clock: when it leaves though it is asked something; 0: not */
};

static struct serving_run *of(struct run *run) {
  return (struct serving_run *)run;
}

static enum status on_event(struct run *run, const struct event *event, const char *text, size_t length,
                            struct error *err) {
  struct serving *serving = of(run)->serving;
  struct generation_event said;
  (void)text;
  (void)length;
  switch (event->kind) {
  case EVENT_REPORT:
    if (serving->state == SERVING_LOADING)
      servings_loaded(serving, run->worker);
    return STATUS_OK;
  case EVENT_GENERATION: {
    enum status status = generation_event_parse(&said, event->data, err);
    return status ? status : servings_event(serving, &said, err);
  }
  case EVENT_ERROR: run_note_error(run, event); return STATUS_OK;
  case EVENT_MESSAGE: log_line(event->level, "%s: %s", serving->model, event->message); return STATUS_OK;
  case EVENT_PROGRESS:
  case EVENT_ALIVE: return STATUS_OK;
  case EVENT_METRICS:
  case EVENT_CHECKPOINT:
  case EVENT_STATE:
  case EVENT_TELEMETRY:
  case EVENT_ARTIFACT: return error_set(err, STATUS_WORKER_CRASHED, NULL, "an event that generation does not send");
  case EVENT_KIND_COUNT: break;
  }
  CHECK(!"an event kind");
}

/* Why what was asked of it has no answer. */
static void judge(struct error *why, struct run *run) {
  struct evidence evidence = run_evidence(run);
  bool ready = of(run)->serving->state == SERVING_READY || of(run)->serving->state == SERVING_LEAVING;
  if (run->stop == STOP_DRAIN)
    error_set(why, STATUS_DRAINING, NULL, "the server is shutting down");
  else if (verdict_of_check(why, &evidence, ready) == STATUS_OK)
    error_set(why, STATUS_WORKER_CRASHED, NULL, "the worker that holds %s ended", of(run)->serving->model);
}

static void on_ended(struct run *run) {
  struct serving *serving = of(run)->serving;
  struct error why = {0};
  judge(&why, run);
  if (run->stop == STOP_NONE)
    log_error("the worker that holds %s ended: %s", serving->model, why.text);
  if (why.status == STATUS_UNAVAILABLE && !run->has_error_event)
    hold_begin(&run->server->hold, &why);
  servings_ended(serving, &why);
  run_end(run);
}

static void on_stopping(struct run *run) {
  of(run)->serving->state = SERVING_LEAVING;
}

const struct run_kind serving_kind = {.task = TASK_GENERATE,
                                      .bytes = sizeof(struct serving_run),
                                      .event = on_event,
                                      .ended = on_ended,
                                      .stopping = on_stopping,
                                      .reads_lines = true};

bool serving_idle(const struct run *run) {
  const struct serving *serving = ((const struct serving_run *)run)->serving;
  return serving->state == SERVING_READY && serving->count == 0;
}

int64_t serving_idle_ms(const struct run *run) {
  return ((const struct serving_run *)run)->serving->idle_ms;
}

void serving_retire(struct run *run) {
  log_info("%s is let go", of(run)->serving->model);
  run_stop(run, STOP_CANCEL, false);
}

void serving_drain(struct run *run) {
  of(run)->leave_ms = clock_boot_ms() + run->server->config->shutdown_grace_s * 1000;
}

/* From time to time: is it still wanted? */
static void look(void *context) {
  struct run *run = context;
  const struct serving *serving = of(run)->serving;
  int64_t now_ms = clock_boot_ms(), leave_ms = of(run)->leave_ms;
  if (!run->worker || serving->state == SERVING_LEAVING)
    return;
  servings_sweep(of(run)->serving);
  if (leave_ms && (serving->count == 0 || now_ms >= leave_ms))
    run_stop(run, STOP_DRAIN, true);
  else if (serving_idle(run) && now_ms - serving->idle_ms >= run->server->config->serving_idle_s * 1000)
    serving_retire(run);
  else
    run_again(run, look, run);
}

/* Its weights are its file's pages; beside them there is what it was given for requests. */
struct budget_need serving_need(const struct config *config, const struct serving *serving) {
  int64_t weights = budget_mib((int64_t)sandbox_model_bytes(serving->path));
  return (struct budget_need){.memory_mib = weights + config->serving_memory_mib};
}

void serving_count(struct budget_use *use, const struct run *run) {
  const struct serving *serving = ((const struct serving_run *)run)->serving;
  int64_t mib = serving_need(run->server->config, serving).memory_mib;
  if (serving->state == SERVING_LEAVING)
    use->leaving_mib += mib;
  else if (serving_idle(run))
    use->idle_mib += mib;
  else
    use->memory_mib += mib;
}

static enum status check_memory(const struct run *run, const struct serving *serving, struct error *err) {
  uint64_t available = memory_available();
  uint64_t takes = (uint64_t)serving_need(run->server->config, serving).memory_mib * MIB;
  if (available == 0 || available >= takes)
    return STATUS_OK;
  return error_set(err, STATUS_UNAVAILABLE, "model",
                   "holding %.128s takes %llu MiB of memory, and this machine has %llu MiB left", serving->model,
                   (unsigned long long)takes / MIB, (unsigned long long)available / MIB);
}

enum status serving_start(struct run *run, struct serving *serving, struct error *err) {
  const struct config *config = run->server->config;
  const struct task task = {.kind = TASK_GENERATE,
                            .model_dir = serving->path,
                            .output_dir = serving->folder,
                            .memory_bytes = config->serving_memory_mib * MIB,
                            .threads = budget_threads(&run->server->budget, config, 0),
                            .matmul = config->matmul};
  of(run)->serving = serving;
  serving->state = SERVING_LOADING;
  enum status status = check_memory(run, serving, err);
  bool short_of_memory = status != STATUS_OK;
  status = status ? status : run_start_worker(run, &task, err);
  if (!status) {
    run_again(run, look, run);
    return STATUS_OK;
  }
  serving->state = SERVING_WANTED;
  servings_ended(serving, err);
  run_end(run);
  return host_caused(status) && !short_of_memory ? status : STATUS_OK;
}
