/* Parsing of GGUF. A cursor walks the bytes and never passes their end; what it yields is compared
   with the size of the file before anything is allocated or used. Three parts, each of which trusts
   only what the one before has proved: the values, each tensor by itself, all tensors together. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "worker/file/bad.h"
#include "worker/file/gguf.h"
#include "worker/file/gguf_parts.h"
#include "worker/file/stand_in.h"

enum {
  ARENA_MAX = 64 << 20,
  VALUES_MAX = 65536,
  TENSORS_MAX = 65536,
  ALIGNMENT_DEFAULT = 32,
  ALIGNMENT_MAX = 65536,
  VALUE_BYTES_MIN = 8 + 1 + 4 + 1,          /* a key of one byte, its type, a value of one byte */
  TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8, /* a name of one byte, one dimension, type, offset */
};
static const uint64_t dimension_max = (uint64_t)1 << 40;

struct cursor {
  const unsigned char *bytes;
  size_t length;
  size_t at;
};

/* Bytes of one value; 0: of no fixed length. */
static const unsigned char sizes[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_BOOL] = 1, [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4,
    [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_U64] = 8,  [GGUF_I64] = 8, [GGUF_F64] = 8,
};

/* What files in the wild have and this engine does not read, for the message. */
static const char *const other_types[] = {
    [9] = "Q8_1",   [15] = "Q8_K",  [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S",
    [21] = "IQ3_S", [22] = "IQ2_S", [24] = "I8",      [25] = "I16",    [26] = "I32",     [27] = "I64",
    [28] = "F64",   [29] = "IQ1_M", [34] = "TQ1_0",   [35] = "TQ2_0",
};

/* "key NAME: what" or "tensor NAME: what". */
static enum status bad_item(struct error *err, const char *kind, struct gguf_string name, const char *format, ...)
    PRINTF(4, 5);
static enum status bad_item(struct error *err, const char *kind, struct gguf_string name, const char *format, ...) {
  va_list args;
  va_start(args, format);
  error_setv(err, STATUS_MODEL_INVALID, NULL, format, args);
  va_end(args);
  return err ? error_prefix(err, "%s %.*s", kind, (int)name.length, name.text) : STATUS_MODEL_INVALID;
}

/* --- the cursor ----------------------------------------------------------------------------------- */

/* The next `count` bytes; `what` they are, for the message when the file ends before. */
static enum status take(const unsigned char **out, struct cursor *cursor, uint64_t count, const char *what,
                        struct error *err) {
  size_t left = cursor->length - cursor->at;
  *out = NULL;
  if (count > left)
    return bad_file(err, "byte %zu: %s needs %" PRIu64 " bytes, but the file has only %zu more", cursor->at, what,
                    count, left);
  *out = cursor->bytes + cursor->at;
  cursor->at += (size_t)count;
  return STATUS_OK;
}

static uint64_t little_endian(const unsigned char *bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = count; i-- > 0;)
    value = value << 8 | bytes[i];
  return value;
}

static enum status take_number(uint64_t *out, struct cursor *cursor, size_t bytes, const char *what,
                               struct error *err) {
  const unsigned char *at;
  enum status status = take(&at, cursor, bytes, what, err);
  *out = status ? 0 : little_endian(at, bytes);
  return status;
}

static enum status take_string(struct gguf_string *out, struct cursor *cursor, const char *what, struct error *err) {
  const unsigned char *text = NULL;
  uint64_t length;
  size_t start = cursor->at, bad;
  enum status status = take_number(&length, cursor, 8, what, err);
  if (!status)
    status = take(&text, cursor, length, what, err);
  if (status)
    return status;
  *out = (struct gguf_string){(const char *)text, (size_t)length};
  if (!utf8_valid(out->text, out->length, &bad))
    return bad_file(err, "byte %zu: %s is not UTF-8", start + 8 + bad, what);
  return STATUS_OK;
}

