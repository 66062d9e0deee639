/* Watching: one look reads the job and then the events that are new, so that everything a job said is
   printed before its end is. */
#include "cli/watch.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/job_state.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/progress.h"
#include "cli/screen.h"
#include "cli/text.h"

enum { POLL_MS = 1000, BACKOFF_MAX_MS = 30000, PLAIN_INTERVAL_SECONDS = 10, EVENT_PAGE = 100, EVENT_PAGES_MAX = 1000 };

struct watch {
  struct cli *cli;
  struct str job_path;
  struct str last_event; /* id of the newest event printed; empty: none yet */
  struct screen screen;
  double plain_at;    /* when the last progress line was printed where there is no terminal */
  int64_t plain_step; /* of that line; the start, step 0, is no news */
  json_t *job;        /* as last seen, or NULL */
};

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

static void print_event(struct watch *watch, const json_t *event) {
  if (watch->cli->json) {
    print_json_line(event);
    return;
  }
  if (!is_printed(event))
    return;
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
  screen_clear(&watch->screen);
  puts(line.text);
  str_done(&line);
}

/* Adds the events newer than the last printed one, newest first, to `fresh`. */
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
      if (strcmp(text_member(event, "id", ""), watch->last_event.text) == 0) {
        more = false;
        break;
      }
      json_array_append(fresh, event);
    }
  }
  str_done(&path);
  return status;
}

static enum status print_new_events(struct watch *watch, struct error *err) {
  AUTO(json_release) json_t *fresh = json_array();
  enum status status = gather_events(watch, fresh, err);
  size_t count = json_array_size(fresh);
  if (status != STATUS_OK || count == 0)
    return status;
  for (size_t i = count; i-- > 0;)
    print_event(watch, json_array_get(fresh, i));
  fflush(stdout);
  str_clear(&watch->last_event);
  str_puts(&watch->last_event, text_member(json_array_get(fresh, 0), "id", ""));
  return STATUS_OK;
}

/* On a terminal the line is redrawn; elsewhere a line is printed now and then, when there is news. */
static void show_progress(struct watch *watch) {
  struct job_progress progress;
  struct str line;
  double now = clock_seconds();
  progress_read(&progress, watch->job);
  str_init(&line, 1000);
  if (watch->screen.active) {
    progress_job(&line, &progress, screen_columns());
    screen_draw(&watch->screen, &line);
  } else if (!watch->cli->json && progress.step != watch->plain_step &&
             now - watch->plain_at >= PLAIN_INTERVAL_SECONDS) {
    progress_job(&line, &progress, 0);
    puts(line.text);
    fflush(stdout);
    watch->plain_at = now;
    watch->plain_step = progress.step;
  }
  str_done(&line);
}

static bool has_ended(const json_t *job) {
  enum job_state state;
  return job_state_parse(&state, text_member(job, "status", "")) && job_state_terminal(state);
}

/* One look at the job and its events. Events are read after the job: an ended job has no more. */
static enum status look(struct watch *watch, struct error *err) {
  json_t *job = NULL;
  enum status status = http_json(&watch->cli->http, &job, "GET", watch->job_path.text, NULL, err);
  if (status != STATUS_OK)
    return status;
  json_decref(watch->job);
  watch->job = job;
  status = print_new_events(watch, err);
  if (status == STATUS_OK && !has_ended(job))
    show_progress(watch);
  return status;
}

static void sleep_ms(int64_t ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
  (void)number;
  interrupted = 1;
}

/* The first Ctrl-C ends the watch in order, a second one at once. One that the caller ignores stays ignored. */
static void catch_interrupt(void) {
  struct sigaction now;
  if (sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND}, NULL);
}

/* Watching has no hold on the job: says so, and ends as an interrupted program does. */
static void end_interrupted(struct watch *watch, const char *job_id) {
  screen_clear(&watch->screen);
  cli_note("reflect: no longer watching; the job goes on. To stop it: reflect jobs cancel", job_id);
  fflush(stdout);
  signal(SIGINT, SIG_DFL);
  raise(SIGINT);
}

/* Looks until the job has ended, or until looking is hopeless. */
static enum status follow(struct watch *watch, int64_t patience_seconds, struct error *err) {
  double trouble_since = -1;
  int64_t pause_ms = POLL_MS;
  for (;;) {
    if (interrupted)
      return STATUS_CANCELLED;
    enum status status = look(watch, err);
    if (status == STATUS_OK && has_ended(watch->job))
      return STATUS_OK;
    double now = clock_seconds();
    if (status == STATUS_OK) {
      trouble_since = -1;
      pause_ms = POLL_MS;
    } else if (watch->cli->http.outcome == HTTP_BROKEN &&
               (trouble_since < 0 || now - trouble_since < (double)patience_seconds)) {
      screen_clear(&watch->screen);
      if (trouble_since < 0) {
        cli_note("reflect: asking again:", err->text);
        trouble_since = now;
      }
      pause_ms = pause_ms * 2 < BACKOFF_MAX_MS ? pause_ms * 2 : BACKOFF_MAX_MS;
    } else {
      return status;
    }
    sleep_ms(pause_ms);
  }
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

/* How the job ended. */
static enum exit_code conclude(struct watch *watch) {
  const char *status = text_member(watch->job, "status", "");
  bool succeeded = strcmp(status, job_state_name(JOB_SUCCEEDED)) == 0;
  if (watch->cli->json)
    print_json_line(watch->job);
  struct str line;
  const json_t *error = json_object_get(watch->job, "error");
  str_init(&line, 1 << 16);
  if (succeeded) {
    best_and_last(&line, json_object_get(watch->job, "progress"));
    if (line.length)
      str_putc(&line, '\n');
    str_puts(&line, "succeeded: ");
    text_clean(&line, text_member(watch->job, "fine_tuned_model", "?"));
    if (!watch->cli->json)
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

enum exit_code watch_job(struct cli *cli, const char *job_id, int64_t patience_seconds) {
  struct watch watch = {.cli = cli};
  struct error err;
  str_init(&watch.job_path, 4096);
  str_init(&watch.last_event, 256);
  screen_init(&watch.screen, cli->terminal && !cli->json);
  catch_interrupt();
  cli_path(&watch.job_path, "/v1/fine_tuning/jobs/", job_id, "");
  enum status status = follow(&watch, patience_seconds, &err);
  if (interrupted && status != STATUS_OK)
    end_interrupted(&watch, job_id);
  screen_clear(&watch.screen);
  enum exit_code code = status == STATUS_OK ? conclude(&watch) : cli_fail(cli, &err);
  json_decref(watch.job);
  str_done(&watch.last_event);
  str_done(&watch.job_path);
  return code;
}
