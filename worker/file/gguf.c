/* What is asked of a GGUF file that was read: values by key, tensors by name, numbers. */
#include "worker/file/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static const char *const type_names[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = "an 8-bit integer",   [GGUF_I8] = "an 8-bit integer",   [GGUF_U16] = "a 16-bit integer",
    [GGUF_I16] = "a 16-bit integer",  [GGUF_U32] = "a 32-bit integer",  [GGUF_I32] = "a 32-bit integer",
    [GGUF_U64] = "a 64-bit integer",  [GGUF_I64] = "a 64-bit integer",  [GGUF_F32] = "a 32-bit float",
    [GGUF_F64] = "a 64-bit float",    [GGUF_BOOL] = "a boolean",        [GGUF_STRING] = "a string",
    [GGUF_ARRAY] = "an array",
};

static enum status wrong_type(struct error *err, const char *key, const char *want, const struct gguf_value *got) {
  bool array = got->type == GGUF_ARRAY;
  return error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: must be %s, not %s%s", key, want, type_names[got->type],
                   !array ? "" : got->item_type == GGUF_STRING ? " of strings" : " of other items");
}

const struct gguf_value *gguf_find(const struct gguf *gguf, const char *key) {
  size_t length = strlen(key);
  for (size_t i = 0; i < gguf->value_count; i++)
    if (gguf->values[i].key.length == length && memcmp(gguf->values[i].key.text, key, length) == 0)
      return &gguf->values[i];
  return NULL;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct gguf_tensor *)a)->name, ((const struct gguf_tensor *)b)->name);
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name) {
  struct gguf_tensor key = {.name = name};
  return gguf->tensor_count ? bsearch(&key, gguf->tensors, gguf->tensor_count, sizeof key, by_name) : NULL;
}

/* --- numbers -------------------------------------------------------------------------------------- */

static uint64_t load(const unsigned char *bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = count; i-- > 0;)
    value = value << 8 | bytes[i];
  return value;
}

static double load_f32(const unsigned char *bytes) {
  uint32_t bits = (uint32_t)load(bytes, 4);
  float value;
  memcpy(&value, &bits, sizeof value);
  return (double)value;
}

