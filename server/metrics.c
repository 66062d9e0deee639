#include "server/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- what is counted ---- */

static const short codes[] = {200, 202, 204, 206, 304, 400, 401, 403, 404, 405, 408, 409, 410, 411,
                              412, 413, 414, 415, 416, 422, 424, 429, 431, 499, 500, 503, 505, 507};
_Static_assert(COUNT_OF(codes) == METRICS_CODES, "a column for each status");

/* Seconds. Requests take from parts of a millisecond to minutes of an upload; jobs wait and run up to days. */
static const double request_bounds[METRICS_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                       0.1,    0.25,  0.5,    1,     2.5,  10,    60};
static const double job_bounds[METRICS_BUCKETS] = {1,   5,    15,   30,    60,    120,   300,
                                                   600, 1800, 3600, 10800, 21600, 43200, 86400};
static const double step_bounds[METRICS_BUCKETS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                    1,     2.5,  5,     10,   30,  60,   300};

static const double token_bounds[METRICS_BUCKETS] = {0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05,
                                                     0.075, 0.1,    0.2,   0.35, 0.5,  1,    2.5};

static void observe(struct histogram *histogram, const double bounds[METRICS_BUCKETS], double value, uint64_t times) {
  size_t bucket = 0;
  while (bucket < METRICS_BUCKETS && value > bounds[bucket])
    bucket++;
  histogram->count[bucket] += times;
  histogram->sum += value * (double)times;
}

void metrics_request(struct metrics *metrics, enum operation op, int http_status, double seconds) {
  size_t column = 0;
  while (column < METRICS_CODES && codes[column] != http_status)
    column++;
  metrics->requests[op][column]++;
  observe(&metrics->latency[op], request_bounds, seconds, 1);
}

void metrics_waited(struct metrics *metrics, double seconds) {
  observe(&metrics->queue_wait, job_bounds, seconds, 1);
}

void metrics_ran(struct metrics *metrics, enum job_state to, double seconds) {
  observe(&metrics->run[to], job_bounds, seconds, 1);
}

void metrics_generated(struct metrics *metrics, enum generation_kind kind, enum metrics_generation how,
                       int64_t prompt_tokens, int64_t completion_tokens) {
  metrics->generations[kind][how]++;
  metrics->prompt_tokens += (uint64_t)prompt_tokens;
  metrics->completion_tokens += (uint64_t)completion_tokens;
}

void metrics_first_token(struct metrics *metrics, double seconds) {
  observe(&metrics->first_token, step_bounds, seconds, 1);
}

void metrics_token_time(struct metrics *metrics, double seconds) {
  observe(&metrics->token_time, token_bounds, seconds, 1);
}

void metrics_trained(struct metrics *metrics, const char *device, uint64_t steps, uint64_t tokens,
                     double seconds_each) {
  size_t i = 0;
  while (i < metrics->devices && strcmp(metrics->device[i].name, device) != 0)
    i++;
  if (i == metrics->devices && i < COUNT_OF(metrics->device))
    snprintf(metrics->device[metrics->devices++].name, DEVICE_NAME_MAX, "%s", device);
  if (i < metrics->devices)
    metrics->device[i].tokens += tokens;
  metrics->steps += steps;
  if (seconds_each > 0)
    observe(&metrics->step, step_bounds, seconds_each, steps);
}

/* ---- how it is written ---- */

