/* simulate [--seeds N] [--from SEED] [--steps N] [--trace]
   The queue without processes, sockets or disks: the store in memory, the scheduler's and the verdict's own functions,
   and clocks and chance that follow from the seed. Each seed is a history: jobs are submitted, claimed, stalled,
   killed, cancelled, paused and resumed, make room for others, the daemon drains and dies, the disk fills, the wall
   clock jumps. Jobs take memory and cores of a budget, of which a model that is held has a part, and some say only when
   they run, or when they are asked, what they take. After each step: a token never falls, one lease of a job at most is
   good, and no other writes anything; states change only as they may; attempts stay below their limit; places and
   budget are never exceeded; no job starts while one that goes before it waits for memory or cores, and none waits for
   others where there are none; one job at a time makes room, and only for one of higher priority, which it does not
   take the place of again; and at the end, when nothing disturbs any more, every job ends, and the rows agree with each
   other (db_check.h). The first seed that breaks one of these is printed with its step; --from SEED --seeds 1 --trace
   shows it again. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/job.h"
#include "base/attr.h"
#include "storage/db_artifact.h"
#include "storage/db_check.h"
#include "storage/db_file.h"
#include "storage/db_state.h"
#include "tests/fault/simulate_queue.h"

static char *spec_text;

/* ---- what happens ---- */

static void submit(struct world *w) {
  struct error err;
  char model[40];
  if (w->jobs == JOBS_MAX || w->draining)
    return;
  struct known *job = &w->job[w->jobs];
  static const int64_t takes[] = {100, 300, 500, 800, MEMORY, MEMORY + 1};
  *job = (struct known){.state = below(w, 3) ? JOB_QUEUED : JOB_VALIDATING,
                        .takes = takes[below(w, COUNT_OF(takes))],
                        .cores = 1 + (int64_t)below(w, CORES),
                        .unplanned = below(w, 8) == 0};
  snprintf(job->id, sizeof job->id, "ftjob-%zu", w->jobs++);
  snprintf(model, sizeof model, "ft:%s", job->id);
  struct job_row row = {.id = job->id,
                        .tenant = "default",
                        .created_at = w->unix_s,
                        .model = "m",
                        .training_file = "file-1",
                        .fine_tuned_model = model,
                        .spec = spec_text,
                        .priority = (int64_t)below(w, 3),
                        .body_sha256 = "aa",
                        .state = job->state};
  must(w, db_job_insert(w->db, &row, &err), &err);
}

/* A worker says something: it is heard only with a good lease. */
static void speak(struct world *w, struct holder *holder) {
  struct error err;
  bool held;
  if (!holder->writing || holder->stalled)
    return;
  char path[64];
  holder->step++;
  if (holder->good)
    tell_plan(w, holder);
  if (below(w, 3)) {
    must(w, db_job_set_progress(w->db, &holder->lease, "{\"step\":1}", holder->step, &held, &err), &err);
  } else {
    snprintf(path, sizeof path, "jobs/%s/%lld/state-%lld", holder->lease.job_id, (long long)holder->lease.token,
             (long long)holder->step);
    const struct state_row row = {
        .step = holder->step, .path = path, .bytes = 1, .sha256 = "00", .created_at = w->unix_s};
    must(w, db_state_add(w->db, &holder->lease, &row, &held, &err), &err);
  }
  if (held != holder->good)
    broken(w, held ? "a worker without a good lease has written" : "a good lease was refused");
}

static void store_success(struct world *w, const struct holder *holder) {
  struct error err;
  char path[64];
  snprintf(path, sizeof path, "jobs/%s/%lld/adapter", holder->lease.job_id, (long long)holder->lease.token);
  const struct artifact_row row = {.job_id = holder->lease.job_id,
                                   .name = "adapter",
                                   .path = path,
                                   .bytes = 1,
                                   .sha256 = "00",
                                   .created_at = w->unix_s};
  must(w, db_artifact_add(w->db, &row, &err), &err);
}

static void retry_later(struct world *w, size_t job, int64_t attempts) {
  struct error err;
  int64_t until_ms = w->now_ms + verdict_retry_ms(attempts, (uint32_t)draw(w));
  w->job[job].waits_until_ms = until_ms;
  must(w, db_job_wait_until(w->db, w->job[job].id, until_ms, &err), &err);
}

