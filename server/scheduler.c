#include "server/scheduler.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/host.h"
#include "server/inspected.h"
#include "server/needs.h"
#include "server/serving.h"
#include "storage/db_event.h"
#include "storage/db_export.h"
#include "storage/db_file.h"
#include "storage/db_job.h"
#include "storage/db_queue.h"

enum {
  CHECKS_MAX = 2,
  ARENA_BYTES = 64 << 20,
  CHECKS_SEEN = 64,
  TAKES_BYTES = 4096,
  RUNNING_MAX = 64 + DEVICES_MAX,
  LOOK_MS = 1000, /* the host lacks something, or jobs wait for room: looked at again */
};

struct scheduler {
  struct server *server;
  uv_timer_t timer;
  bool lacking; /* host_check said no; whoever wants to know why asks it */
  char next[64];           /* the job that is next and waits, as its row says */
  const char *waiting_for; /* what it waits for (budget_waits_for); NULL: none waits but for a place */
  bool said;               /* since this daemon started */
  bool blocked;            /* it would start if others ended */
};

static size_t room(size_t waiting, size_t running, size_t max) {
  size_t free_places = running < max ? max - running : 0;
  return waiting < free_places ? waiting : free_places;
}

struct schedule_plan scheduler_decide(const struct schedule_view *view) {
  struct schedule_plan plan = {.wake_ms = -1};
  if (view->draining)
    return plan;
  if (view->now_ms < view->hold_until_ms) {
    plan.wake_ms = view->hold_until_ms - view->now_ms;
    return plan;
  }
  /* One export at a time, before the jobs: it is short, and somebody waits for it. */
  size_t busy = view->jobs_running + view->exports_running;
  if (view->exports_running == 0)
    plan.exports = room(view->exports_queued ? 1 : 0, busy, view->jobs_max);
  plan.device_jobs = room(view->jobs_queued, 0, view->devices_free);
  plan.jobs = room(view->jobs_queued, busy + plan.exports, view->jobs_max);
  plan.checks = room(view->checks_waiting, view->checks_running, view->checks_max);
  plan.inspections = room(view->inspections_waiting, view->inspections_running, 1);
  plan.servings = room(view->servings_waiting, view->servings_running, view->servings_max);
  plan.retire = view->servings_waiting > plan.servings;
  plan.questions = room(view->questions_waiting, view->questions_running, 1);
  return plan;
}

const struct running_job *scheduler_victim(const struct running_job *jobs, size_t count, int64_t priority,
                                           int64_t difference) {
  const struct running_job *victim = NULL;
  for (size_t i = 0; i < count; i++) {
    const struct running_job *job = &jobs[i];
    if (job->leaves)
      return NULL;
    if (difference == 0 || priority - job->priority < difference)
      continue;
    if (!victim || job->priority < victim->priority ||
        (job->priority == victim->priority && job->began > victim->began))
      victim = job;
  }
  return victim;
}

/* ---- starting ---- */

static enum status start_checks(struct server *server, const struct file_row *files, size_t count, size_t wanted,
                                size_t *started, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && wanted > 0 && i < count; i++)
    if (!supervisor_is_checking(server->supervisor, files[i].id)) {
      status = supervisor_start_check(server->supervisor, &files[i], err);
      *started += !status;
      wanted--;
    }
  return status;
}

static enum status start_inspection(struct server *server, size_t wanted, size_t *started, struct error *err) {
  struct inspected *inspected = wanted ? inspected_next(server->inspected) : NULL;
  enum status status = inspected ? supervisor_start_inspection(server->supervisor, inspected, err) : STATUS_OK;
  *started += inspected && !status;
  return status;
}

/* One at a time; jobs that are looked at in the same turn may have asked it. */
static enum status start_question(struct server *server, size_t *started, struct error *err) {
  bool busy = supervisor_askings(server->supervisor) > 0;
  struct question *question = busy ? NULL : questions_next(&server->questions);
  enum status status = question ? supervisor_start_asking(server->supervisor, question, err) : STATUS_OK;
  *started += question && !status;
  return status;
}

/* One that does not fit beside what runs is refused, unless models that nobody asks can make room. What a job takes
   whose worker has not said so yet is seen by what memory there is. */
