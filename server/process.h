/* Telling processes apart across restarts of the daemon: a process id alone may have been given to
   somebody else, (boot, pid, start time) never is. */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

enum { PROCESS_NAME_BYTES = 96 };

/* "<pid> <start time> <boot id>" into out; false when no such process exists. */
bool process_name(char out[PROCESS_NAME_BYTES], pid_t pid);

/* If the named process still lives, kills its process group and waits up to two seconds until it is gone.
   False when it is still there then. */
bool process_kill_named(const char *name);

/* What a program writes on standard output until it ends, or closes it, appended; then it is killed. STATUS_UNAVAILABLE
   when it cannot be started or takes longer, and which. The loop waits: for the daemon's start only. */
NODISCARD enum status process_output(struct str *out, char *const arguments[], int64_t milliseconds,
                                     struct error *err);

struct uv_loop_s;
/* A container's first process inherits what others in it leave behind: lets go of those that have ended. Children of
   `uv` are libuv's; ones that ended behind one of these in the kernel's list wait for the next call. */
void process_reap(struct uv_loop_s *uv);

/* Other processes of this user, workers among them, can no longer read this one's memory, environment and open files,
   nor trace it; and it leaves no core file. */
void process_hide(void);

/* What this process uses, as the metrics process_* of Prometheus name it; -1: not known. */
struct process_usage {
  double cpu_seconds, resident_bytes, virtual_bytes, start_seconds, open_files, open_files_max;
};
void process_usage(struct process_usage *out);

/* How many processes the kernel has ended for want of memory since it started; -1: it does not say. */
int64_t process_memory_kills(void);

/* "SIGSEGV" for 11; "signal 64" for numbers without a name. Static or in `buffer` (32 bytes). */
const char *process_signal_name(int signal, char buffer[32]);

#endif
