/* The HTTP front: libmicrohttpd inside our loop. Connections (client.h), what comes by them before libmicrohttpd reads
   it (tap.h, wire.h), and requests as libmicrohttpd hands them over (receive.h). */
#ifndef SERVER_HTTP_FRONT_H
#define SERVER_HTTP_FRONT_H

#include <stdint.h>

#include "base/error.h"
#include "server/server.h"

struct front;

/* Serves on `listen_fd`, which it owns from then on. */
NODISCARD enum status front_open(struct front **out, struct server *server, int listen_fd, struct error *err);
/* Ends every connection. NULL is fine. */
void front_close(struct front *front);

/* SIGHUP: reads the certificate again. What comes of it is in the log. */
void front_reload(struct front *front);

/* For the loop: accept when the listening descriptor is readable, while it listens. */
int front_listen_fd(const struct front *front);
bool front_listens(const struct front *front);
void front_accept(struct front *front);
/* Before the loop sleeps, when no transaction is open: finds what there is to say to those that listen. */
void front_look(struct front *front);
/* Run when the descriptor is readable, and again after front_timeout_ms (-1: no limit). */
int front_fd(const struct front *front);
void front_run(struct front *front);
int64_t front_timeout_ms(struct front *front);
/* Connections that were not told to end. */
size_t front_connections(const struct front *front);
/* Every FRONT_TICK_MS: ends waits and cuts connections that are past their deadline. */
enum { FRONT_TICK_MS = 200 };
void front_tick(struct front *front);

/* Lets the requests that wait for `key` (wait.h) go on. NULL is fine. */
void front_wake(struct front *front, const char *key);

#endif
