#include "server/http/event_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http/job_object.h"
#include "server/http/reply.h"
#include "server/http/stream.h"
#include "storage/db_queue.h"

enum {
  ARENA_BYTES = 64 << 20,
  EVENTS_AT_ONCE = 100,
  PROGRESS_MS = 1000,
  QUEUE_MS = 2000, /* a place in the queue changes with the jobs of others */
  END = -1,        /* as a cursor */
};

/* What is said of a job beside its events; a new version when it changes. */
struct said {
  struct chunk *chunk;
  uint64_t version;
  int64_t at_ms;
};

/* A job that is listened to. */
struct feed {
  struct feed *next, **link;
  struct feeds *feeds;
  struct listener *listeners;
  char id[80], tenant[80];
  int64_t seq;  /* of the job */
  bool changed; /* it is to be read */
  bool gone;    /* deleted */
  enum job_state state;
  int64_t last;    /* seq of its newest event */
  char shown[256]; /* what the status was told of, to see that it is another */
  struct said status, progress;
  char *progress_text;  /* as told last; NULL: none yet */
  bool progress_waits;  /* a newer one is told when its second is over */
  struct chunk *recent; /* events after `recent_after`, up to `recent_last`: who has the same place shares them */
  int64_t recent_after, recent_last;
};

struct feeds {
  struct server *server;
  struct feed *first;
  bool events_came; /* of some job */
  int64_t queue_ms; /* when places in the queue were looked at */
};

struct listener {
  struct stream stream; /* first: the stream is the listener */
  struct listener *next, **link;
  struct feed *feed;
  int64_t after; /* seq of the last event that it was given */
  bool greeted;
  uint64_t status, progress; /* versions that it was given */
};

/* ---- the texts ---- */

json_t *event_object(const struct server *server, const struct event_row *event) {
  char id[40];
  snprintf(id, sizeof id, "ftevent-%lld", (long long)event->seq);
  return json_pack("{s:s, s:s, s:I, s:s, s:o, s:s, s:o}", "id", id, "object", "fine_tuning.job.event", "created_at",
                   (json_int_t)event->created_at, "level", event_level_name(event->level), "message",
                   reply_message(server, event->message), "type", event->metrics ? "metrics" : "message", "data",
                   reply_stored(event->data));
}

/* JSON has no line ends in it: one `data` line is enough. */
static void put_frame(struct str *out, const char *id, const char *name, const char *data) {
  if (id)
    str_printf(out, "id: %s\n", id);
  str_printf(out, "event: %s\ndata: ", name);
  str_puts(out, data);
  str_puts(out, "\n\n");
}

static struct chunk *frame(const char *id, const char *name, const char *data) {
  AUTO(str_done) struct str text;
  str_init(&text, REPLY_BYTES_MAX);
  put_frame(&text, id, name, data);
  return text.failed ? NULL : chunk_new(text.text, text.length);
}

static bool put_event(struct str *out, const struct server *server, const struct event_row *event) {
  AUTO(json_release) json_t *object = event_object(server, event);
  AUTO(str_done) struct str data;
  char id[24];
  str_init(&data, REPLY_BYTES_MAX);
  const char *name = event->metrics ? "metrics" : "log";
  if (json_object_get(json_object_get(object, "data"), "checkpoint"))
    name = "checkpoint";
  snprintf(id, sizeof id, "%lld", (long long)event->seq);
  if (!object || !json_append(&data, object))
    return false;
  put_frame(out, id, name, data.text);
  return !out->failed;
}

/* ---- what the store has ---- */

