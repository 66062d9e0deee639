#include "worker/export/export.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "worker/adapter/target.h"
#include "worker/file/tar.h"

enum status export_announce(const struct export *e, const char *name, const char *path, bool result_file,
                            struct error *err) {
  char full[1024], sha256[HASH_HEX];
  uint64_t bytes;
  snprintf(full, sizeof full, "%s/%s", e->output_dir, path);
  enum status status = file_hash(sha256, &bytes, full, err);
  if (status)
    return status;
  if (e->announced && json_array_append_new(e->announced, json_pack("{s:s s:I s:s}", "name", name, "bytes",
                                                                    (json_int_t)bytes, "sha256", sha256)))
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "announcing %s", name);
  report_data(e->report, EVENT_ARTIFACT, "",
              json_pack("{s:s s:s s:I s:s s:b}", "name", name, "path", path, "bytes", (json_int_t)bytes, "sha256",
                        sha256, "result_file", result_file));
  return STATUS_OK;
}

static int visible(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

/* What is packed: names relative to a folder. */
struct packing {
  struct arena arena;
  const char *names[64];
  size_t count;
};

/* The files of `path`, whose names begin with `within`; and those of the folders in it. */
static enum status list_files(struct packing *p, const char *path, const char *within, struct error *err) {
  struct dirent **entries;
  enum status status = STATUS_OK;
  int count = scandir(path, &entries, visible, alphasort);
  if (count < 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot read %s", path);
  for (int i = 0; i < count; i++) {
    char inner[1400], *name = arena_format(&p->arena, "%s%s", within, entries[i]->d_name);
    struct stat info;
    snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
    bool folder = stat(inner, &info) == 0 && S_ISDIR(info.st_mode);
    if (!status && (!name || p->count == COUNT_OF(p->names)))
      status = error_no_memory(err, "the names of files");
    if (!status && folder)
      status = list_files(p, inner, arena_format(&p->arena, "%s/", name), err);
    else if (!status)
      p->names[p->count++] = name;
    free(entries[i]);
  }
  free(entries);
  return status;
}

enum status export_pack(const struct export *e, const char *folder, struct error *err) {
  char path[1024], name[300], packed[1100];
  struct packing packing = {0};
  snprintf(path, sizeof path, "%s/%s", e->output_dir, folder);
  snprintf(name, sizeof name, "%s.tar", folder);
  snprintf(packed, sizeof packed, "%s/%s", e->output_dir, name);
  arena_init(&packing.arena, 1 << 20);
  enum status status = list_files(&packing, path, "", err);
  status = status ? status : tar_pack(packed, path, packing.names, packing.count, NULL, NULL, err);
  arena_done(&packing.arena);
  status = status ? status : file_remove_tree(path, err);
  return status ? status : export_announce(e, name, name, false, err);
}

/* Is it the tensor `kind` of the module? The base's file may lack the model's prefix ("bert."), or have it where the
   module's path has none. */
static bool is_of(const struct model *m, const char *tensor, const char *module, const char *kind) {
  char name[600], prefixed[700];
  snprintf(name, sizeof name, "%s.%s", module, kind);
  snprintf(prefixed, sizeof prefixed, "%s%s", m->ops->prefix, name);
  return target_suffix(name, tensor) || (m->output == OUTPUT_EMBEDDING && strcmp(prefixed, tensor) == 0);
}

/* False: it is another tensor than the module's bias, or that was not trained. */
static bool take_bias(float *out, const struct model *m, const char *tensor, const struct linear *l) {
  if (!l->trained_bias || !is_of(m, tensor, l->name, "bias"))
    return false;
  memcpy(out, l->trained_bias->data, l->out * sizeof *out);
  return true;
}

/* From out x in to the file's in x out. */
static enum status transpose(float *numbers, const struct linear *l, struct error *err) {
  float *copy = malloc(l->out * l->in * sizeof *copy);
  if (!copy)
    return error_no_memory(err, "the merged model");
  memcpy(copy, numbers, l->out * l->in * sizeof *copy);
  for (size_t i = 0; i < l->in; i++)
    for (size_t j = 0; j < l->out; j++)
      numbers[i * l->out + j] = copy[j * l->in + i];
  free(copy);
  return STATUS_OK;
}

enum status export_numbers(float *out, const struct export *e, const char *name, struct error *err) {
  const struct model *m = e->model;
  for (size_t i = 0; i < m->linear_count; i++) {
    const struct linear *l = m->linears[i];
    const struct adapter *adapter = adapter_of(m->adapters, m->adapter_count, l);
    if (is_of(m, name, l->name, "weight") && (adapter || l->trained_weight)) {
      if (adapter)
        adapter->ops->merge(adapter, m->backend, out);
      else
        memcpy(out, l->trained_weight->data, l->out * l->in * sizeof *out);
      return l->conv1d ? transpose(out, l, err) : STATUS_OK;
    }
    if (take_bias(out, m, name, l))
      return STATUS_OK;
  }
  if (m->convolution && take_bias(out, m, name, m->convolution))
    return STATUS_OK;
  for (size_t i = 0; i < m->norm_count; i++)
    if (m->norms[i].norm->trained_bias && is_of(m, name, m->norms[i].name, "bias")) {
      memcpy(out, m->norms[i].norm->trained_bias->data, m->norms[i].norm->channels * sizeof *out);
      return STATUS_OK;
    }
  enum status status = checkpoint_read(out, &m->checkpoint, name, err);
  const struct token_rows *rows = m->token_rows;
  if (status || !rows || !rows->count ||
      !(is_of(m, name, rows->module, "weight") || (rows->in_head && is_of(m, name, m->head->name, "weight"))))
    return status;
  size_t C = rows->table->cols;
  for (size_t i = 0; i < rows->count; i++)
    memcpy(out + (size_t)rows->ids[i] * C, rows->trained->data + i * C, C * sizeof *out);
  return STATUS_OK;
}

static enum status write_one(const struct export *e, struct export_choice choice, struct error *err) {
  switch (choice.format) {
  case EXPORT_PEFT: return STATUS_OK; /* always there */
  case EXPORT_LORA: return export_lora(e, err);
  case EXPORT_MERGED: return export_merged(e, choice.type, err);
  case EXPORT_GGUF: return export_gguf(e, choice.type, err);
  case EXPORT_GGUF_LORA: return export_gguf_lora(e, err);
  case EXPORT_DIFFUSERS_LORA: return export_diffusers_lora(e, err);
  case EXPORT_KOHYA_LORA: return export_kohya_lora(e, err);
  case EXPORT_FORMAT_COUNT: break;
  }
  CHECK(!"a format");
}

enum status export_formats(const struct export *e, const struct string_list *formats, struct error *err) {
  struct model *m = e->model;
  enum status status = adapter_forward_factors(m->adapters, m->adapter_count, m->backend, err);
  status = status ? status : parameter_download(&m->parameters, err);
  for (size_t i = 0; !status && i < formats->count; i++) {
    struct export_choice choice;
    if (!export_parse(&choice, formats->item[i]))
      return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports", "exports: \"%.40s\" is no format", formats->item[i]);
    status = write_one(e, choice, err);
    if (status)
      error_prefix(err, "export %s", formats->item[i]);
    else
      status = report_poll(e->report, err);
  }
  return status;
}