static enum status start_serving(struct server *server, struct serving *serving, bool *started, struct error *err) {
  struct budget_use use = supervisor_use(server->supervisor);
  const struct budget_need need = serving_need(server->config, serving);
  const struct budget *budget = &server->budget;
  use.unknown = 0;
  enum budget_verdict verdict = budget_judge(budget, &use, &need);
  *started = verdict == BUDGET_START;
  if (*started)
    return supervisor_start_serving(server->supervisor, serving, err);
  if (verdict == BUDGET_END_IDLE)
    supervisor_retire_serving(server->supervisor);
  if (verdict == BUDGET_END_IDLE || use.leaving_mib)
    return STATUS_OK; /* the next turn */
  struct error why = {0};
  error_set(&why, STATUS_UNAVAILABLE, "model",
            "holding %.128s takes %lld MiB of memory, and of the %lld MiB that this server has for models and jobs "
            "(memory_budget_mib) %lld MiB are taken",
            serving->model, (long long)need.memory_mib, (long long)budget->memory_mib, (long long)use.memory_mib);
  servings_ended(serving, &why);
  return STATUS_OK;
}

static enum status start_servings(struct server *server, size_t wanted, size_t *started, struct error *err) {
  enum status status = STATUS_OK;
  bool one = true;
  for (; !status && one && wanted > 0; wanted--) {
    struct serving *serving = servings_next(server->servings);
    if (!serving)
      break;
    status = start_serving(server, serving, &one, err);
    *started += !status && one;
  }
  return status;
}

static enum status start_exports(struct server *server, size_t wanted, size_t *started, struct error *err) {
  AUTO(arena_done) struct arena arena;
  struct export_row export;
  bool found;
  arena_init(&arena, ARENA_BYTES);
  if (wanted == 0)
    return STATUS_OK;
  enum status status = db_export_claim(&export, &found, server->db, &arena, err);
  if (status || !found)
    return status;
  status = supervisor_start_export(server->supervisor, &export, err);
  *started += !status;
  return status;
}

/* What a place of the device takes now, or, NULL, one of the CPU. `takes` lives as long. */
static struct job_place place_of(struct server *server, const struct device_info *device, struct str *takes) {
  str_init(takes, TAKES_BYTES);
  devices_takes(takes, &server->devices, device);
  return (struct job_place){.free_bytes = host_free_bytes(server->config),
                            .devices = takes->text,
                            .others = !device,
                            .running_max = server->config->tenant_running_max,
                            .now_ms = clock_boot_ms()};
}

/* ---- starting jobs ---- */

/* The job that is next, and the place that is free for it: a device's, or, NULL, one of the CPU's. */
struct head {
  struct job_row job;
  const struct device_info *device;
};

static bool goes_before(const struct job_row *a, const struct job_row *b) {
  return a->priority != b->priority ? a->priority > b->priority : a->place < b->place;
}

/* Of one place. */
static enum status look_at_place(struct head *out, bool *found, struct server *server,
                                 const struct device_info *device, struct arena *arena, struct error *err) {
  AUTO(str_done) struct str takes;
  struct job_row job;
  bool one;
  const struct job_place place = place_of(server, device, &takes);
  enum status status = db_job_first(&job, &one, server->db, &place, arena, err);
  if (status || !one || (*found && !goes_before(&job, &out->job)))
    return status;
  *out = (struct head){.job = job, .device = device};
  *found = true;
  return STATUS_OK;
}

/* Of all places that are free. A job that may go to a device goes there. */
static enum status find_head(struct head *out, bool *found, struct server *server, bool cpu, struct arena *arena,
                             struct error *err) {
  enum status status = STATUS_OK;
  *found = false;
  for (size_t i = 0; !status && i < server->devices.count; i++)
    if (supervisor_jobs(server->supervisor, server->devices.other[i].name) == 0)
      status = look_at_place(out, found, server, &server->devices.other[i], arena, err);
  return status || !cpu ? status : look_at_place(out, found, server, NULL, arena, err);
}

/* The rows say what the next job waits for, as long as it does; NULL: nothing but a place. */
static enum status tell_waiting(struct scheduler *scheduler, const char *id, const char *waiting_for,
                                struct error *err) {
  bool same = (waiting_for != NULL) == (scheduler->waiting_for != NULL) &&
              (!waiting_for ||
               (strcmp(waiting_for, scheduler->waiting_for) == 0 && strcmp(id, scheduler->next) == 0));
  if (same && scheduler->said)
    return STATUS_OK;
  enum status status = db_job_set_waiting(scheduler->server->db, waiting_for ? id : NULL, waiting_for, err);
  if (status)
    return status;
  scheduler->said = true;
  scheduler->waiting_for = waiting_for;
  snprintf(scheduler->next, sizeof scheduler->next, "%s", waiting_for ? id : "");
  return STATUS_OK;
}