/* A string that names something: short, printable. */
static enum status take_name(struct gguf_string *out, struct cursor *cursor, size_t bytes_max, const char *what,
                             struct error *err) {
  size_t start = cursor->at;
  enum status status = take_string(out, cursor, what, err);
  if (status)
    return status;
  if (out->length == 0 || out->length > bytes_max)
    return bad_file(err, "byte %zu: %s has %zu bytes; 1 to %zu are read", start, what, out->length, bytes_max);
  for (size_t i = 0; i < out->length; i++)
    if ((unsigned char)out->text[i] < 0x20 || out->text[i] == 0x7F)
      return bad_file(err, "byte %zu: %s has a control character", start + 8 + i, what);
  return STATUS_OK;
}

/* --- values --------------------------------------------------------------------------------------- */

/* The format allows 0 and 1 only. */
static bool booleans_ok(const unsigned char *bytes, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (bytes[i] > 1)
      return false;
  return true;
}

static enum status take_array(struct gguf_value *out, struct cursor *cursor, struct error *err) {
  uint64_t type, count = 0;
  size_t length;
  enum status status = take_number(&type, cursor, 4, "the type of an array's items", err);
  if (!status)
    status = take_number(&count, cursor, 8, "the length of an array", err);
  if (status)
    return status;
  if (type == GGUF_ARRAY)
    return bad_file(err, "arrays of arrays are not read");
  if (type >= GGUF_TYPE_COUNT)
    return bad_file(err, "items of type %" PRIu64 ", which GGUF does not have", type);
  out->item_type = (enum gguf_type)type;
  out->count = count;
  out->bytes = cursor->bytes + cursor->at;
  if (type == GGUF_STRING) {
    struct gguf_string item;
    size_t left = cursor->length - cursor->at;
    if (count > left / 8)
      return bad_file(err, "an array of %" PRIu64 " strings, but the file has only %zu more bytes", count, left);
    for (uint64_t i = 0; !status && i < count; i++)
      status = take_string(&item, cursor, "a string of an array", err);
    out->length = (uint64_t)(cursor->bytes + cursor->at - out->bytes);
    return status;
  }
  if (count > SIZE_MAX || !checked_mul(&length, (size_t)count, sizes[type]))
    return bad_file(err, "an array of %" PRIu64 " items is larger than any file", count);
  out->length = length;
  status = take(&out->bytes, cursor, length, "an array", err);
  if (!status && type == GGUF_BOOL && !booleans_ok(out->bytes, length))
    status = bad_file(err, "an array of booleans has an item that is neither 0 nor 1");
  return status;
}

static enum status take_value(struct gguf_value *out, struct cursor *cursor, struct error *err) {
  uint64_t type;
  enum status status = take_number(&type, cursor, 4, "the type of a value", err);
  if (status)
    return status;
  if (type >= GGUF_TYPE_COUNT)
    return bad_file(err, "a value of type %" PRIu64 ", which GGUF does not have", type);
  out->type = (enum gguf_type)type;
  if (type == GGUF_ARRAY)
    return take_array(out, cursor, err);
  if (type == GGUF_STRING) {
    struct gguf_string text;
    status = take_string(&text, cursor, "a string", err);
    if (!status) {
      out->bytes = (const unsigned char *)text.text;
      out->length = text.length;
    }
    return status;
  }
  out->length = sizes[type];
  status = take(&out->bytes, cursor, out->length, "a value", err);
  if (!status && type == GGUF_BOOL && !booleans_ok(out->bytes, 1))
    status = bad_file(err, "a boolean of %d; 0 or 1 is needed", out->bytes[0]);
  return status;
}

