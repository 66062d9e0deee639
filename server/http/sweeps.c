/* /v1/fine_tuning/sweeps: look at sweeps and what came of them, stop them, delete them. */
#include <string.h>
#include <strings.h>

#include "api/sweep.h"
#include "base/clock.h"
#include "server/http/orders.h"
#include "server/http/reply.h"
#include "server/http/sweep_object.h"
#include "server/http/sweep_results.h"
#include "server/http/sweep_stream.h"
#include "server/removal.h"
#include "storage/db_sweep.h"

enum { TABLE_BYTES_MAX = 32 << 20 };

static enum status find(struct sweep_row *out, struct request *request, struct error *err) {
  return db_sweep_get(out, request->server->db, request->tenant, request_param(request, 0), &request->arena, err);
}

/* ---- its jobs ---- */

/* All of them, page by page: one page may end early (PAGE_BYTES). */
static enum status jobs_of(struct job_row **out, size_t *count, struct request *request, const struct sweep_row *sweep,
                           struct error *err) {
  const struct job_filter filter = {.sweep = sweep->id};
  struct page page = {.limit = SWEEP_JOBS_MAX};
  bool more = true;
  *count = 0;
  *out = arena_array(&request->arena, SWEEP_JOBS_MAX, sizeof **out);
  if (!*out)
    return error_no_memory(err, "the sweep");
  while (more) {
    struct job_row *rows;
    size_t read;
    enum status status =
        db_job_list(&rows, &read, &more, request->server->db, request->tenant, &page, &filter, &request->arena, err);
    if (status)
      return status;
    CHECK(read <= SWEEP_JOBS_MAX - *count && (read || !more));
    memcpy(*out + *count, rows, read * sizeof *rows);
    *count += read;
    page.after = read ? rows[read - 1].id : NULL;
  }
  return STATUS_OK;
}

/* ---- the handlers ---- */

void http_sweeps_list(struct request *request) {
  struct page page;
  struct sweep_row *rows;
  struct error err;
  size_t count = 0;
  bool more = false;
  AUTO(json_release) json_t *data = json_array();
  enum status status = query_page(&page, &request->query, request->match.op, &err);
  if (!status)
    status = db_sweep_list(&rows, &count, &more, request->server->db, request->tenant, &page, &request->arena, &err);
  for (size_t i = 0; !status && i < count; i++) {
    json_t *item;
    status = sweep_object(&item, request->server->db, &rows[i], &request->arena, &err);
    if (!status && json_array_append_new(data, item) != 0)
      status = error_no_memory(&err, "listing sweeps");
  }
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, reply_list(json_incref(data), more));
}

void http_sweeps_retrieve(struct request *request) {
  struct error err;
  bool stream;
  if (query_bool(&stream, &request->query, "stream", &err))
    reply_error(request, &err);
  else if (stream)
    sweep_stream_open(request, request_param(request, 0));
  else
    sweep_object_reply(request, request_param(request, 0), false);
}

enum format { FORMAT_JSON, FORMAT_CSV, FORMAT_MARKDOWN, FORMAT_COUNT };
static const struct {
  const char *name, *type;
} formats[] = {{"json", "application/json"}, {"csv", "text/csv"}, {"markdown", "text/markdown"}};

/* What the query says, else what comes first in Accept. */
static enum status read_format(enum format *out, const struct request *request, struct error *err) {
  const char *format = query_get(&request->query, "format"), *accept = request_header(request, "Accept");
  const char *first = NULL;
  *out = FORMAT_JSON;
  for (int i = 0; i < FORMAT_COUNT; i++) {
    const char *at = accept ? strcasestr(accept, formats[i].type) : NULL;
    if (format && strcmp(format, formats[i].name) == 0) {
      *out = (enum format)i;
      return STATUS_OK;
    }
    if (!format && at && (!first || at < first)) {
      first = at;
      *out = (enum format)i;
    }
  }
  return format ? error_set(err, STATUS_INVALID_VALUE, "format",
                            "format must be \"json\", \"csv\" or \"markdown\", not \"%.32s\"", format)
                : STATUS_OK;
}

static void reply_table(struct request *request, const struct sweep_results *results, enum format format) {
  struct str text;
  str_init(&text, TABLE_BYTES_MAX);
  if (format == FORMAT_CSV)
    sweep_results_csv(&text, results);
  else
    sweep_results_markdown(&text, results);
  reply_text(request, &text, format == FORMAT_CSV ? "text/csv; charset=utf-8" : "text/markdown; charset=utf-8");
}

void http_sweeps_results(struct request *request) {
  struct sweep_row sweep;
  struct sweep_member *jobs;
  struct sweep_results results = {0};
  struct error err;
  enum format format;
  size_t count;
  enum status status = read_format(&format, request, &err);
  if (!status)
    status = find(&sweep, request, &err);
  if (!status)
    status = db_sweep_members(&jobs, &count, request->server->db, request->tenant, sweep.id, &request->arena, &err);
  if (!status)
    status = sweep_results_make(&results, &sweep, jobs, count, clock_unix(), &request->arena, &err);
  if (status)
    reply_error(request, &err);
  else if (format == FORMAT_JSON)
    reply_json(request, sweep_results_json(&results));
  else
    reply_table(request, &results, format);
  sweep_results_done(&results);
}

void http_sweeps_cancel(struct request *request) {
  struct sweep_row sweep;
  struct job_row *jobs = NULL;
  struct error err;
  size_t count = 0;
  enum status status = find(&sweep, request, &err);
  if (!status)
    status = jobs_of(&jobs, &count, request, &sweep, &err);
  for (size_t i = 0; !status && i < count; i++)
    if (jobs[i].state == JOB_RUNNING && !request->alone) { /* its worker hears of it when it is stored */
      request->alone = true;
      return;
    }
  if (!status)
    status = orders_cancel(request->server, jobs, count, &err);
  if (status)
    reply_error(request, &err);
  else
    sweep_object_reply(request, sweep.id, false);
}

void http_sweeps_delete(struct request *request) {
  struct sweep_row sweep;
  struct job_row *jobs = NULL;
  struct error err;
  bool keep_jobs;
  size_t count = 0;
  enum status status = query_bool(&keep_jobs, &request->query, "keep_jobs", &err);
  if (!status)
    status = find(&sweep, request, &err);
  if (!status && !keep_jobs)
    status = jobs_of(&jobs, &count, request, &sweep, &err);
  for (size_t i = 0; !status && i < count; i++)
    if (!job_state_terminal(jobs[i].state))
      status = error_set(&err, STATUS_JOB_NOT_FINISHED, "sweep_id",
                         "%s of the sweep is %s: cancel the sweep first, or wait; keep_jobs=true deletes the sweep "
                         "without its jobs",
                         jobs[i].id, job_state_name(jobs[i].state));
  if (!status)
    status = removal_of_sweep(request->server, &sweep, jobs, count, &request->arena, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request,
               json_pack("{s:s, s:s, s:b}", "id", sweep.id, "object", "fine_tuning.sweep.deleted", "deleted", 1));
}