struct misfit {
  const struct job_row *job;
  struct error why;
};

static enum status store_misfit(struct db *db, const void *what, struct error *err) {
  const struct misfit *it = what;
  struct event_row event = {
      .job_id = it->job->id, .created_at = clock_unix(), .level = LOG_ERROR, .message = it->why.text};
  bool moved;
  enum status status = db_job_move(db, it->job->id, JOB_QUEUED, JOB_FAILED, &it->why, clock_unix(), &moved, err);
  return status || !moved ? status : db_event_add(db, &event, err);
}

/* It would wait for ever. */
static enum status fail_job(struct server *server, const struct job_row *job, const struct budget_need *need,
                            struct error *err) {
  struct misfit it = {.job = job};
  error_set(&it.why, STATUS_OUT_OF_MEMORY, NULL,
            "the job takes %lld MiB of memory, and this server's memory_budget_mib is %lld MiB. A smaller batch_size "
            "or max_seq_length needs less.",
            (long long)need->memory_mib, (long long)server->budget.memory_mib);
  log_info("%s is failed: %s", job->id, it.why.text);
  return db_apply(server->db, store_misfit, &it, true, err);
}

static enum status start_job(struct server *server, const struct head *head, const struct budget_need *need,
                             struct arena *arena, struct error *err) {
  AUTO(str_done) struct str takes;
  struct job_row job;
  bool found;
  const struct job_place place = place_of(server, head->device, &takes);
  enum status status = db_job_claim(&job, &found, server->db, &place, clock_unix(), arena, err);
  const char *name = head->device ? head->device->name : "cpu";
  return status || !found ? status : supervisor_start_job(server->supervisor, &job, name, need, err);
}

/* What the verdict says of the job that is next. *go: the next one can be looked at. */
static enum status carry_out_verdict(bool *go, struct server *server, const struct head *head,
                                     enum budget_verdict verdict, const struct budget_need *need, struct arena *arena,
                                     struct error *err) {
  *go = false;
  switch (verdict) {
  case BUDGET_START: *go = true; return start_job(server, head, need, arena, err);
  case BUDGET_NEVER: *go = true; return fail_job(server, &head->job, need, err);
  case BUDGET_ASK: return needs_ask(go, server, &head->job, err);
  case BUDGET_END_IDLE: supervisor_retire_serving(server->supervisor); return STATUS_OK;
  case BUDGET_WAIT_MEMORY:
  case BUDGET_WAIT_CORES: break;
  }
  return STATUS_OK;
}

/* In the order of the queue, whatever device a job wants: while one waits for memory or cores, no other starts that
   would be behind it. So the largest one has its turn. */
static enum status start_jobs(struct scheduler *scheduler, const struct schedule_plan *plan, size_t *started,
                              struct error *err) {
  struct server *server = scheduler->server;
  const char *waiting_for = NULL;
  char id[sizeof scheduler->next] = "";
  size_t cpu = plan->jobs, devices = plan->device_jobs;
  enum status status = STATUS_OK;
  scheduler->blocked = false;
  for (bool go = true; !status && go && cpu + devices > 0;) {
    AUTO(arena_done) struct arena arena;
    struct head head;
    bool found;
    arena_init(&arena, ARENA_BYTES);
    status = find_head(&head, &found, server, cpu > 0, &arena, err);
    if (status || !found)
      break;
    struct budget_need need = needs_of(server, &head.job, head.device);
    struct budget_use use = supervisor_use(server->supervisor);
    enum budget_verdict verdict = budget_judge(&server->budget, &use, &need);
    status = carry_out_verdict(&go, server, &head, verdict, &need, &arena, err);
    *started += !status && verdict == BUDGET_START;
    if (verdict == BUDGET_START)
      *(head.device ? &devices : &cpu) -= 1;
    waiting_for = go ? NULL : budget_waits_for(verdict);
    scheduler->blocked = verdict == BUDGET_WAIT_MEMORY || verdict == BUDGET_WAIT_CORES;
    snprintf(id, sizeof id, "%s", head.job.id);
  }
  return status ? status : tell_waiting(scheduler, id, waiting_for, err);
}

/* ---- making room ---- */

struct preemption {
  const struct running_job *victim;
  const struct job_row *job, *waits;
};

