/* reflect-worker --sandbox-test: what a worker that was taken over would try, each tried for real from inside a sandbox
   like a job's, beside a stand-in for the daemon. */
#ifndef WORKER_ESCAPE_ESCAPE_H
#define WORKER_ESCAPE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where the stand-in and what it holds are to be found. */
struct escape_target {
  const char *folder; /* outside/ job/ (another's) model/ out/ (its own) data.jsonl */
  int port;           /* that the stand-in listens on */
  uintptr_t secret;   /* address of escape_secret in the stand-in */
  int shared;         /* id of its System V shared memory */
  pid_t daemon;
};

enum { ESCAPE_SECRET_BYTES = 16, ESCAPE_LEFT_FD = 9, ESCAPE_MEMORY = 1 << 30, ESCAPE_FILE = 1 << 20 };
extern char escape_secret[ESCAPE_SECRET_BYTES];

struct escape {
  const char *name;
  /* True: it succeeded. Else errno says how it was refused. */
  bool (*try)(const struct escape_target *target);
};

/* Each ends with an entry without a name. */
extern const struct escape escape_files[], escape_daemon[], escape_kernel[], escape_limits[];

/* A path below the target's folder, in a buffer that the next call takes. */
const char *escape_path(const struct escape_target *target, const char *name);
/* Opens and closes it. */
bool escape_opens(const char *path, int flags);
/* The call came as far as the kernel's own code: whatever it said there, a filter did not stop it, nor a lack of
   power. */
bool escape_reached(long result);

/* The stand-in and the sandbox: `--without LAYER` leaves a layer out. The exit status: 0, all were refused. */
int escape_main(int argc, char **argv);
/* In the sandbox: FOLDER PORT SECRET SHARED MAY_EXECUTE. Prints a line an escape. */
int escape_inside(int argc, char **argv);

#endif