static int compare_strings(struct gguf_string a, struct gguf_string b) {
  int order = memcmp(a.text, b.text, a.length < b.length ? a.length : b.length);
  return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int by_key(const void *a, const void *b) {
  return compare_strings((*(const struct gguf_value *const *)a)->key, (*(const struct gguf_value *const *)b)->key);
}

static enum status check_unique_keys(struct gguf *gguf, struct error *err) {
  const struct gguf_value **order = arena_array(&gguf->arena, gguf->value_count, sizeof *order);
  if (!order)
    return error_no_memory(err, "the tables of a GGUF file");
  for (size_t i = 0; i < gguf->value_count; i++)
    order[i] = &gguf->values[i];
  qsort(order, gguf->value_count, sizeof *order, by_key);
  for (size_t i = 1; i < gguf->value_count; i++)
    if (by_key(&order[i - 1], &order[i]) == 0)
      return bad_item(err, "key", order[i]->key, "is there twice");
  return STATUS_OK;
}

static enum status read_values(struct gguf *out, struct cursor *cursor, uint64_t count, struct error *err) {
  size_t left = cursor->length - cursor->at;
  if (count > VALUES_MAX || count > left / VALUE_BYTES_MIN)
    return bad_file(err, "byte 16: the header claims %" PRIu64 " keys; at most %d are read, and %zu bytes follow",
                    count, VALUES_MAX, left);
  out->values = arena_array(&out->arena, (size_t)count, sizeof *out->values);
  if (!out->values)
    return error_no_memory(err, "the tables of a GGUF file");
  while (out->value_count < count) {
    struct gguf_value *value = &out->values[out->value_count];
    enum status status = take_name(&value->key, cursor, GGUF_KEY_MAX, "a key", err);
    if (status)
      return status;
    status = take_value(value, cursor, err);
    if (status)
      return err ? error_prefix(err, "key %.*s", (int)value->key.length, value->key.text) : status;
    out->value_count++;
  }
  return check_unique_keys(out, err);
}

static enum status read_alignment(size_t *out, const struct gguf *gguf, struct error *err) {
  static const char key[] = "general.alignment";
  const struct gguf_value *value = gguf_find(gguf, key);
  *out = ALIGNMENT_DEFAULT;
  if (!value)
    return STATUS_OK;
  if (value->type != GGUF_U32)
    return bad_file(err, "key %s: must be an unsigned 32-bit integer", key);
  uint64_t alignment = little_endian(value->bytes, 4);
  if (alignment == 0 || alignment > ALIGNMENT_MAX || (alignment & (alignment - 1)) != 0)
    return bad_file(err, "key %s: %" PRIu64 " is no power of two from 1 to %d", key, alignment, ALIGNMENT_MAX);
  *out = (size_t)alignment;
  return STATUS_OK;
}

/* --- tensors -------------------------------------------------------------------------------------- */

/* Dimensions come innermost first; *elements is their product. */
static enum status take_shape(struct gguf_tensor *out, uint64_t *row, size_t *elements, struct cursor *cursor,
                              struct gguf_string name, struct error *err) {
  uint64_t rank, dimension;
  enum status status = take_number(&rank, cursor, 4, "a tensor's number of dimensions", err);
  if (status)
    return status;
  if (rank == 0 || rank > GGUF_RANK_MAX)
    return bad_item(err, "tensor", name, "%" PRIu64 " dimensions; 1 to %d are read", rank, GGUF_RANK_MAX);
  out->rank = (int)rank;
  *elements = 1;
  for (size_t i = 0; i < rank; i++) {
    status = take_number(&dimension, cursor, 8, "a tensor's dimension", err);
    if (status)
      return status;
    if (dimension == 0 || dimension >= dimension_max)
      return bad_item(err, "tensor", name, "dimension %zu is %" PRIu64 "; it must lie in 1..2^40-1", i, dimension);
    if (!checked_mul(elements, *elements, (size_t)dimension))
      return bad_item(err, "tensor", name, "the dimensions need more bytes than there can be");
    out->shape[rank - 1 - i] = (int64_t)dimension;
    if (i == 0)
      *row = dimension;
  }
  return STATUS_OK;
}

static enum status take_type(struct gguf_tensor *out, struct cursor *cursor, struct gguf_string name,
                             struct error *err) {
  uint64_t type;
  enum status status = take_number(&type, cursor, 4, "a tensor's type", err);
  if (status)
    return status;
  if (!ggml_type_info((uint32_t)type)) {
    const char *known = type < COUNT_OF(other_types) && other_types[type] ? other_types[type] : "unknown";
    return bad_item(err, "tensor", name,
                    "its type is %s (%" PRIu64 "); F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K, IQ4_NL, "
                    "IQ4_XS and MXFP4 can be read",
                    known, type);
  }
  out->type = (enum ggml_type)type;
  return STATUS_OK;
}

/* *offset is from the beginning of the data, which is not known yet. */
static enum status read_tensor(struct gguf_tensor *out, uint64_t *offset, struct gguf *gguf, struct cursor *cursor,
                               size_t alignment, struct error *err) {
  struct gguf_string name;
  uint64_t row = 0;
  size_t elements = 0;
  enum status status = take_name(&name, cursor, GGUF_NAME_MAX, "a tensor's name", err);
  if (!status)
    status = take_shape(out, &row, &elements, cursor, name, err);
  if (!status)
    status = take_type(out, cursor, name, err);
  if (!status)
    status = take_number(offset, cursor, 8, "a tensor's offset", err);
  if (status)
    return status;
  const struct ggml_type_info *info = ggml_type_info(out->type);
  if (row % info->block)
    return bad_item(err, "tensor", name, "rows of %" PRIu64 " elements are no whole blocks of %s (%zu)", row,
                    info->name, info->block);
  if (!checked_mul(&out->length, elements / info->block, info->bytes))
    return bad_item(err, "tensor", name, "the dimensions need more bytes than there can be");
  if (out->length > cursor->length)
    return bad_item(err, "tensor", name, "needs %zu bytes, but the file has %zu", out->length, cursor->length);
  if (*offset % alignment)
    return bad_item(err, "tensor", name, "begins at byte %" PRIu64 " of the data, which is no multiple of %zu", *offset,
                    alignment);
  out->name = arena_copy(&gguf->arena, name.text, name.length);
  return out->name ? STATUS_OK : error_no_memory(err, "the tables of a GGUF file");
}

/* Puts every tensor into its place and finds the end of the last one: a file that was cut short says
   by how much. */
static enum status place_tensors(struct gguf *gguf, const uint64_t *offsets, const struct cursor *cursor,
                                 size_t alignment, struct error *err) {
  size_t data, need = 0, last = 0;
  if (gguf->tensor_count == 0)
    return STATUS_OK;
  if (!checked_align(&data, cursor->at, alignment))
    return bad_file(err, "the tensors' data begins beyond any file");
  for (size_t i = 0; i < gguf->tensor_count; i++) {
    size_t end;
    if (offsets[i] > SIZE_MAX || !checked_add(&end, data, (size_t)offsets[i]) ||
        !checked_add(&end, end, gguf->tensors[i].length))
      return bad_file(err, "tensor %s: its offset %" PRIu64 " lies beyond any file", gguf->tensors[i].name, offsets[i]);
    if (end > need) {
      need = end;
      last = i;
    }
  }
  if (need > cursor->length)
    return bad_file(err, "needs %zu bytes (tensor %s ends there) but has %zu: the file is cut short", need,
                    gguf->tensors[last].name, cursor->length);
  for (size_t i = 0; i < gguf->tensor_count; i++)
    gguf->tensors[i].bytes = cursor->bytes + data + offsets[i];
  return STATUS_OK;
}

static int by_place(const void *a, const void *b) {
  const struct gguf_tensor *x = a, *y = b;
  return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct gguf_tensor *)a)->name, ((const struct gguf_tensor *)b)->name);
}