static double load_f64(const unsigned char *bytes) {
  uint64_t bits = load(bytes, 8);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* An integer of any width; *negative tells what its 64 bits mean. False for other types. */
static bool load_integer(uint64_t *out, bool *negative, const unsigned char *bytes, enum gguf_type type) {
  int64_t value = 0;
  *negative = false;
  switch (type) {
  case GGUF_U8: *out = load(bytes, 1); return true;
  case GGUF_U16: *out = load(bytes, 2); return true;
  case GGUF_U32: *out = load(bytes, 4); return true;
  case GGUF_U64: *out = load(bytes, 8); return true;
  case GGUF_I8: value = (int8_t)load(bytes, 1); break;
  case GGUF_I16: value = (int16_t)load(bytes, 2); break;
  case GGUF_I32: value = (int32_t)load(bytes, 4); break;
  case GGUF_I64: value = (int64_t)load(bytes, 8); break;
  case GGUF_F32:
  case GGUF_F64:
  case GGUF_BOOL:
  case GGUF_STRING:
  case GGUF_ARRAY:
  case GGUF_TYPE_COUNT: return false;
  }
  *negative = value < 0;
  *out = (uint64_t)value;
  return true;
}

enum status gguf_get_u64(uint64_t *out, const struct gguf *gguf, const char *key, uint64_t fallback,
                         struct error *err) {
  const struct gguf_value *value = gguf_find(gguf, key);
  bool negative;
  *out = fallback;
  if (!value)
    return STATUS_OK;
  if (!load_integer(out, &negative, value->bytes, value->type))
    return wrong_type(err, key, "an integer", value);
  if (negative)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: %" PRId64 " must not be negative", key, (int64_t)*out);
  return STATUS_OK;
}

enum status gguf_get_f64(double *out, const struct gguf *gguf, const char *key, double fallback, struct error *err) {
  const struct gguf_value *value = gguf_find(gguf, key);
  *out = fallback;
  if (!value)
    return STATUS_OK;
  if (value->type != GGUF_F32 && value->type != GGUF_F64)
    return wrong_type(err, key, "a float", value);
  *out = value->type == GGUF_F32 ? load_f32(value->bytes) : load_f64(value->bytes);
  return STATUS_OK;
}

enum status gguf_get_bool(bool *out, const struct gguf *gguf, const char *key, bool fallback, struct error *err) {
  const struct gguf_value *value = gguf_find(gguf, key);
  *out = fallback;
  if (!value)
    return STATUS_OK;
  if (value->type != GGUF_BOOL)
    return wrong_type(err, key, "a boolean", value);
  *out = value->bytes[0] != 0;
  return STATUS_OK;
}

enum status gguf_get_string(struct gguf_string *out, const struct gguf *gguf, const char *key, const char *fallback,
                            struct error *err) {
  const struct gguf_value *value = gguf_find(gguf, key);
  *out = (struct gguf_string){fallback, fallback ? strlen(fallback) : 0};
  if (!value)
    return STATUS_OK;
  if (value->type != GGUF_STRING)
    return wrong_type(err, key, "a string", value);
  *out = (struct gguf_string){(const char *)value->bytes, (size_t)value->length};
  return STATUS_OK;
}

/* --- arrays --------------------------------------------------------------------------------------- */

static const char *const array_names[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = "an array of unsigned 8-bit integers",   [GGUF_I8] = "an array of 8-bit integers",
    [GGUF_U16] = "an array of unsigned 16-bit integers", [GGUF_I16] = "an array of 16-bit integers",
    [GGUF_U32] = "an array of unsigned 32-bit integers", [GGUF_I32] = "an array of 32-bit integers",
    [GGUF_U64] = "an array of unsigned 64-bit integers", [GGUF_I64] = "an array of 64-bit integers",
    [GGUF_F32] = "an array of 32-bit floats",            [GGUF_F64] = "an array of 64-bit floats",
    [GGUF_BOOL] = "an array of booleans",                [GGUF_STRING] = "an array of strings",
};

enum status gguf_get_array(const struct gguf_value **out, const struct gguf *gguf, const char *key,
                           enum gguf_type item_type, struct error *err) {
  const struct gguf_value *value = gguf_find(gguf, key);
  CHECK(item_type < GGUF_TYPE_COUNT && array_names[item_type]);
  *out = NULL;
  if (!value)
    return STATUS_OK;
  if (value->type != GGUF_ARRAY || value->item_type != item_type)
    return wrong_type(err, key, array_names[item_type], value);
  *out = value;
  return STATUS_OK;
}

struct gguf_string gguf_next_string(const struct gguf_value *array, size_t *at) {
  CHECK(array->type == GGUF_ARRAY && array->item_type == GGUF_STRING && *at < array->length);
  size_t length = (size_t)load(array->bytes + *at, 8);
  struct gguf_string out = {(const char *)array->bytes + *at + 8, length};
  *at += 8 + length;
  return out;
}

double gguf_item_number(const struct gguf_value *array, size_t index) {
  uint64_t bits;
  bool negative;
  CHECK(array->type == GGUF_ARRAY && index < array->count);
  const unsigned char *item = array->bytes + index * (size_t)(array->length / array->count);
  if (load_integer(&bits, &negative, item, array->item_type))
    return negative ? (double)(int64_t)bits : (double)bits;
  if (array->item_type == GGUF_F32)
    return load_f32(item);
  if (array->item_type == GGUF_F64)
    return load_f64(item);
  CHECK(array->item_type == GGUF_BOOL);
  return item[0];
}

/* --- tensors -------------------------------------------------------------------------------------- */

enum status gguf_to_f32(float *out, const struct gguf_tensor *tensor, size_t first, size_t rows, struct error *err) {
  const struct ggml_type_info *info = ggml_type_info(tensor->type);
  if (!info)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "tensor %s: its type %d cannot be read", tensor->name,
                     (int)tensor->type);
  size_t columns = (size_t)tensor->shape[tensor->rank - 1], row_bytes = columns / info->block * info->bytes;
  size_t have = row_bytes ? tensor->length / row_bytes : 0;
  CHECK(first <= have && rows <= have - first);
  ggml_to_f32(out, tensor->bytes + first * row_bytes, tensor->type, rows * columns);
  return STATUS_OK;
}