/* The daemon learns that a worker has ended. */
static void end(struct world *w, struct holder *holder, const struct evidence *seen) {
  struct error err;
  bool held;
  const struct job_row job = row_of(w, holder->job);
  struct evidence evidence = *seen;
  evidence.stop = holder->stop;
  evidence.attempt = job.attempts;
  evidence.attempts_max = ATTEMPTS;
  evidence.furthest = job.furthest_step;
  evidence.log_tail = "";
  const struct verdict verdict = verdict_of_training(&evidence);
  bool room = verdict.cause == CAUSE_HOST && verdict.why.status == STATUS_NO_SPACE;
  if (verdict.cause == CAUSE_HOST && !room)
    must(w, db_job_unclaim(w->db, &holder->lease, &held, &err), &err);
  else
    must(w,
         db_job_release(w->db, &holder->lease, verdict.to, verdict.to == JOB_FAILED ? &verdict.why : NULL, w->unix_s,
                        &held, &err),
         &err);
  if (!held)
    broken(w, "the end of a good lease was refused");
  if ((verdict.cause == CAUSE_NOBODY && verdict.to != JOB_SUCCEEDED) || room)
    must(w, db_job_refund(w->db, holder->lease.job_id, &err), &err);
  if (room)
    must(w, db_job_wait_for_room(w->db, holder->lease.job_id, 1000, &err), &err);
  if (verdict.to == JOB_SUCCEEDED)
    store_success(w, holder);
  if (verdict.cause == CAUSE_CRASH && verdict.to == JOB_QUEUED)
    retry_later(w, holder->job, job.attempts);
  holder->good = false;
}

static void finish(struct world *w, struct holder *holder) {
  struct error full;
  error_set(&full, STATUS_NO_SPACE, NULL, "the disk is full");
  struct error nan;
  error_set(&nan, STATUS_NAN_LOSS, NULL, "the loss is not finite");
  struct evidence evidence = {.death.heard = true, .artifact_count = 1};
  if (!holder->good || holder->stalled)
    return;
  if (w->disk_full) {
    evidence.death.exit_status = STATUS_NO_SPACE;
    evidence.error_event = &full;
  } else if (!w->calm && below(w, 5) == 0) {
    evidence.death.exit_status = STATUS_NAN_LOSS;
    evidence.error_event = &nan;
  } else if (holder->stop != STOP_NONE) {
    evidence.death.exit_status = STATUS_CANCELLED;
    evidence.artifact_count = 0;
  }
  holder->writing = false;
  end(w, holder, &evidence);
}

/* Killed by the kernel, or by the daemon for its silence; a process that is killed may have a last word under way. */
static void crash(struct world *w, struct holder *holder) {
  struct evidence evidence = {.death = {.heard = true, .signal = 9}};
  if (!holder->good)
    return;
  if (holder->stalled)
    evidence.death.fault = WORKER_FAULT_SILENT;
  holder->writing = below(w, 2);
  holder->stalled = false;
  end(w, holder, &evidence);
}

static void cancel(struct world *w, size_t job) {
  struct error err;
  enum job_state state = w->job[job].state;
  struct holder *holder = good_holder(w, job);
  if (state == JOB_RUNNING) {
    must(w, db_job_request_cancel(w->db, w->job[job].id, w->unix_s, &err), &err);
    holder->stop = STOP_CANCEL;
  } else if (!job_state_terminal(state))
    move(w, job, state, JOB_CANCELLED);
}

static void pause_or_resume(struct world *w, size_t job) {
  struct error err;
  struct holder *holder = good_holder(w, job);
  switch (w->job[job].state) {
  case JOB_QUEUED: move(w, job, JOB_QUEUED, JOB_PAUSED); break;
  case JOB_PAUSED: move(w, job, JOB_PAUSED, JOB_QUEUED); break;
  case JOB_RUNNING:
    if (holder->stop >= STOP_PAUSE)
      break;
    must(w, db_job_request_pause(w->db, w->job[job].id, w->unix_s, &err), &err);
    holder->stop = STOP_PAUSE;
    break;
  default: break;
  }
}

/* The daemon dies; the next finds its workers gone, or kills them, and queues what ran. Their last words come too late.
 */