/* The events after `after`. NULL: there are none, or *status says why they cannot be read. */
static struct chunk *events_after(struct feed *feed, int64_t after, int64_t *last, enum status *status) {
  AUTO(arena_done) struct arena arena;
  AUTO(str_done) struct str text;
  struct event_row *events;
  struct error err;
  size_t count, i;
  *status = STATUS_OK;
  arena_init(&arena, ARENA_BYTES);
  str_init(&text, REPLY_BYTES_MAX);
  if (feed->recent && feed->recent_after == after) {
    *last = feed->recent_last;
    return chunk_share(feed->recent);
  }
  *status = db_event_after(&events, &count, feed->feeds->server->db, feed->id, after, EVENTS_AT_ONCE, &arena, &err);
  if (*status) {
    log_warn("events of %s: %s", feed->id, err.text);
    return NULL;
  }
  for (i = 0; i < count && text.length < STREAM_CHUNK_BYTES; i++)
    if (!put_event(&text, feed->feeds->server, &events[i])) {
      *status = STATUS_OUT_OF_MEMORY;
      return NULL;
    }
  if (i == 0)
    return NULL;
  chunk_drop(feed->recent);
  feed->recent = chunk_new(text.text, text.length);
  feed->recent_after = after;
  *last = feed->recent_last = events[i - 1].seq;
  *status = feed->recent ? STATUS_OK : STATUS_OUT_OF_MEMORY;
  return feed->recent ? chunk_share(feed->recent) : NULL;
}

static void say(struct said *said, struct chunk *chunk) {
  if (!chunk)
    return; /* no memory now: the next change says more */
  chunk_drop(said->chunk);
  said->chunk = chunk;
  said->version++;
  said->at_ms = clock_boot_ms();
}

static enum status say_status(struct feed *feed, const struct job_row *job, int64_t position, struct arena *arena,
                              struct error *err) {
  AUTO(str_done) struct str text;
  char shown[sizeof feed->shown];
  str_init(&text, REPLY_BYTES_MAX);
  snprintf(shown, sizeof shown, "%d %d %lld %lld %lld %lld %lld %s", job->state, job->pause_requested_at != 0,
           (long long)job->cancel_requested_at, (long long)position, (long long)job->priority, (long long)job->attempts,
           (long long)job->restarts, job->device ? job->device : "");
  if (feed->status.chunk && strcmp(shown, feed->shown) == 0)
    return STATUS_OK;
  enum status status = job_object(&text, feed->feeds->server, job, position, arena, err);
  if (status)
    return status;
  memcpy(feed->shown, shown, sizeof shown);
  say(&feed->status, frame(NULL, "status", text.text));
  return STATUS_OK;
}

static void say_progress(struct feed *feed, const struct job_row *job) {
  bool same = feed->progress_text && strcmp(feed->progress_text, job->progress) == 0;
  feed->progress_waits =
      !same && clock_boot_ms() - feed->progress.at_ms < PROGRESS_MS && !job_state_terminal(job->state);
  if (same || feed->progress_waits)
    return;
  free(feed->progress_text);
  feed->progress_text = strdup(job->progress);
  say(&feed->progress, frame(NULL, "progress", job->progress));
}

static enum status read_job(struct feed *feed, struct arena *arena, struct error *err) {
  struct db *db = feed->feeds->server->db;
  struct job_row job;
  int64_t position;
  enum status status = db_job_get(&job, db, feed->tenant, feed->id, arena, err);
  if (status == STATUS_JOB_NOT_FOUND) {
    feed->gone = true;
    return STATUS_OK;
  }
  if (!status)
    status = db_queue_positions(&position, db, feed->tenant, &job, 1, err);
  if (!status)
    status = db_event_last(&feed->last, db, feed->id, err);
  if (!status)
    status = say_status(feed, &job, position, arena, err);
  if (status)
    return status;
  feed->state = job.state;
  if (job.progress)
    say_progress(feed, &job);
  return STATUS_OK;
}

