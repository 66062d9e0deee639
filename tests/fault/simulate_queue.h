/* The world of a simulated queue (simulate.c), and the daemon in it: what it starts, and what it lets wait. */
#ifndef TESTS_FAULT_SIMULATE_QUEUE_H
#define TESTS_FAULT_SIMULATE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "server/budget.h"
#include "server/verdict.h"
#include "storage/db_job.h"

enum {
  JOBS_MAX = 6,
  LEASES_MAX = 64,
  PLACES = 2,
  DIFFERENCE = 1, /* of priorities, from which jobs make room */
  ATTEMPTS = 3,
  ARENA_BYTES = 1 << 20,
  CALM_STEPS = 2000,
  MEMORY = 1000, /* of the budget, MiB; and cores */
  CORES = 3,
  MODEL_MIB = 300, /* of a model that is held */
  YEAR = 31536000
};

/* Somebody who was once given a job. */
struct holder {
  struct lease lease;
  size_t job;
  bool good;    /* the daemon knows it: nobody else may have the job */
  bool writing; /* its process is not gone: it may still write, whatever the daemon thinks */
  bool stalled;
  enum stop stop;
  int64_t step, priority, began;
  struct budget_need need; /* as the daemon knows it */
};

struct known {
  char id[24];
  enum job_state state;
  int64_t token, needs_free;
  int64_t takes, cores; /* of the budget, whether the daemon knows or not */
  bool unplanned;       /* nobody can say what it takes */
  bool waits;           /* for memory or cores, when it was looked at last */
  int64_t waits_until_ms;
  int64_t yielded; /* times that it made room since nothing disturbs */
};

enum model { MODEL_NONE, MODEL_IDLE, MODEL_BUSY, MODEL_LEAVING };

struct world {
  struct db *db;
  enum model model;
  struct arena arena;
  uint64_t random, seed;
  int64_t now_ms, unix_s, hold_until_ms;
  bool draining, disk_full, calm, trace;
  size_t jobs, holders;
  struct known job[JOBS_MAX];
  struct holder holder[LEASES_MAX];
  long step;
  const char *did;
};

/* A draw of the seed's, and one below n. */
uint64_t draw(struct world *w);
size_t below(struct world *w, size_t n);
/* Says what is broken, and ends the program. */
_Noreturn void broken(const struct world *w, const char *what);
void must(const struct world *w, enum status status, const struct error *err);

struct job_row row_of(struct world *w, size_t job);
/* NULL: nobody has it. */
struct holder *good_holder(struct world *w, size_t job);
void move(struct world *w, size_t job, enum job_state from, enum job_state to);

/* The scheduler's turn, as server/scheduler.c has it. */
void tick(struct world *w);
/* A worker has planned what it takes; one that nobody could ask before has all until it ends. */
void tell_plan(struct world *w, struct holder *holder);
/* The model that is held is asked, has answered, or is gone. */
void ask_model(struct world *w);

#endif
