/* Watching. The job's stream of events tells all of it as it happens; where that cannot be had, the job and then its
   new events are asked for again and again, so that everything a job said is shown before its end is. */
#include "cli/watch.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/job_state.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/sse.h"
#include "cli/text.h"
#include "cli/watch_view.h"

enum { POLL_MS = 1000, BACKOFF_MAX_MS = 30000, EVENT_PAGE = 100, EVENT_PAGES_MAX = 1000 };

struct watch {
  struct cli *cli;
  struct str job_path;
  struct watch_view view;
  double trouble_since; /* negative: all is well */
  int64_t pause_ms;     /* until it is asked again */
  bool heard;           /* an event came on this connection */
  bool ended;           /* the stream has said that the job has */
};

static bool has_ended(const json_t *job) {
  enum job_state state;
  return job_state_parse(&state, text_member(job, "status", "")) && job_state_terminal(state);
}

static void sleep_ms(int64_t ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
  (void)number;
  interrupted = 1;
}

static bool is_interrupted(void) {
  return interrupted;
}

/* The first Ctrl-C ends the watch in order, a second one at once. One that the caller ignores stays ignored. */
static void catch_interrupt(void) {
  struct sigaction now;
  if (sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND}, NULL);
}

/* Watching has no hold on the job: says so, and ends as an interrupted program does. */
static void end_interrupted(struct watch *watch, const char *job_id) {
  watch_view_note(&watch->view, "reflect: no longer watching; the job goes on. To come back: reflect jobs watch",
                  job_id);
  cli_note("reflect: to stop it: reflect jobs cancel", job_id);
  fflush(stdout);
  signal(SIGINT, SIG_DFL);
  raise(SIGINT);
}

/* ---- while the server cannot be reached ---- */

static void is_well(struct watch *watch, int64_t pause_ms) {
  watch->trouble_since = -1;
  watch->pause_ms = pause_ms;
}

/* Is it worth asking again? The first time is told. */
static bool is_worth_it(struct watch *watch, int64_t patience_seconds, const struct error *err) {
  double now = clock_seconds();
  if (watch->trouble_since >= 0 && now - watch->trouble_since >= (double)patience_seconds)
    return false;
  if (watch->trouble_since < 0) {
    watch_view_note(&watch->view, "reflect: asking again:", err->text);
    watch->trouble_since = now;
  }
  watch->pause_ms = watch->pause_ms * 2 < BACKOFF_MAX_MS ? watch->pause_ms * 2 : BACKOFF_MAX_MS;
  return true;
}

/* ---- by asking ---- */

/* Adds the events newer than the last one shown, newest first, to `fresh`. */
static enum status gather_events(struct watch *watch, json_t *fresh, struct error *err) {
  struct str path;
  enum status status = STATUS_OK;
  bool more = true;
  str_init(&path, 4096);
  for (int page = 0; status == STATUS_OK && more && page < EVENT_PAGES_MAX; page++) {
    AUTO(json_release) json_t *answer = NULL;
    size_t index;
    json_t *event;
    str_clear(&path);
    str_printf(&path, "%s/events?limit=%d", watch->job_path.text, EVENT_PAGE);
    if (json_array_size(fresh) > 0) {
      str_puts(&path, "&after=");
      http_escape(&path, text_member(json_array_get(fresh, json_array_size(fresh) - 1), "id", ""));
    }
    status = http_json(&watch->cli->http, &answer, "GET", path.text, NULL, err);
    more = json_is_true(json_object_get(answer, "has_more"));
    json_array_foreach(json_object_get(answer, "data"), index, event) {
      if (strcmp(text_member(event, "id", ""), watch->view.last_event.text) == 0) {
        more = false;
        break;
      }
      json_array_append(fresh, event);
    }
  }
  str_done(&path);
  return status;
}

static enum status read_job(struct watch *watch, struct error *err) {
  json_t *job = NULL;
  enum status status = http_json(&watch->cli->http, &job, "GET", watch->job_path.text, NULL, err);
  if (status == STATUS_OK)
    watch_view_job(&watch->view, job);
  return status;
}

/* One look at the job and its events. Events are read after the job: an ended job has no more. */
static enum status look(struct watch *watch, struct error *err) {
  AUTO(json_release) json_t *fresh = json_array();
  enum status status = read_job(watch, err);
  if (status == STATUS_OK)
    status = gather_events(watch, fresh, err);
  for (size_t i = status == STATUS_OK ? json_array_size(fresh) : 0; i-- > 0;)
    watch_view_event(&watch->view, json_array_get(fresh, i));
  if (status == STATUS_OK)
    watch_view_show(&watch->view);
  return status;
}

