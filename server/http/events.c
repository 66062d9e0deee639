/* /v1/fine_tuning/jobs/{job_id}/events */
#include "base/clock.h"
#include "server/http/reply.h"
#include "storage/db_event.h"
#include "storage/db_job.h"

enum { LIST_DEFAULT = 20, LIST_MAX = 1000 };

static json_t *event_object(const struct server *server, const struct event_row *event) {
  char id[40];
  snprintf(id, sizeof id, "ftevent-%lld", (long long)event->seq);
  return json_pack("{s:s, s:s, s:I, s:s, s:o, s:s, s:o}", "id", id, "object", "fine_tuning.job.event", "created_at",
                   (json_int_t)event->created_at, "level", event_level_name(event->level), "message",
                   reply_message(server, event->message),
                   "type", event->metrics ? "metrics" : "message", "data", reply_stored(event->data));
}

void http_jobs_events(struct request *request) {
  struct page page;
  struct job_row job;
  struct event_row *events;
  struct error err;
  size_t count;
  bool more;
  enum status status = query_page(&page, &request->query, LIST_DEFAULT, LIST_MAX, &err);
  if (!status)
    status = db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status)
    status = db_event_list(&events, &count, &more, request->server->db, job.id, &page, &request->arena, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(data, event_object(request->server, &events[i]));
  reply_json(request, reply_list(data, more));
}
