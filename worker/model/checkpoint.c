/* One view of three formats. What differs beyond the container is in checkpoint_gguf.c and checkpoint_ldm.c. */
#include "worker/model/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/split_file.h"
#include "base/str.h"
#include "worker/file/directory.h"
#include "worker/file/stand_in.h"
#include "worker/file/torch_file.h"
#include "worker/model/checkpoint_gguf.h"
#include "worker/model/checkpoint_ldm.h"

enum { ARENA_MAX = 64 << 20, FOLDER_FILES_MAX = 8, CONFIG_BYTES_MAX = 1 << 20 };

/* --- opening -------------------------------------------------------------------------------------- */

static enum status open_gguf(struct checkpoint *out, const char *path, struct error *err) {
  out->is_gguf = true;
  out->weights_path = arena_string(&out->arena, path);
  enum status status =
      out->weights_path ? gguf_open(&out->gguf, path, err) : error_no_memory(err, "a checkpoint's tables");
  if (status)
    return status;
  status = checkpoint_gguf_translate(out, err);
  return status && err ? error_prefix(err, "%s", path) : status;
}

/* Such tensors have other names, types and shapes; this says why before they are looked at. */
static enum status refuse_quantized(const json_t *config, struct error *err) {
  const json_t *quantization = json_object_get(config, "quantization_config");
  const char *method = json_string_value(json_object_get(quantization, "quant_method"));
  bool bits = json_object_get(quantization, "load_in_4bit") || json_object_get(quantization, "load_in_8bit");
  if (!quantization || json_is_null(quantization))
    return STATUS_OK;
  return error_set(err, STATUS_MODEL_INVALID, "model",
                   "config.json: quantization_config: weights quantized by %.40s are not read; name the model that "
                   "they were made from, in F32, F16 or BF16, or a GGUF file of it",
                   method ? method
                   : bits ? "bitsandbytes"
                          : "another library");
}

static enum status open_config(struct checkpoint *out, const char *folder, struct error *err) {
  char *path = arena_format(&out->arena, "%s/config.json", folder), *text = NULL;
  size_t length;
  enum status status =
      path ? file_read(&text, &length, path, CONFIG_BYTES_MAX, err) : error_no_memory(err, "a checkpoint's tables");
  if (!status) {
    status = stand_in_refuse(text, length, err);
    status = status ? status : json_parse(&out->config, text, length, NULL, err);
    free(text);
    if (status)
      error_prefix(err, "%s", path);
  }
  if (status == STATUS_OUT_OF_MEMORY)
    return status;
  if (status) {
    if (err)
      err->status = STATUS_MODEL_INVALID;
    return STATUS_MODEL_INVALID;
  }
  if (!json_is_object(out->config))
    return error_set(err, STATUS_MODEL_INVALID, NULL, "%s: must be an object, not %s", path, json_kind(out->config));
  return refuse_quantized(out->config, err);
}

#define DIFFUSERS "diffusion_pytorch_model"

static enum status open_diffusers_safetensors(struct safetensors *out, const char *directory, struct error *err) {
  return safetensors_open_named(out, directory, DIFFUSERS ".safetensors", safetensors_open, err);
}

static enum status open_diffusers_torch(struct safetensors *out, const char *directory, struct error *err) {
  return safetensors_open_named(out, directory, DIFFUSERS ".bin", torch_file_open, err);
}

static enum status open_half(struct safetensors *out, const char *directory, struct error *err) {
  return safetensors_open_named(out, directory, "model.fp16.safetensors", safetensors_open, err);
}

static enum status open_diffusers_half(struct safetensors *out, const char *directory, struct error *err) {
  return safetensors_open_named(out, directory, DIFFUSERS ".fp16.safetensors", safetensors_open, err);
}

/* The weights of a Hugging Face folder, in the order in which Transformers looks for them; then diffusers' names, and
   the variant of half precision, which is all that some pipelines were fetched with. */
static const struct weights_file {
  const char *name;
  enum status (*open)(struct safetensors *out, const char *directory, struct error *err);
} weights_files[] = {
    {"model.safetensors", safetensors_open_model},
    {"model.safetensors.index.json", safetensors_open_model},
    {"pytorch_model.bin", torch_file_open_model},
    {"pytorch_model.bin.index.json", torch_file_open_model},
    {DIFFUSERS ".safetensors", open_diffusers_safetensors},
    {DIFFUSERS ".safetensors.index.json", open_diffusers_safetensors},
    {DIFFUSERS ".bin", open_diffusers_torch},
    {"model.fp16.safetensors", open_half},
    {DIFFUSERS ".fp16.safetensors", open_diffusers_half},
};

