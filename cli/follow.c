#include "cli/follow.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"

enum { POLL_MS = 1000, BACKOFF_MAX_MS = 30000 };

struct state {
  const struct follow *follow;
  double trouble_since; /* negative: all is well */
  int64_t pause_ms;     /* until it is asked again */
  bool heard;           /* an event came on this connection */
  bool ended;           /* the stream has said so */
};

static void sleep_ms(int64_t ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
  (void)number;
  interrupted = 1;
}

bool follow_interrupted(void) {
  return interrupted;
}

/* One that the caller ignores stays ignored. */
static void catch_interrupt(void) {
  struct sigaction now;
  if (sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND}, NULL);
}

void follow_end_interrupted(void) {
  fflush(stdout);
  signal(SIGINT, SIG_DFL);
  raise(SIGINT);
}

/* ---- while the server cannot be reached ---- */

static void is_well(struct state *state, int64_t pause_ms) {
  state->trouble_since = -1;
  state->pause_ms = pause_ms;
}

/* Is it worth asking again? The first time is told. */
static bool is_worth_it(struct state *state, const struct error *err) {
  double now = clock_seconds();
  if (state->trouble_since >= 0 && now - state->trouble_since >= (double)state->follow->patience_seconds)
    return false;
  if (state->trouble_since < 0) {
    state->follow->note(state->follow->context, "reflect: asking again:", err->text);
    state->trouble_since = now;
  }
  state->pause_ms = state->pause_ms * 2 < BACKOFF_MAX_MS ? state->pause_ms * 2 : BACKOFF_MAX_MS;
  return true;
}

/* ---- by asking ---- */

/* Looks until it has ended, or until looking is hopeless. */
static enum status ask(struct state *state, struct error *err) {
  const struct follow *follow = state->follow;
  for (;;) {
    bool ended = false;
    if (interrupted)
      return error_set(err, STATUS_CANCELLED, NULL, "interrupted");
    enum status status = follow->look(follow->context, &ended, err);
    if (status == STATUS_OK && ended)
      return STATUS_OK;
    if (status == STATUS_OK)
      is_well(state, POLL_MS);
    else if (follow->cli->http.outcome != HTTP_BROKEN || !is_worth_it(state, err))
      return status;
    sleep_ms(state->pause_ms);
  }
}

/* ---- by listening ---- */

static enum status take_event(void *context, const struct sse_event *event, struct error *err) {
  struct state *state = context;
  AUTO(json_release) json_t *data = NULL;
  const struct json_limits limits = {.bytes_max = 16 << 20, .values_max = 1 << 20};
  enum status status = json_parse(&data, event->data, strlen(event->data), &limits, err);
  if (status) {
    (void)error_prefix(err, "an event of the stream");
    return status;
  }
  state->heard = true;
  return state->follow->take(state->follow->context, event->name, data, &state->ended, err);
}

static enum status take_bytes(void *context, const void *bytes, size_t length, struct error *err) {
  return sse_feed(context, bytes, length, err);
}

/* What an answer to the stream's request says of the thing itself, not of the stream. */
static bool is_final(enum status status) {
  int code = status_http(status);
  return code == 401 || code == 403 || code == 404;
}

/* Listens until it has ended. *refused: there is no stream to be had, for the reason in *err. */
static enum status listen_to(struct state *state, struct sse *sse, bool *refused, struct error *err) {
  const struct follow *follow = state->follow;
  struct http *http = &follow->cli->http;
  for (*refused = false;;) {
    const struct http_listening listening = {
        follow->last_event ? follow->last_event->text : "", {take_bytes, sse}, follow_interrupted};
    bool nothing;
    if (interrupted)
      return error_set(err, STATUS_CANCELLED, NULL, "interrupted");
    state->heard = false;
    sse_begin(sse);
    enum status status = http_listen(http, &nothing, follow->path, &listening, err);
    if (status == STATUS_CANCELLED || state->ended || (status == STATUS_OK && nothing))
      return state->ended ? STATUS_OK : status;
    bool broken = status && http->outcome == HTTP_BROKEN && status != STATUS_OVERLOADED;
    if (state->heard && (broken || !status)) {
      /* It was cut, by a restart or by something between that has its time for everything: it goes on where it was. */
      is_well(state, sse->retry_ms > 0 && sse->retry_ms < BACKOFF_MAX_MS ? sse->retry_ms : POLL_MS);
    } else if (!broken || !is_worth_it(state, err)) {
      *refused = !broken && !(http->outcome == HTTP_REFUSED && is_final(status));
      return status ? status : error_set(err, STATUS_UNAVAILABLE, NULL, "it ended before it said anything");
    }
    sleep_ms(state->pause_ms);
  }
}

enum status follow_to_end(const struct follow *follow, struct error *err) {
  struct state state = {.follow = follow};
  struct sse sse;
  bool refused;
  catch_interrupt();
  sse_init(&sse, take_event, &state);
  is_well(&state, POLL_MS);
  enum status status = listen_to(&state, &sse, &refused, err);
  sse_done(&sse);
  if (refused)
    follow->note(follow->context, "reflect: no live stream, asking every second instead:", err->text);
  if (!refused && status)
    return status;
  is_well(&state, POLL_MS);
  return ask(&state, err);
}
