#include "worker/report.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

void report_init(struct report *report, int out, int in) {
  *report = (struct report){.out = out, .in = in, .said = clock_seconds()};
}

/* The other end is gone. */
static void lose(struct report *report) {
  report->gone = true;
  report->stop = report->stop ? report->stop : STATUS_PAUSED;
}

static void say(struct report *report, const struct event *event) {
  struct str line;
  /* What people read is in the log too, whose times are in milliseconds; an error's line is its reporter's. */
  if (event->kind == EVENT_MESSAGE || event->kind == EVENT_METRICS)
    log_line(event->level, "%s", event->message);
  str_init(&line, EVENT_LINE_MAX);
  if (!event_write(&line, event)) {
    log_error("an event of %zu bytes and more was not sent", line.length);
    str_done(&line);
    return;
  }
  for (size_t done = 0; done < line.length && !report->gone;) {
    ssize_t n = write(report->out, line.text + done, line.length - done);
    if (n > 0)
      done += (size_t)n;
    else if (errno != EINTR)
      lose(report);
  }
  str_done(&line);
  report->said = clock_seconds();
}

void report_message(struct report *report, enum log_level level, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  say(report, &(struct event){.kind = EVENT_MESSAGE, .level = level, .message = text});
}

void report_data(struct report *report, enum event_kind kind, const char *message, json_t *data) {
  say(report, &(struct event){.kind = kind, .level = LOG_INFO, .message = message, .data = data});
  json_decref(data);
}

void report_phase(struct report *report, const char *phase) {
  report_data(report, EVENT_PROGRESS, "", json_pack("{s:s}", "phase", phase));
}

void report_error(struct report *report, const struct error *err) {
  say(report, &(struct event){.kind = EVENT_ERROR,
                              .level = LOG_ERROR,
                              .message = err->text,
                              .code = err->status,
                              .param = err->param[0] ? err->param : NULL});
}

void report_beat(void *with) {
  enum { SECONDS = 1 };
  struct report *report = with;
  if (!report->gone && clock_seconds() - report->said >= SECONDS)
    say(report, &(struct event){.kind = EVENT_ALIVE, .level = LOG_INFO, .message = ""});
}

static void hear_line(struct report *report, const char *line) {
  if (strcmp(line, "cancel") == 0)
    report->stop = STATUS_CANCELLED;
  else if (strcmp(line, "pause") == 0)
    report->stop = report->stop ? report->stop : STATUS_PAUSED;
  else if (strcmp(line, "checkpoint") == 0)
    report->checkpoint = true;
  else
    log_warn("unknown control line \"%.64s\"", line);
}

enum status report_poll(struct report *report, struct error *err) {
  struct pollfd fd = {.fd = report->in, .events = POLLIN};
  while (!report->stop && report->in >= 0 && poll(&fd, 1, 0) > 0) {
    size_t room = sizeof report->heard - 1 - report->heard_length;
    ssize_t n = room ? read(report->in, report->heard + report->heard_length, room) : 0;
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) { /* the other end is gone, or talks nonsense */
      report->stop = STATUS_PAUSED;
      break;
    }
    report->heard_length += (size_t)n;
    report->heard[report->heard_length] = '\0';
    for (char *end; (end = strchr(report->heard, '\n'));) {
      *end = '\0';
      hear_line(report, report->heard);
      report->heard_length -= (size_t)(end + 1 - report->heard);
      memmove(report->heard, end + 1, report->heard_length + 1);
    }
  }
  if (!report->stop)
    return STATUS_OK;
  return error_set(err, report->stop, NULL, "told to %s", report->stop == STATUS_PAUSED ? "pause" : "stop");
}
