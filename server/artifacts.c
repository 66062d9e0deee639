#include "server/artifacts.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/rng.h"
#include "server/paths.h"
#include "storage/artifact.h"
#include "storage/db_artifact.h"
#include "storage/db_file.h"

enum status artifacts_note(struct run *run, const struct event *event, struct error *err) {
  const char *name, *path, *sha256;
  struct announced *item = &run->announced[run->announced_count];
  if (run->announced_count == ANNOUNCED_MAX)
    return error_set(err, STATUS_WORKER_CRASHED, NULL, "more than %d artifacts", ANNOUNCED_MAX);
  enum status status = json_get_string(&name, event->data, "name", "", err);
  if (!status)
    status = json_get_string(&path, event->data, "path", "", err);
  if (!status)
    status = json_get_string(&sha256, event->data, "sha256", "", err);
  if (!status)
    status = json_get_int(&item->bytes, event->data, "bytes", -1, 0, INT64_MAX, err);
  if (!status)
    status = json_get_bool(&item->result_file, event->data, "result_file", false, err);
  if (status)
    return status;
  if (!artifact_name_valid(name) || !artifact_path_valid(path) || strlen(sha256) != HASH_HEX - 1)
    return error_set(err, STATUS_WORKER_CRASHED, NULL, "an artifact whose name, path or hash is not allowed: %.80s",
                     name);
  for (size_t i = 0; i < run->announced_count; i++)
    if (strcmp(run->announced[i].name, name) == 0)
      return error_set(err, STATUS_WORKER_CRASHED, "name", "the artifact %.80s twice", name);
  item->name = arena_string(&run->arena, name);
  item->path = arena_string(&run->arena, path);
  item->sha256 = arena_string(&run->arena, sha256);
  if (!item->name || !item->path || !item->sha256)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "noting an artifact");
  run->announced_count++;
  return STATUS_OK;
}

static void verify(uv_work_t *work) {
  struct run *run = work->data;
  char folder[PATH_BYTES];
  enum status status = path_format(folder, &run->broken, "%s/%s", run->server->config->data, run->output);
  for (size_t i = 0; !status && i < run->announced_count; i++) {
    const struct announced *item = &run->announced[i];
    status = artifact_verify(folder, item->path, item->bytes, item->sha256, &run->broken);
  }
  run->is_broken = status != STATUS_OK;
}

static void queue(struct run *run);

static void on_verified(uv_work_t *work, int code) {
  (void)code; /* never cancelled */
  struct run *run = work->data;
  /* Files or memory of the machine were used up: that says nothing of the artifacts. */
  enum status why = run->is_broken ? run->broken.status : STATUS_OK;
  if ((why == STATUS_UNAVAILABLE || why == STATUS_OUT_OF_MEMORY) && !run->server->draining)
    run_again(run, queue);
  else
    run->verified(run);
}

static void queue(struct run *run) {
  run->verify.data = run;
  CHECK(uv_queue_work(run->server->uv, &run->verify, verify, on_verified) == 0);
}

void artifacts_verify(struct run *run, void (*verified)(struct run *run)) {
  const struct death *death = &run->death;
  run->verified = verified;
  if (run->announced_count == 0 || death->exit_status != 0 || death->signal || death->fault) {
    verified(run);
    return;
  }
  queue(run);
}

static enum status store_one(struct run *run, const struct announced *item, struct error *err) {
  char file_id[40];
  struct artifact_row row = {.job_id = run->id,
                             .name = item->name,
                             .path = arena_format(&run->arena, "%s/%s", run->output, item->path),
                             .bytes = item->bytes,
                             .sha256 = item->sha256,
                             .created_at = clock_unix()};
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

enum status artifacts_store(struct run *run, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < run->announced_count; i++)
    status = store_one(run, &run->announced[i], err);
  return status;
}
