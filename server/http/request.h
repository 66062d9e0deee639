/* One request, from its head to the end of its answer: what all of http/ knows of it, and what handlers ask it for. A
   handler is called when the body is complete and answers exactly once by a function of reply.h, or waits once
   (wait.h). */
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
#include "server/server.h"

struct MHD_Connection;
struct client;
struct upload;
struct wait_list;

enum request_phase {
  REQUEST_HEADER,
  REQUEST_BODY,
  REQUEST_WAITING,  /* wait_for */
  REQUEST_ANSWERED,
  REQUEST_LINGERING, /* answered by reply_error_now: what still comes of it is thrown away */
};

struct request {
  struct server *server;
  struct client *client;              /* its connection's record */
  struct MHD_Connection *connection;
  enum request_phase phase;
  char id[72];                        /* x-request-id */
  char *target;                       /* as it came, but that an absolute one begins at its path */
  enum http_method method;            /* HTTP_METHOD_COUNT before the header is complete */
  struct endpoint_match match;
  const struct endpoint *endpoint;    /* NULL: no such route */
  const char *tenant;                 /* whose things it sees and makes */
  struct query query;
  struct guard guard;
  struct arena arena;                 /* lives as long as the request */
  struct str body;
  struct upload *upload;              /* files_create: where the body goes instead */
  struct error refused;               /* the answer once the body is read, or the wait over; STATUS_OK: none */
  uint64_t body_bytes;                /* received so far */
  int64_t started_ms, lingering_ms;   /* boot clock */
  double started;                     /* for the duration */
  struct wait_list *waiters;          /* where it waits */
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
/* The handlers: one a row of api/endpoints.def. */
#define ENDPOINT(method, path, operation, auth, summary) void http_##operation(struct request *request);
#include "api/endpoints.def"
#undef ENDPOINT

#endif
