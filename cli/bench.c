/* reflect bench: runs of a comparison through the server's queue, and its tables. What was done already is found on the
   server, by the metadata that each run's job carries; so a bench that was interrupted is gone on with by starting it
   again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/job_state.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/bench_figure.h"
#include "cli/bench_plan.h"
#include "cli/bench_results.h"
#include "cli/command.h"
#include "cli/text.h"
#include "cli/upload.h"

enum { POLL_MS = 2000, PATIENCE_SECONDS = 600, OUTPUT_MAX = 64 << 20 };
static const char jobs_path[] = "/v1/fine_tuning/jobs";

struct bench {
  struct cli *cli;
  struct bench_plan plan;
  const char *out; /* the folder */
  bool retry;
};

/* --- what a run has come to ----------------------------------------------------------------------- */

static enum job_state state_of(const json_t *job) {
  enum job_state state;
  return job_state_parse(&state, text_member(job, "status", "")) ? state : JOB_FAILED;
}

static bool has_ended(const struct bench_run *run) {
  return run->refused || (run->job && job_state_terminal(state_of(run->job)));
}

static bool succeeded(const json_t *job) {
  return job && state_of(job) == JOB_SUCCEEDED;
}

/* The metric and its value that the manifest has of an evaluation: {step, valid_accuracy}. */
static bool read_evaluation(const char **metric, double *value, int64_t *step, const json_t *evaluation) {
  const char *name;
  json_t *item;
  *step = json_integer_value(json_object_get(evaluation, "step"));
  json_object_foreach((json_t *)(uintptr_t)evaluation, name,
                      item) if (strncmp(name, "valid_", 6) == 0 && json_is_number(item)) {
    *metric = name + 6;
    *value = json_number_value(item);
    return true;
  }
  return false;
}

static void read_result(struct bench_result *out, const struct bench_run *run) {
  const json_t *job = run->job, *error = json_object_get(job, "error");
  *out = (struct bench_result){.task = run->task->name,
                               .method = run->method,
                               .size = run->size,
                               .seed = run->seed,
                               .job = text_member(job, "id", NULL),
                               .status = run->refused ? "refused" : text_member(job, "status", "waiting"),
                               .error = ""};
  if (run->refused)
    out->error = run->refused;
  else if (has_ended(run) && !succeeded(job))
    out->error = text_member(error, "message", out->status);
  if (!succeeded(job) || !run->manifest)
    return;
  out->seconds =
      json_number_value(json_object_get(job, "finished_at")) - json_number_value(json_object_get(job, "started_at"));
  out->parameters = json_integer_value(json_object_get(run->manifest, "trainable_parameters"));
  out->measured = read_evaluation(&out->metric, &out->best, &out->best_step, json_object_get(run->manifest, "best")) &&
                  read_evaluation(&out->metric, &out->last, &out->last_step, json_object_get(run->manifest, "last"));
  if (!out->measured)
    out->error = "its manifest has no evaluation";
}

/* --- tables --------------------------------------------------------------------------------------- */

static enum status put(const struct bench *bench, const char *name, struct str *text, struct error *err) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", bench->out, name);
  enum status status = text->failed ? error_no_memory(err, name) : file_put(path, text->text, text->length, err);
  str_clear(text);
  return status;
}

/* Everything that is known so far. `print`: the table to standard output too. */
static enum status write_tables(const struct bench *bench, bool print, size_t *failed, struct error *err) {
  size_t count = bench->plan.run_count;
  struct bench_result *results = calloc(count + 1, sizeof *results);
  struct bench_cell *cells = calloc(count + 1, sizeof *cells);
  AUTO(str_done) struct str text;
  enum status status = results && cells ? file_mkdirs(bench->out, err) : error_no_memory(err, "the tables");
  str_init(&text, OUTPUT_MAX);
  *failed = 0;
  for (size_t i = 0; !status && i < count; i++) {
    read_result(&results[i], &bench->plan.runs[i]);
    *failed += results[i].error[0] != '\0';
  }
  size_t used = status ? 0 : bench_cells(cells, results, count);
  if (!status) {
    bench_markdown(&text, cells, used);
    if (print)
      fputs(text.text, stdout);
    status = put(bench, "bench.md", &text, err);
  }
  bench_csv(&text, cells, used);
  status = status ? status : put(bench, "bench.csv", &text, err);
  bench_runs_csv(&text, results, status ? 0 : count);
  status = status ? status : put(bench, "runs.csv", &text, err);
  bench_figure(&text, cells, used, results, status ? 0 : count);
  status = status ? status : put(bench, "bench.svg", &text, err);
  free(results);
  free(cells);
  return status;
}