/* NULL: the folder has none. */
static const struct weights_file *find_weights(const char **path, struct arena *arena, const char *folder) {
  for (size_t i = 0; i < COUNT_OF(weights_files); i++) {
    *path = arena_format(arena, "%s/%s", folder, weights_files[i].name);
    struct stat link; /* a link that leads nowhere is there, and is what the error must be about */
    if (*path && lstat(*path, &link) == 0)
      return &weights_files[i];
  }
  *path = NULL;
  return NULL;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The models in `folder` whose names end with ".gguf", the first few sorted; *count is all of them. */
static enum status list_gguf(const char *names[FOLDER_FILES_MAX], size_t *count, struct arena *arena,
                             const char *folder, struct error *err) {
  DIR *dir = opendir(folder);
  const struct dirent *entry;
  char path[PATH_MAX];
  *count = 0;
  if (!dir)
    return error_set_errno(err, STATUS_IO, NULL, "cannot open the folder %s", folder);
  while ((entry = readdir(dir))) {
    size_t length = strlen(entry->d_name);
    if (length <= 5 || entry->d_name[0] == '.' || strcmp(entry->d_name + length - 5, ".gguf") != 0)
      continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (split_file_follows(path))
      continue;
    if (*count < FOLDER_FILES_MAX && !(names[*count] = arena_string(arena, entry->d_name))) {
      closedir(dir);
      return error_no_memory(err, "a checkpoint's tables");
    }
    ++*count;
  }
  closedir(dir);
  qsort(names, *count < FOLDER_FILES_MAX ? *count : FOLDER_FILES_MAX, sizeof *names, by_text);
  return STATUS_OK;
}

static enum status too_many(const char *folder, const char *const *names, size_t count, struct error *err) {
  AUTO(str_done) struct str list;
  str_init(&list, 4096);
  for (size_t i = 0; i < count && i < FOLDER_FILES_MAX; i++)
    str_printf(&list, "%s%s", i ? ", " : "", names[i]);
  if (count > FOLDER_FILES_MAX)
    str_puts(&list, ", ...");
  return error_set(err, STATUS_MODEL_INVALID, NULL, "%s has %zu .gguf files (%s); exactly one is a model", folder,
                   count, list.text);
}

#define CONVERT "is not read; AutoModel's save_pretrained writes model.safetensors of it"

/* What people have instead of weights that are read, the likeliest cause first: what a name begins and ends with. */
static const struct other_file {
  const char *begin, *end, *what;
} other_files[] = {
    {"", "adapter_model.safetensors", "is an adapter: name its base model, and the adapter to start from beside it"},
    {"snapshots", "", "is of the Hugging Face cache: the model is the folder in it"},
    {"model-0", ".safetensors", "is a shard: model.safetensors.index.json is missing beside it"},
    {"pytorch_model-0", ".bin", "is a shard: pytorch_model.bin.index.json is missing beside it"},
    {"consolidated", ".safetensors", "has Mistral's own names; the files for Transformers are needed"},
    {"", ".incomplete", "is a download that was not finished"},
    {"", ".safetensors", "is not named model.safetensors, nor does a model.safetensors.index.json name it"},
    {"", ".bin", CONVERT},
    {"", ".pt", CONVERT},
    {"", ".pth", CONVERT},
    {"", ".ckpt", CONVERT},
    {"", ".h5", CONVERT},
    {"", ".msgpack", CONVERT},
    {"", ".onnx", "cannot be trained; the model that it was made from can"},
};

static bool is_other(const struct other_file *other, const char *name) {
  size_t begin = strlen(other->begin), end = strlen(other->end), length = strlen(name);
  return length >= begin && length >= end && memcmp(name, other->begin, begin) == 0 &&
         strcmp(name + length - end, other->end) == 0;
}

static enum status no_weights(const char *folder, struct error *err) {
  char found[240] = "";
  DIR *dir = opendir(folder);
  const struct dirent *entry;
  size_t best = COUNT_OF(other_files);
  while (dir && (entry = readdir(dir)))
    for (size_t i = 0; i < best; i++)
      if (is_other(&other_files[i], entry->d_name)) {
        best = i;
        snprintf(found, sizeof found, "; %.80s %s", entry->d_name, other_files[i].what);
      }
  if (dir)
    closedir(dir);
  return error_set(err, STATUS_MODEL_INVALID, NULL,
                   "%s has no model.safetensors, pytorch_model.bin, index of either's shards or .gguf file%s", folder,
                   found);
}

static enum status open_folder(struct checkpoint *out, const char *folder, struct error *err) {
  const char *names[FOLDER_FILES_MAX] = {0};
  size_t count;
  const struct weights_file *weights = find_weights(&out->weights_path, &out->arena, folder);
  if (weights) {
    enum status status = open_config(out, folder, err);
    return status ? status : weights->open(&out->tensors, folder, err);
  }
  enum status status = list_gguf(names, &count, &out->arena, folder, err);
  if (status)
    return status;
  if (count == 0)
    return no_weights(folder, err);
  if (count > 1)
    return too_many(folder, names, count, err);
  char *path = arena_format(&out->arena, "%s/%s", folder, names[0]);
  return path ? open_gguf(out, path, err) : error_no_memory(err, "a checkpoint's tables");
}

enum status checkpoint_open(struct checkpoint *out, const char *path, struct error *err) {
  struct stat info;
  *out = (struct checkpoint){0};
  arena_init(&out->arena, ARENA_MAX);
  if (stat(path, &info) != 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot open %s", path);
  enum status status = S_ISDIR(info.st_mode) ? open_folder(out, path, err) : open_gguf(out, path, err);
  if (status)
    checkpoint_close(out);
  return status;
}

/* --- single files --------------------------------------------------------------------------------- */

static enum status open_single_file(struct checkpoint *out, const struct single_file *file, const char *name,
                                    struct error *err) {
  char config[DIRECTORY_PATH_BYTES];
  const char *beside = arena_format(&out->arena, "%s/%s", file->folder, name);
  out->weights_path = arena_string(&out->arena, file->path);
  if (!beside || !out->weights_path)
    return error_no_memory(err, "a checkpoint's tables");
  enum status status = safetensors_open(&out->tensors, file->path, err);
  status = status ? status : checkpoint_ldm_check(&out->tensors, err);
  if (!status)
    status = directory_find(config, beside, "config.json")
                 ? open_config(out, beside, err)
                 : checkpoint_ldm_config(&out->config, &out->tensors, name, err);
  return status ? status : checkpoint_ldm_translate(out, name, err);
}

enum status checkpoint_open_component(struct checkpoint *out, const char *path, const char *name, struct error *err) {
  struct single_file file;
  char folder[PATH_MAX];
  if (!single_file_find(&file, path)) {
    snprintf(folder, sizeof folder, "%s/%s", path, name);
    return checkpoint_open(out, folder, err);
  }
  *out = (struct checkpoint){0};
  arena_init(&out->arena, ARENA_MAX);
  enum status status = open_single_file(out, &file, name, err);
  if (status)
    checkpoint_close(out);
  return status;
}

enum status checkpoint_single_file_scheduler(json_t **out, const struct single_file *file, struct error *err) {
  static const struct json_limits limits = {.bytes_max = CONFIG_BYTES_MAX};
  struct safetensors tensors;
  *out = NULL;
  enum status status = directory_python_json(out, file->folder, "scheduler/scheduler_config.json", &limits, err);
  if (status || *out)
    return status;
  status = safetensors_open(&tensors, file->path, err);
  status = status ? status : checkpoint_ldm_check(&tensors, err);
  status = status ? status : checkpoint_ldm_config(out, &tensors, "scheduler", err);
  safetensors_close(&tensors);
  return status;
}

void checkpoint_close(struct checkpoint *c) {
  json_decref(c->config);
  safetensors_close(&c->tensors);
  gguf_close(&c->gguf);
  arena_done(&c->arena);
  *c = (struct checkpoint){0};
}

/* --- fingerprint ---------------------------------------------------------------------------------- */

static void add_samples(struct hash *hash, const struct file_map *map) {
  enum { PARTS = 64, PART_BYTES = 4096 };
  uint64_t length = map->length;
  hash_add(hash, &length, sizeof length);
  if (map->length <= (size_t)PARTS * PART_BYTES) {
    if (map->length)
      hash_add(hash, map->bytes, map->length);
    return;
  }
  size_t every = (map->length - PART_BYTES) / (PARTS - 1); /* the first part is a header's beginning */
  for (size_t i = 0; i < PARTS; i++)
    hash_add(hash, map->bytes + i * every, PART_BYTES);
}

void checkpoint_fingerprint(char out[HASH_HEX], const struct checkpoint *c) {
  struct hash hash;
  char *config = json_dumps(c->config, JSON_COMPACT | JSON_SORT_KEYS);
  hash_init(&hash);
  if (config)
    hash_add(&hash, config, strlen(config));
  free(config);
  for (size_t i = 0; i < c->tensors.map_count; i++)
    add_samples(&hash, &c->tensors.maps[i]);
  if (c->is_gguf)
    add_samples(&hash, &c->gguf.map);
  for (size_t i = 0; i < c->gguf.part_count; i++)
    add_samples(&hash, &c->gguf.parts[i].map);
  hash_hex(&hash, out);
}

/* --- tensors -------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct checkpoint_entry *)a)->name, ((const struct checkpoint_entry *)b)->name);
}

static const struct checkpoint_entry *find_entry(const struct checkpoint *c, const char *name) {
  struct checkpoint_entry key = {.name = name};
  return c->entry_count ? bsearch(&key, c->entries, c->entry_count, sizeof key, by_name) : NULL;
}

static struct checkpoint_tensor describe(const char *name, int rank, const int64_t *shape) {
  struct checkpoint_tensor out = {.name = name, .rank = rank};
  CHECK(rank >= 0 && rank <= ST_RANK_MAX);
  for (int i = 0; i < rank; i++)
    out.shape[i] = shape[i];
  return out;
}

bool checkpoint_find(struct checkpoint_tensor *out, const struct checkpoint *c, const char *name) {
  *out = (struct checkpoint_tensor){0};
  if (c->is_gguf) {
    const struct checkpoint_entry *entry = find_entry(c, name);
    if (entry)
      *out = describe(entry->name, entry->tensor->rank, entry->tensor->shape);
    return entry != NULL;
  }
  const struct st_tensor *tensor = safetensors_find(&c->tensors, name);
  if (tensor)
    *out = describe(tensor->name, tensor->rank, tensor->shape);
  return tensor != NULL;
}

bool checkpoint_is_float(const struct checkpoint *c, const char *name) {
  if (c->is_gguf)
    return true;
  const struct st_tensor *t = safetensors_find(&c->tensors, name);
  return t && (t->dtype == ST_F32 || t->dtype == ST_F16 || t->dtype == ST_BF16);
}

size_t checkpoint_count(const struct checkpoint *c) {
  return c->is_gguf ? c->entry_count : c->tensors.count;
}

struct checkpoint_tensor checkpoint_at(const struct checkpoint *c, size_t index) {
  CHECK(index < checkpoint_count(c));
  if (c->is_gguf)
    return describe(c->entries[index].name, c->entries[index].tensor->rank, c->entries[index].tensor->shape);
  return describe(c->tensors.tensors[index].name, c->tensors.tensors[index].rank, c->tensors.tensors[index].shape);
}

/* A vector is one row; of more than two dimensions, rows are the first. */
static void lay_out(struct weight *out, int rank, const int64_t *shape) {
  out->rows = rank > 1 ? (size_t)shape[0] : 1;
  out->cols = 1;
  for (int i = rank > 1; i < rank; i++)
    out->cols *= (size_t)shape[i];
}

bool checkpoint_mapped(struct weight *out, const struct checkpoint *c, const char *name) {
  *out = (struct weight){0};
  if (c->is_gguf) {
    const struct checkpoint_entry *entry = find_entry(c, name);
    if (!entry)
      return false;
    lay_out(out, entry->tensor->rank, entry->tensor->shape);
    out->type = entry->tensor->type;
    out->heads = entry->heads;
    out->bytes = entry->tensor->bytes;
  } else {
    const struct st_tensor *tensor = safetensors_find(&c->tensors, name);
    if (!tensor || (tensor->dtype != ST_F32 && tensor->dtype != ST_F16 && tensor->dtype != ST_BF16))
      return false;
    lay_out(out, tensor->rank, tensor->shape);
    out->type = tensor->dtype == ST_F32 ? GGML_F32 : tensor->dtype == ST_F16 ? GGML_F16 : GGML_BF16;
    out->bytes = tensor->bytes;
  }
  return out->type != GGML_F32 || (uintptr_t)out->bytes % _Alignof(float) == 0;
}

enum status checkpoint_read(float *out, const struct checkpoint *c, const char *name, struct error *err) {
  const struct checkpoint_entry *entry = c->is_gguf ? find_entry(c, name) : NULL;
  const struct st_tensor *tensor = c->is_gguf ? NULL : safetensors_find(&c->tensors, name);
  if (!entry && !tensor)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "%s has no tensor %s", c->weights_path, name);
  return entry ? checkpoint_gguf_read(out, entry, err) : st_to_f32(out, tensor, err);
}