/* No overlaps, no name twice; leaves them sorted by name. No tensor is empty, so that those which begin
   at the same byte do overlap. */
static enum status check_tensors(struct gguf *gguf, struct error *err) {
  struct gguf_tensor *t = gguf->tensors;
  qsort(t, gguf->tensor_count, sizeof *t, by_place);
  for (size_t i = 1; i < gguf->tensor_count; i++)
    if ((size_t)(t[i].bytes - t[i - 1].bytes) < t[i - 1].length)
      return bad_file(err, "tensor %s: begins inside tensor %s", t[i].name, t[i - 1].name);
  qsort(t, gguf->tensor_count, sizeof *t, by_name);
  for (size_t i = 1; i < gguf->tensor_count; i++)
    if (by_name(&t[i - 1], &t[i]) == 0)
      return bad_file(err, "tensor %s: is there twice", t[i].name);
  return STATUS_OK;
}

static enum status read_tensors(struct gguf *out, struct cursor *cursor, uint64_t count, struct error *err) {
  size_t left = cursor->length - cursor->at, alignment;
  enum status status = read_alignment(&alignment, out, err);
  if (status)
    return status;
  if (count > TENSORS_MAX || count > left / TENSOR_BYTES_MIN)
    return bad_file(err, "byte 8: the header claims %" PRIu64 " tensors; at most %d are read, and %zu bytes follow",
                    count, TENSORS_MAX, left);
  uint64_t *offsets = arena_array(&out->arena, (size_t)count, sizeof *offsets);
  out->tensors = arena_array(&out->arena, (size_t)count, sizeof *out->tensors);
  if (!offsets || !out->tensors)
    return error_no_memory(err, "the tables of a GGUF file");
  while (out->tensor_count < count) {
    size_t i = out->tensor_count;
    status = read_tensor(&out->tensors[i], &offsets[i], out, cursor, alignment, err);
    if (status)
      return status;
    out->tensor_count++;
  }
  status = place_tensors(out, offsets, cursor, alignment, err);
  return status ? status : check_tensors(out, err);
}

