/* Writing of GGUF. The counts stand before what they count and the tensors' places before their numbers,
   so keys and list are gathered in memory; the numbers then stream through one small buffer. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "worker/file/gguf.h"

enum {
  VERSION = 3,
  ALIGNMENT = 32,
  HEADER_MAX = 256 << 20,   /* bytes of keys, and of the list of tensors */
  CHUNK_BLOCKS = 512,       /* encoded at once: blocks of 32 elements, the largest that are written */
  CHUNK_ELEMENTS = CHUNK_BLOCKS * 32,
};

/* A key or a tensor, serialised in a list's bytes. */
struct item {
  size_t name_at;
  size_t name_length;
  enum ggml_type type; /* of a tensor */
  size_t elements;
};

struct list {
  struct str bytes;
  struct item *items;
  size_t count, size;
};

struct gguf_writer {
  struct file_new file;
  struct error err;   /* the first; STATUS_OK: none */
  struct list values, tensors;
  size_t data_bytes;   /* of the tensors announced so far, padding included */
  bool started;        /* keys and list are in the file */
  size_t next;         /* tensor whose elements come */
  size_t done;         /* elements of it that came */
  unsigned char chunk[CHUNK_ELEMENTS * sizeof(float)];
};

/* --- bytes ---------------------------------------------------------------------------------------- */

static void add_number(struct str *out, uint64_t value, size_t count) {
  unsigned char bytes[8];
  for (size_t i = 0; i < count; i++)
    bytes[i] = (unsigned char)(value >> (8 * i));
  str_add(out, (const char *)bytes, count);
}

static void add_f32(struct str *out, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  add_number(out, bits, sizeof bits);
}

static void add_string(struct str *out, const char *text, size_t length) {
  add_number(out, length, 8);
  str_add(out, text, length);
}

static bool working(const struct gguf_writer *w) {
  return w->err.status == STATUS_OK;
}

/* --- the two lists -------------------------------------------------------------------------------- */

static struct item *new_item(struct gguf_writer *w, struct list *list) {
  if (list->count == list->size) {
    size_t size = list->size ? list->size * 2 : 64, bytes;
    struct item *items = checked_mul(&bytes, size, sizeof *items) ? realloc(list->items, bytes) : NULL;
    if (!items) {
      error_set(&w->err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the keys of %s", w->file.path);
      return NULL;
    }
    list->items = items;
    list->size = size;
  }
  struct item *item = &list->items[list->count++];
  *item = (struct item){0};
  return item;
}

static bool name_taken(const struct list *list, const char *name, size_t length) {
  for (size_t i = 0; i < list->count; i++)
    if (list->items[i].name_length == length && memcmp(list->bytes.text + list->items[i].name_at, name, length) == 0)
      return true;
  return false;
}

/* Begins an item with its name; NULL after an error. */
static struct item *begin_item(struct gguf_writer *w, struct list *list, const char *name, size_t length,
                               size_t length_max) {
  CHECK(!w->started);
  if (!working(w) || list->bytes.failed)
    return NULL;
  if (length == 0 || length > length_max)
    error_set(&w->err, STATUS_INTERNAL, NULL, "%s: the name %.*s has %zu bytes; 1 to %zu can be written", w->file.path,
              (int)(length < 80 ? length : 80), name, length, length_max);
  else if (name_taken(list, name, length))
    error_set(&w->err, STATUS_INTERNAL, NULL, "%s: %.*s is written twice", w->file.path, (int)length, name);
  struct item *item = working(w) ? new_item(w, list) : NULL;
  if (!item)
    return NULL;
  item->name_at = list->bytes.length + 8;
  item->name_length = length;
  add_string(&list->bytes, name, length);
  return item;
}

static bool begin_value(struct gguf_writer *w, const char *key, enum gguf_type type) {
  if (!begin_item(w, &w->values, key, strlen(key), GGUF_KEY_MAX))
    return false;
  add_number(&w->values.bytes, type, 4);
  return true;
}

static bool begin_array(struct gguf_writer *w, const char *key, enum gguf_type type, size_t count) {
  if (!begin_value(w, key, GGUF_ARRAY))
    return false;
  add_number(&w->values.bytes, type, 4);
  add_number(&w->values.bytes, count, 8);
  return true;
}

/* The format's strings are UTF-8, and readers refuse others. */
static void add_text(struct gguf_writer *w, const char *key, const char *text, size_t length) {
  if (working(w) && !utf8_valid(text, length, NULL))
    error_set(&w->err, STATUS_INTERNAL, NULL, "%s: key %s: a string is not UTF-8", w->file.path, key);
  add_string(&w->values.bytes, text, length);
}

/* --- public: before the numbers ------------------------------------------------------------------- */

enum status gguf_writer_open(struct gguf_writer **out, const char *path, struct error *err) {
  struct gguf_writer *w = calloc(1, sizeof *w);
  *out = NULL;
  if (!w)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to write %s", path);
  str_init(&w->values.bytes, HEADER_MAX);
  str_init(&w->tensors.bytes, HEADER_MAX);
  enum status status = file_create(&w->file, path, err);
  if (status) {
    gguf_writer_discard(w);
    return status;
  }
  *out = w;
  return STATUS_OK;
}

void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t value) {
  if (begin_value(w, key, GGUF_U32))
    add_number(&w->values.bytes, value, 4);
}