static void tell_run(const struct bench *bench, const struct bench_run *run, size_t ended) {
  struct bench_result r;
  AUTO(str_done) struct str line;
  str_init(&line, 1 << 16);
  read_result(&r, run);
  str_printf(&line, "%zu/%zu  %s  %s  seed %lld: ", ended, bench->plan.run_count, r.task, r.method, (long long)r.seed);
  if (r.measured)
    str_printf(&line, "%s best %.4f at step %lld, last %.4f; %.0f s", r.metric, r.best, (long long)r.best_step, r.last,
               r.seconds);
  else
    str_printf(&line, "%s: %s", r.status, r.error);
  cli_note("reflect:", line.text);
}

/* --- the server ----------------------------------------------------------------------------------- */

static int64_t attempt_of(const json_t *job) {
  const char *text = text_member(json_object_get(job, "metadata"), "attempt", "1");
  return strtoll(text, NULL, 10);
}

/* Of two jobs of one run the newer counts, but one that has failed only where there is no other. Newest come first. */
static void take_job(struct bench *bench, json_t *job) {
  const char *key = text_member(json_object_get(job, "metadata"), "body", "");
  for (size_t i = 0; i < bench->plan.run_count; i++) {
    struct bench_run *run = &bench->plan.runs[i];
    if (strcmp(run->key, key) != 0 || attempt_of(job) < run->attempt)
      continue;
    bool lost = job_state_terminal(state_of(job)) && !succeeded(job);
    if (run->job && lost)
      return;
    json_decref(run->job);
    run->job = json_incref(job);
    if (!run->task->training_id) {
      run->task->training_id = arena_string(&bench->plan.arena, text_member(job, "training_file", ""));
      run->task->validation_id = arena_string(&bench->plan.arena, text_member(job, "validation_file", ""));
    }
    return;
  }
}

/* Reads all jobs of this comparison. */
static enum status look(struct bench *bench, struct error *err) {
  AUTO(str_done) struct str path;
  AUTO(json_release) json_t *all = json_array();
  bool more = true;
  str_init(&path, 8192);
  while (more) {
    AUTO(json_release) json_t *answer = NULL;
    const json_t *last = json_array_get(all, json_array_size(all) ? json_array_size(all) - 1 : 0);
    str_clear(&path);
    str_printf(&path, "%s?limit=100&metadata%%5Bbench%%5D=", jobs_path);
    http_escape(&path, bench->plan.name);
    if (last) {
      str_puts(&path, "&after=");
      http_escape(&path, text_member(last, "id", ""));
    }
    enum status status = http_json(&bench->cli->http, &answer, "GET", path.text, NULL, err);
    if (status)
      return status;
    json_t *page = json_object_get(answer, "data");
    more = json_is_true(json_object_get(answer, "has_more")) && json_array_size(page) > 0;
    if (json_array_extend(all, page))
      return error_no_memory(err, "the jobs");
  }
  for (size_t i = 0; i < bench->plan.run_count; i++) {
    json_decref(bench->plan.runs[i].job);
    bench->plan.runs[i].job = NULL;
  }
  for (size_t i = 0; i < json_array_size(all); i++)
    take_job(bench, json_array_get(all, i));
  return STATUS_OK;
}

