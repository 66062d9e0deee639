/* When to start what. The decision is a pure function of the queue, the capacity and the clock; the
   driver around it runs on its own turn of the loop, never inside a request. */
#ifndef SERVER_SCHEDULER_H
#define SERVER_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "server/server.h"
#include "server/supervisor.h"

struct schedule_view {
  size_t jobs_queued;
  size_t jobs_running, jobs_max; /* on the CPU */
  size_t devices_free;           /* GPUs and the like: each takes one job */
  size_t exports_queued, exports_running; /* they share the jobs' places */
  size_t checks_waiting;         /* uploads not checked and not being checked */
  size_t checks_running, checks_max;
  size_t inspections_waiting, inspections_running;
  size_t questions_waiting, questions_running;
  size_t servings_waiting; /* base models that are asked for */
  size_t servings_running, servings_max;
  bool draining;
  int64_t now_ms;                /* boot clock */
  int64_t hold_until_ms;         /* no starts before: a start failed just now; 0: none */
};
struct schedule_plan {
  size_t device_jobs; /* to start now: so many GPUs look for a job of theirs, which may not be there */
  size_t jobs;        /* on the CPU */
  size_t checks;
  size_t exports;
  size_t inspections;
  size_t questions;
  size_t servings;
  bool retire;        /* a base model that nobody asks is to make room for one that is asked for */
  int64_t wake_ms;    /* look again after so long; -1: when something changes */
};
struct schedule_plan scheduler_decide(const struct schedule_view *view);

/* Which of a full device's jobs makes room for one of that priority, which waits: the one of the lowest priority, and
   of these the one that began last. NULL: none, since none is lower by `difference` (0: none ever is) or one leaves
   already. Pure. */
const struct running_job *scheduler_victim(const struct running_job *jobs, size_t count, int64_t priority,
                                           int64_t difference);

NODISCARD enum status scheduler_new(struct scheduler **out, struct server *server, struct error *err);
/* Closes its timer; the loop must turn once more before it is freed by itself. NULL is fine. */
void scheduler_close(struct scheduler *scheduler);
/* Something changed: decide anew on the next turn of the loop. NULL is fine. */
void scheduler_wake(struct scheduler *scheduler);

#endif
