/* What a comparison runs: each method on each task with each seed, as bodies of jobs. Local files are looked at, the
   server is not. */
#ifndef CLI_BENCH_PLAN_H
#define CLI_BENCH_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/hash.h"
#include "cli/options.h"

enum { BENCH_RUNS_MAX = 10000 };

struct bench_options {
  const char *spec;                    /* a JSON file with a whole job, or NULL */
  const char *methods, *tasks, *seeds; /* "hra,lora", "cola,sst2", "0-4" or "0,3" */
  const char *glue;                    /* a folder with GLUE's files, or NULL */
  const char *file, *validation;       /* or one task's own files */
  const char *sizes, *rates;           /* "lora=8", "2e-3,lora=5e-4"; NULL: matched, the server's defaults */
  const char *out, *name;
  int64_t r; /* reflections of HRA, to which the others are matched */
  bool retry;
};
extern const struct option_table bench_option_table; /* rows without a path fill struct bench_options */

struct bench_task {
  const char *name, *training, *validation; /* paths */
  char data[HASH_HEX];                      /* of both files' contents */
  const char *training_id, *validation_id;  /* on the server; NULL: not yet known. Borrowed or the arena's */
};

struct bench_run {
  struct bench_task *task;
  const char *method; /* "hra-gs" */
  const char *size;   /* "r 8" */
  int64_t seed;
  json_t *body;        /* of POST, but for the files' ids */
  char key[HASH_HEX];  /* of the body and the files' contents: a job that has it as metadata `body` is this run's */
  json_t *job;         /* the newest that is this run's, as last seen; NULL: none yet */
  json_t *manifest;    /* of a job that succeeded */
  int64_t attempt;     /* from 1; jobs of former ones do not count */
  bool told;           /* its end was printed */
  const char *refused; /* why the server makes no job; NULL: it has not refused */
};

struct bench_plan {
  struct arena arena;
  const char *name;
  size_t task_count, run_count;
  struct bench_task *tasks;
  struct bench_run *runs;
};

/* Method, task and seed vary from the slowest to the fastest: task, method, seed. On failure (STATUS_INVALID_VALUE
   names the option, STATUS_IO a file that is missing) nothing is left; else end with bench_plan_done. */
NODISCARD enum status bench_plan_make(struct bench_plan *out, const struct bench_options *options, json_t *document,
                                      struct error *err);
void bench_plan_done(struct bench_plan *plan);

#endif
