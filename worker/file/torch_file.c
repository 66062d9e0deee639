#include "worker/file/torch_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "worker/file/bad.h"
#include "worker/file/pickle.h"
#include "worker/file/stand_in.h"
#include "worker/file/zip.h"

enum { ARENA_MAX = 512 << 20 };

/* ROOT/data.pkl: all that torch.save writes lies in one folder of any name. */
static const struct zip_entry *find_pickle(const struct zip *zip, size_t *root) {
  for (size_t i = 0; i < zip->count; i++) {
    const char *slash = strchr(zip->entries[i].name, '/');
    if (slash && strcmp(slash, "/data.pkl") == 0) {
      *root = (size_t)(slash - zip->entries[i].name);
      return &zip->entries[i];
    }
  }
  return NULL;
}

static enum status check_order(const struct zip *zip, const char *root, int root_length, struct error *err) {
  char name[ZIP_NAME_MAX + 16];
  snprintf(name, sizeof name, "%.*s/byteorder", root_length, root);
  const struct zip_entry *entry = zip_find(zip, name);
  if (entry && (entry->length != 6 || memcmp(entry->bytes, "little", 6) != 0))
    return bad_file(err, "%s: the numbers are not little-endian: save it on a machine where they are", name);
  return STATUS_OK;
}

/* Of the tensor's elements; refuses what is not one run of numbers. */
static enum status count_elements(size_t *out, const struct pickle_tensor *t, struct error *err) {
  static const int64_t dimension_max = (int64_t)1 << 40;
  size_t run = 1;
  bool contiguous = true;
  for (int i = t->rank; i-- > 0;) {
    if (t->shape[i] >= dimension_max)
      return bad_tensor(err, t->name, "dimension %d must lie in 0..2^40-1", i);
    if (t->shape[i] != 1 && (uint64_t)t->strides[i] != run)
      contiguous = false;
    if (!checked_mul(&run, run, (size_t)t->shape[i]))
      return bad_tensor(err, t->name, "the shape needs more numbers than there can be");
  }
  if (!contiguous && run)
    return bad_tensor(err, t->name,
                      "its numbers do not lie one after the other (a view of another tensor); save it contiguous, as "
                      "save_pretrained does");
  *out = run;
  return STATUS_OK;
}

static bool name_ok(const char *name) {
  size_t length = strlen(name);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)name[i] < 0x20 || name[i] == 0x7F)
      return false;
  return length > 0 && length <= ST_NAME_MAX;
}

static enum status place(struct st_tensor *out, const struct pickle_tensor *t, const struct zip *zip, const char *root,
                         int root_length, struct error *err) {
  char name[ZIP_NAME_MAX + 1];
  size_t elements = 0, need, size = st_dtype_size(t->dtype);
  if (!name_ok(t->name))
    return bad_tensor(err, t->name, "a name must have 1 to %d bytes and no control characters", ST_NAME_MAX);
  int length = snprintf(name, sizeof name, "%.*s/data/%s", root_length, root, t->storage);
  const struct zip_entry *storage = length < (int)sizeof name ? zip_find(zip, name) : NULL;
  if (!storage)
    return bad_tensor(err, t->name, "the file has no %.120s with its numbers", name);
  if (!checked_mul(&need, (size_t)t->storage_elements, size) || need != storage->length)
    return bad_tensor(err, t->name, "%.120s has %zu bytes, not %" PRIu64 " numbers of %zu", name, storage->length,
                      t->storage_elements, size);
  enum status status = count_elements(&elements, t, err);
  if (status)
    return status;
  if (t->offset > t->storage_elements || elements > t->storage_elements - t->offset)
    return bad_tensor(err, t->name, "%zu numbers from number %" PRIu64 " on do not lie in the %" PRIu64 " of %.120s",
                      elements, t->offset, t->storage_elements, name);
  *out = (struct st_tensor){.name = t->name,
                            .dtype = t->dtype,
                            .rank = t->rank,
                            .bytes = storage->bytes + (size_t)t->offset * size,
                            .length = elements * size};
  memcpy(out->shape, t->shape, sizeof out->shape);
  return STATUS_OK;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct st_tensor *)a)->name, ((const struct st_tensor *)b)->name);
}

static enum status read_tensors(struct safetensors *out, const struct zip *zip, struct error *err) {
  struct pickle pickle;
  size_t root = 0;
  const struct zip_entry *entry = find_pickle(zip, &root);
  if (!entry)
    return bad_file(err, "is a zip without a data.pkl: torch.save did not write it");
  enum status status = check_order(zip, entry->name, (int)root, err);
  if (status)
    return status;
  status = pickle_parse(&pickle, entry->bytes, entry->length, &out->arena, err);
  if (status)
    return err ? error_prefix(err, "%.80s", entry->name) : status;
  out->tensors = arena_array(&out->arena, pickle.count, sizeof *out->tensors);
  if (!out->tensors)
    return error_no_memory(err, "a table of tensors");
  for (size_t i = 0; !status && i < pickle.count; i++)
    status = place(&out->tensors[i], &pickle.tensors[i], zip, entry->name, (int)root, err);
  if (status)
    return status;
  out->count = pickle.count;
  qsort(out->tensors, out->count, sizeof *out->tensors, by_name);
  for (size_t i = 1; i < out->count; i++)
    if (strcmp(out->tensors[i - 1].name, out->tensors[i].name) == 0)
      return bad_tensor(err, out->tensors[i].name, "is there twice");
  return STATUS_OK;
}

enum status torch_file_parse(struct safetensors *out, const unsigned char *bytes, size_t length, struct error *err) {
  struct zip zip;
  *out = (struct safetensors){0};
  if (length >= 2 && bytes[0] == 0x80 && bytes[1] == 0x02)
    return bad_file(err, "has the format of PyTorch before 1.6 (a bare pickle), which is not read; load it with "
                         "AutoModel and save_pretrained writes safetensors");
  if (length < 4 || memcmp(bytes, "PK", 2) != 0)
    return bad_file(err, "is no file of torch.save: byte 0: no zip begins there");
  arena_init(&out->arena, ARENA_MAX);
  enum status status = zip_parse(&zip, bytes, length, &out->arena, err);
  status = status ? status : read_tensors(out, &zip, err);
  if (status)
    safetensors_close(out);
  return status;
}

enum status torch_file_open(struct safetensors *out, const char *path, struct error *err) {
  struct file_map map;
  *out = (struct safetensors){0};
  enum status status = file_map_open(&map, path, err);
  if (status)
    return status;
  bool torch = map.length >= 2 && (memcmp(map.bytes, "PK", 2) == 0 || memcmp(map.bytes, "\x80\x02", 2) == 0);
  status = torch ? STATUS_OK : stand_in_refuse(map.bytes, map.length, err);
  status = status ? status : torch_file_parse(out, map.bytes, map.length, err);
  if (!status && !(out->maps = arena_array(&out->arena, 1, sizeof *out->maps)))
    status = error_no_memory(err, "a table of tensors");
  if (status) {
    safetensors_close(out);
    file_map_close(&map);
    return err ? error_prefix(err, "%s", path) : status;
  }
  out->maps[0] = map;
  out->map_count = 1;
  return STATUS_OK;
}

enum status torch_file_open_model(struct safetensors *out, const char *directory, struct error *err) {
  return safetensors_open_named(out, directory, "pytorch_model.bin", torch_file_open, err);
}