static void restart(struct world *w) {
  struct error err;
  bool held;
  for (size_t i = 0; i < w->holders; i++) {
    struct holder *holder = &w->holder[i];
    if (!holder->good)
      continue;
    const struct job_row job = row_of(w, holder->job);
    enum job_state to = job.cancel_requested_at ? JOB_CANCELLED : job.pause_requested_at ? JOB_PAUSED : JOB_QUEUED;
    must(w, db_job_release(w->db, &holder->lease, to, NULL, w->unix_s, &held, &err), &err);
    must(w, db_job_refund(w->db, holder->lease.job_id, &err), &err);
    must(w, db_job_interrupted(w->db, holder->lease.job_id, &err), &err);
    if (!held)
      broken(w, "a running job was not recovered");
    holder->good = false;
    holder->writing = below(w, 2);
  }
  must(w, db_job_forget_waits(w->db, &err), &err);
  for (size_t i = 0; i < w->jobs; i++)
    w->job[i].waits_until_ms = 0;
  w->model = MODEL_NONE;
  w->draining = false;
  w->hold_until_ms = 0;
}

static void drain(struct world *w) {
  w->draining = true;
  for (size_t i = 0; i < w->holders; i++)
    if (w->holder[i].good && w->holder[i].stop < STOP_DRAIN)
      w->holder[i].stop = STOP_DRAIN;
}

static void jump(struct world *w) {
  static const int64_t by[] = {-10 * (int64_t)YEAR, -86400, -3600, 3600, 86400, 10 * (int64_t)YEAR};
  w->unix_s += by[below(w, COUNT_OF(by))];
}

static void something(struct world *w) {
  static const char *const names[] = {"submit",   "submit",  "tick",   "tick",  "tick",  "speak",  "speak",
                                      "speak",    "finish",  "finish", "crash", "stall", "cancel", "pause",
                                      "validate", "restart", "drain",  "disk",  "jump",  "wait",
                                      "model",    "model"};
  size_t n = below(w, COUNT_OF(names));
  struct holder *holder = w->holders ? &w->holder[below(w, w->holders)] : NULL;
  size_t job = w->jobs ? below(w, w->jobs) : 0;
  const char *name = w->did = names[n];
  if (strcmp(name, "submit") == 0)
    submit(w);
  else if (strcmp(name, "tick") == 0)
    tick(w);
  else if (strcmp(name, "model") == 0)
    ask_model(w);
  else if (strcmp(name, "restart") == 0)
    restart(w);
  else if (strcmp(name, "drain") == 0 && below(w, 4) == 0)
    drain(w);
  else if (strcmp(name, "disk") == 0)
    w->disk_full = below(w, 3) == 0;
  else if (strcmp(name, "jump") == 0)
    jump(w);
  else if (strcmp(name, "wait") == 0)
    w->now_ms += (int64_t)below(w, 20000);
  else if (holder && strcmp(name, "speak") == 0)
    speak(w, holder);
  else if (holder && strcmp(name, "finish") == 0)
    finish(w, holder);
  else if (holder && strcmp(name, "crash") == 0)
    crash(w, holder);
  else if (holder && strcmp(name, "stall") == 0)
    holder->stalled = !holder->stalled;
  else if (w->jobs && strcmp(name, "cancel") == 0 && below(w, 2))
    cancel(w, job);
  else if (w->jobs && strcmp(name, "pause") == 0)
    pause_or_resume(w, job);
  else if (w->jobs && strcmp(name, "validate") == 0 && w->job[job].state == JOB_VALIDATING)
    move(w, job, JOB_VALIDATING, below(w, 4) ? JOB_QUEUED : JOB_FAILED);
}

/* ---- what must hold ---- */

static void check(struct world *w) {
  for (size_t i = 0; i < w->jobs; i++) {
    struct known *job = &w->job[i];
    if (job_state_terminal(job->state) && w->step % 8 > 0) /* it never changes again: looked at less often */
      continue;
    const struct job_row row = row_of(w, i);
    if (row.state != job->state) {
      bool way = job_state_may_move(job->state, row.state);
      bool through = job->state == JOB_QUEUED && row.state == JOB_PAUSED; /* a claim that was given back */
      if (!way && !through)
        broken(w, "a state changed as it may not");
      if (w->trace)
        printf("# %ld %s: %s %s -> %s\n", w->step, w->did, job->id, job_state_name(job->state),
               job_state_name(row.state));
    }
    if (row.lease_token < job->token)
      broken(w, "a lease token fell");
    if (row.attempts < 0 || row.attempts > ATTEMPTS || row.attempts > row.lease_token)
      broken(w, "the attempts of a job are beyond their bounds");
    if ((row.state == JOB_RUNNING) != (good_holder(w, i) != NULL))
      broken(w, "a job runs without a holder, or is held without running");
    job->state = row.state;
    job->token = row.lease_token;
    job->needs_free = row.needs_free;
  }
  arena_done(&w->arena);
  arena_init(&w->arena, ARENA_BYTES);
}

