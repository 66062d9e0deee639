/* Subscribers of one job's server-sent events, all in one process. The job's worker says in each event of its metrics
   when it wrote it, by the clock that every process of the machine shares; a subscriber that reads it knows how late it
   is. What each was told is compared with the list of the job's events. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "tests/fault/load.h"

enum {
  LINE_BYTES = 2048,
  READ_BYTES = 1 << 16,
  READY = 256,
  EVENTS_MAX = 900,
  EXTRA = 64,
  CONNECT_S = 60,
  QUIET_S = 60
};

enum part { HEADER, CHUNK_SIZE, CHUNK_DATA, CHUNK_END };

struct subscriber {
  int fd;
  enum part part;
  size_t left; /* bytes of the chunk */
  size_t length;
  char line[LINE_BYTES];
  size_t count; /* ids that it was told */
  int64_t ids[EVENTS_MAX + EXTRA];
  bool accepted, ended, broken;
};

struct crowd {
  struct subscriber *all;
  size_t count, accepted, over;
  double *late_ms;
  size_t samples, room;
};

static struct answer answer;

static void hear_line(struct crowd *crowd, struct subscriber *who) {
  static const char id[] = "id: ", end[] = "event: end", when[] = "\"train_loss\":";
  if (strncmp(who->line, id, sizeof id - 1) == 0 && strcmp(who->line, "id: end") != 0) {
    if (who->count < COUNT_OF(who->ids))
      who->ids[who->count] = strtoll(who->line + sizeof id - 1, NULL, 10);
    who->count++;
  }
  if (strcmp(who->line, end) == 0)
    who->ended = true;
  const char *at = strncmp(who->line, "data: ", 6) == 0 ? strstr(who->line, when) : NULL;
  if (at && strstr(who->line, "\"type\":\"metrics\"") && crowd->samples < crowd->room)
    crowd->late_ms[crowd->samples++] = 1e3 * (seconds_now() - strtod(at + sizeof when - 1, NULL));
}

/* The header's lines, sizes of chunks and lines of the stream end with a line feed; the bytes of a chunk are counted.
 */
static void hear_byte(struct crowd *crowd, struct subscriber *who, char byte) {
  if (who->part == CHUNK_DATA && who->left-- == 1)
    who->part = CHUNK_END;
  else if (who->part == CHUNK_END) {
    if (byte == '\n')
      who->part = CHUNK_SIZE;
    return;
  }
  if (byte != '\n') {
    if (byte != '\r' && who->length + 1 < LINE_BYTES)
      who->line[who->length++] = byte;
    return;
  }
  who->line[who->length] = '\0';
  if (who->part == HEADER && strncmp(who->line, "HTTP/1.1 ", 9) == 0)
    who->accepted = strncmp(who->line + 9, "200", 3) == 0;
  if (who->part == HEADER && who->length == 0) {
    who->part = CHUNK_SIZE;
    crowd->accepted += who->accepted;
  } else if (who->part == CHUNK_SIZE) {
    who->left = strtoul(who->line, NULL, 16);
    who->part = who->left ? CHUNK_DATA : CHUNK_END;
  } else if (who->part != HEADER) {
    hear_line(crowd, who);
  }
  who->length = 0;
}

static void hear(struct crowd *crowd, struct subscriber *who) {
  static char bytes[READ_BYTES];
  ssize_t n;
  while ((n = recv(who->fd, bytes, sizeof bytes, 0)) > 0)
    for (ssize_t i = 0; i < n; i++)
      hear_byte(crowd, who, bytes[i]);
  if (n < 0 && (errno == EAGAIN || errno == EINTR) && !who->ended)
    return;
  who->broken = !who->ended;
  close(who->fd);
  who->fd = -1;
  crowd->over++;
}

/* Hears until `done` is reached, or nothing came for so long. */
static void listen_until(struct crowd *crowd, int epoll, const size_t *done, size_t target, int quiet_s) {
  struct epoll_event ready[READY];
  while (*done < target && crowd->over < crowd->count) {
    int n = epoll_wait(epoll, ready, READY, quiet_s * 1000);
    if (n == 0 || (n < 0 && errno != EINTR))
      return;
    for (int i = 0; i < n; i++)
      hear(crowd, ready[i].data.ptr);
  }
}

static void subscribe(struct crowd *crowd, int epoll, const struct daemon *daemon, const char *job) {
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)daemon->port)};
  char request[512];
  int length = snprintf(request, sizeof request,
                        "GET /v1/fine_tuning/jobs/%s/events?stream=true HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", job,
                        daemon->port);
  for (size_t i = 0; i < crowd->count; i++) {
    struct subscriber *who = &crowd->all[i];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};
    who->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(who->fd >= 0 && connect(who->fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(send(who->fd, request, (size_t)length, MSG_NOSIGNAL) == length);
    CHECK(fcntl(who->fd, F_SETFL, O_NONBLOCK) == 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, who->fd, &event) == 0);
  }
  listen_until(crowd, epoll, &crowd->accepted, crowd->count, CONNECT_S);
}

