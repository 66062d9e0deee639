/* POST /v1/fine_tuning/sweeps: all the jobs of a sweep are judged as single ones are, and stored with it or not at all;
   with dry_run=true nothing is stored, and each is estimated. */
#include <string.h>

#include "api/sweep.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"
#include "server/http/ask.h"
#include "server/http/estimate.h"
#include "server/http/idempotency.h"
#include "server/http/job_draft.h"
#include "server/http/job_fit.h"
#include "server/http/reply.h"
#include "server/http/sweep_object.h"
#include "server/http/wait.h"
#include "server/scheduler.h"
#include "storage/db_sweep.h"

enum {
  REQUEST_BYTES_MAX = 256 << 10, /* as it is stored */
  ESTIMATES_MAX = 16,            /* workers that one request may ask for */
};

struct sweep_draft {
  struct sweep_spec spec;
  struct sweep_combination *jobs;
  struct job_draft *drafts;
  size_t count;       /* that were begun */
  const char *metric; /* what they are compared by */
};

static void draft_done(struct sweep_draft *draft) {
  for (size_t i = 0; i < draft->count; i++) {
    job_draft_done(&draft->drafts[i]);
    sweep_combination_done(&draft->jobs[i]);
  }
}

/* ---- judge ---- */

static bool has_fault(const struct fault_list *faults, const struct error *fault) {
  size_t length = strlen(fault->text);
  for (size_t i = 0; i < faults->count; i++) {
    size_t have = strlen(faults->item[i].text);
    if (have >= length && strcmp(faults->item[i].text + have - length, fault->text) == 0)
      return true;
  }
  return false;
}

/* A fault of one job: which of them, and what is said of all of them is said once. */
static void blame(struct fault_list *faults, const struct sweep_draft *draft, size_t index, const struct error *fault) {
  char values[160];
  sweep_describe(values, sizeof values, draft->jobs[index].values);
  if (!has_fault(faults, fault))
    fault_add(faults, fault->status, fault->param, "job %zu of %zu (%s): %s", index + 1, draft->spec.count, values,
              fault->text);
}

static const char *metric_of(const struct job_spec *spec) {
  return spec->validation_file ? job_metric_names[spec->evaluation.metric] : SWEEP_TRAIN_LOSS;
}

/* All jobs are compared by the same. */
static void judge_metric(struct sweep_draft *draft, struct fault_list *faults) {
  const struct sweep_spec *spec = &draft->spec;
  draft->metric = spec->metric ? spec->metric : metric_of(&draft->drafts[0].spec);
  for (size_t i = 0; i < draft->count; i++) {
    const struct job_spec *job = &draft->drafts[i].spec;
    const char *own = metric_of(job);
    struct error fault;
    if (strcmp(draft->metric, SWEEP_TRAIN_LOSS) == 0 && spec->metric)
      continue; /* which each has */
    if (strcmp(own, draft->metric) == 0)
      continue;
    if (!job->validation_file)
      error_set(&fault, STATUS_INVALID_VALUE, "metric", "%s is measured on a validation_file, which the job has not",
                draft->metric);
    else
      error_set(&fault, STATUS_INVALID_VALUE, "metric", "it is judged by %s, and the sweep by %s", own, draft->metric);
    blame(faults, draft, i, &fault);
  }
  if (spec->goal != SWEEP_GOAL_AUTO && spec->goal != (int)sweep_goal_of(draft->metric) && !spec->metric)
    fault_add(faults, STATUS_INVALID_VALUE, "goal", "goal is %s, and %s, which the jobs are judged by, is better %s",
              sweep_goal_names[spec->goal], draft->metric,
              sweep_goal_of(draft->metric) == SWEEP_MINIMIZE ? "lower" : "higher");
}

