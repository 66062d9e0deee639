/* Numbers of this daemon for Prometheus (text format 0.0.4): what is counted as it happens, and how all of it is
   written. Labels have few values, which clients do not choose: no job, no tenant, no path of a request. Everything
   here counts since the daemon started, but for the jobs that have finished, which the store counts. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "api/endpoint.h"
#include "api/generation.h"
#include "api/job.h"
#include "api/job_state.h"
#include "base/str.h"
#include "server/devices.h"
#include "server/process.h"

enum { METRICS_BUCKETS = 14, METRICS_CODES = 28 };

/* How many values were at most the bound of each bucket and more than that of the one before; the last one: more than
   every bound. */
struct histogram {
  uint64_t count[METRICS_BUCKETS + 1];
  double sum;
};

/* Why a job that ran is queued again. */
enum metrics_restart { RESTART_CRASH, RESTART_HOST, RESTART_STOPPED, RESTART_PREEMPTED, RESTART_COUNT };

/* What became of a webhook that was sent. */
enum metrics_delivery { DELIVERY_TAKEN, DELIVERY_RETRIED, DELIVERY_FAILED, DELIVERY_COUNT };

/* How what was asked of a model ended. */
enum metrics_generation { GENERATION_ANSWERED, GENERATION_LEFT, GENERATION_REFUSED, METRICS_GENERATION_COUNT };

struct metrics {
  /* By operation; the last row: of no route. The last column: a status that is not listed. */
  uint64_t requests[OP_COUNT + 1][METRICS_CODES + 1];
  struct histogram latency[OP_COUNT + 1];
  struct histogram queue_wait, step;
  struct histogram run[JOB_STATE_COUNT]; /* by the state in which the run left its job */
  uint64_t restarts[RESTART_COUNT];
  uint64_t upload_bytes, download_bytes;
  uint64_t steps;
  uint64_t deliveries[DELIVERY_COUNT];
  uint64_t generations[GENERATION_KIND_COUNT][METRICS_GENERATION_COUNT];
  uint64_t prompt_tokens, completion_tokens;
  struct histogram first_token, token_time;
  size_t devices;
  struct {
    char name[DEVICE_NAME_MAX];
    uint64_t tokens;
  } device[DEVICES_MAX + 1];
};

/* A request was answered. OP_COUNT: no route matched it. */
void metrics_request(struct metrics *metrics, enum operation op, int http_status, double seconds);
/* A job began to run for the first time, so long after it was created. */
void metrics_waited(struct metrics *metrics, double seconds);
/* A run of a job ended after so long, and left it in that state. */
void metrics_ran(struct metrics *metrics, enum job_state to, double seconds);
/* Steps were trained: their tokens, and the time that one of them took; 0: that is not known. */
void metrics_trained(struct metrics *metrics, const char *device, uint64_t steps, uint64_t tokens,
                     double seconds_each);

/* What was asked of a model ended so, with so many tokens. */
void metrics_generated(struct metrics *metrics, enum generation_kind kind, enum metrics_generation how,
                       int64_t prompt_tokens, int64_t completion_tokens);
/* The first token of a completion came after so long; each of the others took so long. */
void metrics_first_token(struct metrics *metrics, double seconds);
void metrics_token_time(struct metrics *metrics, double seconds);

/* What is true now, found when somebody asks. -1: not known, and left out. */
struct metrics_view {
  int64_t open[JOB_STATE_COUNT];                 /* jobs; of the states that are no end */
  int64_t finished[JOB_STATE_COUNT][PEFT_COUNT]; /* jobs so far; of the others */
  int64_t training, checking, exporting, inspecting, serving; /* workers */
  int64_t models_ready, generations;                          /* base models in memory; what they are asked */
  int64_t budget_bytes, budget_used_bytes, budget_idle_bytes; /* memory; idle: of models that nobody asks */
  int64_t budget_cores, budget_used_cores;
  int64_t connections;
  int64_t free_bytes;                            /* of the disk */
  uint64_t store_busy;                           /* how often the store was locked by another */
  struct process_usage process;
};

/* Appends all of it. */
void metrics_write(struct str *out, const struct metrics *metrics, const struct metrics_view *view);

#endif
