#include "cli/upload_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "cli/text.h"

enum { CHUNK_BYTES = 1 << 16, TRIES = 4, PAUSE_S = 2, PARTS_MAX = 5000, ID_BYTES = 64 };

struct part {
  char sha256[HASH_HEX];
  char id[ID_BYTES]; /* "": the server has it not */
};

struct sending {
  struct cli *cli;
  const char *path, *name;
  const struct http_progress *progress;
  int fd;
  uint64_t bytes, part_bytes;
  size_t count;
  struct part *parts;
  char md5[MD5_HEX];
  char upload_id[ID_BYTES];
  uint64_t done; /* bytes before the part that is being sent */
};

static uint64_t length_of(const struct sending *sending, size_t index) {
  uint64_t begin = index * sending->part_bytes, left = sending->bytes - begin;
  return left < sending->part_bytes ? left : sending->part_bytes;
}

/* What each part and all of it is, before anything is sent. */
static enum status hash_all(struct sending *sending, struct error *err) {
  char *chunk = malloc(CHUNK_BYTES);
  struct md5 md5;
  if (!chunk)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "reading %s", sending->path);
  enum status status = STATUS_OK;
  md5_begin(&md5);
  for (size_t i = 0; !status && i < sending->count; i++) {
    struct hash hash;
    hash_init(&hash);
    for (uint64_t left = length_of(sending, i); !status && left > 0;) {
      ssize_t n = read(sending->fd, chunk, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0) {
        status = error_set(err, STATUS_IO, NULL, "%s ended before its size: does something write it?", sending->path);
        break;
      }
      hash_add(&hash, chunk, (size_t)n);
      md5_add(&md5, chunk, (size_t)n);
      left -= (uint64_t)n;
    }
    hash_hex(&hash, sending->parts[i].sha256);
  }
  md5_hex(&md5, sending->md5);
  free(chunk);
  return status;
}

/* ---- an upload that was begun ---- */

/* Notes the ids of the parts of an upload; *foreign: it has one that is none of this file's. */
static enum status match_parts(struct sending *sending, const char *upload_id, bool *foreign, struct error *err) {
  AUTO(str_done) struct str path;
  AUTO(str_done) struct str after;
  bool more = true;
  enum status status = STATUS_OK;
  str_init(&path, 1024);
  str_init(&after, ID_BYTES);
  *foreign = false;
  while (!status && more) {
    AUTO(json_release) json_t *answer = NULL;
    const json_t *part;
    size_t index;
    cli_path(&path, "/v1/uploads/", upload_id, "/parts?order=asc");
    if (after.length) {
      str_puts(&path, "&after=");
      http_escape(&path, after.text);
    }
    status = http_json(&sending->cli->http, &answer, "GET", path.text, NULL, err);
    json_array_foreach(json_object_get(answer, "data"), index, part) {
      bool known = false;
      str_clear(&after);
      str_puts(&after, text_member(part, "id", ""));
      for (size_t i = 0; i < sending->count; i++)
        if (strcmp(sending->parts[i].sha256, text_member(part, "sha256", "")) == 0) {
          snprintf(sending->parts[i].id, ID_BYTES, "%s", text_member(part, "id", ""));
          known = true;
        }
      *foreign |= !known;
    }
    more = json_is_true(json_object_get(answer, "has_more")) && after.length;
  }
  return status;
}

static void forget_parts(struct sending *sending) {
  for (size_t i = 0; i < sending->count; i++)
    sending->parts[i].id[0] = '\0';
}

/* The newest one of this name and size whose parts are this file's: its id, or "". */
static enum status find_begun(struct sending *sending, struct error *err) {
  AUTO(json_release) json_t *answer = NULL;
  const json_t *upload;
  size_t index;
  bool foreign;
  enum status status = http_json(&sending->cli->http, &answer, "GET", "/v1/uploads?limit=100", NULL, err);
  json_array_foreach(json_object_get(answer, "data"), index, upload) {
    const json_int_t bytes = json_integer_value(json_object_get(upload, "bytes"));
    if (strcmp(text_member(upload, "status", ""), "pending") != 0 || (uint64_t)bytes != sending->bytes ||
        strcmp(text_member(upload, "filename", ""), sending->name) != 0)
      continue;
    status = match_parts(sending, text_member(upload, "id", ""), &foreign, err);
    if (status)
      break;
    if (!foreign) {
      snprintf(sending->upload_id, ID_BYTES, "%s", text_member(upload, "id", ""));
      json_int_t there = json_integer_value(json_object_get(upload, "bytes_received"));
      if (there > 0)
        fprintf(stderr, "reflect: going on with %s: %lld of %llu bytes are there\n", sending->upload_id,
                (long long)there, (unsigned long long)sending->bytes);
      break;
    }
    forget_parts(sending); /* of another content, or in parts of another size */
  }
  return status;
}

static enum status begin(struct sending *sending, const char *purpose, struct error *err) {
  AUTO(json_release) json_t *answer = NULL;
  AUTO(json_release) json_t *body = json_pack("{ss ss ss sI}", "filename", sending->name, "purpose", purpose,
                                              "mime_type", "application/octet-stream", "bytes",
                                              (json_int_t)sending->bytes);
  if (!body)
    return error_set(err, STATUS_INVALID_VALUE, NULL, "%s: its name is not UTF-8", sending->path);
  enum status status = http_json(&sending->cli->http, &answer, "POST", "/v1/uploads", body, err);
  if (!status)
    snprintf(sending->upload_id, ID_BYTES, "%s", text_member(answer, "id", ""));
  return status;
}