/* Fails only for want of memory and the like. Ends with draft_done, also on failure. */
static enum status read_draft(struct sweep_draft *out, struct request *request, const json_t *body,
                              struct fault_list *faults, struct error *err) {
  uint32_t seed;
  *out = (struct sweep_draft){0};
  rng_secret(&seed, sizeof seed);
  sweep_parse(&out->spec, body, &request->arena, faults);
  if (json_dumpb(body, NULL, 0, JSON_COMPACT) > REQUEST_BYTES_MAX)
    fault_add(faults, STATUS_INVALID_VALUE, "job", "the sweep has more than %d bytes", REQUEST_BYTES_MAX);
  if (faults->count)
    return STATUS_OK;
  enum status status = job_draft_room(request, (int64_t)out->spec.count, err);
  if (status)
    return status;
  out->jobs = arena_array(&request->arena, out->spec.count, sizeof *out->jobs);
  out->drafts = arena_array(&request->arena, out->spec.count, sizeof *out->drafts);
  if (!out->jobs || !out->drafts)
    return error_no_memory(err, "the sweep");
  for (size_t i = 0; !status && i < out->spec.count; i++) {
    struct fault_list own = {0};
    out->drafts[out->count++] = (struct job_draft){0};
    status = sweep_combine(&out->jobs[i], &out->spec, i, seed & 0x7FFFFFFF, err);
    if (!status)
      status = job_draft_read(&out->drafts[i], request, out->jobs[i].body, &own, err);
    for (size_t k = 0; k < own.count; k++)
      blame(faults, out, i, &own.item[k]);
  }
  if (!status && !faults->count)
    judge_metric(out, faults);
  return status;
}

/* ---- store ---- */

/* Was this request carried out before? *id stays NULL where it was not. */
static enum status find_earlier(const char **id, struct idempotency *sent, char body_sha256[HASH_HEX],
                                struct request *request, struct error *err) {
  struct sweep_row sweep;
  bool found = false;
  hash_bytes(body_sha256, request->body.text, request->body.length);
  enum status status = idempotency_read(sent, request, err);
  if (!status && sent->wanted)
    status = db_sweep_same(&sweep, &found, request->server->db, request->tenant, sent->key, body_sha256, sent->since,
                           &request->arena, err);
  if (status || !found)
    return status;
  *id = sweep.id;
  return idempotency_check(sent, body_sha256, sweep.id, sweep.body_sha256, err);
}

struct addition {
  struct sweep_row sweep;
  struct job_row *jobs;
  size_t count;
};

static enum status add_all(struct db *db, const void *what, struct error *err) {
  const struct addition *addition = what;
  enum status status = db_sweep_insert(db, &addition->sweep, err);
  for (size_t i = 0; !status && i < addition->count; i++)
    status = job_draft_add(db, &addition->jobs[i], err);
  return status;
}

/* JSON text in the arena; takes the reference of `value`. NULL: no memory. */
static const char *text_of(json_t *value, struct arena *arena) {
  AUTO(str_done) struct str text;
  str_init(&text, REQUEST_BYTES_MAX + (64 << 10)); /* what was measured, but for how numbers are written */
  const char *out = value && json_append(&text, value) ? arena_string(arena, text.text) : NULL;
  json_decref(value);
  return out;
}

static enum status make_row(struct job_row *out, struct request *request, const struct sweep_draft *draft,
                            const char *sweep, size_t index, struct error *err) {
  char name[80], *sha256 = arena_alloc(&request->arena, HASH_HEX);
  enum status status = job_draft_new(out, &draft->drafts[index], request, &request->arena, err);
  if (status)
    return status;
  snprintf(name, sizeof name, "%s: %zu", sweep, index);
  out->sweep = sweep;
  out->sweep_values = text_of(json_incref(draft->jobs[index].values), &request->arena);
  if (!sha256 || !out->sweep_values)
    return error_no_memory(err, "the sweep");
  hash_bytes(sha256, name, strlen(name)); /* no retry of a job's body means it */
  out->body_sha256 = sha256;
  out->estimate = estimate_known(request, &draft->drafts[index]);
  return STATUS_OK;
}

