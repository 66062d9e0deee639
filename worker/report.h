/* What the worker says (event lines on standard output, api/event.h) and hears (control lines on
   standard input). Used from the main thread only. */
#ifndef WORKER_REPORT_H
#define WORKER_REPORT_H

#include <jansson.h>

#include "api/event.h"

struct report {
  int out, in;     /* file descriptors; in -1: nobody to listen to */
  char heard[256]; /* an unfinished control line */
  size_t heard_length;
  enum status stop; /* STATUS_CANCELLED or STATUS_PAUSED once it was heard; the daemon's end is a pause; else OK */
  bool gone;        /* nobody reads what is said */
  bool checkpoint;  /* "checkpoint" was heard; the trainer clears it */
  double said;      /* when something was said, by clock_seconds */
};

void report_init(struct report *report, int out, int in);
/* One line each; `data` is consumed (may be NULL). A pipe that is gone sets `gone` and `stop`. */
void report_message(struct report *report, enum log_level level, const char *format, ...) PRINTF(3, 4);
void report_data(struct report *report, enum event_kind kind, const char *message, json_t *data);
/* What it does now: EVENT_PROGRESS that says no more. */
void report_phase(struct report *report, const char *phase);
void report_error(struct report *report, const struct error *err);
/* For pool_watch: EVENT_ALIVE where nothing was said for a second. `report`: struct report. */
void report_beat(void *report);
/* Reads control lines without waiting. STATUS_CANCELLED or STATUS_PAUSED once the worker was told to stop. */
NODISCARD enum status report_poll(struct report *report, struct error *err);

#endif
