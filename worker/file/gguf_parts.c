#include "worker/file/gguf_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/split_file.h"

enum { TENSORS_MAX = 65536 };
static const char number_key[] = "split.no", count_key[] = "split.count", tensors_key[] = "split.tensors.count";

/* What a part says of itself. */
struct place {
  uint64_t number; /* from 0 */
  uint64_t count;  /* 0 or 1: the file is whole */
  uint64_t tensors; /* of all parts */
};

static enum status read_place(struct place *out, const struct gguf *part, struct error *err) {
  enum status status = gguf_get_u64(&out->number, part, number_key, 0, err);
  if (!status)
    status = gguf_get_u64(&out->count, part, count_key, 0, err);
  if (!status)
    status = gguf_get_u64(&out->tensors, part, tensors_key, 0, err);
  if (status || out->count <= 1)
    return status;
  if (!gguf_find(part, number_key) || !gguf_find(part, tensors_key))
    return error_set(err, STATUS_MODEL_INVALID, NULL, "has no key %s, which a part must have",
                     gguf_find(part, number_key) ? tensors_key : number_key);
  return STATUS_OK;
}

/* --- joining -------------------------------------------------------------------------------------- */

static enum status check_place(const struct gguf *part, size_t index, const struct place *first, struct error *err) {
  struct place place;
  enum status status = read_place(&place, part, err);
  if (status)
    return status;
  if (place.count != first->count)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: %" PRIu64 ", but the first part says %" PRIu64,
                     count_key, place.count, first->count);
  if (place.number != index)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: %" PRIu64 ", but this must be part %zu (from 0)",
                     number_key, place.number, index);
  if (place.tensors != first->tensors)
    return error_set(err, STATUS_MODEL_INVALID, NULL,
                     "key %s: %" PRIu64 ", but the first part says %" PRIu64 ": it is of another model", tensors_key,
                     place.tensors, first->tensors);
  return STATUS_OK;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct gguf_tensor *)a)->name, ((const struct gguf_tensor *)b)->name);
}

/* The last file that has the tensor; of two that have it the one at fault. */
static size_t last_with(const struct gguf *first, const char *name) {
  size_t index = first->part_count;
  while (index > 0 && !gguf_find_tensor(&first->parts[index - 1], name))
    index--;
  return index;
}

enum status gguf_parts_join(struct gguf *first, size_t *fault, struct error *err) {
  struct place place;
  size_t count = first->tensor_count;
  *fault = 0;
  enum status status = read_place(&place, first, err);
  status = status ? status : check_place(first, 0, &place, err);
  for (size_t i = 0; !status && i < first->part_count; i++) {
    *fault = i + 1;
    status = check_place(&first->parts[i], i + 1, &place, err);
    count += first->parts[i].tensor_count;
  }
  if (status)
    return status;
  *fault = 0;
  if (count != place.tensors || count > TENSORS_MAX)
    return error_set(err, STATUS_MODEL_INVALID, NULL,
                     "key %s: %" PRIu64 ", but its parts have %zu together; at most %d are read", tensors_key,
                     place.tensors, count, TENSORS_MAX);
  struct gguf_tensor *all = arena_array(&first->arena, count, sizeof *all);
  if (!all)
    return error_no_memory(err, "the tables of a GGUF file");
  size_t at = first->tensor_count;
  if (at)
    memcpy(all, first->tensors, at * sizeof *all);
  for (size_t i = 0; i < first->part_count; i++) {
    const struct gguf *part = &first->parts[i];
    if (part->tensor_count)
      memcpy(all + at, part->tensors, part->tensor_count * sizeof *all);
    at += part->tensor_count;
  }
  qsort(all, count, sizeof *all, by_name);
  for (size_t i = 1; i < count; i++)
    if (by_name(&all[i - 1], &all[i]) == 0) {
      *fault = last_with(first, all[i].name);
      return error_set(err, STATUS_MODEL_INVALID, NULL, "tensor %s: an earlier part has it too", all[i].name);
    }
  first->tensors = all;
  first->tensor_count = count;
  return STATUS_OK;
}

/* --- files ---------------------------------------------------------------------------------------- */

/* Name and keys must say the same; *named has count 1 where the file is whole. */
static enum status check_name(struct split_file *named, const struct gguf *first, const char *path, struct error *err) {
  struct place place;
  char other[PATH_MAX];
  enum status status = read_place(&place, first, err);
  if (status)
    return status;
  bool is_named = split_file_named(named, path);
  if (place.count <= 1 && named->count == 1)
    return STATUS_OK;
  if (!is_named)
    return error_set(err, STATUS_MODEL_INVALID, NULL,
                     "key %s: this is one of %" PRIu64 " parts, which are found by names like NAME-00001-of-%05" PRIu64
                     ".gguf; at most %d are read",
                     count_key, place.count, place.count, SPLIT_PARTS_MAX);
  if (place.count != named->count)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: %" PRIu64 ", but by its name it is one of %u parts",
                     count_key, place.count, named->count);
  if (named->part == 1)
    return STATUS_OK;
  split_file_path(other, path, named, 1);
  return error_set(err, STATUS_MODEL_INVALID, NULL, "is part %u of %u; the first one, %s, %s", named->part,
                   named->count, strrchr(other, '/') ? strrchr(other, '/') + 1 : other,
                   access(other, F_OK) == 0 ? "names the model" : "is missing");
}

static enum status open_part(struct gguf *out, const char *path, const struct split_file *named,
                             enum status (*open)(struct gguf *out, const char *path, struct error *err),
                             struct error *err) {
  if (access(path, F_OK) != 0 && errno == ENOENT)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "%s: is missing; the model has %u parts", path, named->count);
  return open(out, path, err);
}

enum status gguf_parts_open(struct gguf *first, const char *path,
                            enum status (*open)(struct gguf *out, const char *path, struct error *err),
                            struct error *err) {
  struct split_file named;
  char part[PATH_MAX];
  size_t fault;
  enum status status = check_name(&named, first, path, err);
  if (status)
    return err ? error_prefix(err, "%s", path) : status;
  if (named.count == 1)
    return STATUS_OK;
  first->parts = arena_array(&first->arena, named.count - 1, sizeof *first->parts);
  if (!first->parts)
    return error_no_memory(err, "the tables of a GGUF file");
  while (!status && first->part_count < named.count - 1) {
    split_file_path(part, path, &named, (unsigned)first->part_count + 2);
    status = open_part(&first->parts[first->part_count], part, &named, open, err);
    first->part_count += !status;
  }
  if (status)
    return status;
  status = gguf_parts_join(first, &fault, err);
  if (!status || !err)
    return status;
  split_file_path(part, path, &named, (unsigned)fault + 1);
  return error_prefix(err, "%s", part);
}