static enum status store(const char **id, struct request *request, const struct sweep_draft *draft, const json_t *body,
                         const struct idempotency *sent, const char *body_sha256, struct error *err) {
  char text[40];
  struct arena *arena = &request->arena;
  struct addition addition = {.count = draft->count};
  rng_id(text, sizeof text, "sweep-");
  *id = arena_string(arena, text);
  addition.jobs = arena_array(arena, draft->count, sizeof *addition.jobs);
  addition.sweep = (struct sweep_row){.id = *id,
                                      .tenant = request->tenant,
                                      .created_at = clock_unix(),
                                      .name = draft->spec.name,
                                      .metric = draft->metric,
                                      .goal = sweep_goal_names[sweep_goal_of(draft->metric)],
                                      .idempotency_key = sent->key,
                                      .body_sha256 = body_sha256,
                                      .fields = text_of(sweep_varied(&draft->spec), arena),
                                      .request = text_of(json_deep_copy(body), arena)};
  if (!*id || !addition.jobs || !addition.sweep.fields || !addition.sweep.request)
    return error_no_memory(err, "the sweep");
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < draft->count; i++)
    status = make_row(&addition.jobs[i], request, draft, *id, i, err);
  request->audit.object = *id;
  return status ? status : db_apply(request->server->db, add_all, &addition, false, err);
}

/* ---- dry_run ---- */

/* Jobs whose specs differ in nothing that costs anything have one estimate. */
static struct job_spec cost_of(const struct job_spec *spec) {
  struct job_spec out = *spec;
  struct hyperparameters *h = &out.hyperparameters;
  out.seed = 0;
  h->learning_rate = 1e-3;
  h->learning_rate_multiplier = 1;
  h->weight_decay = 0;
  h->adam_beta1 = 0.9;
  h->adam_beta2 = 0.999;
  h->adam_epsilon = 1e-8;
  h->min_lr_ratio = 0;
  return out;
}

/* kinds[i]: which of the different costs the job has, counted from 0. */
static enum status find_kinds(size_t *kinds, const struct sweep_draft *draft, struct error *err) {
  char hashes[SWEEP_JOBS_MAX][HASH_HEX];
  size_t count = 0;
  for (size_t i = 0; i < draft->count; i++) {
    AUTO(str_done) struct str text;
    const struct job_spec spec = cost_of(&draft->drafts[i].spec);
    AUTO(json_release) json_t *document = job_spec_json(&spec);
    str_init(&text, 2 * JOB_DRAFT_BYTES_MAX);
    if (!document || !json_append(&text, document))
      return error_no_memory(err, "the estimates");
    hash_bytes(hashes[count], text.text, text.length);
    for (kinds[i] = 0; strcmp(hashes[kinds[i]], hashes[count]) != 0;)
      kinds[i]++;
    count += kinds[i] == count;
  }
  return STATUS_OK;
}

struct estimates {
  json_t *jobs; /* array */
  double low, high;
  bool fits, whole; /* all that are known; all are known */
};

static void add_estimate(struct estimates *out, struct request *request, const struct sweep_draft *draft, size_t index,
                         const struct question *answer) {
  const struct job_draft *job = &draft->drafts[index];
  json_t *estimate = answer ? estimate_object(request, job, answer) : json_null();
  const json_t *seconds = json_object_get(estimate, "duration_seconds");
  out->low += json_number_value(json_object_get(seconds, "low"));
  out->high += json_number_value(json_object_get(seconds, "high"));
  out->whole &= json_is_object(seconds);
  out->fits &= !json_is_false(json_object_get(estimate, "fits"));
  json_array_append_new(out->jobs, json_pack("{s:O, s:o, s:o}", "values", draft->jobs[index].values, "job",
                                             job_spec_json(&job->spec), "estimate", estimate));
}

static enum status estimate_jobs(struct estimates *out, struct request *request, const struct sweep_draft *draft,
                                 bool *waits, struct error *err) {
  size_t kinds[SWEEP_JOBS_MAX];
  enum status status = find_kinds(kinds, draft, err);
  for (size_t i = 0; !status && i < draft->count; i++) {
    const struct question *answer = NULL;
    const struct job_spec spec = cost_of(&draft->drafts[i].spec);
    status = estimate_wait(request, &draft->drafts[i], waits, err);
    if (!status && !*waits && kinds[i] < ESTIMATES_MAX) {
      status = ask(&answer, request, TASK_ESTIMATE, &spec, &draft->drafts[i].model, err);
      *waits = !status && !answer;
    }
    if (status || *waits)
      return status;
    if (answer && answer->error.status)
      return error_set(err, answer->error.status, answer->error.param, "job %zu of %zu: %s", i + 1, draft->count,
                       answer->error.text);
    add_estimate(out, request, draft, i, answer);
  }
  return status;
}

