#include "server/forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "server/needs.h"

enum { ARENA_BYTES = 16 << 20, FRESH_MS = 1000, HALVINGS = 60 };

const struct device_info forecast_cpu = {.name = "cpu"};

struct forecast_cache {
  struct arena arena;
  struct forecast forecast;
  int64_t made_ms; /* boot clock */
};

int64_t forecast_others(const struct forecast *forecast, const struct job_row *job, int64_t position) {
  int64_t own = position, turn = 0, others = 0; /* own jobs of its priority that go before it */
  for (size_t i = 0; i < forecast->lane_count; i++) {
    const struct queue_lane *lane = &forecast->lanes[i];
    if (strcmp(lane->tenant, job->tenant) != 0)
      continue;
    turn = lane->turn;
    own -= lane->priority > job->priority ? lane->jobs : 0;
  }
  own = own > 0 ? own : 0;
  for (size_t i = 0; i < forecast->lane_count; i++) {
    const struct queue_lane *lane = &forecast->lanes[i];
    if (strcmp(lane->tenant, job->tenant) == 0 || lane->priority < job->priority)
      continue;
    int64_t turns = own + (lane->turn < turn);
    others += lane->priority > job->priority || lane->jobs < turns ? lane->jobs : turns;
  }
  return others;
}

int64_t forecast_position(const struct forecast *forecast, const struct job_row *job) {
  int64_t before = 0;
  for (size_t i = 0; i < forecast->lane_count; i++) {
    const struct queue_lane *lane = &forecast->lanes[i];
    if (strcmp(lane->tenant, job->tenant) == 0 && lane->priority >= job->priority)
      before += lane->jobs;
  }
  return before;
}

/* Seconds until each place that a job can have is free. */
struct free_places {
  size_t count;
  double in[FORECAST_PLACES_MAX];
};

