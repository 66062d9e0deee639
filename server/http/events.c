/* /v1/fine_tuning/jobs/{job_id}/events */
#include "server/http/event_stream.h"
#include "server/http/reply.h"
#include "storage/db_event.h"
#include "storage/db_job.h"

static void reply_events(struct request *request, const struct job_row *job) {
  struct page page;
  struct event_row *events;
  struct error err;
  size_t count;
  bool more;
  enum status status = query_page(&page, &request->query, request->match.op, &err);
  if (!status)
    status = db_event_list(&events, &count, &more, request->server->db, job->id, &page, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, event_object(request->server, &events[i]));
  reply_json(request, reply_list(data, more));
}

void http_jobs_events(struct request *request) {
  struct job_row job;
  struct error err;
  bool stream;
  enum status status = query_bool(&stream, &request->query, "stream", &err);
  if (!status)
    status = db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (status)
    reply_error(request, &err);
  else if (stream)
    event_stream_open(request, &job);
  else
    reply_events(request, &job);
}
