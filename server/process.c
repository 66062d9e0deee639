#include "server/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"

enum { WAIT_STEPS = 100, WAIT_STEP_NS = 20 * 1000 * 1000 };

/* Reads a short file of /proc, whose sizes stat() does not know. */
static bool read_proc(char *out, size_t size, const char *path) {
  FILE *file = fopen(path, "re");
  if (!file)
    return false;
  size_t length = fread(out, 1, size - 1, file);
  fclose(file);
  out[length] = '\0';
  return length > 0;
}

bool process_name(char out[PROCESS_NAME_BYTES], pid_t pid) {
  char path[64], stat[1024], boot[64];
  snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
  if (!read_proc(stat, sizeof stat, path) || !read_proc(boot, sizeof boot, "/proc/sys/kernel/random/boot_id"))
    return false;
  boot[strcspn(boot, "\n")] = '\0';
  /* The second field is the program's name in parentheses and may hold anything. Field 22 is the start time. */
  const char *p = strrchr(stat, ')');
  char state = p && p[1] == ' ' ? p[2] : 'X';
  for (int field = 2; p && field < 22; field++)
    p = strchr(p + 1, ' ');
  if (!p || state == 'Z' || state == 'X')
    return false;
  snprintf(out, PROCESS_NAME_BYTES, "%ld %llu %.40s", (long)pid, strtoull(p + 1, NULL, 10), boot);
  return true;
}

static bool alive(const char *name, pid_t pid) {
  char now[PROCESS_NAME_BYTES];
  return process_name(now, pid) && strcmp(now, name) == 0;
}

bool process_kill_named(const char *name) {
  pid_t pid = (pid_t)strtol(name, NULL, 10);
  if (pid <= 1 || !alive(name, pid))
    return true;
  log_warn("killing the worker with process id %ld that an earlier daemon left", (long)pid);
  if (kill(-pid, SIGKILL) != 0 && kill(pid, SIGKILL) != 0 && errno != ESRCH)
    log_error("cannot kill process %ld: %s", (long)pid, strerror(errno));
  for (int i = 0; i < WAIT_STEPS; i++) {
    if (!alive(name, pid))
      return true;
    nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_NS}, NULL);
  }
  return false;
}

const char *process_signal_name(int signal, char buffer[32]) {
  const char *name = sigabbrev_np(signal);
  if (name)
    snprintf(buffer, 32, "SIG%s", name);
  else
    snprintf(buffer, 32, "signal %d", signal);
  return buffer;
}