/* --- the file ------------------------------------------------------------------------------------- */

static enum status read_header(uint64_t *tensors, uint64_t *values, struct cursor *cursor, struct error *err) {
  const unsigned char *magic;
  uint64_t version = 0;
  if (cursor->length < 4 || memcmp(cursor->bytes, "GGUF", 4) != 0)
    return bad_file(err, "is no GGUF file: it does not begin with \"GGUF\"");
  enum status status = take(&magic, cursor, 4, "the magic number", err);
  if (!status)
    status = take_number(&version, cursor, 4, "the version", err);
  if (status)
    return status;
  if (version != 0 && (version & 0xFFFF) == 0)
    return bad_file(err, "byte 4: a big-endian GGUF file; only little-endian ones are read");
  if (version != 2 && version != 3)
    return bad_file(err, "byte 4: version %" PRIu64 "; 2 and 3 are read", version);
  status = take_number(tensors, cursor, 8, "the number of tensors", err);
  return status ? status : take_number(values, cursor, 8, "the number of keys", err);
}

enum status gguf_parse(struct gguf *out, const unsigned char *bytes, size_t length, struct error *err) {
  struct cursor cursor = {bytes, length, 0};
  uint64_t tensors = 0, values = 0;
  *out = (struct gguf){0};
  arena_init(&out->arena, ARENA_MAX);
  enum status status = read_header(&tensors, &values, &cursor, err);
  if (!status)
    status = read_values(out, &cursor, values, err);
  if (!status)
    status = read_tensors(out, &cursor, tensors, err);
  if (status)
    gguf_close(out);
  return status;
}

static enum status open_file(struct gguf *out, const char *path, struct error *err) {
  struct file_map map;
  *out = (struct gguf){0};
  enum status status = file_map_open(&map, path, err);
  if (status)
    return status;
  status = stand_in_refuse(map.bytes, map.length, err);
  status = status ? status : gguf_parse(out, map.bytes, map.length, err);
  if (status) {
    file_map_close(&map);
    return err ? error_prefix(err, "%s", path) : status;
  }
  out->map = map;
  return STATUS_OK;
}

enum status gguf_open(struct gguf *out, const char *path, struct error *err) {
  enum status status = open_file(out, path, err);
  if (status)
    return status;
  status = gguf_parts_open(out, path, open_file, err);
  if (status)
    gguf_close(out);
  return status;
}

void gguf_close(struct gguf *gguf) {
  for (size_t i = 0; i < gguf->part_count; i++)
    gguf_close(&gguf->parts[i]);
  arena_done(&gguf->arena);
  file_map_close(&gguf->map);
  *gguf = (struct gguf){0};
}
