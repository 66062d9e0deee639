/* The event loop: libuv, with libmicrohttpd's epoll descriptor inside it, in one thread. Signals, the ticks
   of the front, upkeep, and the orderly end. */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include "server/server.h"

/* Runs until SIGTERM or SIGINT has drained the server: /readyz answers 503, no job is claimed, running
   workers are stopped and their jobs queued again. A second signal does not wait for them. The caller
   made every part of `server` and frees them afterwards, except the scheduler, which ends with the loop. */
NODISCARD enum status loop_run(struct server *server, struct error *err);

#endif
