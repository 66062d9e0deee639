/* One request, from its head to the end of its answer. A handler is called when the body is complete and answers
   exactly once by a function of reply.h, or waits once with request_wait. */
#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "api/endpoint.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "server/http/head.h"
#include "server/http/query.h"
#include "server/server.h"

struct connection;
struct upload;

struct request {
  struct server *server;
  struct connection *connection;
  char id[72];                        /* x-request-id */
  struct head head;
  enum http_method method;
  struct endpoint_match match;
  const struct endpoint *endpoint;    /* NULL: no such route */
  struct query query;
  struct arena arena;                 /* lives as long as the request */
  struct str body;
  struct upload *upload;              /* files_create: where the body goes instead */
  struct error refused;               /* answered with this once the body is read; STATUS_OK: not */
  uint64_t body_bytes;                /* received so far */
  double started;                     /* for the duration */
  struct request *next_waiting;
  char wait_key[64];
  int64_t wait_until_ms;
  bool waiting;                       /* now */
  bool waited;
  int http_status;                    /* of the answer; 0: none yet */
};

/* The header's value or NULL; lives as long as the request. */
const char *request_header(const struct request *request, const char *name);
/* The decoded n-th parameter of the path. */
const char *request_param(const struct request *request, size_t n);
/* The body as a JSON object; the caller owns *out. */
NODISCARD enum status request_json(json_t **out, struct request *request, struct error *err);
/* Lets the request wait until front_wake(key) or until `wait_ms` have passed; the handler is then called again with
   `waited` set. */
void request_wait(struct request *request, const char *key, int64_t wait_ms);

/* ---- its life, for its connection ---- */

/* NULL: no memory. */
NODISCARD struct request *request_new(struct connection *connection);
/* Ends it, answered or not. NULL is fine. */
void request_free(struct request *request);
/* Its head has arrived: may answer at once. False: it was no head, and what follows is not to be read. */
NODISCARD bool request_head(struct request *request, const char *head, size_t length);
/* Bytes of its body: may answer before the last. */
void request_data(struct request *request, const char *bytes, size_t length);
/* The body is complete: answers or waits. */
void request_end(struct request *request);
/* Its wait is over: answers. */
void request_resume(struct request *request);
/* Answers with that, unread or half read as it is, and ends the connection. */
void request_refuse(struct request *request, const struct error *err);

/* The handlers: one a row of api/endpoints.def. */
#define ENDPOINT(method, path, operation, auth, summary) void http_##operation(struct request *request);
#include "api/endpoints.def"
#undef ENDPOINT

#endif
