/* A sweep as it goes on: the server-sent events of /v1/fine_tuning/sweeps/{sweep_id}?stream=true.

     event     id      data
     status    none    the sweep object: at the beginning, and when something of it has changed, once a tick at most
     end       "end"   {"sweep_id", "status"}: none of its jobs is open any more, or it was deleted; the stream ends

   Whoever begins after the id "end" of a sweep that is finished is told by 204 that there is nothing to hear. */
#ifndef SERVER_HTTP_SWEEP_STREAM_H
#define SERVER_HTTP_SWEEP_STREAM_H

#include "server/http/request.h"

/* Answers with the stream, or says why not. */
void sweep_stream_open(struct request *request, const char *id);

#endif
