#include "cli/program.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

extern char **environ;

bool program_find(char out[PATH_MAX], const char *name) {
  ssize_t length = readlink("/proc/self/exe", out, PATH_MAX - 1);
  if (length <= 0)
    return false;
  out[length] = '\0';
  char *slash = strrchr(out, '/');
  size_t folder = slash ? (size_t)(slash + 1 - out) : 0;
  if (folder + strlen(name) >= PATH_MAX)
    return false;
  memcpy(out + folder, name, strlen(name) + 1);
  return access(out, X_OK) == 0;
}

/* Both outputs go into the pipe; the input is empty. A signal that is ignored here is not to be so there. */
static int start(pid_t *pid, const char *const *arguments, const int pipes[2]) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t signals;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
  posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, pipes[1], STDERR_FILENO);
  posix_spawn_file_actions_addclose(&actions, pipes[0]);
  posix_spawn_file_actions_addclose(&actions, pipes[1]);
  posix_spawnattr_init(&attributes);
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  int failed = posix_spawn(pid, arguments[0], &actions, &attributes, (char *const *)(uintptr_t)arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return failed;
}

/* Until it has closed its outputs. False: that took too long. */
static bool listen_to(struct str *said, int fd, int64_t until_ms) {
  for (;;) {
    char bytes[4096];
    int64_t left = until_ms - clock_boot_ms();
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
    if (ready == 0)
      return false;
    ssize_t got = ready > 0 ? read(fd, bytes, sizeof bytes) : -1;
    if (got == 0 || (got < 0 && errno != EINTR))
      return true;
    size_t room = said->max - said->length;
    if (got > 0)
      str_add(said, bytes, (size_t)got < room ? (size_t)got : room);
  }
}

enum status program_run(struct str *said, int *code, const char *const *arguments, int seconds, struct error *err) {
  int pipes[2], state = 0;
  pid_t pid;
  if (pipe(pipes) != 0)
    return error_set_errno(err, STATUS_UNAVAILABLE, NULL, "%s", arguments[0]);
  int failed = start(&pid, arguments, pipes);
  close(pipes[1]);
  if (failed) {
    close(pipes[0]);
    return error_set(err, STATUS_UNAVAILABLE, NULL, "%s cannot be run: %s", arguments[0], strerror(failed));
  }
  bool ended = listen_to(said, pipes[0], clock_boot_ms() + (int64_t)seconds * 1000);
  close(pipes[0]);
  if (!ended)
    kill(pid, SIGKILL);
  while (waitpid(pid, &state, 0) < 0 && errno == EINTR) {
  }
  *code = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  return ended ? STATUS_OK
               : error_set(err, STATUS_UNAVAILABLE, NULL, "%s was not done after %d seconds", arguments[0], seconds);
}

char *program_line(char **rest) {
  char *line = *rest;
  if (!*line)
    return NULL;
  size_t length = strcspn(line, "\n");
  *rest = line + length + (line[length] == '\n');
  line[length] = '\0';
  return line;
}