/* Looks until the job has ended, or until looking is hopeless. */
static enum status poll_job(struct watch *watch, int64_t patience_seconds, struct error *err) {
  for (;;) {
    if (interrupted)
      return error_set(err, STATUS_CANCELLED, NULL, "interrupted");
    enum status status = look(watch, err);
    if (status == STATUS_OK && has_ended(watch->view.job))
      return STATUS_OK;
    if (status == STATUS_OK)
      is_well(watch, POLL_MS);
    else if (watch->cli->http.outcome != HTTP_BROKEN || !is_worth_it(watch, patience_seconds, err))
      return status;
    sleep_ms(watch->pause_ms);
  }
}

/* ---- by listening ---- */

static enum status take_event(void *context, const struct sse_event *event, struct error *err) {
  struct watch *watch = context;
  AUTO(json_release) json_t *data = NULL;
  const struct json_limits limits = {.bytes_max = 16 << 20, .values_max = 1 << 20};
  enum status status = json_parse(&data, event->data, strlen(event->data), &limits, err);
  if (status) {
    (void)error_prefix(err, "an event of the stream");
    return status;
  }
  watch->heard = true;
  if (strcmp(event->name, "status") == 0)
    watch_view_job(&watch->view, json_incref(data));
  else if (strcmp(event->name, "progress") == 0)
    watch_view_progress(&watch->view, data);
  else if (strcmp(event->name, "end") == 0)
    watch->ended = true;
  else if (json_object_get(data, "id"))
    watch_view_event(&watch->view, data);
  watch_view_show(&watch->view);
  return STATUS_OK;
}

static enum status take_bytes(void *context, const void *bytes, size_t length, struct error *err) {
  return sse_feed(context, bytes, length, err);
}

/* What an answer to the stream's request says of the job itself, not of the stream. */
static bool is_final(enum status status) {
  int code = status_http(status);
  return code == 401 || code == 403 || code == 404;
}

/* Listens until the job has ended. *refused: there is no stream to be had, for the reason in *err. */
static enum status follow_job(struct watch *watch, struct sse *sse, int64_t patience_seconds, bool *refused,
                              struct error *err) {
  const struct http *http = &watch->cli->http;
  AUTO(str_done) struct str path;
  str_init(&path, 4096);
  str_printf(&path, "%s/events?stream=true", watch->job_path.text);
  for (*refused = false;;) {
    const struct http_listening listening = {watch->view.last_event.text, {take_bytes, sse}, is_interrupted};
    bool nothing;
    if (interrupted)
      return error_set(err, STATUS_CANCELLED, NULL, "interrupted");
    watch->heard = false;
    sse_begin(sse);
    enum status status = http_listen(&watch->cli->http, &nothing, path.text, &listening, err);
    if (status == STATUS_CANCELLED || watch->ended || (status == STATUS_OK && nothing))
      return watch->ended ? STATUS_OK : status;
    bool broken = status && http->outcome == HTTP_BROKEN && status != STATUS_OVERLOADED;
    if (watch->heard && (broken || !status)) {
      /* It was cut, by a restart or by something between that has its time for everything: it goes on where it was. */
      is_well(watch, sse->retry_ms > 0 && sse->retry_ms < BACKOFF_MAX_MS ? sse->retry_ms : POLL_MS);
    } else if (!broken || !is_worth_it(watch, patience_seconds, err)) {
      *refused = !broken && !(http->outcome == HTTP_REFUSED && is_final(status));
      return status ? status : error_set(err, STATUS_UNAVAILABLE, NULL, "it ended before it said anything");
    }
    sleep_ms(watch->pause_ms);
  }
}

/* The job as it ended, when the stream has said that it did. */
static enum status follow(struct watch *watch, int64_t patience_seconds, struct error *err) {
  struct sse sse;
  bool refused;
  sse_init(&sse, take_event, watch);
  is_well(watch, POLL_MS);
  enum status status = follow_job(watch, &sse, patience_seconds, &refused, err);
  sse_done(&sse);
  if (refused)
    watch_view_note(&watch->view, "reflect: no live stream, asking every second instead:", err->text);
  if (!refused && status)
    return status;
  is_well(watch, POLL_MS);
  return poll_job(watch, patience_seconds, err);
}

enum exit_code watch_job(struct cli *cli, const char *job_id, int64_t patience_seconds) {
  struct watch watch = {.cli = cli};
  struct error err;
  str_init(&watch.job_path, 4096);
  watch_view_init(&watch.view, cli);
  catch_interrupt();
  cli_path(&watch.job_path, "/v1/fine_tuning/jobs/", job_id, "");
  enum status status = follow(&watch, patience_seconds, &err);
  if (interrupted && status != STATUS_OK)
    end_interrupted(&watch, job_id);
  enum exit_code code = status == STATUS_OK ? watch_view_end(&watch.view) : EXIT_LOCAL;
  watch_view_done(&watch.view);
  if (status != STATUS_OK)
    code = cli_fail(cli, &err);
  str_done(&watch.job_path);
  return code;
}
