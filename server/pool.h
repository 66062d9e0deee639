/* libuv's thread pool, on which files are made durable, joined and removed. */
#ifndef SERVER_POOL_H
#define SERVER_POOL_H

#include <uv.h>

#include "base/error.h"

/* Starts the pool's threads. libuv starts them at the first uv_queue_work, in the midst of a request, and ends the
   process where one cannot be made; here that is STATUS_OUT_OF_MEMORY, before anything is answered. The loop must have
   nothing else to do. */
NODISCARD enum status pool_start(uv_loop_t *uv, struct error *err);

#endif