/* Both are told; who another tenant's job is, is not theirs to know. */
static enum status store_preemption(struct db *db, const void *what, struct error *err) {
  const struct preemption *it = what;
  bool same = strcmp(it->job->tenant, it->waits->tenant) == 0;
  char text[240];
  struct event_row event = {.created_at = clock_unix(), .level = LOG_INFO, .message = text};
  event.job_id = it->job->id;
  snprintf(text, sizeof text, "Making room for %s of priority %lld (this one has %lld): the job saves its state",
           same ? it->waits->id : "a job", (long long)it->waits->priority, (long long)it->job->priority);
  enum status status = db_event_add(db, &event, err);
  event.job_id = it->waits->id;
  snprintf(text, sizeof text, "%s of priority %lld makes room for this one: it starts when that has saved its state",
           same ? it->job->id : "A job", (long long)it->job->priority);
  return status ? status : db_event_add(db, &event, err);
}

/* Tells one of `jobs`, all those of a full device, to leave for the first that waits for it, if it outweighs one. */
static enum status make_room(bool *made, struct server *server, const struct device_info *device,
                             const struct running_job *jobs, size_t count, struct error *err) {
  AUTO(arena_done) struct arena arena;
  AUTO(str_done) struct str takes;
  struct job_row waits, job;
  bool found;
  arena_init(&arena, ARENA_BYTES);
  const struct job_place place = place_of(server, device, &takes);
  enum status status = db_job_first(&waits, &found, server->db, &place, &arena, err);
  if (status || !found)
    return status;
  const struct running_job *victim = scheduler_victim(jobs, count, waits.priority, server->config->preemption);
  if (!victim)
    return STATUS_OK;
  status = db_job_of_any(&job, server->db, victim->id, &arena, err);
  struct preemption it = {victim, &job, &waits};
  if (!status)
    status = db_apply(server->db, store_preemption, &it, false, err);
  if (status)
    return status;
  log_info("%s of priority %lld makes room for %s of priority %lld", job.id, (long long)job.priority, waits.id,
           (long long)waits.priority);
  supervisor_preempt(server->supervisor, victim->id);
  *made = true;
  return STATUS_OK;
}

/* One job leaves at a time: whoever waits may get its place or its memory, on whatever device that is. */
static enum status preempt(const struct scheduler *scheduler, struct error *err) {
  struct server *server = scheduler->server;
  struct running_job jobs[RUNNING_MAX], there[RUNNING_MAX];
  bool made = false;
  enum status status = STATUS_OK;
  size_t count = server->config->preemption ? supervisor_running(jobs, RUNNING_MAX, server->supervisor) : 0;
  for (size_t i = 0; i < count; i++)
    if (jobs[i].leaves)
      return STATUS_OK;
  for (size_t d = 0; count && !status && !made && d <= server->devices.count; d++) {
    const struct device_info *device = d < server->devices.count ? &server->devices.other[d] : NULL;
    size_t n = 0, places = device ? 1 : (size_t)server->config->workers_max;
    for (size_t i = 0; i < count; i++)
      if (strcmp(jobs[i].device, device ? device->name : "cpu") == 0)
        there[n++] = jobs[i];
    bool full = n + (device ? 0 : supervisor_exports(server->supervisor)) >= places;
    if (n > 0 && (full || scheduler->blocked))
      status = make_room(&made, server, device, there, n, err);
  }
  return status;
}

/* ---- its turn ---- */

static enum status view_queue(struct schedule_view *view, struct file_row **files, size_t *count, struct server *server,
                              struct arena *arena, struct error *err) {
  int64_t queued, exports;
  *view = (struct schedule_view){
      .jobs_running = supervisor_jobs(server->supervisor, "cpu"),
      .exports_running = supervisor_exports(server->supervisor),
      .jobs_max = server->devices.cpu ? (size_t)server->config->workers_max : 0,
      .checks_running = supervisor_checks(server->supervisor),
      .checks_max = CHECKS_MAX,
      .inspections_waiting = inspected_waiting(server->inspected),
      .inspections_running = supervisor_inspections(server->supervisor),
      .questions_waiting = questions_waiting(&server->questions),
      .questions_running = supervisor_askings(server->supervisor),
      .servings_waiting = servings_waiting(server->servings),
      .servings_running = supervisor_servings(server->supervisor),
      .servings_max = (size_t)server->config->serving_max,
      .draining = server->draining,
      .now_ms = clock_boot_ms(),
      .hold_until_ms = server->hold.until_ms,
  };
  enum status status = db_queue_jobs(&queued, server->db, JOB_QUEUED, err);
  if (!status)
    status = db_export_queued(&exports, server->db, err);
  if (!status)
    status = db_file_unchecked(files, count, server->db, CHECKS_SEEN, arena, err);
  if (status)
    return status;
  for (size_t i = 0; i < server->devices.count; i++)
    view->devices_free += supervisor_jobs(server->supervisor, server->devices.other[i].name) == 0;
  view->jobs_queued = (size_t)queued;
  view->exports_queued = (size_t)exports;
  for (size_t i = 0; i < *count; i++)
    view->checks_waiting += !supervisor_is_checking(server->supervisor, (*files)[i].id);
  return STATUS_OK;
}