static int by_time(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Of the CPU's places the soonest are left out where fewer jobs run side by side than there are places: one begins when
   all but so many others have ended. */
static void find_places(struct free_places *out, const struct forecast *forecast, const struct job_row *job,
                        int64_t side_by_side) {
  double of_cpu[FORECAST_PLACES_MAX];
  size_t cpu = 0;
  out->count = 0;
  for (size_t i = 0; i < forecast->places; i++) {
    bool yields = forecast->preemption && forecast->place[i].busy &&
                  job->priority - forecast->place[i].priority >= forecast->preemption;
    double free_in = yields ? 0 : forecast->place[i].free_in < 0 ? (double)INFINITY : forecast->place[i].free_in;
    if (!device_takes(forecast->place[i].device, job->device_wanted))
      continue;
    if (forecast->place[i].device == &forecast_cpu)
      of_cpu[cpu++] = free_in;
    else
      out->in[out->count++] = free_in;
  }
  qsort(of_cpu, cpu, sizeof *of_cpu, by_time);
  for (size_t i = side_by_side < (int64_t)cpu ? cpu - (size_t)side_by_side : 0; i < cpu; i++)
    out->in[out->count++] = of_cpu[i];
}

/* How many jobs, each as long as the others, begin on the places up to that time. */
static double begun(const struct free_places *places, double job_seconds, double seconds) {
  double n = 0;
  for (size_t i = 0; i < places->count; i++)
    if (places->in[i] <= seconds)
      n += 1 + (job_seconds > 0 ? floor((seconds - places->in[i]) / job_seconds) : 0);
  return n;
}

double forecast_seconds(const struct forecast *forecast, const struct job_row *job, int64_t side_by_side,
                        int64_t ahead) {
  double low = 0, high = 0, need = (double)ahead + 1;
  struct free_places places;
  find_places(&places, forecast, job, side_by_side);
  for (size_t i = 0; i < places.count; i++)
    high = isfinite(places.in[i]) ? fmax(high, places.in[i]) : high;
  if (begun(&places, forecast->job_seconds, 0) >= need)
    return 0;
  if (forecast->job_seconds > 0)
    high += forecast->job_seconds * need;
  if (begun(&places, forecast->job_seconds, high) < need)
    return -1;
  for (int i = 0; i < HALVINGS && high - low > 0.5; i++) {
    double middle = (low + high) / 2;
    if (begun(&places, forecast->job_seconds, middle) >= need)
      high = middle;
    else
      low = middle;
  }
  return high;
}

/* ---- how it is made ---- */

/* How long a running job will still take; < 0: it has not said. */
static double seconds_left(const struct job_row *job) {
  AUTO(json_release) json_t *progress = NULL;
  if (!job->progress || json_parse(&progress, job->progress, strlen(job->progress), NULL, NULL))
    return -1;
  const json_t *left = json_object_get(progress, "seconds_remaining");
  return json_is_number(left) && json_number_value(left) >= 0 ? json_number_value(left) : -1;
}

static void list_place(struct forecast *out, const struct device_info *device) {
  out->place[out->places].device = device;
  out->place[out->places].busy = false;
  out->place[out->places++].free_in = 0;
}

static void list_places(struct forecast *out, const struct server *server) {
  out->places = 0;
  out->preemption = server->config->preemption;
  for (int64_t i = 0; server->devices.cpu && i < server->config->workers_max && i < 64; i++)
    list_place(out, &forecast_cpu);
  for (size_t i = 0; i < server->devices.count; i++)
    list_place(out, &server->devices.other[i]);
}

/* A free place on the device that a running job has, or else on any: it has not said where it runs. */
static size_t place_of(const struct forecast *forecast, const char *device) {
  size_t any = forecast->places;
  for (size_t i = 0; i < forecast->places; i++)
    if (forecast->place[i].free_in == 0) {
      if (device && strcmp(forecast->place[i].device->name, device) == 0)
        return i;
      any = i;
    }
  return any;
}

static enum status make(struct forecast_cache *f, struct server *server, struct error *err) {
  int64_t seconds, jobs, now = clock_unix();
  double known[FORECAST_PLACES_MAX] = {0}, sum;
  size_t running = 0;
  bool found = true;
  struct forecast *out = &f->forecast;
  arena_reset(&f->arena);
  list_places(out, server);
  enum status status = db_queue_lanes(&out->lanes, &out->lane_count, server->db, &f->arena, err);
  if (!status)
    status = db_queue_seconds(&seconds, &jobs, server->db, err);
  sum = status ? 0 : (double)seconds;
  for (int64_t after = 0; !status && found && running < out->places;) {
    struct job_row job;
    status = db_job_next(&job, &found, server->db, JOB_RUNNING, after, &f->arena, err);
    if (status || !found)
      break;
    after = job.seq;
    size_t at = place_of(out, job.device);
    if (at == out->places)
      break;
    double left = seconds_left(&job), since = (double)(now > job.started_at ? now - job.started_at : 0);
    if (left >= 0) {
      sum += since + left;
      jobs++;
    }
    known[at] = since;
    out->place[at].free_in = left >= 0 ? fmax(left, 0.5) : -1;
    out->place[at].busy = true;
    out->place[at].priority = job.priority;
    running++;
  }
  if (status)
    return status;
  out->job_seconds = jobs ? fmax(sum / (double)jobs, 0.1) : -1;
  for (size_t i = 0; i < out->places; i++) /* as long as the others */
    if (out->place[i].free_in < 0 && out->job_seconds > 0)
      out->place[i].free_in = fmax(out->job_seconds - known[i], 0.5);
  return STATUS_OK;
}

/* The one that is kept, made anew where it is old. */
static enum status fresh(const struct forecast **out, struct server *server, struct error *err) {
  int64_t now_ms = clock_boot_ms();
  if (!server->forecaster) {
    server->forecaster = calloc(1, sizeof *server->forecaster);
    if (!server->forecaster)
      return error_no_memory(err, "the forecast");
    arena_init(&server->forecaster->arena, ARENA_BYTES);
  }
  struct forecast_cache *f = server->forecaster;
  *out = &f->forecast;
  if (f->made_ms && now_ms - f->made_ms < FRESH_MS)
    return STATUS_OK;
  f->made_ms = 0;
  enum status status = make(f, server, err);
  if (!status)
    f->made_ms = now_ms;
  return status;
}

enum status forecast_start(int64_t *out, int64_t *others, struct server *server, const struct job_row *job,
                           int64_t position, struct error *err) {
  const struct forecast *forecast;
  *out = 0;
  if (others)
    *others = 0;
  if (position < 0)
    return STATUS_OK;
  enum status status = fresh(&forecast, server, err);
  if (status)
    return status;
  const struct budget_need need = needs_of(server, job, NULL);
  int64_t ahead = forecast_others(forecast, job, position), beside = budget_side_by_side(&server->budget, &need);
  if (others)
    *others = ahead;
  double seconds = forecast_seconds(forecast, job, beside, position + ahead);
  *out = seconds < 0 ? 0 : clock_unix() + (int64_t)seconds;
  return STATUS_OK;
}

enum status forecast_wait(double *out, struct server *server, const struct job_row *job, const struct budget_need *need,
                          struct error *err) {
  const struct forecast *forecast;
  enum status status = fresh(&forecast, server, err);
  if (status)
    return status;
  int64_t position = forecast_position(forecast, job);
  *out = forecast_seconds(forecast, job, budget_side_by_side(&server->budget, need),
                          position + forecast_others(forecast, job, position));
  return STATUS_OK;
}

void forecast_free(struct forecast_cache *forecaster) {
  if (forecaster)
    arena_done(&forecaster->arena);
  free(forecaster);
}
