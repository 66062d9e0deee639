/* One request, from its head to the end of its answer: what all of http/ knows of it, and what handlers ask it for. A
   handler is called when the body is complete and answers exactly once by a function of reply.h, or waits (wait.h) and
   is called again; then it may wait for something else. It is called again, as if for the first time, where what it
   stored could not be kept: it does nothing that cannot be taken back but through the store, or after it has asked to
   be `alone`. */
#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "api/endpoint.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "server/http/query.h"
#include "server/server.h"
#include "storage/db_audit.h"

struct MHD_Connection;
struct MHD_Response;
struct answering;
struct client;
struct stream;
struct upload;
struct wait_list;

enum request_phase {
  REQUEST_HEADER,
  REQUEST_BODY,
  REQUEST_WAITING,  /* wait_for */
  REQUEST_ANSWERED,
};

/* Who asks (identify.h). */
struct caller {
  const char *actor;  /* as in struct audit_row; NULL: not known */
  const char *key_id; /* NULL: none of the store's keys */
  enum scope scope;
  bool is_operator; /* sees to all tenants */
};

struct request {
  struct server *server;
  struct client *client;              /* its connection's record */
  struct MHD_Connection *connection;
  enum request_phase phase;
  char id[72];                        /* x-request-id */
  char *target;                       /* as it came, but that an absolute one begins at its path */
  char *authority;                    /* of an absolute one: what comes before the path; NULL: it was none */
  const char *page;                   /* the Origin of a page that may read the answer (CORS), or NULL */
  enum http_method method;            /* HTTP_METHOD_COUNT before the header is complete */
  bool head;                          /* it is a HEAD, which counts as a GET */
  struct endpoint_match match;
  const struct endpoint *endpoint;    /* NULL: no such route */
  struct caller caller;
  const char *tenant;                 /* whose things it sees and makes */
  struct audit_row audit;             /* a handler sets its object where the path does not name it */
  bool audited;                       /* it stands in the log */
  bool audited_before;                /* receive_end */
  struct query query;
  int64_t length;                     /* Content-Length; -1: none */
  bool chunked;
  bool expects;                       /* Expect: 100-continue */
  struct arena arena;                 /* lives as long as the request */
  struct str body;
  struct upload *upload;              /* files_create: where the body goes instead */
  struct error refused;               /* the answer once the body is read, or the wait over; STATUS_OK: none */
  uint64_t body_bytes;                /* received so far */
  int64_t started_ms;                 /* boot clock */
  double started;                     /* for the duration */
  struct wait_list *waiters;          /* where it waits */
  struct request *next_waiting;
  char wait_key[64];
  int64_t wait_until_ms;
  bool waited;
  struct answering *answering;        /* what it asks of a model (answering.h); NULL: nothing */
  bool gone;                          /* its client has left while it waited for that */
  struct stream *stream;              /* its answer, where that goes on (stream.h); NULL: none */
  bool quiet;                         /* which has nothing to say now */
  struct request *next_held;          /* front.c */
  bool alone;                         /* what it changes is stored by itself, not with what others change (db_join): a
                                         handler that was called together with others may ask for that, and is called
                                         again */
  bool last;                          /* the answer says that its connection ends */
  int http_status;                    /* of the answer; 0: none yet */
  uint64_t file_bytes;                /* of a file that the answer has */
  bool delivered;                     /* all of the answer was sent */
  enum status error;                  /* that was answered; STATUS_OK: none */
  int64_t retry_after_s;              /* of an error that passes; 0: as always */
  struct MHD_Response *response;      /* the answer, until it is sent; NULL: there is no memory for one */
  bool sent;                          /* reply_send */
};

/* The header's value or NULL; lives as long as the request. */
const char *request_header(const struct request *request, const char *name);
/* The decoded n-th parameter of the path. */
const char *request_param(const struct request *request, size_t n);
/* The body as a JSON object; the caller owns *out. */
NODISCARD enum status request_json(json_t **out, struct request *request, struct error *err);
/* The handlers: one a row of api/endpoints.def. */
#define ENDPOINT(method, path, operation, scope, summary) void http_##operation(struct request *request);
#include "api/endpoints.def"
#undef ENDPOINT

#endif