static void family(struct str *out, const char *name, const char *type, const char *help) {
  str_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void sample(struct str *out, const char *name, double value, const char *labels, ...) PRINTF(4, 5);

/* `labels`: what stands between the braces; "": none. */
static void sample(struct str *out, const char *name, double value, const char *labels, ...) {
  char text[256];
  va_list args;
  va_start(args, labels);
  vsnprintf(text, sizeof text, labels, args);
  va_end(args);
  str_printf(out, text[0] ? "%s{%s} %.15g\n" : "%s%s %.15g\n", name, text, value);
}

/* A family of one sample. */
static void single(struct str *out, const char *name, const char *type, double value, const char *help) {
  family(out, name, type, help);
  sample(out, name, value, "%s", "");
}

static void known(struct str *out, const char *name, const char *type, double value, const char *help) {
  family(out, name, type, help);
  if (value >= 0)
    sample(out, name, value, "%s", "");
}

static uint64_t total(const struct histogram *histogram) {
  uint64_t count = 0;
  for (size_t i = 0; i <= METRICS_BUCKETS; i++)
    count += histogram->count[i];
  return count;
}

/* The samples of one set of labels. */
static void samples(struct str *out, const char *name, const struct histogram *histogram,
                    const double bounds[METRICS_BUCKETS], const char *labels) {
  char series[96];
  const char *comma = labels[0] ? "," : "";
  uint64_t count = 0;
  snprintf(series, sizeof series, "%s_bucket", name);
  for (size_t i = 0; i < METRICS_BUCKETS; i++) {
    count += histogram->count[i];
    sample(out, series, (double)count, "%s%sle=\"%g\"", labels, comma, bounds[i]);
  }
  sample(out, series, (double)total(histogram), "%s%sle=\"+Inf\"", labels, comma);
  snprintf(series, sizeof series, "%s_sum", name);
  sample(out, series, histogram->sum, "%s", labels);
  snprintf(series, sizeof series, "%s_count", name);
  sample(out, series, (double)total(histogram), "%s", labels);
}

static const char *route(size_t op) {
  return op < OP_COUNT ? endpoint_of((enum operation)op)->path : "other";
}

static const char *method(size_t op) {
  return op < OP_COUNT ? http_method_name(endpoint_of((enum operation)op)->method) : "other";
}

/* Routes that nobody has asked for yet have no series. */
static void write_requests(struct str *out, const struct metrics *metrics) {
  static const char requests[] = "reflectd_http_requests_total";
  static const char latency[] = "reflectd_http_request_duration_seconds";
  char code[8], labels[192];
  family(out, requests, "counter", "Requests that were answered, by route and status.");
  for (size_t op = 0; op <= OP_COUNT; op++)
    for (size_t i = 0; i <= METRICS_CODES; i++) {
      if (!metrics->requests[op][i])
        continue;
      snprintf(code, sizeof code, "%d", i < METRICS_CODES ? codes[i] : 0);
      sample(out, requests, (double)metrics->requests[op][i], "method=\"%s\",route=\"%s\",code=\"%s\"", method(op),
             route(op), i < METRICS_CODES ? code : "other");
    }
  family(out, latency, "histogram", "Time from a request's first line to the end of its answer.");
  for (size_t op = 0; op <= OP_COUNT; op++) {
    snprintf(labels, sizeof labels, "method=\"%s\",route=\"%s\"", method(op), route(op));
    if (total(&metrics->latency[op]))
      samples(out, latency, &metrics->latency[op], request_bounds, labels);
  }
}

static void write_jobs(struct str *out, const struct metrics *metrics, const struct metrics_view *view) {
  static const char open[] = "reflectd_jobs", finished[] = "reflectd_jobs_finished_total";
  static const char run[] = "reflectd_job_run_duration_seconds", wait[] = "reflectd_job_queue_wait_seconds";
  char labels[64];
  family(out, open, "gauge", "Jobs that have not ended, by status.");
  for (int state = 0; state < JOB_STATE_COUNT; state++)
    if (!job_state_terminal((enum job_state)state) && view->open[state] >= 0)
      sample(out, open, (double)view->open[state], "status=\"%s\"", job_state_name((enum job_state)state));
  family(out, finished, "counter", "Jobs that have ended since the store was made, by how and by their adapter.");
  for (int state = 0; state < JOB_STATE_COUNT; state++)
    for (int type = 0; type < PEFT_COUNT; type++)
      if (job_state_terminal((enum job_state)state) && view->finished[state][type] >= 0)
        sample(out, finished, (double)view->finished[state][type], "status=\"%s\",peft_type=\"%s\"",
               job_state_name((enum job_state)state), method_of((enum peft_type)type)->peft_type);
  family(out, wait, "histogram", "Time from a job's creation to its first run.");
  samples(out, wait, &metrics->queue_wait, job_bounds, "");
  family(out, run, "histogram", "Time that a run of a job took, by the status in which it left the job.");
  for (int state = 0; state < JOB_STATE_COUNT; state++) {
    snprintf(labels, sizeof labels, "status=\"%s\"", job_state_name((enum job_state)state));
    if (job_state_may_move(JOB_RUNNING, (enum job_state)state))
      samples(out, run, &metrics->run[state], job_bounds, labels);
  }
}

static void write_training(struct str *out, const struct metrics *metrics, const struct metrics_view *view) {
  static const char tokens[] = "reflectd_train_tokens_total", step[] = "reflectd_train_step_duration_seconds";
  static const char restarts[] = "reflectd_worker_restarts_total", workers[] = "reflectd_workers";
  static const char *const reasons[] = {[RESTART_CRASH] = "crash",
                                        [RESTART_HOST] = "host",
                                        [RESTART_STOPPED] = "stopped",
                                        [RESTART_PREEMPTED] = "preempted"};
  single(out, "reflectd_train_steps_total", "counter", (double)metrics->steps, "Steps that were trained.");
  family(out, tokens, "counter", "Tokens that were trained on, by device.");
  for (size_t i = 0; i < metrics->devices; i++)
    sample(out, tokens, (double)metrics->device[i].tokens, "device=\"%s\"", metrics->device[i].name);
  family(out, step, "histogram",
         "Time of a step, as workers tell it; evaluations and checkpoints between steps count.");
  samples(out, step, &metrics->step, step_bounds, "");
  family(out, workers, "gauge", "Worker processes, by what they do.");
  sample(out, workers, (double)view->training, "state=\"training\"");
  sample(out, workers, (double)view->checking, "state=\"checking\"");
  sample(out, workers, (double)view->exporting, "state=\"exporting\"");
  sample(out, workers, (double)view->inspecting, "state=\"inspecting\"");
  sample(out, workers, (double)view->serving, "state=\"serving\"");
  family(out, restarts, "counter", "Runs that ended so that their job is queued again, by reason.");
  for (size_t i = 0; i < RESTART_COUNT; i++)
    sample(out, restarts, (double)metrics->restarts[i], "reason=\"%s\"", reasons[i]);
}

static void write_generation(struct str *out, const struct metrics *metrics, const struct metrics_view *view) {
  static const char requests[] = "reflectd_generation_requests_total", tokens[] = "reflectd_generation_tokens_total";
  static const char first[] = "reflectd_generation_time_to_first_token_seconds";
  static const char each[] = "reflectd_generation_time_per_output_token_seconds";
  static const char *const kinds[] = {[GENERATION_CHAT] = "chat",
                                      [GENERATION_COMPLETION] = "completion",
                                      [GENERATION_EMBEDDING] = "embedding",
                                      [GENERATION_CLASSIFICATION] = "classification",
                                      [GENERATION_IMAGE] = "image"};
  static const char *const results[] = {
      [GENERATION_ANSWERED] = "answered", [GENERATION_LEFT] = "cancelled", [GENERATION_REFUSED] = "failed"};
  family(out, requests, "counter", "What was asked of models: completions, vectors, texts to classify, images.");
  for (size_t kind = 0; kind < GENERATION_KIND_COUNT; kind++)
    for (size_t how = 0; how < METRICS_GENERATION_COUNT; how++)
      sample(out, requests, (double)metrics->generations[kind][how], "kind=\"%s\",result=\"%s\"", kinds[kind],
             results[how]);
  family(out, tokens, "counter", "Tokens that models have read and written.");
  sample(out, tokens, (double)metrics->prompt_tokens, "type=\"prompt\"");
  sample(out, tokens, (double)metrics->completion_tokens, "type=\"completion\"");
  family(out, first, "histogram", "Time from a request to the first token of a completion, with loading the model.");
  samples(out, first, &metrics->first_token, step_bounds, "");
  family(out, each, "histogram", "Time that each further token of a completion took.");
  samples(out, each, &metrics->token_time, token_bounds, "");
  single(out, "reflectd_generation_models", "gauge", (double)view->models_ready,
         "Base models that are held in memory to be asked.");
  single(out, "reflectd_generation_requests", "gauge", (double)view->generations,
         "What was asked of models and has no whole answer yet.");
}

static void write_budget(struct str *out, const struct metrics_view *view) {
  static const char used[] = "reflectd_budget_memory_used_bytes";
  if (view->budget_bytes) {
    single(out, "reflectd_budget_memory_bytes", "gauge", (double)view->budget_bytes,
           "Memory that jobs, exports and base models that are held may take together.");
    family(out, used, "gauge", "What they are planned to take of it; idle: models that nobody asks, which make room.");
    sample(out, used, (double)view->budget_used_bytes, "state=\"busy\"");
    sample(out, used, (double)view->budget_idle_bytes, "state=\"idle\"");
  }
  single(out, "reflectd_budget_cores", "gauge", (double)view->budget_cores,
         "Cores that the threads of jobs and exports may take together.");
  single(out, "reflectd_budget_cores_used", "gauge", (double)view->budget_used_cores, "Cores that they take.");
}

static void write_deliveries(struct str *out, const struct metrics *metrics) {
  static const char name[] = "reflectd_webhook_deliveries_total";
  static const char *const results[] = {
      [DELIVERY_TAKEN] = "delivered", [DELIVERY_RETRIED] = "retried", [DELIVERY_FAILED] = "failed"};
  family(out, name, "counter", "Webhooks that were sent, by what became of them: retried ones are sent again.");
  for (size_t i = 0; i < DELIVERY_COUNT; i++)
    sample(out, name, (double)metrics->deliveries[i], "result=\"%s\"", results[i]);
}

static void write_service(struct str *out, const struct metrics *metrics, const struct metrics_view *view) {
  static const char info[] = "reflectd_build_info";
  family(out, info, "gauge", "Always 1; the labels say what was built.");
  sample(out, info, 1, "version=\"%s\",compiler=\"%s\"", REFLECTD_VERSION, __VERSION__);
  single(out, "reflectd_upload_bytes_total", "counter", (double)metrics->upload_bytes, "Bytes of files that came in.");
  single(out, "reflectd_download_bytes_total", "counter", (double)metrics->download_bytes,
         "Bytes of files that were sent.");
  single(out, "reflectd_http_connections", "gauge", (double)view->connections, "Connections that are open.");
  write_deliveries(out, metrics);
  known(out, "reflectd_artifact_disk_free_bytes", "gauge", (double)view->free_bytes,
        "Bytes that are free on the disk of the data folder.");
  single(out, "reflectd_sqlite_busy_total", "counter", (double)view->store_busy,
         "How often another program held the database locked for too long.");
}

static void write_process(struct str *out, const struct process_usage *process) {
  known(out, "process_cpu_seconds_total", "counter", process->cpu_seconds, "Processor time of this process.");
  known(out, "process_resident_memory_bytes", "gauge", process->resident_bytes, "Resident memory of this process.");
  known(out, "process_virtual_memory_bytes", "gauge", process->virtual_bytes, "Virtual memory of this process.");
  known(out, "process_start_time_seconds", "gauge", process->start_seconds, "When this process started, unix time.");
  known(out, "process_open_fds", "gauge", process->open_files, "File descriptors that are open.");
  known(out, "process_max_fds", "gauge", process->open_files_max, "File descriptors that may be open.");
}

void metrics_write(struct str *out, const struct metrics *metrics, const struct metrics_view *view) {
  write_service(out, metrics, view);
  write_requests(out, metrics);
  write_jobs(out, metrics, view);
  write_training(out, metrics, view);
  write_budget(out, view);
  write_generation(out, metrics, view);
  write_process(out, &view->process);
}