static enum status fetch_manifest(struct bench *bench, struct bench_run *run, struct error *err) {
  AUTO(str_done) struct str path;
  str_init(&path, 4096);
  cli_path(&path, "/v1/fine_tuning/jobs/", text_member(run->job, "id", ""), "/artifacts/training_manifest.json");
  enum status status = http_json(&bench->cli->http, &run->manifest, "GET", path.text, NULL, err);
  if (status && bench->cli->http.outcome == HTTP_REFUSED) { /* deleted: its row says so */
    run->manifest = json_object();
    return STATUS_OK;
  }
  return status;
}

/* The data of a task, where no earlier run of it has put them there. */
static enum exit_code put_files(struct bench *bench, struct bench_task *task) {
  const char *const paths[] = {task->training, task->validation};
  const char **const ids[] = {&task->training_id, &task->validation_id};
  for (size_t i = 0; i < COUNT_OF(paths); i++) {
    AUTO(json_release) json_t *file = NULL;
    enum exit_code code = upload_file(bench->cli, &file, paths[i], "fine-tune", true);
    if (code != EXIT_DONE)
      return code;
    *ids[i] = arena_string(&bench->plan.arena, text_member(file, "id", ""));
  }
  return EXIT_DONE;
}

/* Files that a run of another day used may have been deleted since. */
static bool still_there(struct bench *bench, const struct bench_task *task) {
  const char *const ids[] = {task->training_id, task->validation_id};
  bool there = task->training_id != NULL;
  for (size_t i = 0; there && i < COUNT_OF(ids); i++) {
    AUTO(str_done) struct str path;
    AUTO(json_release) json_t *file = NULL;
    struct error err;
    str_init(&path, 4096);
    cli_path(&path, "/v1/files/", ids[i], "");
    there = http_json(&bench->cli->http, &file, "GET", path.text, NULL, &err) == STATUS_OK;
  }
  return there;
}

static enum exit_code prepare(struct bench *bench) {
  enum exit_code code = EXIT_DONE;
  for (size_t t = 0; code == EXIT_DONE && t < bench->plan.task_count; t++) {
    struct bench_task *task = &bench->plan.tasks[t];
    bool needed = false;
    for (size_t i = 0; i < bench->plan.run_count; i++)
      needed |= bench->plan.runs[i].task == task && !bench->plan.runs[i].job;
    if (needed && !still_there(bench, task))
      code = put_files(bench, task);
  }
  return code;
}

/* Makes the jobs that are missing. *full: there are some for which the server has no room now (*err says why). */
static enum status submit(struct bench *bench, bool *full, struct error *err) {
  for (size_t i = 0; i < bench->plan.run_count; i++) {
    struct bench_run *run = &bench->plan.runs[i];
    if (run->job || run->refused)
      continue;
    json_object_set_new(run->body, "training_file", json_string(run->task->training_id));
    json_object_set_new(run->body, "validation_file", json_string(run->task->validation_id));
    enum status status = http_json_once(&bench->cli->http, &run->job, jobs_path, run->body, err);
    if (status && bench->cli->http.outcome == HTTP_REFUSED)
      run->refused = arena_string(&bench->plan.arena, err->text);
    else if ((*full = status == STATUS_QUEUE_FULL || status == STATUS_QUOTA))
      return STATUS_OK;
    else if (status)
      return status;
  }
  return STATUS_OK;
}

/* --- the course of it ----------------------------------------------------------------------------- */

/* What failed runs again: its next job tells itself from those before by its attempt. */
static void try_again(struct bench *bench) {
  for (size_t i = 0; i < bench->plan.run_count; i++) {
    struct bench_run *run = &bench->plan.runs[i];
    if (!run->job || !job_state_terminal(state_of(run->job)) || succeeded(run->job))
      continue;
    char text[32];
    run->attempt = attempt_of(run->job) + 1;
    snprintf(text, sizeof text, "%lld", (long long)run->attempt);
    json_object_set_new(json_object_get(run->body, "metadata"), "attempt", json_string(text));
    json_decref(run->job);
    run->job = NULL;
  }
}

