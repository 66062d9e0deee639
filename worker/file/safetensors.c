/* Reading and writing of safetensors. Reading goes in three steps, each of which trusts only what the
   one before has proved: the header's bytes, each tensor by itself, all tensors together. */
#include "worker/file/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/json.h"
#include "base/str.h"
#include "worker/file/bad.h"
#include "worker/file/stand_in.h"

enum { LENGTH_BYTES = 8, ARENA_MAX = 256 << 20, INDEX_BYTES_MAX = 32 << 20 };
static const int64_t dimension_max = (int64_t)1 << 40;

static const struct {
  const char *name;
  size_t size;
} dtypes[ST_DTYPE_COUNT] = {
    [ST_BOOL] = {"BOOL", 1},       [ST_U8] = {"U8", 1},   [ST_I8] = {"I8", 1},   [ST_F8_E5M2] = {"F8_E5M2", 1},
    [ST_F8_E4M3] = {"F8_E4M3", 1}, [ST_I16] = {"I16", 2}, [ST_U16] = {"U16", 2}, [ST_F16] = {"F16", 2},
    [ST_BF16] = {"BF16", 2},       [ST_I32] = {"I32", 4}, [ST_U32] = {"U32", 4}, [ST_F32] = {"F32", 4},
    [ST_F64] = {"F64", 8},         [ST_I64] = {"I64", 8}, [ST_U64] = {"U64", 8},
};

const char *st_dtype_name(enum st_dtype dtype) {
  CHECK(dtype < ST_DTYPE_COUNT);
  return dtypes[dtype].name;
}

size_t st_dtype_size(enum st_dtype dtype) {
  CHECK(dtype < ST_DTYPE_COUNT);
  return dtypes[dtype].size;
}

/* --- step 1: the header's bytes -------------------------------------------------------------------- */

/* On success *json is the header and *data the offset of the first number. */
static enum status read_header(json_t **json, size_t *data, const unsigned char *bytes, size_t length,
                               struct error *err) {
  static const struct json_limits limits = {.bytes_max = ST_HEADER_MAX, .depth_max = 4, .values_max = 1 << 20};
  uint64_t header = 0;
  *json = NULL;
  if (length < LENGTH_BYTES)
    return bad_file(err, "%zu bytes are too few for a safetensors file", length);
  for (size_t i = LENGTH_BYTES; i-- > 0;)
    header = header << 8 | bytes[i];
  if (header > ST_HEADER_MAX)
    return bad_file(err, "byte 0: the header claims %" PRIu64 " bytes; at most %d are read", header, ST_HEADER_MAX);
  if (header > length - LENGTH_BYTES)
    return bad_file(err, "byte 0: the header claims %" PRIu64 " bytes but only %zu follow: the file is cut short",
                    header, length - LENGTH_BYTES);
  const char *text = (const char *)bytes + LENGTH_BYTES;
  size_t used = (size_t)header;
  if (used == 0 || text[0] != '{')
    return bad_file(err, "byte 8: the header must begin with '{'");
  while (text[used - 1] == ' ')
    used--;
  if (text[used - 1] != '}')
    return bad_file(err, "byte %zu: the header must end with '}' and spaces", LENGTH_BYTES + used - 1);
  enum status status = json_parse(json, text, used, &limits, err);
  if (status == STATUS_OUT_OF_MEMORY)
    return status;
  if (status) {
    if (err)
      err->status = STATUS_MODEL_INVALID;
    return err ? error_prefix(err, "the header") : STATUS_MODEL_INVALID;
  }
  *data = LENGTH_BYTES + (size_t)header;
  return STATUS_OK;
}

