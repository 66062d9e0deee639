#include "server/http/wait.h"

#include <microhttpd.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "server/http/client.h"
#include "server/inspected.h"

void wait_for(struct request *request, const char *key, int64_t wait_ms) {
  CHECK(request->phase == REQUEST_BODY);
  snprintf(request->wait_key, sizeof request->wait_key, "%s", key);
  request->wait_until_ms = wait_ms < 0 ? INT64_MAX : clock_boot_ms() + wait_ms;
  request->phase = REQUEST_WAITING;
  request->next_waiting = request->waiters->first;
  request->waiters->first = request;
  MHD_suspend_connection(request->connection);
}

void wait_at_most(struct request *request, int64_t wait_ms) {
  CHECK(request->phase == REQUEST_WAITING);
  request->wait_until_ms = clock_boot_ms() + wait_ms;
  if (wait_ms <= 0)
    wait_over(request->waiters, request->wait_key);
}

bool wait_for_model(struct request *request, const struct base_model *model) {
  const struct server *server = request->server;
  char key[INSPECTED_KEY];
  if (request->waited || server->config->upload_check_wait_ms <= 0)
    return false;
  const struct inspected *inspected = inspected_of(server->inspected, model);
  if (!inspected || inspected->state == INSPECTED_KNOWN)
    return false;
  inspected_key(key, inspected);
  wait_for(request, key, server->config->upload_check_wait_ms);
  return true;
}

void wait_forget(struct request *request) {
  struct request **link = &request->waiters->first;
  while (*link && *link != request)
    link = &(*link)->next_waiting;
  if (*link)
    *link = request->next_waiting;
}

/* Resumes those that match: `key` NULL: those whose time is over at `now_ms`. */
static void resume(struct wait_list *list, const char *key, int64_t now_ms) {
  for (struct request **link = &list->first; *link;) {
    struct request *request = *link;
    bool due = key ? strcmp(request->wait_key, key) == 0 : now_ms >= request->wait_until_ms;
    if (!due) {
      link = &request->next_waiting;
      continue;
    }
    *link = request->next_waiting;
    list->resumed = true;
    MHD_resume_connection(request->connection);
  }
}

void wait_over(struct wait_list *list, const char *key) {
  resume(list, key, 0);
}

void wait_expire(struct wait_list *list, int64_t now_ms) {
  resume(list, NULL, now_ms);
}

static bool has_left(const struct request *request) {
  struct pollfd polled = {.fd = request->client->fd, .events = POLLRDHUP};
  return poll(&polled, 1, 0) > 0 && polled.revents;
}

void wait_look(struct wait_list *list) {
  for (struct request **link = &list->first; *link;) {
    struct request *request = *link;
    if (!request->answering || !has_left(request)) {
      link = &request->next_waiting;
      continue;
    }
    *link = request->next_waiting;
    request->gone = true;
    list->resumed = true;
    MHD_resume_connection(request->connection);
  }
}