static enum status estimate(struct request *request, const struct sweep_draft *draft, bool *waits, struct error *err) {
  AUTO(json_release) json_t *jobs = json_array();
  struct estimates out = {.jobs = jobs, .fits = true, .whole = true};
  enum status status = estimate_jobs(&out, request, draft, waits, err);
  if (status || *waits)
    return status;
  json_t *warnings = json_array();
  if (!out.whole)
    json_array_append_new(warnings,
                          json_sprintf("the estimates of some jobs are null: only %d that differ in what they "
                                       "cost are made at once",
                                       ESTIMATES_MAX));
  json_t *seconds = out.whole ? json_pack("{s:f, s:f}", "low", out.low, "high", out.high) : json_null();
  reply_json(request, json_pack("{s:s, s:s?, s:s, s:s, s:o, s:I, s:b, s:o, s:O, s:o}", "object",
                                "fine_tuning.sweep.estimate", "name", draft->spec.name, "metric", draft->metric, "goal",
                                sweep_goal_names[sweep_goal_of(draft->metric)], "fields", sweep_varied(&draft->spec),
                                "job_count", (json_int_t)draft->count, "fits", out.fits, "duration_seconds", seconds,
                                "jobs", jobs, "warnings", warnings));
  return STATUS_OK;
}

/* ---- the handler ---- */

static bool wait_for_models(struct request *request, const struct sweep_draft *draft) {
  for (size_t i = 0; i < draft->count; i++)
    if (draft->drafts[i].pending && wait_for_model(request, &draft->drafts[i].model))
      return true;
  return false;
}

static void judge_fit(struct request *request, const struct sweep_draft *draft, struct fault_list *faults) {
  for (size_t i = 0; i < draft->count; i++) {
    struct fault_list own = {0};
    job_fit_judge(request, &draft->drafts[i], &own);
    for (size_t k = 0; k < own.count; k++)
      blame(faults, draft, i, &own.item[k]);
  }
}

/* Makes the sweep, or estimates it, unless it waits for something or there are faults. *id: what was made. */
static enum status judge_and_make(const char **id, struct request *request, const json_t *body, bool dry,
                                  const struct idempotency *sent, const char *body_sha256, struct fault_list *faults,
                                  struct error *err) {
  struct sweep_draft draft = {0};
  bool waits = false;
  enum status status = read_draft(&draft, request, body, faults, err);
  if (!status && !faults->count && dry)
    status = estimate(request, &draft, &waits, err);
  else if (!status && !faults->count)
    waits = wait_for_models(request, &draft) || job_fit_wait(request, draft.drafts, draft.count);
  if (!status && !faults->count && !dry && !waits)
    judge_fit(request, &draft, faults);
  if (!status && !faults->count && !dry && !waits)
    status = store(id, request, &draft, body, sent, body_sha256, err);
  draft_done(&draft);
  return status;
}

void http_sweeps_create(struct request *request) {
  AUTO(json_release) json_t *body = NULL;
  struct fault_list faults = {0};
  struct idempotency sent = {0};
  struct error err;
  const char *earlier = NULL, *id = NULL;
  char body_sha256[HASH_HEX];
  bool dry;
  enum status status = request_json(&body, request, &err);
  status = status ? status : query_bool(&dry, &request->query, "dry_run", &err);
  if (!status && !dry)
    status = find_earlier(&earlier, &sent, body_sha256, request, &err);
  if (!status && !earlier)
    status = judge_and_make(&id, request, body, dry, &sent, body_sha256, &faults, &err);
  if (status) {
    reply_error(request, &err);
  } else if (faults.count) {
    reply_faults(request, &faults);
  } else if (earlier) {
    sweep_object_reply(request, earlier, true);
  } else if (id) {
    scheduler_wake(request->server->scheduler);
    sweep_object_reply(request, id, false);
  }
}
