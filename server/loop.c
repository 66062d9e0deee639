#include "server/loop.h"

#include <signal.h>
#include <uv.h>

#include "base/log.h"
#include "server/http/front.h"
#include "server/process.h"
#include "server/removal.h"
#include "server/scheduler.h"
#include "server/supervisor.h"
#include "server/upkeep.h"
#include "server/webhooks.h"

enum { UPKEEP_MS = 30 * 1000 };

struct loop {
  struct server *server;
  uv_poll_t accept;         /* somebody connects */
  uv_poll_t poll;           /* libmicrohttpd has work */
  uv_timer_t timeout;       /* libmicrohttpd wants to run again */
  uv_prepare_t prepare;     /* before the loop sleeps: how long may it? */
  uv_timer_t tick, upkeep;
  uv_signal_t term, interrupt, hangup;
  bool stopping;
};

static void on_timeout(uv_timer_t *timer) {
  struct loop *loop = timer->data;
  front_run(loop->server->front);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  struct loop *loop = poll->data;
  (void)status;
  (void)events;
  front_run(loop->server->front);
}

static void on_accept(uv_poll_t *poll, int status, int events) {
  struct loop *loop = poll->data;
  (void)status;
  (void)events;
  front_accept(loop->server->front);
}

/* The longest time libmicrohttpd may be left alone changes with every run of it. */
static void on_prepare(uv_prepare_t *prepare) {
  struct loop *loop = prepare->data;
  if (loop->server->removal_due)
    removal_start(loop->server);
  front_look(loop->server->front);
  bool listens = front_listens(loop->server->front);
  if (listens != (bool)uv_is_active((uv_handle_t *)&loop->accept))
    CHECK((listens ? uv_poll_start(&loop->accept, UV_READABLE, on_accept) : uv_poll_stop(&loop->accept)) == 0);
  int64_t ms = front_timeout_ms(loop->server->front);
  if (ms < 0)
    uv_timer_stop(&loop->timeout);
  else
    CHECK(uv_timer_start(&loop->timeout, on_timeout, (uint64_t)ms, 0) == 0);
  log_flush();
}

static void close_all(struct loop *loop) {
  loop->stopping = true;
  scheduler_close(loop->server->scheduler);
  loop->server->scheduler = NULL;
  webhooks_close(loop->server->webhooks);
  uv_close((uv_handle_t *)&loop->accept, NULL);
  uv_close((uv_handle_t *)&loop->poll, NULL);
  uv_close((uv_handle_t *)&loop->timeout, NULL);
  uv_close((uv_handle_t *)&loop->prepare, NULL);
  uv_close((uv_handle_t *)&loop->tick, NULL);
  uv_close((uv_handle_t *)&loop->upkeep, NULL);
  uv_close((uv_handle_t *)&loop->term, NULL);
  uv_close((uv_handle_t *)&loop->interrupt, NULL);
  uv_close((uv_handle_t *)&loop->hangup, NULL);
}

static void on_tick(uv_timer_t *timer) {
  struct loop *loop = timer->data;
  front_tick(loop->server->front);
  removal_of_events(loop->server);
  if (loop->server->draining && !loop->stopping && supervisor_idle(loop->server->supervisor) &&
      !loop->server->removal && loop->server->publishing == 0)
    close_all(loop);
}

static void on_upkeep(uv_timer_t *timer) {
  struct loop *loop = timer->data;
  upkeep_sweep(loop->server);
  process_reap(loop->server->uv);
}

static void on_signal(uv_signal_t *handle, int number) {
  struct loop *loop = handle->data;
  bool again = loop->server->draining;
  log_info("%s: %s", number == SIGTERM ? "SIGTERM" : "SIGINT",
           again ? "stopping at once" : "no new work; running jobs are stopped and queued again");
  loop->server->draining = true;
  supervisor_drain(loop->server->supervisor, again);
}

static void on_hangup(uv_signal_t *handle, int number) {
  struct loop *loop = handle->data;
  (void)number;
  front_reload(loop->server->front);
}

static int set_up(struct loop *loop, uv_loop_t *uv) {
  int bad = uv_poll_init(uv, &loop->accept, front_listen_fd(loop->server->front));
  bad |= uv_poll_init(uv, &loop->poll, front_fd(loop->server->front));
  bad |= uv_timer_init(uv, &loop->timeout);
  bad |= uv_prepare_init(uv, &loop->prepare);
  bad |= uv_timer_init(uv, &loop->tick);
  bad |= uv_timer_init(uv, &loop->upkeep);
  bad |= uv_signal_init(uv, &loop->term);
  bad |= uv_signal_init(uv, &loop->interrupt);
  loop->accept.data = loop;
  loop->poll.data = loop->timeout.data = loop->prepare.data = loop->tick.data = loop->upkeep.data = loop;
  bad |= uv_signal_init(uv, &loop->hangup);
  loop->term.data = loop->interrupt.data = loop->hangup.data = loop;
  bad |= uv_poll_start(&loop->poll, UV_READABLE, on_poll);
  bad |= uv_prepare_start(&loop->prepare, on_prepare);
  bad |= uv_timer_start(&loop->tick, on_tick, FRONT_TICK_MS, FRONT_TICK_MS);
  bad |= uv_timer_start(&loop->upkeep, on_upkeep, UPKEEP_MS, UPKEEP_MS);
  bad |= uv_signal_start(&loop->term, on_signal, SIGTERM);
  bad |= uv_signal_start(&loop->interrupt, on_signal, SIGINT);
  bad |= uv_signal_start(&loop->hangup, on_hangup, SIGHUP);
  return bad;
}

enum status loop_run(struct server *server, struct error *err) {
  struct loop loop = {.server = server};
  if (set_up(&loop, server->uv))
    return error_set(err, STATUS_INTERNAL, NULL, "cannot set up the event loop");
  scheduler_wake(server->scheduler);
  server->events_due = true;
  removal_start(server);
  log_gather(true);
  uv_run(server->uv, UV_RUN_DEFAULT);
  log_gather(false);
  CHECK(loop.stopping);
  return STATUS_OK;
}