/* Reads what may have changed. True: there is something to say. */
static bool look_at(struct feed *feed, bool queue, int64_t now_ms) {
  AUTO(arena_done) struct arena arena;
  struct error err;
  enum status status = STATUS_OK;
  int64_t last = feed->last;
  uint64_t told = feed->status.version + feed->progress.version;
  bool waits = feed->state == JOB_QUEUED || feed->state == JOB_VALIDATING;
  bool progress = feed->progress_waits && now_ms - feed->progress.at_ms >= PROGRESS_MS;
  arena_init(&arena, ARENA_BYTES);
  if (feed->changed || progress || (queue && waits))
    status = read_job(feed, &arena, &err);
  else if (feed->feeds->events_came)
    status = db_event_last(&feed->last, feed->feeds->server->db, feed->id, &err);
  feed->changed = status != STATUS_OK; /* it is tried again in the next turn */
  if (status)
    log_warn("what became of %s: %s", feed->id, err.text);
  return feed->last != last || feed->status.version + feed->progress.version != told || feed->gone;
}

void event_stream_look(struct feeds *feeds) {
  int64_t now_ms = clock_boot_ms();
  bool queue = now_ms - feeds->queue_ms >= QUEUE_MS;
  if (queue)
    feeds->queue_ms = now_ms;
  for (struct feed *feed = feeds->first; feed; feed = feed->next)
    if (!feed->gone && look_at(feed, queue, now_ms))
      for (struct listener *listener = feed->listeners; listener; listener = listener->next)
        stream_wake(&listener->stream);
  feeds->events_came = false;
}

static void on_changed(void *context, bool is_event, int64_t row) {
  struct feeds *feeds = context;
  feeds->events_came |= is_event;
  for (struct feed *feed = is_event ? NULL : feeds->first; feed; feed = feed->next)
    feed->changed |= feed->seq == row;
}

/* ---- their lives ---- */

enum status event_stream_start(struct feeds **out, struct server *server, struct error *err) {
  *out = calloc(1, sizeof **out);
  if (!*out)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "starting the HTTP front");
  (*out)->server = server;
  db_watch(server->db, on_changed, *out);
  return STATUS_OK;
}

void event_stream_stop(struct feeds *feeds) {
  if (!feeds)
    return;
  CHECK(!feeds->first);
  db_watch(feeds->server->db, NULL, NULL);
  free(feeds);
}

static struct feed *feed_of(struct feeds *feeds, const struct job_row *job) {
  for (struct feed *feed = feeds->first; feed; feed = feed->next)
    if (feed->seq == job->seq)
      return feed;
  struct feed *feed = calloc(1, sizeof *feed);
  if (!feed)
    return NULL;
  *feed = (struct feed){.feeds = feeds, .seq = job->seq, .changed = true, .state = job->state};
  snprintf(feed->id, sizeof feed->id, "%s", job->id);
  snprintf(feed->tenant, sizeof feed->tenant, "%s", job->tenant);
  feed->next = feeds->first;
  feed->link = &feeds->first;
  if (feed->next)
    feed->next->link = &feed->next;
  feeds->first = feed;
  return feed;
}

static void leave(struct feed *feed) {
  if (feed->listeners)
    return;
  *feed->link = feed->next;
  if (feed->next)
    feed->next->link = feed->link;
  chunk_drop(feed->status.chunk);
  chunk_drop(feed->progress.chunk);
  chunk_drop(feed->recent);
  free(feed->progress_text);
  free(feed);
}

/* ---- a listener ---- */

static const char greeting[] = "retry: 3000\n\n";

/* What was said of the job, unless it has heard that. */
static bool pass_on(struct listener *listener, const struct said *said, uint64_t *heard) {
  if (!said->chunk || *heard == said->version)
    return false;
  *heard = said->version;
  stream_put(&listener->stream, chunk_share(said->chunk));
  return true;
}

static struct chunk *end_frame(const struct feed *feed) {
  char data[160];
  snprintf(data, sizeof data, "{\"job_id\":\"%s\",\"status\":\"%s\"}", feed->id,
           feed->gone ? "deleted" : job_state_name(feed->state));
  return frame("end", "end", data);
}

