#include "tests/fault/daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/file.h"

enum { START_MS = 20000, STOP_MS = 20000, CALL_SECONDS = 10, ARGS_MAX = 32, WORDS_MAX = 16 };

void sleep_ms(int ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void place_make(struct place *place, const char *folder, const char *programs) {
  static char reflectd[PLACE_BYTES], worker[PLACE_BYTES], shim[PLACE_BYTES];
  char path[PLACE_BYTES + 128];
  struct error err;
  snprintf(reflectd, sizeof reflectd, "%s/reflectd", programs);
  snprintf(worker, sizeof worker, "%s/tests/fault/worker", programs);
  snprintf(shim, sizeof shim, "%s/tests/fault/shim.so", programs);
  *place = (struct place){.reflectd = reflectd, .worker = worker, .shim = shim};
  snprintf(place->work, sizeof place->work, "%s", folder);
  snprintf(place->data, sizeof place->data, "%s/data", folder);
  snprintf(place->models, sizeof place->models, "%s/models", folder);
  snprintf(place->log, sizeof place->log, "%s/log", folder);
  snprintf(path, sizeof path, "%s/models/tiny", folder);
  if (file_mkdirs(path, &err)) {
    fprintf(stderr, "%s\n", err.text);
    exit(2);
  }
  snprintf(path, sizeof path, "%s/models/tiny/config.json", folder);
  CHECK(file_put(path, "{}", 2, &err) == STATUS_OK);
}

void place_remove(const struct place *place) {
  (void)!file_remove_tree(place->work, NULL);
}

static int free_port(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)&at, &length) == 0);
  close(fd);
  return ntohs(at.sin_port);
}

static _Noreturn void become(const struct daemon *daemon, const char *const environment[]) {
  const struct place *place = daemon->place;
  char listen[32], preload[PLACE_BYTES + 16];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  snprintf(listen, sizeof listen, "127.0.0.1:%d", daemon->port);
  snprintf(preload, sizeof preload, "LD_PRELOAD=%s", place->shim);
  int log = open(place->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (log < 0 || dup2(log, STDERR_FILENO) < 0)
    _exit(126);
  static const char path[] = "PATH=/usr/bin:/bin";
  const char *words[WORDS_MAX] = {path};
  size_t count = 1;
  if (environment && environment[0])
    words[count++] = preload;
  for (size_t i = 0; environment && environment[i] && count + 1 < WORDS_MAX; i++)
    words[count++] = environment[i];
  const char *const args[ARGS_MAX] = {place->reflectd,
                                      "--data",
                                      place->data,
                                      "--models",
                                      place->models,
                                      "--listen",
                                      listen,
                                      "--worker-path",
                                      place->worker,
                                      "--upload-check-wait-ms",
                                      "1000",
                                      "--shutdown-grace-s",
                                      "2",
                                      "--workers-max",
                                      "2"};
  execve(place->reflectd, (char *const *)(uintptr_t)args, (char *const *)(uintptr_t)words);
  _exit(127);
}

static int connect_to(const struct daemon *daemon) {
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)daemon->port)};
  const struct timeval limit = {.tv_sec = CALL_SECONDS};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
    return fd;
  close(fd);
  return -1;
}

bool daemon_start(struct daemon *daemon, const struct place *place, const char *const environment[]) {
  *daemon = (struct daemon){.place = place, .port = free_port()};
  daemon->pid = fork();
  CHECK(daemon->pid >= 0);
  if (daemon->pid == 0)
    become(daemon, environment);
  for (int ms = 0; ms < START_MS; ms += 2) {
    int fd = connect_to(daemon);
    if (fd >= 0) {
      close(fd);
      return true;
    }
    if (!daemon_alive(daemon))
      return false;
    sleep_ms(2);
  }
  daemon_stop(daemon, SIGKILL);
  return false;
}

bool daemon_alive(struct daemon *daemon) {
  if (daemon->pid && waitpid(daemon->pid, &daemon->status, WNOHANG) == daemon->pid)
    daemon->pid = 0;
  return daemon->pid != 0;
}

void daemon_stop(struct daemon *daemon, int signal) {
  if (!daemon_alive(daemon))
    return;
  kill(daemon->pid, signal);
  for (int ms = 0; ms < STOP_MS && daemon_alive(daemon); ms += 2)
    sleep_ms(2);
  if (!daemon->pid)
    return;
  kill(daemon->pid, SIGKILL);
  waitpid(daemon->pid, &daemon->status, 0);
  daemon->pid = 0;
}

bool daemon_ended_well(const struct daemon *daemon) {
  return !daemon->pid && WIFEXITED(daemon->status) && WEXITSTATUS(daemon->status) != 134;
}

static bool send_all(int fd, const char *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t n = send(fd, bytes + done, length - done, MSG_NOSIGNAL);
    if (n <= 0)
      return false;
    done += (size_t)n;
  }
  return true;
}

int daemon_call(struct answer *answer, const struct daemon *daemon, const char *method, const char *target,
                const char *type, const char *body) {
  char head[1024];
  answer->status = 0;
  answer->length = 0;
  answer->body[0] = '\0';
  int fd = connect_to(daemon);
  if (fd < 0)
    return 0;
  int length = snprintf(head, sizeof head,
                        "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\nContent-Type: %s\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        method, target, daemon->port, type ? type : "application/json", body ? strlen(body) : 0);
  bool sent = send_all(fd, head, (size_t)length) && (!body || send_all(fd, body, strlen(body)));
  ssize_t n;
  while (sent && answer->length < BODY_BYTES - 1 &&
         (n = recv(fd, answer->body + answer->length, BODY_BYTES - 1 - answer->length, 0)) > 0)
    answer->length += (size_t)n;
  close(fd);
  answer->body[answer->length] = '\0';
  char *end = strstr(answer->body, "\r\n\r\n");
  if (!end || sscanf(answer->body, "HTTP/1.1 %d", &answer->status) != 1)
    return answer->status = 0;
  const char *given = strstr(answer->body, "Content-Length: ");
  size_t want = given && given < end ? strtoul(given + 16, NULL, 10) : 0;
  answer->length -= (size_t)(end + 4 - answer->body);
  memmove(answer->body, end + 4, answer->length + 1);
  return answer->length == want ? answer->status : (answer->status = 0); /* half an answer is none */
}

const char *answer_value(char out[128], const struct answer *answer, const char *name) {
  char pattern[64];
  out[0] = '\0';
  snprintf(pattern, sizeof pattern, "\"%s\":\"", name);
  const char *at = strstr(answer->body, pattern);
  if (at)
    snprintf(out, 128, "%.*s", (int)strcspn(at + strlen(pattern), "\""), at + strlen(pattern));
  return out;
}

int place_fsck(const struct place *place, bool *notes, bool loud) {
  int out[2];
  char text[1 << 14];
  size_t length = 0;
  ssize_t n;
  CHECK(pipe2(out, O_CLOEXEC) == 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    dup2(out[1], STDOUT_FILENO);
    dup2(out[1], STDERR_FILENO);
    execl(place->reflectd, place->reflectd, "fsck", "--data", place->data, (char *)NULL);
    _exit(127);
  }
  close(out[1]);
  while (length < sizeof text - 1 && (n = read(out[0], text + length, sizeof text - 1 - length)) > 0)
    length += (size_t)n;
  text[length] = '\0';
  close(out[0]);
  int status;
  waitpid(pid, &status, 0);
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  *notes = strstr(text, "note: ") != NULL;
  if (loud && (code || *notes))
    printf("# fsck: %s", text);
  return code;
}
