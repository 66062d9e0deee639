/* What a job would take. */
#ifndef SERVER_HTTP_ESTIMATE_H
#define SERVER_HTTP_ESTIMATE_H

#include "server/http/request.h"

/* Answers with the estimate of the job that `body` asks for, or lets the request wait until a worker has made it. */
void estimate_reply(struct request *request, const json_t *body);

#endif
