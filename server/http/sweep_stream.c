#include "server/http/sweep_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "server/http/reply.h"
#include "server/http/stream.h"
#include "server/http/sweep_object.h"

enum { ARENA_BYTES = 64 << 20 };

struct watcher {
  struct stream stream; /* first: the stream is the watcher */
  char id[80];
  struct db_version seen; /* of the store, when it was read last; nothing is read while it is the same */
  char said[HASH_HEX];    /* of the object that was told last; "": none yet */
  const char *end;        /* how it ended; NULL: not yet */
};

/* JSON has no line ends in it: one `data` line is enough. */
static void put_frame(struct stream *stream, const char *head, const char *data) {
  AUTO(str_done) struct str text;
  str_init(&text, REPLY_BYTES_MAX);
  str_printf(&text, "%sdata: ", head);
  str_puts(&text, data);
  str_puts(&text, "\n\n");
  stream_put(stream, text.failed ? NULL : chunk_new(text.text, text.length));
}

static enum status read_sweep(struct str *out, struct watcher *watcher, struct arena *arena, struct error *err) {
  const struct request *request = watcher->stream.request;
  struct db *db = request->server->db;
  AUTO(json_release) json_t *object = NULL;
  struct sweep_row sweep;
  enum status status = db_sweep_get(&sweep, db, request->tenant, watcher->id, arena, err);
  if (status == STATUS_SWEEP_NOT_FOUND) {
    watcher->end = "deleted";
    return STATUS_OK;
  }
  if (!status)
    status = sweep_object(&object, db, &sweep, arena, err);
  if (status)
    return status;
  if (strcmp(json_string_value(json_object_get(object, "status")), "finished") == 0)
    watcher->end = "finished";
  return json_append(out, object) ? STATUS_OK : error_no_memory(err, "the sweep");
}

/* What is new of it, into `out`, which stays empty where nothing is. */
static enum status look(struct str *out, struct watcher *watcher, struct error *err) {
  AUTO(arena_done) struct arena arena;
  struct db_version now;
  char hash[HASH_HEX];
  arena_init(&arena, ARENA_BYTES);
  enum status status = db_version(&now, watcher->stream.request->server->db, err);
  if (status || (watcher->said[0] && db_version_same(&now, &watcher->seen)))
    return status;
  status = read_sweep(out, watcher, &arena, err);
  if (status)
    return status;
  watcher->seen = now;
  hash_bytes(hash, out->text, out->length);
  if (strcmp(hash, watcher->said) == 0)
    str_clear(out);
  memcpy(watcher->said, hash, sizeof hash);
  return STATUS_OK;
}

static void fill(struct stream *stream) {
  struct watcher *watcher = (struct watcher *)stream;
  AUTO(str_done) struct str text;
  struct error err;
  char data[160];
  bool first = !watcher->said[0];
  str_init(&text, REPLY_BYTES_MAX);
  if (!watcher->end && look(&text, watcher, &err)) {
    log_warn("what became of %s: %s", watcher->id, err.text);
    stream_break(stream); /* who listens begins again */
    return;
  }
  if (text.length > 0) {
    put_frame(stream, first ? "retry: 3000\nevent: status\n" : "event: status\n", text.text);
  } else if (watcher->end) {
    snprintf(data, sizeof data, "{\"sweep_id\":\"%s\",\"status\":\"%s\"}", watcher->id, watcher->end);
    put_frame(stream, "id: end\nevent: end\n", data);
    stream_end(stream);
  }
}

static void done(struct stream *stream) {
  free(stream);
}

static const struct stream_kind sweep_kind = {
    .content_type = "text/event-stream", .keep_alive = ": keep-alive\n\n", .polls = true, .fill = fill, .done = done};

/* Does who asks know already how it ended? */
static enum status knows_end(bool *out, struct request *request, const struct sweep_row *sweep, struct error *err) {
  const char *last = request_header(request, "Last-Event-ID");
  AUTO(json_release) json_t *object = NULL;
  *out = false;
  if (!last || strcmp(last, "end") != 0)
    return STATUS_OK;
  enum status status = sweep_object(&object, request->server->db, sweep, &request->arena, err);
  if (!status)
    *out = strcmp(json_string_value(json_object_get(object, "status")), "finished") == 0;
  return status;
}

void sweep_stream_open(struct request *request, const char *id) {
  struct sweep_row sweep;
  struct error err;
  bool knows = false;
  enum status status = db_sweep_get(&sweep, request->server->db, request->tenant, id, &request->arena, &err);
  status = status ? status : knows_end(&knows, request, &sweep, &err);
  status = status ? status : streams_room(request, &err);
  struct watcher *watcher = status || knows ? NULL : calloc(1, sizeof *watcher);
  if (!status && !knows && !watcher)
    status = error_no_memory(&err, "a stream");
  if (status) {
    reply_error(request, &err);
  } else if (knows) {
    reply_nothing(request);
  } else {
    snprintf(watcher->id, sizeof watcher->id, "%s", sweep.id);
    stream_open(&watcher->stream, &sweep_kind, request);
  }
}
