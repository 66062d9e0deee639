/* Watching a job. Everything that it said is shown before its end is. */
#include "cli/watch.h"

#include <stdio.h>
#include <string.h>

#include "api/job_state.h"
#include "base/json.h"
#include "cli/follow.h"
#include "cli/text.h"
#include "cli/watch_view.h"

enum { EVENT_PAGE = 100, EVENT_PAGES_MAX = 1000 };

struct watch {
  struct cli *cli;
  struct str job_path;
  struct watch_view view;
};

static bool has_ended(const json_t *job) {
  enum job_state state;
  return job_state_parse(&state, text_member(job, "status", "")) && job_state_terminal(state);
}

/* Watching has no hold on the job: says so, and ends as an interrupted program does. */
static void end_interrupted(struct watch *watch, const char *job_id) {
  watch_view_note(&watch->view, "reflect: no longer watching; the job goes on. To come back: reflect jobs watch",
                  job_id);
  cli_note("reflect: to stop it: reflect jobs cancel", job_id);
  follow_end_interrupted();
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
static enum status look(void *context, bool *ended, struct error *err) {
  struct watch *watch = context;
  AUTO(json_release) json_t *fresh = json_array();
  enum status status = read_job(watch, err);
  if (status == STATUS_OK)
    status = gather_events(watch, fresh, err);
  for (size_t i = status == STATUS_OK ? json_array_size(fresh) : 0; i-- > 0;)
    watch_view_event(&watch->view, json_array_get(fresh, i));
  if (status)
    return status;
  watch_view_show(&watch->view);
  *ended = has_ended(watch->view.job);
  return STATUS_OK;
}

/* ---- by listening ---- */

static enum status take(void *context, const char *name, json_t *data, bool *ended, struct error *err) {
  struct watch *watch = context;
  (void)err;
  if (strcmp(name, "status") == 0)
    watch_view_job(&watch->view, json_incref(data));
  else if (strcmp(name, "progress") == 0)
    watch_view_progress(&watch->view, data);
  else if (strcmp(name, "end") == 0)
    *ended = true;
  else if (json_object_get(data, "id"))
    watch_view_event(&watch->view, data);
  watch_view_show(&watch->view);
  return STATUS_OK;
}

static void note(void *context, const char *what, const char *foreign) {
  struct watch *watch = context;
  watch_view_note(&watch->view, what, foreign);
}

enum exit_code watch_job(struct cli *cli, const char *job_id, int64_t patience_seconds) {
  struct watch watch = {.cli = cli};
  AUTO(str_done) struct str stream;
  struct error err;
  str_init(&watch.job_path, 4096);
  str_init(&stream, 4096);
  watch_view_init(&watch.view, cli);
  cli_path(&watch.job_path, "/v1/fine_tuning/jobs/", job_id, "");
  cli_path(&stream, "/v1/fine_tuning/jobs/", job_id, "/events?stream=true");
  const struct follow follow = {
      .cli = cli,
      .path = stream.text,
      .last_event = &watch.view.last_event,
      .patience_seconds = patience_seconds,
      .take = take,
      .look = look,
      .note = note,
      .context = &watch,
  };
  enum status status = follow_to_end(&follow, &err);
  if (follow_interrupted() && status != STATUS_OK)
    end_interrupted(&watch, job_id);
  enum exit_code code = status == STATUS_OK ? watch_view_end(&watch.view) : EXIT_LOCAL;
  watch_view_done(&watch.view);
  if (status != STATUS_OK)
    code = cli_fail(cli, &err);
  str_done(&watch.job_path);
  return code;
}
