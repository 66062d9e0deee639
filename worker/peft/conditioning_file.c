#include "worker/peft/conditioning_file.h"

#include <stdio.h>
#include <unistd.h>

#include "worker/file/safetensors.h"
#include "worker/model/conditioning_embedding.h"

static void path_of(char path[4500], const char *folder) {
  snprintf(path, 4500, "%s/%s", folder, conditioning_embedding_file);
}

static size_t count_of(const struct model *m) {
  size_t count = 0;
  for (size_t i = 0; i < m->parameters.count; i++)
    count += m->parameters.item[i]->file == conditioning_embedding_file;
  return count;
}

bool conditioning_file_is(const char *folder) {
  char path[4500];
  path_of(path, folder);
  return access(path, F_OK) == 0;
}

static enum status fill(struct model *m, const struct safetensors *file, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < m->parameters.count; i++) {
    struct parameter *p = m->parameters.item[i];
    const struct st_tensor *t = p->file ? safetensors_find(file, p->key) : NULL;
    bool same = t && t->rank == p->rank;
    for (int k = 0; same && k < p->rank; k++)
      same = t->shape[k] == p->shape[k];
    if (p->file && !same)
      status = error_set(err, STATUS_MODEL_INVALID, "adapter", "%s has no tensor %s of this model's shape",
                         conditioning_embedding_file, p->key);
    else if (t)
      status = st_to_f32(p->data, t, err);
  }
  if (!status && file->count != count_of(m))
    status = error_set(err, STATUS_MODEL_INVALID, "adapter", "%s has %zu tensors; of this model it has %zu",
                       conditioning_embedding_file, file->count, count_of(m));
  return status;
}

enum status conditioning_file_load(struct model *m, const char *folder, struct error *err) {
  char path[4500];
  struct safetensors file;
  const bool is = conditioning_file_is(folder), wanted = count_of(m) > 0;
  if (is != wanted)
    return error_set(err, STATUS_MODEL_INVALID, "adapter",
                     wanted ? "the adapter has no %s: it is of no controllable generation"
                            : "the adapter has a %s: it is of controllable generation alone",
                     conditioning_embedding_file);
  if (!is)
    return STATUS_OK;
  path_of(path, folder);
  enum status status = safetensors_open(&file, path, err);
  if (status)
    return status;
  status = fill(m, &file, err);
  safetensors_close(&file);
  return status;
}
