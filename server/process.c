#include "server/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

enum { WAIT_STEPS = 100, WAIT_STEP_NS = 20 * 1000 * 1000 };
/* Fields of /proc/PID/stat (proc(5)). */
enum { USER_TIME = 14, SYSTEM_TIME = 15, START_TIME = 22, VIRTUAL_SIZE = 23, RESIDENT_SIZE = 24 };

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

/* The text before field `number` (from 3 on) of /proc/PID/stat, or NULL. The second field is the program's name in
   parentheses and may hold anything. */
static const char *stat_field(const char *stat, int number) {
  const char *p = strrchr(stat, ')');
  for (int field = 2; p && field < number; field++)
    p = strchr(p + 1, ' ');
  return p;
}

bool process_name(char out[PROCESS_NAME_BYTES], pid_t pid) {
  char path[64], stat[1024], boot[64];
  snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
  if (!read_proc(stat, sizeof stat, path) || !read_proc(boot, sizeof boot, "/proc/sys/kernel/random/boot_id"))
    return false;
  boot[strcspn(boot, "\n")] = '\0';
  const char *name = strrchr(stat, ')'), *p = stat_field(stat, START_TIME);
  char state = name && name[1] == ' ' ? name[2] : 'X';
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

/* False: the time was over first. */
static bool read_all(struct str *out, int fd, int64_t milliseconds) {
  int64_t until = clock_boot_ms() + milliseconds, left;
  char chunk[4096];
  while ((left = until - clock_boot_ms()) > 0) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, (int)left) <= 0)
      continue;
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n <= 0 || !str_add(out, chunk, (size_t)n))
      return true;
  }
  return false;
}

enum status process_output(struct str *out, char *const arguments[], int64_t milliseconds, struct error *err) {
  int ends[2];
  pid_t pid;
  posix_spawn_file_actions_t actions;
  enum status status = STATUS_OK;
  if (pipe2(ends, O_CLOEXEC) != 0)
    return error_set_errno(err, STATUS_UNAVAILABLE, NULL, "a pipe");
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  int fault = posix_spawn(&pid, arguments[0], &actions, NULL, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (fault) {
    status = error_set(err, STATUS_UNAVAILABLE, NULL, "cannot run %s: %s", arguments[0], strerror(fault));
  } else {
    if (!read_all(out, ends[0], milliseconds))
      status = error_set(err, STATUS_UNAVAILABLE, NULL, "%s did not end within %lld ms", arguments[0],
                         (long long)milliseconds);
    kill(pid, SIGKILL); /* what it had to write is here */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
  }
  close(ends[0]);
  return status;
}

struct child {
  pid_t pid;
  bool known;
};

static void match_child(uv_handle_t *handle, void *context) {
  struct child *child = context;
  if (handle->type == UV_PROCESS && uv_process_get_pid((uv_process_t *)handle) == child->pid)
    child->known = true;
}

void process_reap(uv_loop_t *uv) {
  for (;;) {
    siginfo_t info = {.si_pid = 0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
      return;
    struct child child = {.pid = info.si_pid};
    uv_walk(uv, match_child, &child);
    if (child.known || waitpid(child.pid, NULL, WNOHANG) != child.pid)
      return;
  }
}

void process_hide(void) {
  if (prctl(PR_SET_DUMPABLE, 0) != 0)
    log_warn("other processes of this user can read this one's memory: %s", strerror(errno));
}

static double open_files(void) {
  DIR *dir = opendir("/proc/self/fd");
  if (!dir)
    return -1;
  double count = -1; /* the one that reads them */
  for (const struct dirent *entry; (entry = readdir(dir));)
    count += entry->d_name[0] != '.';
  closedir(dir);
  return count;
}

void process_usage(struct process_usage *out) {
  char stat[1024];
  struct rlimit files;
  *out = (struct process_usage){-1, -1, -1, -1, open_files(), -1};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0)
    out->open_files_max = (double)files.rlim_cur;
  if (!read_proc(stat, sizeof stat, "/proc/self/stat") || !stat_field(stat, RESIDENT_SIZE))
    return;
  double ticks = (double)sysconf(_SC_CLK_TCK), page = (double)sysconf(_SC_PAGESIZE);
  double started = strtod(stat_field(stat, START_TIME), NULL) / ticks; /* after boot */
  out->cpu_seconds = (strtod(stat_field(stat, USER_TIME), NULL) + strtod(stat_field(stat, SYSTEM_TIME), NULL)) / ticks;
  out->virtual_bytes = strtod(stat_field(stat, VIRTUAL_SIZE), NULL);
  out->resident_bytes = strtod(stat_field(stat, RESIDENT_SIZE), NULL) * page;
  out->start_seconds = (double)clock_unix_ms() / 1e3 - ((double)clock_boot_ms() / 1e3 - started);
}

int64_t process_memory_kills(void) {
  static const char name[] = "\noom_kill ";
  char text[1 << 14];
  const char *at = read_proc(text, sizeof text, "/proc/vmstat") ? strstr(text, name) : NULL;
  return at ? strtoll(at + sizeof name - 1, NULL, 10) : -1;
}

const char *process_signal_name(int signal, char buffer[32]) {
  const char *name = sigabbrev_np(signal);
  if (name)
    snprintf(buffer, 32, "SIG%s", name);
  else
    snprintf(buffer, 32, "signal %d", signal);
  return buffer;
}
