/* One child process: spawned with its task on descriptor 3, heard line by line on its standard output,
   stopped through its standard input, killed when it will not. Knows nothing of jobs.
     0  control lines from the daemon; its end means that the daemon is gone
     1  event lines to the daemon
     2  the log file
     3  the task document (a sealed memory file) */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "server/verdict.h"

struct uv_loop_s;
struct worker;

/* What the owner wants to hear. `line` lacks its newline and returns false, with err set, when it is no
   proper line: the worker is then killed. `batch` follows the lines of one read. `exited` (may be NULL): the process
   has just been reaped; some of what it said may still come. `end` comes once, last: all it said was handed over; the
   worker is freed afterwards. */
struct worker_calls {
  bool (*line)(void *context, const char *text, size_t length, struct error *err);
  void (*batch)(void *context);
  void (*exited)(void *context);
  void (*end)(void *context, const struct death *death);
};

struct worker_options {
  const char *const *command; /* the program and its arguments; NULL ends them */
  const json_t *task;      /* api/task.h */
  const char *log_path;    /* appended to; NULL: /dev/null */
  int64_t silence_ms;      /* killed when it says nothing for so long */
  struct worker_calls calls;
  void *context;
};

/* On failure no call is made, *out is NULL and nothing runs. */
NODISCARD enum status worker_start(struct worker **out, struct uv_loop_s *loop, const struct worker_options *options,
                                   struct error *err);
/* Stops reading what it says, so that it waits when its pipe is full; or reads on. Meanwhile it cannot be silent, and
   its end is not reported. */
void worker_pause(struct worker *worker, bool pause);
/* As if `line` had refused its last line: it is killed, and its end says why. */
void worker_reject(struct worker *worker, const struct error *err);
int worker_pid(const struct worker *worker);
/* Writes a control line (api/event.h); false: the worker does not listen. */
bool worker_order(struct worker *worker, const char *order);
/* Writes a line of any length, its newline included, as the worker reads. False: it does not listen. */
bool worker_send(struct worker *worker, const char *line, size_t length);
/* It has nothing to say for now, and is not killed for saying nothing; or it has again. */
void worker_rest(struct worker *worker, bool rests);
/* Writes the line `order` (a literal: "cancel", "pause"; NULL: the end of the stream) now, sends SIGTERM after
   `term_ms` and SIGKILL after `kill_ms`. A second call can only shorten the times; it writes what is another order
   than the last. */
void worker_stop(struct worker *worker, const char *order, int64_t term_ms, int64_t kill_ms);

#endif