/* ---- the parts ---- */

static void report(void *context, uint64_t done, uint64_t total) {
  const struct sending *sending = context;
  (void)total; /* of this part */
  uint64_t all = sending->done + done;
  sending->progress->report(sending->progress->context, all < sending->bytes ? all : sending->bytes, sending->bytes);
}

/* A connection that broke is tried again; what the server refuses is not. */
static bool again(const struct sending *sending, int *tries) {
  if (sending->cli->http.outcome != HTTP_BROKEN || ++*tries >= TRIES)
    return false;
  nanosleep(&(struct timespec){.tv_sec = (time_t)PAUSE_S * *tries}, NULL);
  return true;
}

static enum status send_part(struct sending *sending, size_t index, struct error *err) {
  AUTO(str_done) struct str path;
  struct part *part = &sending->parts[index];
  const struct http_progress progress = {report, sending};
  const struct http_bytes bytes = {sending->fd, sending->done, length_of(sending, index)};
  json_t *answer = NULL;
  int tries = 0;
  enum status status;
  str_init(&path, 1024);
  cli_path(&path, "/v1/uploads/", sending->upload_id, "/parts");
  do
    status = http_upload_bytes(&sending->cli->http, &answer, path.text, &bytes, &progress, err);
  while (status && again(sending, &tries));
  if (!status && strcmp(text_member(answer, "sha256", ""), part->sha256) != 0)
    status = error_set(err, STATUS_IO, NULL, "%s was changed while it was sent", sending->path);
  if (!status)
    for (size_t i = index; i < sending->count; i++) /* bytes that come again are sent once */
      if (strcmp(sending->parts[i].sha256, part->sha256) == 0)
        snprintf(sending->parts[i].id, ID_BYTES, "%s", text_member(answer, "id", ""));
  json_decref(answer);
  return status;
}

static enum status complete(struct sending *sending, json_t **out, struct error *err) {
  AUTO(str_done) struct str path;
  AUTO(json_release) json_t *answer = NULL;
  json_t *ids = json_array();
  for (size_t i = 0; i < sending->count; i++)
    json_array_append_new(ids, json_string(sending->parts[i].id));
  AUTO(json_release) json_t *body = json_pack("{so ss}", "part_ids", ids, "md5", sending->md5);
  int tries = 0;
  enum status status;
  str_init(&path, 1024);
  cli_path(&path, "/v1/uploads/", sending->upload_id, "/complete");
  do
    status = http_json(&sending->cli->http, &answer, "POST", path.text, body, err);
  while (status && (again(sending, &tries) || (err->status == STATUS_UPLOAD_BUSY &&
                                             ++tries < TRIES && !sleep(PAUSE_S))));
  if (!status)
    *out = json_incref(json_object_get(answer, "file"));
  if (!status && !json_is_object(*out))
    status = error_set(err, STATUS_IO, NULL, "the server completed %s without a file", sending->upload_id);
  return status;
}

static enum status send_all(struct sending *sending, json_t **out, const char *purpose, struct error *err) {
  enum status status = hash_all(sending, err);
  if (!status)
    status = find_begun(sending, err);
  if (!status && !sending->upload_id[0])
    status = begin(sending, purpose, err);
  for (size_t i = 0; !status && i < sending->count; i++) {
    if (!sending->parts[i].id[0])
      status = send_part(sending, i, err);
    sending->done += length_of(sending, i);
  }
  if (!status)
    return complete(sending, out, err);
  if (sending->upload_id[0] && sending->cli->http.outcome == HTTP_BROKEN)
    cli_note("reflect: the parts that arrived stay for a while; the same command goes on with", sending->upload_id);
  return status;
}

enum status upload_parts(struct cli *cli, json_t **out, const char *path, const char *purpose, uint64_t part_bytes,
                         const struct http_progress *progress, struct error *err) {
  struct sending sending = {.cli = cli, .path = path, .progress = progress, .part_bytes = part_bytes};
  const char *slash = strrchr(path, '/');
  struct stat info;
  *out = NULL;
  enum status status = http_check_readable(path, err);
  if (status)
    return status;
  sending.name = slash ? slash + 1 : path;
  sending.fd = open(path, O_RDONLY | O_CLOEXEC);
  if (sending.fd < 0 || fstat(sending.fd, &info) != 0)
    status = error_set_errno(err, STATUS_IO, NULL, "%s", path);
  if (!status) {
    sending.bytes = (uint64_t)info.st_size;
    if (sending.bytes / PARTS_MAX >= part_bytes) /* an upload has so many parts at most */
      sending.part_bytes = (sending.bytes / PARTS_MAX / (1 << 20) + 1) * (1 << 20);
    sending.count = (size_t)((sending.bytes + sending.part_bytes - 1) / sending.part_bytes);
    sending.parts = calloc(sending.count, sizeof *sending.parts);
    if (!sending.parts)
      status = error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "reading %s", path);
  }
  if (!status)
    status = send_all(&sending, out, purpose, err);
  free(sending.parts);
  if (sending.fd >= 0)
    close(sending.fd);
  return status;
}