void gguf_writer_f32(struct gguf_writer *w, const char *key, float value) {
  if (begin_value(w, key, GGUF_F32))
    add_f32(&w->values.bytes, value);
}

void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value) {
  if (begin_value(w, key, GGUF_BOOL))
    add_number(&w->values.bytes, value, 1);
}

void gguf_writer_string(struct gguf_writer *w, const char *key, const char *text, size_t length) {
  if (begin_value(w, key, GGUF_STRING))
    add_text(w, key, text, length);
}

void gguf_writer_strings(struct gguf_writer *w, const char *key, const struct gguf_string *items, size_t count) {
  if (!begin_array(w, key, GGUF_STRING, count))
    return;
  for (size_t i = 0; i < count; i++)
    add_text(w, key, items[i].text, items[i].length);
}

void gguf_writer_f32s(struct gguf_writer *w, const char *key, const float *items, size_t count) {
  if (!begin_array(w, key, GGUF_F32, count))
    return;
  for (size_t i = 0; i < count; i++)
    add_f32(&w->values.bytes, items[i]);
}

void gguf_writer_i32s(struct gguf_writer *w, const char *key, const int32_t *items, size_t count) {
  if (!begin_array(w, key, GGUF_I32, count))
    return;
  for (size_t i = 0; i < count; i++)
    add_number(&w->values.bytes, (uint32_t)items[i], 4);
}

void gguf_writer_copy(struct gguf_writer *w, const struct gguf_value *value) {
  static const char alignment[] = "general.alignment";
  struct str *out = &w->values.bytes;
  if (value->key.length == strlen(alignment) && memcmp(value->key.text, alignment, strlen(alignment)) == 0)
    return;
  if (!begin_item(w, &w->values, value->key.text, value->key.length, GGUF_KEY_MAX))
    return;
  add_number(out, value->type, 4);
  if (value->type == GGUF_ARRAY) {
    add_number(out, value->item_type, 4);
    add_number(out, value->count, 8);
  } else if (value->type == GGUF_STRING) {
    add_number(out, value->length, 8);
  }
  str_add(out, (const char *)value->bytes, (size_t)value->length);
}

/* Elements of a shape, and the bytes they need with padding; false when it cannot be written. */
static bool measure(size_t *elements, size_t *bytes, const struct ggml_type_info *info, int rank,
                    const int64_t *shape) {
  bool ok = rank >= 1 && rank <= GGUF_RANK_MAX;
  *elements = 1;
  for (int i = 0; ok && i < rank; i++)
    ok = shape[i] > 0 && checked_mul(elements, *elements, (size_t)shape[i]);
  ok = ok && (size_t)shape[rank - 1] % info->block == 0;
  return ok && checked_mul(bytes, *elements / info->block, info->bytes) && checked_align(bytes, *bytes, ALIGNMENT);
}

