/* One connection: bytes in, requests (request.h) in their order, answers out. It ends as TCP needs it: the answer, our
   end closed, and what the client still sends thrown away for a while, since a client that is cut off while it sends
   does not see the answer. Nothing here waits; front.c says when a socket is ready. */
#ifndef SERVER_HTTP_CONNECTION_H
#define SERVER_HTTP_CONNECTION_H

#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"
#include "server/http/body.h"
#include "server/server.h"

struct request;

enum connection_phase {
  CONNECTION_HEAD,      /* between requests, or a head is arriving */
  CONNECTION_BODY,
  CONNECTION_WAITING,   /* the request waits (request_wait) */
  CONNECTION_REPLYING,
  CONNECTION_LINGERING, /* our end is closed */
  CONNECTION_OVER,      /* to be freed */
};

/* An answer: its header and text, then bytes of a file. */
struct response {
  struct str head, text;
  size_t sent;          /* of both together */
  int fd;               /* -1: no file. Owned */
  off_t offset;         /* of the file's next byte */
  uint64_t left;        /* bytes of the file that are to go out */
};
void response_init(struct response *response);
void response_done(struct response *response);

/* All connections of the front. */
struct connections {
  struct server *server;
  int epoll;            /* each connection is in it, with itself as the event's pointer */
  struct connection *first;
  int64_t count;
  char *scratch;        /* CONNECTION_SCRATCH bytes, where every connection's bytes arrive */
};
enum { CONNECTION_SCRATCH = 64 << 10 };

struct connection {
  struct connections *all;
  struct connection *next, **link;
  int fd;
  uint32_t watched;     /* epoll events */
  enum connection_phase phase;
  int64_t since_ms;     /* boot clock: a request ended or began, bytes of the answer left, or our end was closed */
  char *kept;           /* what has arrived and was not taken yet */
  size_t kept_bytes;
  size_t scanned;       /* head_find's */
  unsigned blank_lines; /* before the head */
  struct body body;
  struct request *request;
  struct response response;
  bool close;           /* after this answer */
  uint64_t lingered;    /* bytes thrown away */
};

/* Takes a non-blocking socket that was accepted. */
NODISCARD enum status connection_new(struct connections *all, int fd, struct error *err);
/* Ends it, and its request. */
void connection_free(struct connection *connection);

/* The socket has these epoll events. May end in CONNECTION_OVER, as the two below. */
void connection_ready(struct connection *connection, uint32_t events);
/* After its request, which waited, went on. */
void connection_continue(struct connection *connection);
/* Cuts it, or answers 408, when it should have got further by now. */
void connection_hurry(struct connection *connection, int64_t now_ms);

/* For the request: it answers, takes *response away; `end`: the connection ends with it. */
void connection_reply(struct connection *connection, struct response *response, bool end);
void connection_wait(struct connection *connection);

#endif
