#include "server/artifacts.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/rng.h"
#include "server/host.h"
#include "server/paths.h"
#include "storage/artifact.h"
#include "storage/db_artifact.h"
#include "storage/db_file.h"

enum {
  READS_MAX = 4,      /* of artifacts that the disk does not give back */
  PREVIEWS_MAX = 128, /* of a job: the newest */
};

/* Its texts are the event's. */
static enum status read_event(struct announced *out, const struct event *event, struct error *err) {
  *out = (struct announced){0};
  enum status status = json_get_string(&out->name, event->data, "name", "", err);
  if (!status)
    status = json_get_string(&out->path, event->data, "path", "", err);
  if (!status)
    status = json_get_string(&out->sha256, event->data, "sha256", "", err);
  if (!status)
    status = json_get_int(&out->bytes, event->data, "bytes", -1, 0, INT64_MAX, err);
  if (!status)
    status = json_get_bool(&out->result_file, event->data, "result_file", false, err);
  if (status)
    return status;
  if (!artifact_name_valid(out->name) || !artifact_path_valid(out->path) || strlen(out->sha256) != HASH_HEX - 1)
    return error_set(err, STATUS_WORKER_CRASHED, NULL, "an artifact whose name, path or hash is not allowed: %.80s",
                     out->name);
  return STATUS_OK;
}

enum status artifacts_note(struct artifacts *artifacts, const struct event *event, struct error *err) {
  struct announced read, *item = &artifacts->item[artifacts->count];
  struct arena *arena = &artifacts->run->arena;
  if (artifacts->count == ANNOUNCED_MAX)
    return error_set(err, STATUS_WORKER_CRASHED, NULL, "more than %d artifacts", ANNOUNCED_MAX);
  enum status status = read_event(&read, event, err);
  if (status)
    return status;
  for (size_t i = 0; i < artifacts->count; i++)
    if (strcmp(artifacts->item[i].name, read.name) == 0)
      return error_set(err, STATUS_WORKER_CRASHED, "name", "the artifact %.80s twice", read.name);
  *item = read;
  item->name = arena_string(arena, read.name);
  item->path = arena_string(arena, read.path);
  item->sha256 = arena_string(arena, read.sha256);
  if (!item->name || !item->path || !item->sha256)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "noting an artifact");
  artifacts->count++;
  return STATUS_OK;
}

bool artifacts_is_preview(const struct event *event) {
  return json_is_true(json_object_get(event->data, "preview"));
}

static struct artifact_row row_of(const struct artifacts *artifacts, const struct announced *item, const char *path) {
  return (struct artifact_row){.job_id = artifacts->run->id,
                               .name = item->name,
                               .path = path,
                               .bytes = item->bytes,
                               .sha256 = item->sha256,
                               .created_at = clock_unix()};
}

enum status artifacts_store_preview(const struct artifacts *artifacts, const struct event *event, int64_t *forgotten,
                                    struct error *err) {
  char path[PATH_BYTES];
  struct announced item;
  int64_t gone = 0;
  enum status status = read_event(&item, event, err);
  status = status ? status : path_format(path, err, "%s/%s", artifacts->output, item.path);
  if (status)
    return status;
  const struct artifact_row row = row_of(artifacts, &item, path);
  status = db_artifact_add_preview(artifacts->run->server->db, &row, PREVIEWS_MAX, &gone, err);
  *forgotten += gone;
  return status;
}

static void verify(uv_work_t *work) {
  struct artifacts *artifacts = work->data;
  struct error *broken = &artifacts->broken;
  char folder[PATH_BYTES];
  enum status status = path_format(folder, broken, "%s/%s", artifacts->run->server->config->data, artifacts->output);
  for (size_t i = 0; !status && i < artifacts->count; i++) {
    const struct announced *item = &artifacts->item[i];
    status = artifact_verify(folder, item->path, item->bytes, item->sha256, broken);
  }
  artifacts->is_broken = status != STATUS_OK;
  artifacts->reads++;
}

static void on_verified(uv_work_t *work, int code);

static void queue(void *context) {
  struct artifacts *artifacts = context;
  artifacts->work.data = artifacts;
  CHECK(uv_queue_work(artifacts->run->server->uv, &artifacts->work, verify, on_verified) == 0);
}

static void on_verified(uv_work_t *work, int code) {
  (void)code; /* never cancelled */
  struct artifacts *artifacts = work->data;
  /* What the machine could not do says nothing of the artifacts. Only its disk may stay as it is. */
  bool again = artifacts->is_broken && host_caused(artifacts->broken.status) &&
               (artifacts->broken.status != STATUS_IO || artifacts->reads < READS_MAX);
  if (again && !artifacts->run->server->draining)
    run_again(artifacts->run, queue, artifacts);
  else
    artifacts->verified(artifacts->run);
}

void artifacts_verify(struct artifacts *artifacts, void (*verified)(struct run *run)) {
  const struct death *death = &artifacts->run->death;
  artifacts->verified = verified;
  if (artifacts->count == 0 || death->exit_status != 0 || death->signal || death->fault)
    verified(artifacts->run);
  else
    queue(artifacts);
}

struct evidence artifacts_evidence(const struct artifacts *artifacts) {
  struct evidence evidence = run_evidence(artifacts->run);
  evidence.artifact_count = artifacts->count;
  evidence.broken = artifacts->is_broken ? &artifacts->broken : NULL;
  return evidence;
}

static enum status store_one(struct artifacts *artifacts, const struct announced *item, struct error *err) {
  struct run *run = artifacts->run;
  char file_id[40];
  struct artifact_row row =
      row_of(artifacts, item, arena_format(&run->arena, "%s/%s", artifacts->output, item->path));
  enum status status = STATUS_OK;
  if (!row.path)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "storing an artifact");
  if (item->result_file) {
    rng_id(file_id, sizeof file_id, "file-");
    row.file_id = file_id;
    struct file_row file = {.id = file_id,
                            .created_at = row.created_at,
                            .filename = item->name,
                            .purpose = "fine-tune-results",
                            .bytes = item->bytes,
                            .sha256 = item->sha256,
                            .path = row.path,
                            .job_id = run->id,
                            .status = FILE_PROCESSED};
    status = db_file_insert(run->server->db, &file, err);
  }
  return status ? status : db_artifact_add(run->server->db, &row, err);
}

enum status artifacts_store(struct artifacts *artifacts, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < artifacts->count; i++)
    status = store_one(artifacts, &artifacts->item[i], err);
  return status;
}