void gguf_writer_tensor(struct gguf_writer *w, const char *name, enum ggml_type type, int rank, const int64_t *shape) {
  const struct ggml_type_info *info = ggml_type_info(type);
  struct str *out = &w->tensors.bytes;
  size_t elements, bytes;
  CHECK(info && ggml_from_f32(NULL, NULL, type, 0));
  struct item *item = begin_item(w, &w->tensors, name, strlen(name), GGUF_NAME_MAX);
  if (!item)
    return;
  if (!measure(&elements, &bytes, info, rank, shape)) {
    error_set(&w->err, STATUS_UNSUPPORTED_VALUE, NULL,
              "tensor %s: cannot be written as %s: 1 to %d dimensions, none of them 0, and rows of whole blocks of %zu "
              "are needed", name, info->name, GGUF_RANK_MAX, info->block);
    return;
  }
  item->type = type;
  item->elements = elements;
  add_number(out, (uint64_t)rank, 4);
  for (int i = rank; i-- > 0;)
    add_number(out, (uint64_t)shape[i], 8);
  add_number(out, type, 4);
  add_number(out, w->data_bytes, 8);
  if (!checked_add(&w->data_bytes, w->data_bytes, bytes))
    error_set(&w->err, STATUS_UNSUPPORTED_VALUE, NULL, "%s would be larger than any file", w->file.path);
}

/* --- public: the numbers -------------------------------------------------------------------------- */

static void put_bytes(struct gguf_writer *w, const void *bytes, size_t length) {
  if (working(w) && length)
    w->err.status = file_write(&w->file, bytes, length, &w->err);
}

static void pad(struct gguf_writer *w) {
  static const unsigned char zeros[ALIGNMENT] = {0};
  put_bytes(w, zeros, (ALIGNMENT - w->file.bytes % ALIGNMENT) % ALIGNMENT);
}

static void start(struct gguf_writer *w) {
  struct str head;
  if (w->started)
    return;
  w->started = true;
  str_init(&head, 64);
  str_add(&head, "GGUF", 4);
  add_number(&head, VERSION, 4);
  add_number(&head, w->tensors.count, 8);
  add_number(&head, w->values.count, 8);
  if (working(w) && (head.failed || w->values.bytes.failed || w->tensors.bytes.failed))
    error_set(&w->err, STATUS_OUT_OF_MEMORY, NULL, "no memory (or more than %d bytes) for the keys of %s", HEADER_MAX,
              w->file.path);
  put_bytes(w, head.text, head.length);
  put_bytes(w, w->values.bytes.text, w->values.bytes.length);
  put_bytes(w, w->tensors.bytes.text, w->tensors.bytes.length);
  pad(w);
  str_done(&head);
}

void gguf_writer_data(struct gguf_writer *w, const float *elements, size_t count) {
  start(w);
  if (!working(w))
    return;
  CHECK(w->next < w->tensors.count);
  const struct item *item = &w->tensors.items[w->next];
  const struct ggml_type_info *info = ggml_type_info(item->type);
  CHECK(count <= item->elements - w->done && count % info->block == 0);
  for (size_t i = 0; i < count; i += CHUNK_ELEMENTS) {
    size_t n = count - i < CHUNK_ELEMENTS ? count - i : CHUNK_ELEMENTS;
    CHECK(ggml_from_f32(w->chunk, elements + i, item->type, n));
    put_bytes(w, w->chunk, n / info->block * info->bytes);
  }
  w->done += count;
  if (w->done == item->elements) {
    pad(w);
    w->next++;
    w->done = 0;
  }
}

enum status gguf_writer_finish(struct gguf_writer *w, char sha256[HASH_HEX], uint64_t *bytes, struct error *err) {
  start(w);
  enum status status = w->err.status;
  if (status && err)
    *err = w->err;
  if (!status) {
    CHECK(w->next == w->tensors.count);
    status = file_publish(&w->file, sha256, err);
  }
  if (!status && bytes)
    *bytes = w->file.bytes;
  gguf_writer_discard(w);
  return status;
}

void gguf_writer_discard(struct gguf_writer *w) {
  if (!w)
    return;
  file_discard(&w->file);
  str_done(&w->values.bytes);
  str_done(&w->tensors.bytes);
  free(w->values.items);
  free(w->tensors.items);
  free(w);
}
