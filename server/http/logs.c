/* /v1/fine_tuning/jobs/{job_id}/logs: what a job's workers wrote, all of it or the last lines, and what they go on to
   write. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/http/reply.h"
#include "server/http/stream.h"
#include "server/paths.h"
#include "storage/db_job.h"

enum { ARENA_BYTES = 8 << 20, READ_BYTES = 32 << 10, TAIL_MAX = 10000, TAIL_BYTES_MAX = 4 << 20 };

static const char type[] = "text/plain; charset=utf-8";

/* A log that is followed. */
struct follower {
  struct stream stream; /* first: the stream is the follower */
  char path[PATH_BYTES];
  int fd; /* -1: no worker has run yet */
  int64_t at;
};

/* Where the last `lines` lines begin: no further back than TAIL_BYTES_MAX. */
static int64_t tail_of(int fd, int64_t size, int64_t lines) {
  char part[READ_BYTES];
  int64_t end = size, least = size > TAIL_BYTES_MAX ? size - TAIL_BYTES_MAX : 0;
  if (lines == 0)
    return size;
  while (end > least) {
    int64_t begin = end - READ_BYTES > least ? end - READ_BYTES : least;
    ssize_t length = pread(fd, part, (size_t)(end - begin), begin);
    if (length != end - begin)
      return begin;
    for (ssize_t i = length - 1; i >= 0; i--)
      if (part[i] == '\n' && begin + i + 1 < size && --lines == 0) /* the end of the last line begins none */
        return begin + i + 1;
    end = begin;
  }
  return least;
}

/* ---- following ---- */

/* Will nothing be written any more? */
static bool has_ended(const struct follower *follower) {
  AUTO(arena_done) struct arena arena;
  const struct request *request = follower->stream.request;
  struct job_row job;
  struct error err;
  arena_init(&arena, ARENA_BYTES);
  enum status status = db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &arena, &err);
  return status ? status == STATUS_JOB_NOT_FOUND : job_state_terminal(job.state);
}

static void fill(struct stream *stream) {
  struct follower *follower = (struct follower *)stream;
  char part[READ_BYTES];
  bool ended = has_ended(follower); /* before the rest is read */
  if (follower->fd < 0)
    follower->fd = open(follower->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  ssize_t length = follower->fd < 0 ? 0 : pread(follower->fd, part, sizeof part, follower->at);
  if (length > 0) {
    follower->at += length;
    stream_put(stream, chunk_new(part, (size_t)length));
  } else if (length < 0) {
    stream_break(stream);
  } else if (ended) {
    stream_end(stream);
  }
}

static void done(struct stream *stream) {
  struct follower *follower = (struct follower *)stream;
  if (follower->fd >= 0)
    close(follower->fd);
  free(follower);
}

static const struct stream_kind follow_kind = {.content_type = type, .polls = true, .fill = fill, .done = done};

static void follow(struct request *request, const char *path, int fd, int64_t first) {
  struct error err;
  enum status status = streams_room(request, &err);
  struct follower *follower = status ? NULL : calloc(1, sizeof *follower);
  if (!status && !follower)
    status = error_set(&err, STATUS_OUT_OF_MEMORY, NULL, "opening a stream");
  if (status) {
    if (fd >= 0)
      close(fd);
    reply_error(request, &err);
    return;
  }
  follower->fd = fd;
  follower->at = first;
  snprintf(follower->path, sizeof follower->path, "%s", path);
  stream_open(&follower->stream, &follow_kind, request);
}

/* ---- all there is now ---- */

static void reply_log(struct request *request, int fd, int64_t first, int64_t size) {
  struct error err;
  if (fd < 0) /* no worker has run yet: an empty log */
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    error_set_errno(&err, STATUS_IO, NULL, "cannot open the log");
    reply_error(request, &err);
    return;
  }
  reply_file(request, &(struct reply_file){
                          .fd = fd, .first = (uint64_t)first, .bytes = (uint64_t)(size - first), .content_type = type});
}

void http_jobs_logs(struct request *request) {
  struct job_row job;
  struct error err;
  struct stat info;
  char path[PATH_BYTES];
  bool follows;
  int64_t lines, first = 0, size = 0;
  enum status status = query_bool(&follows, &request->query, "follow", &err);
  if (!status)
    status = query_int(&lines, &request->query, "tail", -1, 0, TAIL_MAX, &err);
  if (!status)
    status = db_job_get(&job, request->server->db, request->tenant, request_param(request, 0), &request->arena, &err);
  if (!status)
    status = path_format(path, &err, "%s/" PATH_LOG, request->server->config->data, job.id);
  if (status) {
    reply_error(request, &err);
    return;
  }
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
    size = info.st_size;
  if (fd >= 0 && lines >= 0)
    first = tail_of(fd, size, lines);
  if (follows)
    follow(request, path, fd, first);
  else
    reply_log(request, fd, first, size);
}
