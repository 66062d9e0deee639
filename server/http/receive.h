/* A request as it arrives, from its target to the call of its operation's handler: route, authentication, limits. */
#ifndef SERVER_HTTP_RECEIVE_H
#define SERVER_HTTP_RECEIVE_H

#include "server/http/request.h"
#include "server/http/wait.h"

/* Of the request line's target. NULL: no memory. */
NODISCARD struct request *receive_target(struct server *server, struct wait_list *waiters, const char *target);
/* Its header is complete: may answer at once. */
void receive_header(struct request *request, const char *method);
/* Bytes of its body: may answer before the last. */
void receive_body(struct request *request, const char *bytes, size_t length);
/* The body is complete, or the wait is over: answers, waits, or asks to be alone. */
void receive_end(struct request *request);
/* What it has answered is not so: receive_end comes once more. */
void receive_undo(struct request *request);
/* It is over, answered or not: a line in the log, and it is freed. NULL is fine. */
void receive_drop(struct request *request);

#endif