static enum status check_metadata(const json_t *metadata, struct error *err) {
  const char *key;
  json_t *value;
  size_t total = 0;
  if (!metadata)
    return STATUS_OK;
  if (!json_is_object(metadata))
    return bad_file(err, "__metadata__ must be an object, not %s", json_kind(metadata));
  json_object_foreach((json_t *)(uintptr_t)metadata, key, value) {
    if (!json_is_string(value))
      return bad_file(err, "__metadata__: %.80s must be a string, not %s", key, json_kind(value));
    total += strlen(key) + json_string_length(value);
    if (total > ST_METADATA_MAX)
      return bad_file(err, "__metadata__ has more than %d bytes", ST_METADATA_MAX);
  }
  return STATUS_OK;
}

/* --- step 2: one tensor --------------------------------------------------------------------------- */

static bool name_ok(const char *name) {
  size_t length = strlen(name);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)name[i] < 0x20 || name[i] == 0x7F)
      return false;
  return length > 0 && length <= ST_NAME_MAX;
}

static bool dtype_parse(enum st_dtype *out, const char *name) {
  for (size_t i = 0; name && i < ST_DTYPE_COUNT; i++)
    if (strcmp(dtypes[i].name, name) == 0) {
      *out = (enum st_dtype)i;
      return true;
    }
  return false;
}

/* Reads `shape` and computes the bytes that it needs. */
static enum status read_shape(struct st_tensor *out, size_t *need, const json_t *shape, struct error *err) {
  if (!json_is_array(shape))
    return bad_tensor(err, out->name, "shape must be an array");
  if (json_array_size(shape) > ST_RANK_MAX)
    return bad_tensor(err, out->name, "%zu dimensions; at most %d are read", json_array_size(shape), ST_RANK_MAX);
  *need = st_dtype_size(out->dtype);
  for (size_t i = 0; i < json_array_size(shape); i++) {
    const json_t *item = json_array_get(shape, i);
    if (!json_is_integer(item) || json_integer_value(item) < 0 || json_integer_value(item) >= dimension_max)
      return bad_tensor(err, out->name, "dimension %zu must be an integer in 0..2^40-1", i);
    out->shape[out->rank++] = json_integer_value(item);
    if (!checked_mul(need, *need, (size_t)json_integer_value(item)))
      return bad_tensor(err, out->name, "the shape needs more bytes than there can be");
  }
  return STATUS_OK;
}

static enum status read_range(struct st_tensor *out, const json_t *range, const unsigned char *data, size_t length,
                              struct error *err) {
  json_int_t at[2];
  if (!json_is_array(range) || json_array_size(range) != 2)
    return bad_tensor(err, out->name, "data_offsets must be two integers");
  for (size_t i = 0; i < 2; i++) {
    const json_t *item = json_array_get(range, i);
    if (!json_is_integer(item) || json_integer_value(item) < 0)
      return bad_tensor(err, out->name, "data_offsets must be two integers from 0");
    at[i] = json_integer_value(item);
  }
  if (at[0] > at[1] || (uint64_t)at[1] > length)
    return bad_tensor(err, out->name, "data_offsets [%lld, %lld] do not lie in the file's %zu bytes of data%s",
                      (long long)at[0], (long long)at[1], length,
                      at[0] > at[1] ? "" : ": the file is cut short (download it again?)");
  out->bytes = data + at[0];
  out->length = (size_t)(at[1] - at[0]);
  return STATUS_OK;
}

static enum status read_tensor(struct st_tensor *out, const char *name, const json_t *entry, const unsigned char *data,
                               size_t length, struct error *err) {
  static const char *const members[] = {"dtype", "shape", "data_offsets"};
  size_t need = 0;
  *out = (struct st_tensor){.name = name};
  if (!json_is_object(entry))
    return bad_tensor(err, name, "must be an object, not %s", json_kind(entry));
  for (size_t i = 0; i < COUNT_OF(members); i++)
    if (!json_object_get(entry, members[i]))
      return bad_tensor(err, name, "has no %s", members[i]);
  if (json_object_size(entry) != COUNT_OF(members))
    return bad_tensor(err, name, "has members beside dtype, shape and data_offsets");
  const char *dtype = json_string_value(json_object_get(entry, "dtype"));
  if (!dtype_parse(&out->dtype, dtype))
    return bad_tensor(err, name, "the dtype %.40s is not known", dtype ? dtype : "(not a string)");
  enum status status = read_shape(out, &need, json_object_get(entry, "shape"), err);
  if (!status)
    status = read_range(out, json_object_get(entry, "data_offsets"), data, length, err);
  if (!status && need != out->length)
    status = bad_tensor(err, name, "%zu bytes of data, but its dtype and shape need %zu", out->length, need);
  return status;
}

