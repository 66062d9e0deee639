/* What a worker says: one JSON object a line on its standard output. The daemon trusts none of it:
   event_parse checks kinds, types and sizes. The exit status is the enum status; STATUS_OK means every
   artifact was announced and published.
   Control goes the other way as lines on the worker's standard input, heard between micro-batches and
   parts of the data:
     "cancel"      stop: exit status STATUS_CANCELLED;
     "pause"       write a state (EVENT_STATE) of the last complete step and stop: STATUS_PAUSED. Where nothing was
                   trained since the state that the run went on from, none is written: that one holds;
     "checkpoint"  after the step that runs publish a checkpoint (EVENT_CHECKPOINT) and a state, and go on.
   The end of that stream means that the daemon is gone: as "pause".
   A run that goes on from a state may tell steps again that a former run told after it: their metrics and
   checkpoints have the same values (but for tokens_per_second), and the daemon keeps one of them. */
#ifndef API_EVENT_H
#define API_EVENT_H

#include <jansson.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "base/str.h"

enum event_kind {
  /* level, message */
  EVENT_MESSAGE,
  /* message, data {step, total_steps, epoch, train_loss, learning_rate, grad_norm, tokens_per_second,
     [valid_loss, valid_<metric>...]}: kept for ever as an event of type "metrics" */
  EVENT_METRICS,
  /* data {phase ("load"|"tokenise"|"train"|"evaluate"|"export"), step, total_steps, epoch, percent,
     seconds_remaining, tokens_per_second, train_loss, trained_tokens}: only the last one is kept, in the job */
  EVENT_PROGRESS,
  /* data {step, modules [name...], angle [number or null...], defect [...]}: of each adapted module, in the order of
     `modules`, how far its map turns (radians) and its defect (worker/adapter/adapter.h). Before the metrics of that
     step; kept for ever, about fifty steps of a run */
  EVENT_TELEMETRY,
  /* data {step, path (relative to output_dir), bytes, metrics {...}, removed_steps [step...]}: an adapter's folder. The
     checkpoints of removed_steps are not kept any more: the daemon deletes them, when no other job starts from them */
  EVENT_CHECKPOINT,
  /* data {step, path (relative to output_dir), bytes, sha256}: what training goes on from, durable under its name.
     The worker keeps the newest two of a run in its folder; all of former runs are the daemon's to delete, once a
     newer one was announced or the job has ended */
  EVENT_STATE,
  /* data {name (no '/'), path (relative to output_dir), bytes, sha256, result_file (bool: also in result_files)} */
  EVENT_ARTIFACT,
  /* CHECK: data {format, lines, examples, bytes, columns: [...], labels: [...] or null, ...} */
  EVENT_REPORT,
  /* code, param or null, message, data {line, column, ...} or null: why the worker will exit */
  EVENT_ERROR,
  /* GENERATE: data as generation_event_json (api/generation.h) makes it */
  EVENT_GENERATION,
  /* Nothing but that it still computes, where nothing else was said for a second: a step may take longer than the
     daemon waits for a worker that is silent. Not kept */
  EVENT_ALIVE,
  EVENT_KIND_COUNT
};

/* What a worker calls the file of a state, by its step: a daemon that did not hear of it finds it by that. */
#define EVENT_STATE_FILE "state-%" PRId64 ".safetensors"

enum { EVENT_LINE_MAX = 1 << 16 };  /* bytes of a line, its newline included */

struct event {
  enum event_kind kind;
  enum log_level level;
  const char *message;  /* never NULL; may be "" */
  enum status code;     /* ERROR */
  const char *param;    /* ERROR; may be NULL */
  json_t *data;         /* an object or NULL; owned by the event */
};

/* A line without its newline. The message lives in `arena`; release `data` with json_decref. */
NODISCARD enum status event_parse(struct event *out, const char *line, size_t length, struct arena *arena,
                                  struct error *err);
/* One line with its newline, appended. False when it does not fit. */
bool event_write(struct str *out, const struct event *event);

#endif
