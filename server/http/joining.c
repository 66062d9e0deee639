#include "server/http/joining.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <uv.h>

#include "base/rng.h"
#include "server/http/request.h"
#include "server/paths.h"
#include "storage/artifact.h"

enum { CHUNK_BYTES = 1 << 20 };

struct joining {
  struct joining *next, **link; /* in server->joinings */
  struct server *server;
  struct joining_plan plan;
  char id[40];
  char path[PATH_BYTES];
  char sha256[HASH_HEX];
  struct uploaded uploaded;
  upload_published *published;
  struct request *request;
  uv_work_t work;
  enum status status;
  struct error err;
};

/* One part to the end of the file. */
static enum status append(struct file_new *file, struct md5 *md5, char *chunk, const char *data,
                          const struct part_row *part, struct error *err) {
  struct hash hash;
  char sha256[HASH_HEX];
  int64_t bytes;
  int fd;
  ssize_t n;
  enum status status = artifact_open(&fd, &bytes, data, part->path, err);
  if (status)
    return status;
  hash_init(&hash);
  while (!status && ((n = read(fd, chunk, CHUNK_BYTES)) > 0 || (n < 0 && errno == EINTR)))
    if (n > 0) {
      hash_add(&hash, chunk, (size_t)n);
      md5_add(md5, chunk, (size_t)n);
      status = file_write(file, chunk, (size_t)n, err);
    }
  if (!status && n < 0)
    status = error_set_errno(err, STATUS_IO, NULL, "reading the part %s", part->id);
  close(fd);
  hash_hex(&hash, sha256);
  if (!status && strcmp(sha256, part->sha256) != 0)
    status = error_set(err, STATUS_DAMAGED, "part_ids",
                       "the bytes of the part %s are not those that were sent: cancel the upload and send it again",
                       part->id);
  return status;
}

static enum status write_all(struct joining *joining, struct file_new *file, char *chunk, struct error *err) {
  const struct joining_plan *plan = &joining->plan;
  char digest[MD5_HEX];
  struct md5 md5;
  enum status status = STATUS_OK;
  md5_begin(&md5);
  for (size_t i = 0; !status && i < plan->count; i++)
    status = append(file, &md5, chunk, joining->server->config->data, plan->parts[i], err);
  md5_hex(&md5, digest);
  if (!status && plan->md5 && strcasecmp(digest, plan->md5) != 0)
    status =
        error_set(err, STATUS_INVALID_VALUE, "md5", "the parts together have the MD5 %s, not %s", digest, plan->md5);
  return status;
}

static void join(uv_work_t *work) {
  struct joining *joining = work->data;
  struct error *err = &joining->err;
  struct file_new file = {.fd = -1};
  char path[PATH_BYTES], *chunk = malloc(CHUNK_BYTES);
  joining->status = chunk ? path_format(path, err, "%s/%s", joining->server->config->data, joining->path)
                          : error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "joining the parts");
  if (!joining->status)
    joining->status = file_create(&file, path, err);
  if (!joining->status)
    joining->status = write_all(joining, &file, chunk, err);
  if (!joining->status)
    joining->status = file_publish(&file, joining->sha256, err);
  file_discard(&file);
  free(chunk);
}

static void on_joined(uv_work_t *work, int code) {
  struct joining *joining = work->data;
  (void)code; /* never cancelled */
  joining->server->publishing--;
  joining->published(joining->request, &joining->uploaded, joining->status ? &joining->err : NULL);
  *joining->link = joining->next;
  if (joining->next)
    joining->next->link = joining->link;
  free(joining);
}

enum status joining_start(char file_id[40], const struct joining_plan *plan, upload_published *published,
                          struct request *request, struct error *err) {
  struct server *server = request->server;
  struct joining *joining = calloc(1, sizeof *joining);
  if (!joining)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "joining the parts");
  rng_id(joining->id, sizeof joining->id, "file-");
  enum status status = path_format(joining->path, err, PATH_FILE, joining->id);
  if (status) {
    free(joining);
    return status;
  }
  snprintf(file_id, 40, "%s", joining->id);
  joining->server = server;
  joining->plan = *plan;
  joining->published = published;
  joining->request = request;
  joining->uploaded = (struct uploaded){.id = joining->id,
                                        .filename = plan->upload->filename,
                                        .purpose = plan->upload->purpose,
                                        .expires_after = plan->upload->file_expires_after,
                                        .bytes = plan->upload->bytes,
                                        .sha256 = joining->sha256,
                                        .path = joining->path};
  joining->next = server->joinings;
  joining->link = &server->joinings;
  if (joining->next)
    joining->next->link = &joining->next;
  server->joinings = joining;
  server->publishing++;
  joining->work.data = joining;
  CHECK(uv_queue_work(server->uv, &joining->work, join, on_joined) == 0);
  return STATUS_OK;
}

bool joining_runs(const struct server *server, const char *upload_id) {
  for (const struct joining *joining = server->joinings; joining; joining = joining->next)
    if (strcmp(joining->plan.upload->id, upload_id) == 0)
      return true;
  return false;
}