/* --- step 3: all tensors -------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct st_tensor *)a)->name, ((const struct st_tensor *)b)->name);
}

static int by_place(const void *a, const void *b) {
  const struct st_tensor *x = a, *y = b;
  if (x->bytes != y->bytes)
    return x->bytes < y->bytes ? -1 : 1;
  return (x->length > y->length) - (x->length < y->length);
}

/* The ranges must tile the data: no gap, no overlap, no end short of the file's. A tensor without
   bytes may not sit where another one begins, since readers disagree about whose place it is. */
static enum status check_tiling(struct st_tensor *tensors, size_t count, const unsigned char *data, size_t length,
                                struct error *err) {
  size_t end = 0;
  qsort(tensors, count, sizeof *tensors, by_place);
  for (size_t i = 0; i < count; i++) {
    size_t begin = (size_t)(tensors[i].bytes - data);
    if (begin < end)
      return bad_tensor(err, tensors[i].name, "begins at byte %zu of the data, inside tensor %.80s", begin,
                        tensors[i - 1].name);
    if (begin > end)
      return bad_tensor(err, tensors[i].name, "begins at byte %zu of the data; bytes from %zu belong to no tensor",
                        begin, end);
    if (i && tensors[i].bytes == tensors[i - 1].bytes)
      return bad_tensor(err, tensors[i - 1].name, "is empty and begins where tensor %.80s begins", tensors[i].name);
    end = begin + tensors[i].length;
  }
  if (end != length)
    return bad_file(err, "the tensors end at byte %zu of %zu bytes of data", end, length);
  return STATUS_OK;
}

static enum status read_tensors(struct safetensors *out, json_t *header, const unsigned char *data, size_t length,
                                struct error *err) {
  const char *key;
  json_t *entry;
  enum status status = STATUS_OK;
  size_t total = json_object_size(header) - (out->metadata != NULL);
  if (total > ST_TENSORS_MAX)
    return bad_file(err, "%zu tensors; at most %d are read", total, ST_TENSORS_MAX);
  out->tensors = arena_array(&out->arena, total, sizeof *out->tensors);
  if (!out->tensors)
    return error_no_memory(err, "a table of tensors");
  json_object_foreach(header, key, entry) {
    if (strcmp(key, "__metadata__") == 0)
      continue;
    if (!name_ok(key))
      return bad_tensor(err, key, "a name must have 1 to %d bytes and no control characters", ST_NAME_MAX);
    const char *name = arena_string(&out->arena, key);
    status = name ? read_tensor(&out->tensors[out->count], name, entry, data, length, err)
                  : error_no_memory(err, "a table of tensors");
    if (status)
      return status;
    out->count++;
  }
  status = check_tiling(out->tensors, out->count, data, length, err);
  qsort(out->tensors, out->count, sizeof *out->tensors, by_name);
  return status;
}

enum status safetensors_parse(struct safetensors *out, const unsigned char *bytes, size_t length, struct error *err) {
  AUTO(json_release) json_t *header = NULL;
  size_t data = 0;
  *out = (struct safetensors){0};
  arena_init(&out->arena, ARENA_MAX);
  enum status status = read_header(&header, &data, bytes, length, err);
  if (!status) {
    json_t *metadata = json_object_get(header, "__metadata__");
    status = check_metadata(metadata, err);
    out->metadata = json_incref(metadata);
  }
  if (!status)
    status = read_tensors(out, header, bytes + data, length - data, err);
  if (status)
    safetensors_close(out);
  return status;
}

