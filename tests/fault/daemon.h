/* A daemon under test, on a data folder and a port of its own, and one connection a request. */
#ifndef TESTS_FAULT_DAEMON_H
#define TESTS_FAULT_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PLACE_BYTES = 400, BODY_BYTES = 1 << 20 };

struct place {
  char work[PLACE_BYTES]; /* everything below is in it */
  char data[PLACE_BYTES + 64];
  char models[PLACE_BYTES + 64];
  char log[PLACE_BYTES + 64];
  const char *reflectd, *worker, *shim; /* programs */
};

struct daemon {
  const struct place *place;
  pid_t pid; /* 0: none */
  int port;
  int status; /* waitpid's, once it has ended */
};

/* Makes an empty place in `folder`, which must not exist. */
void place_make(struct place *place, const char *folder, const char *programs);
void place_remove(const struct place *place);

/* `environment`: words "NAME=VALUE" for it alone, ending with NULL; with any of them the shim is preloaded. False: it
   has ended, or does not listen within a while. */
bool daemon_start(struct daemon *daemon, const struct place *place, const char *const environment[]);
/* Is it still there? Else daemon->status says how it ended. */
bool daemon_alive(struct daemon *daemon);
/* Sends a signal and waits for the end; SIGKILL follows when that takes too long. */
void daemon_stop(struct daemon *daemon, int signal);
/* Did it end by itself or by SIGTERM, without a crash? */
bool daemon_ended_well(const struct daemon *daemon);

/* A request; the status of the answer, 0 when none came. The body of the answer ends with a NUL. */
struct answer {
  int status;
  size_t length;
  char body[BODY_BYTES];
};
int daemon_call(struct answer *answer, const struct daemon *daemon, const char *method, const char *target,
                const char *type, const char *body);
/* The text of the first member of that name, or "". */
const char *answer_value(char out[128], const struct answer *answer, const char *name);

/* reflectd fsck of the place: its exit status; *notes: it noted something. What it says is printed when `loud`. */
int place_fsck(const struct place *place, bool *notes, bool loud);

void sleep_ms(int ms);
double seconds_now(void);

#endif
