/* Telling processes apart across restarts of the daemon: a process id alone may have been given to
   somebody else, (boot, pid, start time) never is. */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PROCESS_NAME_BYTES = 96 };

/* "<pid> <start time> <boot id>" into out; false when no such process exists. */
bool process_name(char out[PROCESS_NAME_BYTES], pid_t pid);

/* If the named process still lives, kills its process group and waits up to two seconds until it is gone.
   False when it is still there then. */
bool process_kill_named(const char *name);

/* "SIGSEGV" for 11; "signal 64" for numbers without a name. Static or in `buffer` (32 bytes). */
const char *process_signal_name(int signal, char buffer[32]);

#endif