void safetensors_close(struct safetensors *file) {
  for (size_t i = 0; i < file->map_count; i++)
    file_map_close(&file->maps[i]);
  json_decref(file->metadata);
  arena_done(&file->arena);
  *file = (struct safetensors){0};
}

/* --- files ---------------------------------------------------------------------------------------- */

enum status safetensors_open(struct safetensors *out, const char *path, struct error *err) {
  struct file_map map;
  *out = (struct safetensors){0};
  enum status status = file_map_open(&map, path, err);
  if (status)
    return status;
  status = stand_in_refuse(map.bytes, map.length, err);
  status = status ? status : safetensors_parse(out, map.bytes, map.length, err);
  if (!status) {
    out->maps = arena_array(&out->arena, 1, sizeof *out->maps);
    if (!out->maps)
      status = error_no_memory(err, "a table of tensors");
  }
  if (status) {
    safetensors_close(out);
    file_map_close(&map);
    return err ? error_prefix(err, "%s", path) : status;
  }
  out->maps[0] = map;
  out->map_count = 1;
  return STATUS_OK;
}

/* A shard's name must stay in the model's directory. */
static bool shard_ok(const char *name) {
  return name && *name && strlen(name) <= 255 && name[0] != '.' && !strchr(name, '/');
}

/* Moves the shard's tensors, map and metadata into *out, and checks them against the index. */
static enum status take_shard(struct safetensors *out, struct safetensors *shard, const json_t *weights,
                              const char *file, struct error *err) {
  for (size_t i = 0; i < shard->count; i++) {
    struct st_tensor *to = &out->tensors[out->count], *from = &shard->tensors[i];
    const char *home = json_string_value(json_object_get(weights, from->name));
    if (!home || strcmp(home, file) != 0)
      return bad_tensor(err, from->name, "is in %.80s, but the index puts it %s%.80s", file, home ? "in " : "nowhere",
                        home ? home : "");
    *to = *from;
    to->name = arena_string(&out->arena, from->name);
    if (!to->name)
      return error_no_memory(err, "a table of tensors");
    out->count++;
  }
  if (!out->metadata)
    out->metadata = json_incref(shard->metadata);
  out->maps[out->map_count++] = shard->maps[0];
  shard->map_count = 0;
  return STATUS_OK;
}

static enum status open_shard(struct safetensors *out, const char *directory, const json_t *weights, const char *file,
                              st_open *open, struct error *err) {
  struct safetensors shard;
  char path[1400];
  if (!shard_ok(file))
    return bad_file(err, "a shard's name must be that of a file in the folder, not %.80s",
                    file ? file : "another value");
  snprintf(path, sizeof path, "%s/%s", directory, file);
  if (access(path, F_OK) != 0 && errno == ENOENT)
    return bad_file(err, "the index names the shard %.80s, which is not in the folder: the download is not complete",
                    file);
  enum status status = open(&shard, path, err);
  if (status)
    return status;
  if (shard.count > json_object_size(weights) - out->count)
    status = bad_file(err, "%.80s has tensors that the index does not list", file);
  else
    status = take_shard(out, &shard, weights, file, err);
  safetensors_close(&shard);
  return status;
}

