#include "server/served.h"

#include <stdio.h>

#include "server/inspected.h"
#include "server/materials.h"
#include "server/source.h"
#include "storage/db_checkpoint.h"
#include "storage/db_job.h"

enum { ID_BYTES = 64 };

/* The id of what has that name; "": a base model may have it. */
static enum status find_adapter(char id[ID_BYTES], struct server *server, const char *tenant, const char *name,
                                struct arena *arena, struct error *err) {
  struct job_row job;
  struct checkpoint_row checkpoint;
  bool found;
  id[0] = '\0';
  enum status status = db_job_of_model(&job, server->db, tenant, name, arena, err);
  if (status == STATUS_OK)
    snprintf(id, ID_BYTES, "%s", job.id);
  if (status != STATUS_MODEL_NOT_FOUND)
    return status;
  status = db_checkpoint_of_name(&checkpoint, &found, server->db, tenant, name, arena, err);
  if (!status && found)
    snprintf(id, ID_BYTES, "ftckpt-%lld", (long long)checkpoint.seq);
  return status;
}

static enum status find_base(struct served *out, struct server *server, const char *name, const char *id,
                             struct arena *arena, struct error *err) {
  enum status status = materials_model(&out->base, server->config->models, id, arena, err);
  if (status == STATUS_MODEL_NOT_FOUND && out->adapter)
    return error_set(err, status, "model", "%.200s was trained from %.128s, which is not in the models folder any more",
                     name, id);
  const struct inspected *inspected = status ? NULL : inspected_of(server->inspected, &out->base);
  if (!inspected || inspected->state != INSPECTED_KNOWN || !inspected->error.status)
    return status;
  *err = inspected->error;
  return err->status;
}

enum status served_find(struct served *out, struct server *server, const char *tenant, const char *name,
                        struct arena *arena, struct error *err) {
  char id[ID_BYTES];
  struct source source;
  *out = (struct served){0};
  enum status status = find_adapter(id, server, tenant, name, arena, err);
  if (status || !id[0])
    return status ? status : find_base(out, server, name, name, arena, err);
  status = source_find(&source, NULL, server, tenant, id, arena, err);
  if (status) {
    snprintf(err->param, sizeof err->param, "model");
    return status;
  }
  out->adapter = arena_string(arena, id);
  out->adapter_folder = source.path;
  return out->adapter ? find_base(out, server, name, source.model, arena, err) : error_no_memory(err, "the request");
}
