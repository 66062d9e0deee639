/* /v1/fine_tuning/jobs/{job_id}/metrics: a job's curves. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/http/reply.h"
#include "server/http/series.h"
#include "storage/db_job.h"

/* A row takes some microseconds to read: what a request may cost is bounded. */
enum { ROWS_MAX = 5000, POINTS_DEFAULT = 1000, POINTS_MAX = 10000, CSV_BYTES_MAX = 32 << 20 };

struct wanted {
  const char *names;
  int64_t first, last, points;
  bool csv;
};

/* What comes first in Accept counts. */
static bool prefers_csv(const char *accept) {
  const char *csv = accept ? strcasestr(accept, "text/csv") : NULL;
  const char *json = csv ? strcasestr(accept, "application/json") : NULL;
  return csv && (!json || csv < json);
}

static enum status read_wanted(struct wanted *out, const struct request *request, struct error *err) {
  const struct query *query = &request->query;
  const char *format = query_get(query, "format");
  out->names = query_get(query, "names");
  if (out->names && !out->names[0])
    out->names = NULL;
  out->csv = format ? strcmp(format, "csv") == 0 : prefers_csv(request_header(request, "Accept"));
  if (format && !out->csv && strcmp(format, "json") != 0)
    return error_set(err, STATUS_INVALID_VALUE, "format", "format must be \"json\" or \"csv\", not \"%.32s\"", format);
  enum status status = query_int(&out->first, query, "from_step", 0, 0, INT64_MAX, err);
  if (!status)
    status = query_int(&out->last, query, "to_step", INT64_MAX, 0, INT64_MAX, err);
  if (!status)
    status = query_int(&out->points, query, "max_points", POINTS_DEFAULT, SERIES_POINTS_MIN, POINTS_MAX, err);
  if (!status && out->first > out->last)
    status = error_set(err, STATUS_INVALID_VALUE, "to_step", "to_step, %lld, is before from_step, %lld",
                       (long long)out->last, (long long)out->first);
  return status;
}

static json_t *metrics_object(const struct job_row *job, const struct series_list *list, const struct metrics_row *rows,
                              size_t count, bool more) {
  json_t *series = json_array();
  for (size_t i = 0; i < list->count; i++)
    json_array_append_new(series, series_json(&list->item[i]));
  bool whole = json_array_size(series) == list->count;
  json_t *out =
      json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:o}", "object", "fine_tuning.job.metrics", "job_id", job->id, "status",
                job_state_name(job->state), "first_step", count ? json_integer(rows[0].step) : json_null(), "last_step",
                count ? json_integer(rows[count - 1].step) : json_null(), "has_more", more, "series", series);
  if (whole)
    return out;
  json_decref(out);
  return NULL;
}

static void reply_csv(struct request *request, const struct series_list *list) {
  struct str text;
  str_init(&text, CSV_BYTES_MAX);
  series_csv(&text, list);
  reply_text(request, &text, "text/csv; charset=utf-8");
}

void http_jobs_metrics(struct request *request) {
  struct job_row job;
  struct wanted wanted;
  struct metrics_row *rows;
  struct error err;
  size_t count;
  bool more;
  struct series_list *list = arena_array(&request->arena, 1, sizeof *list);
  enum status status =
      list ? read_wanted(&wanted, request, &err) : error_set(&err, STATUS_OUT_OF_MEMORY, NULL, "reading metrics");
  if (!status)
    status = db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status)
    status = db_event_series(&rows, &count, &more, request->server->db, job.id, wanted.first, wanted.last, ROWS_MAX,
                             &request->arena, &err);
  if (!status)
    status = series_read(list, rows, count, wanted.names, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  for (size_t i = 0; i < list->count; i++)
    series_thin(&list->item[i], (size_t)wanted.points);
  if (wanted.csv)
    reply_csv(request, list);
  else
    reply_json(request, metrics_object(&job, list, rows, count, more));
}
