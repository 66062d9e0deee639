/* The HTTP front: libmicrohttpd inside our loop. Takes a request from its first byte to the handler of its
   operation: guard, route, authentication, limits, deadlines, the log line. */
#ifndef SERVER_HTTP_FRONT_H
#define SERVER_HTTP_FRONT_H

#include <stdint.h>

#include "base/error.h"
#include "server/server.h"

struct front;
struct request;

/* Serves on `listen_fd`, which it owns from then on. */
NODISCARD enum status front_open(struct front **out, struct server *server, int listen_fd, struct error *err);
/* Ends every connection. NULL is fine. */
void front_close(struct front *front);

/* For the loop: run when the descriptor is readable, and again after front_timeout_ms (-1: no limit). */
int front_fd(const struct front *front);
void front_run(struct front *front);
int64_t front_timeout_ms(struct front *front);
/* Every FRONT_TICK_MS: ends waits and cuts connections that are past their deadline. */
enum { FRONT_TICK_MS = 200 };
void front_tick(struct front *front);

/* Lets the requests that wait for `key` (request_wait) go on. */
void front_wake(struct front *front, const char *key);

/* For request.c: suspends a request, and forgets one that ends while it waits. */
void front_wait(struct front *front, struct request *request);
void front_unwait(struct front *front, struct request *request);
/* The hash of the bearer key; empty: none is needed. */
const char *front_key_hash(const struct front *front);

#endif
