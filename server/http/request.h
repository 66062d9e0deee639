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
#include "server/http/guard.h"
#include "server/http/query.h"
#include "server/models.h"
#include "server/server.h"

struct MHD_Connection;
struct client;
struct upload;

enum request_phase {
  REQUEST_HEADER,
  REQUEST_BODY,
  REQUEST_WAITING,  /* request_wait */
  REQUEST_ANSWERED,
  REQUEST_TOLD,     /* reply_error_now */
};

struct request {
  struct server *server;
  struct front *front;
  struct client *client;              /* its connection's record */
  struct MHD_Connection *connection;
  enum request_phase phase;
  char id[72];                        /* x-request-id */
  char *target;                       /* as it came, but that an absolute one begins at its path */
  enum http_method method;            /* HTTP_METHOD_COUNT before the header is complete */
  struct endpoint_match match;
  const struct endpoint *endpoint;    /* NULL: no such route */
  struct query query;
  struct guard guard;
  struct arena arena;                 /* lives as long as the request */
  struct str body;
  struct upload *upload;              /* files_create: where the body goes instead */
  struct error refused;               /* the answer once the body is read, or the wait over; STATUS_OK: none */
  uint64_t body_bytes;                /* received so far */
  int64_t started_ms, told_ms;        /* boot clock */
  double started;                     /* for the duration */
  struct request *next_waiting;
  char wait_key[64];
  int64_t wait_until_ms;
  bool waited;
  int http_status;                    /* of the answer; 0: none yet */
  int answer;                         /* what libmicrohttpd said to it */
};

/* The header's value or NULL; lives as long as the request. */
const char *request_header(const struct request *request, const char *name);
/* The decoded n-th parameter of the path. */
const char *request_param(const struct request *request, size_t n);
/* The body as a JSON object; the caller owns *out. */
NODISCARD enum status request_json(json_t **out, struct request *request, struct error *err);
/* Lets the request wait until front_wake(key) or until `wait_ms` have passed (-1: however long); the handler is then
   called again with `waited` set, or `refused` is answered when that was set meanwhile. A client that leaves is not
   noticed before. */
void request_wait(struct request *request, const char *key, int64_t wait_ms);
/* While it waits: `wait_ms` from now and no longer. */
void request_wait_at_most(struct request *request, int64_t wait_ms);

/* Lets it wait while a base model is still looked at, as long as an upload waits for its check: the outcome belongs
   into the answer. False: there is nothing to wait for. */
NODISCARD bool request_wait_for_model(struct request *request, const struct base_model *model);

/* ---- its life, for the front ---- */

/* Of the request line's target. NULL: no memory. */
NODISCARD struct request *request_new(struct front *front, struct server *server, const char *target);
/* Ends it, answered or not, with a line in the log. NULL is fine. */
void request_free(struct request *request);
/* Its header is complete: may answer at once. */
void request_begin(struct request *request, const char *method, const char *version);
/* Bytes of its body: may answer before the last. False: enough of a body that nobody wants. */
NODISCARD bool request_data(struct request *request, const char *bytes, size_t length);
/* The body is complete, or the wait is over: answers or waits. */
void request_end(struct request *request);

/* The handlers: one a row of api/endpoints.def. */
#define ENDPOINT(method, path, operation, auth, summary) void http_##operation(struct request *request);
#include "api/endpoints.def"
#undef ENDPOINT

#endif