static enum status read_index(struct safetensors *out, const char *directory, const json_t *index, st_open *open,
                              struct error *err) {
  AUTO(json_release) json_t *seen = json_object();
  json_t *weights = json_object_get(index, "weight_map"), *value;
  const char *key;
  if (!json_is_object(weights))
    return bad_file(err, "weight_map must be an object");
  if (json_object_size(weights) > (size_t)ST_TENSORS_MAX * 16)
    return bad_file(err, "weight_map lists %zu tensors", json_object_size(weights));
  out->tensors = arena_array(&out->arena, json_object_size(weights), sizeof *out->tensors);
  out->maps = arena_array(&out->arena, ST_SHARDS_MAX, sizeof *out->maps);
  if (!seen || !out->tensors || !out->maps)
    return error_no_memory(err, "a table of tensors");
  json_object_foreach(weights, key, value) {
    const char *file = json_string_value(value);
    if (file && json_object_get(seen, file))
      continue;
    if (out->map_count >= ST_SHARDS_MAX)
      return bad_file(err, "more than %d shards", ST_SHARDS_MAX);
    enum status status = open_shard(out, directory, weights, file, open, err);
    if (status)
      return status;
    if (json_object_set_new(seen, file, json_true()) != 0)
      return error_no_memory(err, "a table of tensors");
  }
  qsort(out->tensors, out->count, sizeof *out->tensors, by_name);
  json_object_foreach(weights, key, value) if (!safetensors_find(out, key)) return bad_tensor(
      err, key, "the index puts it in %.80s, where it is not", json_string_value(value));
  return STATUS_OK;
}

enum status safetensors_open_named(struct safetensors *out, const char *directory, const char *name, st_open *open,
                                   struct error *err) {
  static const struct json_limits limits = {.bytes_max = INDEX_BYTES_MAX, .depth_max = 8, .values_max = 4 << 20};
  AUTO(json_release) json_t *index = NULL;
  char path[1100];
  *out = (struct safetensors){0};
  if (strlen(directory) > 1000)
    return error_set(err, STATUS_IO, NULL, "the path %.80s... is too long", directory);
  snprintf(path, sizeof path, "%s/%s", directory, name);
  if (access(path, F_OK) == 0)
    return open(out, path, err);
  snprintf(path, sizeof path, "%s/%s.index.json", directory, name);
  if (access(path, F_OK) != 0)
    return bad_file(err, "%s has neither %s nor %s.index.json", directory, name, name);
  enum status status = json_parse_file(&index, path, &limits, err);
  if (status) {
    if (err)
      err->status = STATUS_MODEL_INVALID;
    return STATUS_MODEL_INVALID;
  }
  arena_init(&out->arena, ARENA_MAX);
  status = read_index(out, directory, index, open, err);
  if (status) {
    safetensors_close(out);
    return err ? error_prefix(err, "%s", path) : status;
  }
  return STATUS_OK;
}

enum status safetensors_open_model(struct safetensors *out, const char *directory, struct error *err) {
  return safetensors_open_named(out, directory, "model.safetensors", safetensors_open, err);
}

/* --- using ---------------------------------------------------------------------------------------- */

const struct st_tensor *safetensors_find(const struct safetensors *file, const char *name) {
  struct st_tensor key = {.name = name};
  return file->count ? bsearch(&key, file->tensors, file->count, sizeof key, by_name) : NULL;
}

int64_t st_elements(const struct st_tensor *tensor) {
  return (int64_t)(tensor->length / st_dtype_size(tensor->dtype));
}

static float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static float from_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 0x1F, fraction = half & 0x3FF;
  if (exponent == 31)
    return from_bits(sign | 0x7F800000 | fraction << 13);
  if (exponent == 0) /* zero or subnormal: a multiple of 2^-24 */
    return (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
  return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

enum status st_to_f32(float *out, const struct st_tensor *tensor, struct error *err) {
  size_t count = (size_t)st_elements(tensor);
  if (tensor->dtype == ST_F32) {
    if (count)
      memcpy(out, tensor->bytes, tensor->length);
    return STATUS_OK;
  }
  if (tensor->dtype != ST_F16 && tensor->dtype != ST_BF16)
    return bad_tensor(err, tensor->name, "has the dtype %s; F32, F16 or BF16 is needed", st_dtype_name(tensor->dtype));
  for (size_t i = 0; i < count; i++) {
    uint16_t bits;
    memcpy(&bits, tensor->bytes + 2 * i, sizeof bits);
    out[i] = tensor->dtype == ST_F16 ? from_half(bits) : from_bits((uint32_t)bits << 16);
  }
  return STATUS_OK;
}