static void on_finding(void *context, const char *what, const char *text) {
  char line[600];
  snprintf(line, sizeof line, "%s: %s", what, text);
  broken(context, line);
}

static bool all_ended(const struct world *w) {
  for (size_t i = 0; i < w->jobs; i++)
    if (!job_state_terminal(w->job[i].state))
      return false;
  return true;
}

/* Nothing disturbs any more: a daemon starts, paused jobs are resumed, workers finish. */
static void calm_down(struct world *w) {
  struct error err;
  w->calm = true;
  w->disk_full = false;
  w->did = "the end";
  restart(w);
  must(w, db_job_room_for_all(w->db, &err), &err);
  for (int i = 0; i < CALM_STEPS && !all_ended(w); i++, w->step++) {
    for (size_t job = 0; job < w->jobs; job++) {
      if (w->job[job].state == JOB_PAUSED)
        move(w, job, JOB_PAUSED, JOB_QUEUED);
      if (w->job[job].state == JOB_VALIDATING)
        move(w, job, JOB_VALIDATING, JOB_QUEUED);
    }
    check(w);
    tick(w);
    check(w);
    if (w->model == MODEL_LEAVING || i % 7 == 0)
      ask_model(w); /* somebody goes on asking */
    for (size_t k = 0; k < w->holders; k++)
      finish(w, &w->holder[k]);
    check(w);
    w->now_ms += 1000;
  }
  if (!all_ended(w))
    broken(w, "a job does not end though nothing disturbs");
  must(w, db_check_rows(w->db, on_finding, w, &err), &err);
}

static void history(struct world *w, uint64_t seed, long steps) {
  struct error err;
  struct db *db = w->db;
  bool trace = w->trace;
  *w = (struct world){.db = db,
                      .seed = seed,
                      .random = seed,
                      .now_ms = 1000000,
                      .unix_s = 1700000000,
                      .trace = trace,
                      .did = "the beginning"};
  arena_init(&w->arena, ARENA_BYTES);
  must(w, db_begin(db, &err), &err);
  for (w->step = 0; w->step < steps; w->step++) {
    something(w);
    check(w);
    w->now_ms += (int64_t)below(w, 200);
  }
  calm_down(w);
  db_rollback(db);
  arena_done(&w->arena);
}

static void make_spec(void) {
  struct arena arena;
  struct job_spec spec;
  struct fault_list faults = {0};
  json_t *body = json_pack("{ss ss}", "model", "m", "training_file", "file-1");
  arena_init(&arena, ARENA_BYTES);
  job_spec_parse(&spec, body, 1, &arena, &faults);
  json_t *document = job_spec_json(&spec);
  CHECK(faults.count == 0 && document && (spec_text = json_dumps(document, JSON_COMPACT)));
  json_decref(document);
  json_decref(body);
  arena_done(&arena);
}

static long number(int argc, char **argv, const char *name, long otherwise) {
  for (int i = 1; i + 1 < argc; i++)
    if (strcmp(argv[i], name) == 0)
      return strtol(argv[i + 1], NULL, 10);
  return otherwise;
}

int main(int argc, char **argv) {
  static struct world world;
  struct error err;
  long seeds = number(argc, argv, "--seeds", 1000), from = number(argc, argv, "--from", 1);
  long steps = number(argc, argv, "--steps", 60);
  const struct file_row file = {.id = "file-1",
                                .tenant = "default",
                                .created_at = 1,
                                .filename = "f",
                                .bytes = 1,
                                .purpose = "fine-tune",
                                .sha256 = "00",
                                .path = "files/file-1",
                                .status = FILE_PROCESSED};
  world.trace = argc > 1 && strcmp(argv[argc - 1], "--trace") == 0;
  make_spec();
  if (db_open(&world.db, ":memory:", true, &err) || db_file_insert(world.db, &file, &err)) {
    fprintf(stderr, "%s\n", err.text);
    return 2;
  }
  clock_t began = clock();
  for (long seed = from; seed < from + seeds; seed++)
    history(&world, (uint64_t)seed, steps);
  printf("ok - %ld histories of %ld steps, %.1f s\n", seeds, steps, (double)(clock() - began) / CLOCKS_PER_SEC);
  db_close(world.db);
  free(spec_text);
  return 0;
}