static void fill(struct stream *stream) {
  struct listener *listener = (struct listener *)stream;
  struct feed *feed = listener->feed;
  enum status status = STATUS_OK;
  struct chunk *events = NULL;
  if (!listener->greeted) {
    listener->greeted = true;
    stream_put(stream, chunk_new(greeting, sizeof greeting - 1));
    return;
  }
  if (feed->changed) /* it could not be read yet */
    return;
  if (listener->status == 0 && pass_on(listener, &feed->status, &listener->status))
    return;
  if (!feed->gone && listener->after < feed->last)
    events = events_after(feed, listener->after, &listener->after, &status);
  if (events)
    stream_put(stream, events);
  else if (status)
    stream_break(stream); /* it begins again after what it has */
  else if (pass_on(listener, &feed->progress, &listener->progress) ||
           pass_on(listener, &feed->status, &listener->status))
    return;
  else if (feed->gone || job_state_terminal(feed->state)) {
    stream_put(stream, end_frame(feed));
    stream_end(stream);
  }
}

static void done(struct stream *stream) {
  struct listener *listener = (struct listener *)stream;
  *listener->link = listener->next;
  if (listener->next)
    listener->next->link = listener->link;
  leave(listener->feed);
  free(listener);
}

static const struct stream_kind events_kind = {
    .content_type = "text/event-stream", .keep_alive = ": keep-alive\n\n", .fill = fill, .done = done};

/* "ftevent-12" or "12"; false: neither. */
static bool read_cursor(int64_t *out, const char *text) {
  char *end;
  if (strcmp(text, "end") == 0) {
    *out = END;
    return true;
  }
  text += strncmp(text, "ftevent-", 8) == 0 ? 8 : 0;
  if (*text < '0' || *text > '9')
    return false;
  errno = 0;
  *out = strtoll(text, &end, 10);
  return !*end && !errno;
}

/* Where to begin. Who begins again by himself (Last-Event-ID) at a place that is not there, as of a store that was
   restored from a backup, hears everything. */
static enum status find_place(int64_t *out, struct request *request, const struct job_row *job, struct error *err) {
  const char *after = query_get(&request->query, "after"), *again = request_header(request, "Last-Event-ID");
  int64_t last;
  *out = 0;
  enum status status = db_event_last(&last, request->server->db, job->id, err);
  if (status)
    return status;
  if (again && again[0]) {
    *out = read_cursor(out, again) && *out <= last ? *out : 0;
    return STATUS_OK;
  }
  if (after && after[0] && (!read_cursor(out, after) || *out > last))
    return error_set(err, STATUS_INVALID_CURSOR, "after", "after names no event of this job: %.64s", after);
  return STATUS_OK;
}

static enum status check_request(const struct request *request, struct error *err) {
  static const char *const of_lists[] = {"limit", "order"};
  for (size_t i = 0; i < COUNT_OF(of_lists); i++)
    if (query_get(&request->query, of_lists[i]))
      return error_set(err, STATUS_INVALID_VALUE, of_lists[i],
                       "%s is for lists; a stream has all events in their order", of_lists[i]);
  return streams_room(request, err);
}

void event_stream_open(struct request *request, const struct job_row *job) {
  struct error err;
  int64_t after;
  enum status status = check_request(request, &err);
  if (!status)
    status = find_place(&after, request, job, &err);
  if (status) {
    reply_error(request, &err);
    return;
  }
  if (after == END && job_state_terminal(job->state)) {
    reply_nothing(request);
    return;
  }
  struct listener *listener = calloc(1, sizeof *listener);
  struct feed *feed = listener ? feed_of(request->server->feeds, job) : NULL;
  if (!feed) {
    free(listener);
    error_set(&err, STATUS_OUT_OF_MEMORY, NULL, "opening a stream");
    reply_error(request, &err);
    return;
  }
  listener->feed = feed;
  listener->after = after == END ? 0 : after;
  listener->next = feed->listeners;
  listener->link = &feed->listeners;
  if (listener->next)
    listener->next->link = &listener->next;
  feed->listeners = listener;
  stream_open(&listener->stream, &events_kind, request);
}
