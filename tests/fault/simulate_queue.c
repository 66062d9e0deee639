#include "tests/fault/simulate_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/scheduler.h"
#include "storage/db_queue.h"

static const struct budget budget = {.memory_mib = MEMORY, .cores = CORES, .processors = CORES};

uint64_t draw(struct world *w) { /* splitmix64 */
  uint64_t z = (w->random += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

size_t below(struct world *w, size_t n) {
  return (size_t)(draw(w) % n);
}

void broken(const struct world *w, const char *what) {
  printf("not ok - seed %llu, step %ld (%s): %s\n", (unsigned long long)w->seed, w->step, w->did, what);
  printf("# simulate --from %llu --seeds 1 --trace\n", (unsigned long long)w->seed);
  exit(1);
}

void must(const struct world *w, enum status status, const struct error *err) {
  if (status)
    broken(w, err->text);
}

struct job_row row_of(struct world *w, size_t job) {
  struct job_row row;
  struct error err;
  must(w, db_job_of_any(&row, w->db, w->job[job].id, &w->arena, &err), &err);
  return row;
}

void move(struct world *w, size_t job, enum job_state from, enum job_state to) {
  struct error err, why = {0};
  bool moved;
  error_set(&why, STATUS_DATASET_INVALID, NULL, "a bad line");
  must(w, db_job_move(w->db, w->job[job].id, from, to, to == JOB_FAILED ? &why : NULL, w->unix_s, &moved, &err), &err);
}

struct holder *good_holder(struct world *w, size_t job) {
  for (size_t i = 0; i < w->holders; i++)
    if (w->holder[i].good && w->holder[i].job == job)
      return &w->holder[i];
  return NULL;
}

static size_t running(const struct world *w) {
  size_t n = 0;
  for (size_t i = 0; i < w->holders; i++)
    n += w->holder[i].good;
  return n;
}

/* The claim is given back: the worker could not be started. */
static void refuse(struct world *w, struct holder *holder) {
  struct error err;
  bool held;
  must(w, db_job_unclaim(w->db, &holder->lease, &held, &err), &err);
  if (!held)
    broken(w, "a claim that was just made is lost");
  holder->good = holder->writing = false;
  w->hold_until_ms = w->now_ms + 1000;
}

static struct job_place place_of(const struct world *w) {
  return (struct job_place){
      .free_bytes = w->disk_full ? 100 : 1000000, .devices = "[]", .others = true, .now_ms = w->now_ms};
}

static struct budget_use use_of(const struct world *w) {
  struct budget_use use = {0};
  for (size_t i = 0; i < w->holders; i++)
    if (w->holder[i].good)
      budget_count(&use, &w->holder[i].need);
  use.memory_mib += w->model == MODEL_BUSY ? MODEL_MIB : 0;
  use.idle_mib = w->model == MODEL_IDLE ? MODEL_MIB : 0;
  use.leaving_mib = w->model == MODEL_LEAVING ? MODEL_MIB : 0;
  return use;
}

static bool known_to_fit(const struct world *w) {
  const struct budget_use use = use_of(w);
  int64_t memory = use.memory_mib + use.idle_mib + use.leaving_mib;
  return memory <= MEMORY && use.cores <= CORES && (!use.unknown || (use.unknown == 1 && running(w) == 1));
}

static void claim(struct world *w, const struct budget_need *need) {
  struct job_row row;
  struct error err;
  bool found;
  const struct job_place place = place_of(w);
  must(w, db_job_claim(&row, &found, w->db, &place, w->unix_s, &w->arena, &err), &err);
  if (!found)
    broken(w, "the next job is not there to be claimed");
  size_t job = (size_t)(row.id[6] - '0');
  if (good_holder(w, job))
    broken(w, "a job that runs was handed out again");
  if (row.attempts > ATTEMPTS)
    broken(w, "a job has more attempts than it may have");
  if (w->job[job].needs_free > place.free_bytes)
    broken(w, "a job was claimed without the room it waits for");
  if (w->holders == LEASES_MAX) { /* the oldest that is of no use any more is forgotten */
    size_t at = 0;
    while (w->holder[at].good)
      at++;
    memmove(&w->holder[at], &w->holder[at + 1], (--w->holders - at) * sizeof *w->holder);
  }
  struct holder *holder = &w->holder[w->holders++];
  *holder = (struct holder){.lease = {.job_id = w->job[job].id, .token = row.lease_token},
                            .job = job,
                            .good = true,
                            .writing = true,
                            .step = row.furthest_step,
                            .priority = row.priority,
                            .began = w->now_ms,
                            .need = *need};
  if (!known_to_fit(w))
    broken(w, "what runs is more than the budget");
  if (!w->calm && below(w, 12) == 0)
    refuse(w, holder);
}

void tell_plan(struct world *w, struct holder *holder) {
  struct error err;
  const struct known *job = &w->job[holder->job];
  if (holder->need.memory_mib != BUDGET_UNKNOWN || job->unplanned || job->takes > MEMORY)
    return;
  holder->need.memory_mib = job->takes;
  must(w, db_job_set_needs(w->db, job->id, job->takes, &err), &err);
}

static struct budget_need need_of(const struct world *w, const struct job_row *row) {
  const struct known *job = &w->job[row->id[6] - '0'];
  int64_t memory = row->needs_memory == 0 ? MEMORY : row->needs_memory;
  return (struct budget_need){.memory_mib = memory, .cores = job->cores};
}

/* As the scheduler's own: the job that is next starts, is asked for, or keeps all others waiting. True: look at the
   next one. */
static bool start_next(struct world *w) {
  struct error err, why = {0};
  struct job_row row;
  bool found, moved;
  const struct job_place place = place_of(w);
  must(w, db_job_first(&row, &found, w->db, &place, &w->arena, &err), &err);
  if (!found)
    return false;
  struct known *job = &w->job[row.id[6] - '0'];
  const struct budget_need need = need_of(w, &row);
  const struct budget_use use = use_of(w);
  enum budget_verdict verdict = budget_judge(&budget, &use, &need);
  for (size_t i = 0; i < w->jobs; i++) /* what waits and goes before it may not be passed */
    if (verdict == BUDGET_START && w->job[i].waits && &w->job[i] != job && w->job[i].state == JOB_QUEUED) {
      const struct job_row other = row_of(w, i);
      bool before = other.priority > row.priority || (other.priority == row.priority && other.place < row.place);
      if (before && other.needs_free <= place.free_bytes && w->job[i].waits_until_ms <= w->now_ms)
        broken(w, "a job starts before one that waits for memory or cores");
    }
  job->waits = verdict == BUDGET_WAIT_MEMORY || verdict == BUDGET_WAIT_CORES || verdict == BUDGET_END_IDLE;
  switch (verdict) {
  case BUDGET_START: claim(w, &need); return true;
  case BUDGET_ASK:
    if (!w->calm && below(w, 2))
      return false; /* the answer takes its time */
    must(w, db_job_set_needs(w->db, row.id, job->unplanned ? 0 : job->takes, &err), &err);
    return true;
  case BUDGET_NEVER:
    if (job->takes <= MEMORY)
      broken(w, "a job that fits is said never to fit");
    error_set(&why, STATUS_OUT_OF_MEMORY, NULL, "too large");
    must(w, db_job_move(w->db, row.id, JOB_QUEUED, JOB_FAILED, &why, w->unix_s, &moved, &err), &err);
    return moved;
  case BUDGET_END_IDLE:
    if (w->model != MODEL_IDLE)
      broken(w, "a model is to leave that is asked, or that is not there");
    w->model = MODEL_LEAVING;
    return false;
  case BUDGET_WAIT_MEMORY:
  case BUDGET_WAIT_CORES: break;
  }
  if (running(w) == 0 && w->model != MODEL_BUSY && w->model != MODEL_LEAVING)
    broken(w, "a job waits for others, and there are none");
  return false;
}

void ask_model(struct world *w) {
  const struct budget_need need = {.memory_mib = MODEL_MIB};
  struct budget_use use = use_of(w);
  use.unknown = 0;
  if (w->model == MODEL_NONE && budget_judge(&budget, &use, &need) == BUDGET_START)
    w->model = MODEL_BUSY;
  else if (w->model == MODEL_IDLE)
    w->model = below(w, 2) ? MODEL_BUSY : MODEL_LEAVING;
  else if (w->model == MODEL_BUSY)
    w->model = MODEL_IDLE;
  else
    w->model = MODEL_NONE;
}

/* As the scheduler's own: whose stop is told, and what must hold of it. */
static void preempt(struct world *w) {
  struct running_job jobs[PLACES];
  struct holder *holders[PLACES];
  struct job_row waits;
  struct error err;
  size_t n = 0;
  bool found;
  const struct job_place place = place_of(w);
  for (size_t i = 0; i < w->holders; i++)
    if (w->holder[i].good) {
      const struct holder *holder = holders[n] = &w->holder[i];
      jobs[n++] = (struct running_job){.id = holder->lease.job_id,
                                       .device = "cpu",
                                       .priority = holder->priority,
                                       .began = (double)holder->began,
                                       .leaves = holder->stop != STOP_NONE};
    }
  if (n == 0 || w->draining || w->now_ms < w->hold_until_ms)
    return;
  must(w, db_job_first(&waits, &found, w->db, &place, &w->arena, &err), &err);
  if (n < PLACES && !(found && w->job[waits.id[6] - '0'].waits))
    return;
  const struct running_job *victim = found ? scheduler_victim(jobs, n, waits.priority, DIFFERENCE) : NULL;
  if (!victim)
    return;
  for (size_t i = 0; i < n; i++)
    if (jobs[i].leaves || jobs[i].priority < victim->priority)
      broken(w, "another job leaves already, or is of lower priority");
  if (victim->priority >= waits.priority)
    broken(w, "a job makes room for one that it outweighs");
  struct holder *holder = holders[victim - jobs];
  holder->stop = STOP_PREEMPT;
  if (w->calm && ++w->job[holder->job].yielded >= JOBS_MAX) /* each of the others has run once by then */
    broken(w, "a job makes room again and again");
}

void tick(struct world *w) {
  struct error err;
  int64_t queued;
  must(w, db_queue_jobs(&queued, w->db, JOB_QUEUED, &err), &err);
  const struct schedule_view view = {.jobs_queued = (size_t)queued,
                                     .jobs_running = running(w),
                                     .jobs_max = PLACES,
                                     .draining = w->draining,
                                     .now_ms = w->now_ms,
                                     .hold_until_ms = w->hold_until_ms};
  struct schedule_plan plan = scheduler_decide(&view);
  if (w->draining && plan.jobs > 0)
    broken(w, "a daemon that drains starts jobs");
  for (size_t i = 0; plan.jobs > 0 && running(w) < PLACES && w->now_ms >= w->hold_until_ms && start_next(w); i++)
    if (i > 8 * JOBS_MAX)
      broken(w, "the queue is looked at without an end");
  if (running(w) > PLACES)
    broken(w, "more jobs run than there are places");
  preempt(w);
}