/* What has ended is told, what is missing is submitted. *left: runs that have not ended. */
static enum status one_round(struct bench *bench, size_t *left, struct error *err) {
  size_t ended = 0, failed;
  bool full = false, news = false;
  enum status status = submit(bench, &full, err);
  for (size_t i = 0; !status && i < bench->plan.run_count; i++) {
    struct bench_run *run = &bench->plan.runs[i];
    if (succeeded(run->job) && !run->manifest)
      status = fetch_manifest(bench, run, err);
    bool ends = !status && has_ended(run);
    ended += ends;
    if (ends && !run->told)
      tell_run(bench, run, ended);
    news |= ends && !run->told;
    run->told |= ends;
  }
  *left = bench->plan.run_count - ended;
  size_t waiting = 0;
  for (size_t i = 0; i < bench->plan.run_count; i++)
    waiting += bench->plan.runs[i].job && !has_ended(&bench->plan.runs[i]);
  if (!status && full && waiting == 0) /* no end of a run of ours can make room */
    return err->status;
  return status || !news ? status : write_tables(bench, false, &failed, err);
}

static void sleep_ms(int64_t ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Until every run has ended, or looking is hopeless. */
static enum status follow(struct bench *bench, struct error *err) {
  double trouble_since = -1;
  size_t left = bench->plan.run_count;
  while (left) {
    enum status status = one_round(bench, &left, err);
    if (!status && left) {
      sleep_ms(POLL_MS);
      status = look(bench, err);
    }
    bool broken = status && bench->cli->http.outcome == HTTP_BROKEN;
    double now = clock_seconds();
    if (broken && trouble_since < 0)
      cli_note("reflect: asking again:", err->text);
    if (status && (!broken || (trouble_since >= 0 && now - trouble_since >= PATIENCE_SECONDS)))
      return status;
    trouble_since = !broken ? -1 : trouble_since < 0 ? now : trouble_since;
    while (broken && now - trouble_since < PATIENCE_SECONDS) { /* a job may be there whose answer was lost */
      sleep_ms(POLL_MS);
      now = clock_seconds();
      broken = look(bench, err) && bench->cli->http.outcome == HTTP_BROKEN;
    }
  }
  return STATUS_OK;
}

static enum exit_code run_bench(struct bench *bench) {
  struct error err;
  size_t failed, there = 0;
  if (look(bench, &err))
    return cli_fail(bench->cli, &err);
  if (bench->retry)
    try_again(bench);
  for (size_t i = 0; i < bench->plan.run_count; i++)
    there += bench->plan.runs[i].job != NULL;
  fprintf(stderr, "reflect: %zu runs, of which %zu have a job already; interrupted, the same command goes on\n",
          bench->plan.run_count, there);
  enum exit_code code = prepare(bench);
  if (code != EXIT_DONE)
    return code;
  if (follow(bench, &err))
    return cli_fail(bench->cli, &err);
  if (write_tables(bench, true, &failed, &err))
    return cli_fail(bench->cli, &err);
  return failed ? EXIT_UNSUCCESSFUL : EXIT_DONE;
}

static enum exit_code bench_run(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  const struct bench_options *options = values;
  struct bench bench = {.cli = cli, .out = options->out ? options->out : "bench", .retry = options->retry};
  struct error err;
  (void)operands;
  if (bench_plan_make(&bench.plan, options, document, &err))
    return cli_fail(cli, &err);
  enum exit_code code = run_bench(&bench);
  bench_plan_done(&bench.plan);
  return code;
}

static const struct command commands[] = {
    {
        .verb = "run",
        .operands = "",
        .doc = "Compare adapter methods: tasks x methods x seeds as jobs, one table, one figure",
        .options = &bench_option_table,
        .values_bytes = sizeof(struct bench_options),
        .run = bench_run,
    },
};

const struct noun bench_noun = {"bench", "Comparison of adapter methods", commands, COUNT_OF(commands),
                                .verb_optional = true};