static void create(char id[128], const struct daemon *daemon, const char *file, const char *suffix) {
  char body[512];
  snprintf(body, sizeof body, "{\"model\":\"tiny\",\"training_file\":\"%s\",\"suffix\":\"%s\"}", file, suffix);
  CHECK(daemon_call(&answer, daemon, "POST", "/v1/fine_tuning/jobs", NULL, body) == 200);
  answer_value(id, &answer, "id");
}

static bool await_status(const struct daemon *daemon, const char *job, const char *status) {
  char target[320], said[128];
  snprintf(target, sizeof target, "/v1/fine_tuning/jobs/%s", job);
  for (int i = 0; i < 500; i++, sleep_ms(20))
    if (daemon_call(&answer, daemon, "GET", target, NULL, NULL) == 200 &&
        strcmp(answer_value(said, &answer, "status"), status) == 0)
      return true;
  return false;
}

/* The job's events as the list has them, the oldest first. */
static size_t list(int64_t ids[EVENTS_MAX + EXTRA], const struct daemon *daemon, const char *job) {
  static const char name[] = "\"id\":\"ftevent-";
  char target[320];
  size_t count = 0;
  snprintf(target, sizeof target, "/v1/fine_tuning/jobs/%s/events?limit=1000", job);
  CHECK(daemon_call(&answer, daemon, "GET", target, NULL, NULL) == 200);
  for (const char *at = answer.body; (at = strstr(at, name)) && count < EVENTS_MAX + EXTRA; at += sizeof name - 1)
    ids[count++] = strtoll(at + sizeof name - 1, NULL, 10);
  for (size_t i = 0; i < count / 2; i++) {
    int64_t id = ids[i];
    ids[i] = ids[count - 1 - i];
    ids[count - 1 - i] = id;
  }
  return count;
}

static bool judge(const struct crowd *crowd, const int64_t *ids, size_t count) {
  size_t whole = 0, broken = 0;
  for (size_t i = 0; i < crowd->count; i++) {
    const struct subscriber *who = &crowd->all[i];
    broken += who->broken || !who->ended;
    whole += who->count == count && memcmp(who->ids, ids, count * sizeof *ids) == 0;
  }
  printf("subscribers: %zu, accepted %zu; %zu events each; %zu heard each of them once and in order, %zu not the end\n",
         crowd->count, crowd->accepted, count, whole, broken);
  return whole == crowd->count && !broken;
}

static void raise_files(size_t want) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_cur < want && want <= limit.rlim_max) {
    limit.rlim_cur = want;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
}

bool load_stream(const struct place *place, long subscribers, long events) {
  struct daemon daemon;
  char file[128], busy[2][128], job[128], target[320], suffix[32];
  int64_t ids[EVENTS_MAX + EXTRA];
  if (subscribers < 1 || events < 1 || events > EVENTS_MAX) {
    fprintf(stderr, "at least one subscriber, and from 1 to %d events\n", EVENTS_MAX);
    return false;
  }
  size_t count = (size_t)subscribers, room = count * (size_t)events;
  struct crowd crowd = {.count = count,
                        .all = calloc(count, sizeof *crowd.all),
                        .late_ms = calloc(room, sizeof *crowd.late_ms),
                        .room = room};
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  CHECK(crowd.all && crowd.late_ms && epoll >= 0);
  raise_files(count + 64);
  load_start(&daemon, place);
  load_upload(file, &daemon);
  /* It waits for a place until all listen. */
  for (int i = 0; i < 2; i++) {
    create(busy[i], &daemon, file, "quiet");
    CHECK(await_status(&daemon, busy[i], "running"));
  }
  snprintf(suffix, sizeof suffix, "timed-%ld", events);
  create(job, &daemon, file, suffix);
  subscribe(&crowd, epoll, &daemon, job);
  load_memory(daemon.pid, "with all that listen");
  double before = load_processor(daemon.pid), began = seconds_now();
  snprintf(target, sizeof target, "/v1/fine_tuning/jobs/%s/cancel", busy[0]);
  CHECK(daemon_call(&answer, &daemon, "POST", target, NULL, NULL) == 200);
  listen_until(&crowd, epoll, &crowd.over, crowd.count, QUIET_S);
  printf("processor of the daemon: %.2f s in %.1f s\n", load_processor(daemon.pid) - before, seconds_now() - began);
  bool right = judge(&crowd, ids, list(ids, &daemon, job));
  right &= crowd.samples == room;
  load_times("an event's way from the worker to a subscriber", crowd.late_ms, crowd.samples);
  daemon_stop(&daemon, SIGTERM);
  close(epoll);
  free(crowd.late_ms);
  free(crowd.all);
  return right;
}