/* Starts what is planned. Jobs go before models, which could take again what one waits for; and they may have a
   question. */
static enum status carry_out(struct scheduler *scheduler, const struct schedule_plan *plan,
                             const struct file_row *files, size_t count, size_t *started, struct error *err) {
  struct server *server = scheduler->server;
  enum status status = start_inspection(server, plan->inspections, started, err);
  status = status ? status : start_checks(server, files, count, plan->checks, started, err);
  status = status ? status : start_exports(server, plan->exports, started, err);
  status = status ? status : start_jobs(scheduler, plan, started, err);
  status = status ? status : start_servings(server, plan->servings, started, err);
  return status ? status : start_question(server, started, err);
}

/* Reads the queue, decides, starts. */
static enum status tick(struct scheduler *scheduler, int64_t *wake_ms, struct error *err) {
  struct server *server = scheduler->server;
  AUTO(arena_done) struct arena arena;
  struct schedule_view view;
  struct file_row *files;
  size_t count, started = 0;
  arena_init(&arena, ARENA_BYTES);
  enum status status = view_queue(&view, &files, &count, server, &arena, err);
  if (status)
    return status;
  struct schedule_plan plan = scheduler_decide(&view);
  size_t wanted = plan.device_jobs + plan.jobs + plan.checks + plan.exports + plan.inspections + plan.questions +
                  plan.servings;
  *wake_ms = plan.wake_ms;
  if (plan.wake_ms >= 0)
    return STATUS_OK; /* it is held */
  /* Before the first claim, so that what the host lacks costs no job anything. */
  if (wanted > 0 && host_check(server->config, err)) {
    if (!scheduler->lacking)
      log_error("nothing is started: %s", err->text);
    scheduler->lacking = true;
    *wake_ms = LOOK_MS;
    return STATUS_OK;
  }
  scheduler->lacking = false;
  if (plan.retire)
    supervisor_retire_serving(server->supervisor);
  if (wanted > 0)
    status = carry_out(scheduler, &plan, files, count, &started, err);
  else
    status = tell_waiting(scheduler, NULL, NULL, err);
  if (!status && view.jobs_queued > 0)
    status = preempt(scheduler, err);
  if (!status && (started > 0 || wanted == 0 || scheduler->waiting_for))
    hold_end(&server->hold);
  if (!status && started < wanted)
    *wake_ms = LOOK_MS; /* jobs that wait for room on the disk */
  return status;
}

static void on_timer(uv_timer_t *timer) {
  struct scheduler *scheduler = timer->data;
  struct hold *hold = &scheduler->server->hold;
  struct error err;
  int64_t wake_ms = -1;
  if (tick(scheduler, &wake_ms, &err)) {
    hold_begin(hold, &err);
    wake_ms = hold->backoff_ms;
  }
  if (wake_ms >= 0)
    CHECK(uv_timer_start(&scheduler->timer, on_timer, (uint64_t)wake_ms + 1, 0) == 0);
}

enum status scheduler_new(struct scheduler **out, struct server *server, struct error *err) {
  *out = calloc(1, sizeof **out);
  if (!*out)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "making the scheduler");
  (*out)->server = server;
  CHECK(uv_timer_init(server->uv, &(*out)->timer) == 0); /* allocates nothing: it does not fail */
  (*out)->timer.data = *out;
  return STATUS_OK;
}

static void on_closed(uv_handle_t *handle) {
  free(handle->data);
}

void scheduler_close(struct scheduler *scheduler) {
  if (scheduler)
    uv_close((uv_handle_t *)&scheduler->timer, on_closed);
}

void scheduler_wake(struct scheduler *scheduler) {
  if (scheduler && !uv_is_closing((uv_handle_t *)&scheduler->timer))
    CHECK(uv_timer_start(&scheduler->timer, on_timer, 0, 0) == 0);
}
