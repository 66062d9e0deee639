#include "cli/watch_view.h"

#include <stdio.h>
#include <string.h>

#include "api/job_state.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/progress.h"
#include "cli/text.h"

enum { PLAIN_INTERVAL_SECONDS = 10 };
static const double DRAW_INTERVAL_SECONDS = 0.1;

void watch_view_init(struct watch_view *view, struct cli *cli) {
  *view = (struct watch_view){.cli = cli};
  str_init(&view->last_event, 256);
  screen_init(&view->screen, cli->terminal && !cli->json);
}

void watch_view_done(struct watch_view *view) {
  screen_clear(&view->screen);
  json_decref(view->job);
  str_done(&view->last_event);
}

/* Metrics of each step are what the progress line shows; evaluations and messages are printed. */
static bool is_printed(const json_t *event) {
  if (strcmp(text_member(event, "type", "message"), "metrics") != 0)
    return true;
  const char *name;
  json_t *value;
  json_object_foreach(json_object_get(event, "data"), name, value) {
    if (strncmp(name, "valid_", 6) == 0)
      return true;
  }
  return false;
}

static void print_json_line(const json_t *value) {
  struct str line;
  str_init(&line, 1 << 22);
  text_json(&line, value, 0);
  puts(line.text);
  str_done(&line);
}

static void print_event(struct watch_view *view, const json_t *event) {
  struct str line;
  const char *level = text_member(event, "level", "info");
  str_init(&line, 1 << 16);
  text_time(&line, json_integer_value(json_object_get(event, "created_at")));
  str_puts(&line, "  ");
  if (strcmp(level, "info") != 0) {
    text_clean(&line, level);
    str_puts(&line, ": ");
  }
  text_clean(&line, text_member(event, "message", ""));
  screen_clear(&view->screen);
  puts(line.text);
  fflush(stdout);
  str_done(&line);
}

void watch_view_job(struct watch_view *view, json_t *job) {
  json_decref(view->job);
  view->job = job;
}

void watch_view_progress(struct watch_view *view, json_t *members) {
  json_t *progress = json_object_get(view->job, "progress");
  if (json_is_object(progress))
    json_object_update(progress, members);
  else if (view->job && json_is_object(members))
    json_object_set(view->job, "progress", members);
}

void watch_view_event(struct watch_view *view, const json_t *event) {
  const json_t *data = json_object_get(event, "data");
  str_clear(&view->last_event);
  str_puts(&view->last_event, text_member(event, "id", ""));
  /* Steps are told as they are made, the progress and its phase once a second. */
  if (json_is_integer(json_object_get(data, "step")) && json_is_number(json_object_get(data, "train_loss"))) {
    watch_view_progress(view, (json_t *)(uintptr_t)data);
    json_object_set_new(json_object_get(view->job, "progress"), "phase", json_string("train"));
  }
  if (view->cli->json) {
    print_json_line(event);
    fflush(stdout);
  } else if (is_printed(event)) {
    print_event(view, event);
  }
}

/* On a terminal the line is redrawn; elsewhere a line is printed now and then, when there is news. */
void watch_view_show(struct watch_view *view) {
  struct job_progress progress;
  struct str line;
  enum job_state state;
  double now = clock_seconds();
  if (!view->job || (job_state_parse(&state, text_member(view->job, "status", "")) && job_state_terminal(state)))
    return;
  progress_read(&progress, view->job);
  str_init(&line, 1000);
  if (view->screen.active) {
    if (!view->screen.drawn || now - view->drawn_at >= DRAW_INTERVAL_SECONDS) {
      progress_job(&line, &progress, screen_columns());
      screen_draw(&view->screen, &line);
      view->drawn_at = now;
    }
  } else if (!view->cli->json && progress.step != view->plain_step && now - view->plain_at >= PLAIN_INTERVAL_SECONDS) {
    progress_job(&line, &progress, 0);
    puts(line.text);
    fflush(stdout);
    view->plain_at = now;
    view->plain_step = progress.step;
  }
  str_done(&line);
}

void watch_view_note(struct watch_view *view, const char *what, const char *foreign) {
  screen_clear(&view->screen);
  cli_note(what, foreign);
}

/* "best valid_accuracy 0.9122 at step 300, last 0.9065 at step 400"; nothing where nothing was evaluated. */
static void best_and_last(struct str *out, const json_t *progress) {
  static const char *const members[] = {"best", "last"};
  for (size_t i = 0; i < COUNT_OF(members); i++) {
    const json_t *evaluated = json_object_get(progress, members[i]), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)evaluated, name, value) {
      if (strcmp(name, "step") == 0 || !json_is_number(value))
        continue;
      str_printf(out, "%s%s ", i ? ", " : "", members[i]);
      if (i == 0) {
        text_clean(out, name);
        str_putc(out, ' ');
      }
      str_printf(out, "%.4f at step %lld", json_number_value(value),
                 (long long)json_integer_value(json_object_get(evaluated, "step")));
    }
  }
}

enum exit_code watch_view_end(struct watch_view *view) {
  const char *status = text_member(view->job, "status", "");
  bool succeeded = strcmp(status, job_state_name(JOB_SUCCEEDED)) == 0;
  if (view->cli->json)
    print_json_line(view->job);
  struct str line;
  screen_clear(&view->screen);
  const json_t *error = json_object_get(view->job, "error");
  str_init(&line, 1 << 16);
  if (succeeded) {
    best_and_last(&line, json_object_get(view->job, "progress"));
    if (line.length)
      str_putc(&line, '\n');
    str_puts(&line, "succeeded: ");
    text_clean(&line, text_member(view->job, "fine_tuned_model", "?"));
    if (!view->cli->json)
      puts(line.text);
  } else {
    str_puts(&line, "reflect: the job has ended: ");
    text_clean(&line, status);
    if (json_is_object(error)) {
      str_puts(&line, ": ");
      text_clean(&line, text_member(error, "message", ""));
      str_puts(&line, " (code ");
      text_clean(&line, text_member(error, "code", "unknown"));
      str_putc(&line, ')');
    }
    fprintf(stderr, "%s\n", line.text);
  }
  str_done(&line);
  return succeeded ? EXIT_DONE : EXIT_UNSUCCESSFUL;
}
