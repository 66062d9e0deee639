/* A job's events as they happen: the server-sent events of /v1/fine_tuning/jobs/{job_id}/events?stream=true. All that
   the store has after a place is told first, then what comes, nothing twice and nothing left out:

     event        id             data
     metrics      the event's    the event object
     checkpoint   the event's    the event object
     log          the event's    the event object: a message
     status       none           the job object: at the beginning, and when something of it changes but its progress
     progress     none           the job's `progress`, once a second at most
     end          "end"          {"job_id", "status"}: it has ended, nothing follows; the stream ends

   An id is the number of "ftevent-<number>". What has no id is how things stand now, and is told again after each new
   beginning; whoever begins after the id "end" is told by 204 that there is nothing to hear. */
#ifndef SERVER_HTTP_EVENT_STREAM_H
#define SERVER_HTTP_EVENT_STREAM_H

#include "server/http/request.h"
#include "storage/db_event.h"
#include "storage/db_job.h"

/* As lists show it, too. */
json_t *event_object(const struct server *server, const struct event_row *event);

/* The jobs that are listened to. */
struct feeds;
NODISCARD enum status event_stream_start(struct feeds **out, struct server *server, struct error *err);
/* All streams are closed. NULL is fine. */
void event_stream_stop(struct feeds *feeds);
/* Before streams_fill: reads what has changed in the store. */
void event_stream_look(struct feeds *feeds);

/* Answers with the stream, or says why not. */
void event_stream_open(struct request *request, const struct job_row *job);

#endif
