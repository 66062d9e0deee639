/* The GGUF format (version 2 and 3, little-endian): key-value pairs, then named tensors in ggml's
   element types, many of them quantised in blocks. Files are read as hostile: every count, length,
   offset and type is checked against the size of the file before it is used. */
#ifndef WORKER_FILE_GGUF_H
#define WORKER_FILE_GGUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "worker/file/ggml.h"

enum gguf_type { /* of values, with the format's numbers */
  GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY,
  GGUF_U64, GGUF_I64, GGUF_F64, GGUF_TYPE_COUNT
};

enum {
  GGUF_RANK_MAX = 4,
  GGUF_KEY_MAX = 256,  /* bytes of a key */
  GGUF_NAME_MAX = 127, /* bytes of a tensor's name */
};

struct gguf_string {
  const char *text; /* in the mapped file: not NUL-terminated; UTF-8, perhaps with NUL bytes */
  size_t length;
};

struct gguf_value {
  struct gguf_string key;
  enum gguf_type type;
  enum gguf_type item_type; /* ARRAY; never ARRAY itself (nested arrays are refused) */
  uint64_t count;           /* ARRAY: items */
  const unsigned char *bytes; /* of the value, the string's bytes, or the array's first item */
  uint64_t length;            /* bytes there */
};

struct gguf_tensor {
  const char *name; /* NUL-terminated */
  int rank;
  int64_t shape[GGUF_RANK_MAX]; /* outermost first, as everywhere in the engine (the file has them reversed) */
  enum ggml_type type;
  const unsigned char *bytes;
  size_t length;
};

struct gguf {
  struct arena arena;
  struct file_map map;
  size_t value_count;
  struct gguf_value *values; /* in the file's order; keys are unique */
  size_t tensor_count;
  struct gguf_tensor *tensors; /* sorted by name; names are unique */
  struct gguf *parts;          /* of a model of several files (gguf_parts.h), which this is the first of: the others */
  size_t part_count;
};

/* The file at `path`, and where it is the first part of a split model (gguf_parts.h) the others with it. Every fault is
   STATUS_MODEL_INVALID (or IO, OUT_OF_MEMORY); its text names the file and the key, tensor or byte. After a failure
   *out is empty and gguf_close does nothing. */
NODISCARD enum status gguf_open(struct gguf *out, const char *path, struct error *err);
/* One file from memory, which must outlive *out. */
NODISCARD enum status gguf_parse(struct gguf *out, const unsigned char *bytes, size_t length, struct error *err);
void gguf_close(struct gguf *gguf);

/* NULL when there is none. */
const struct gguf_value *gguf_find(const struct gguf *gguf, const char *key);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name);

/* Values by key. A key that is absent gives `fallback`; one of another type is STATUS_MODEL_INVALID
   naming it. Integers of any width are read; negative numbers where an unsigned is asked are faults. */
NODISCARD enum status gguf_get_u64(uint64_t *out, const struct gguf *gguf, const char *key, uint64_t fallback,
                                   struct error *err);
NODISCARD enum status gguf_get_f64(double *out, const struct gguf *gguf, const char *key, double fallback,
                                   struct error *err);
NODISCARD enum status gguf_get_bool(bool *out, const struct gguf *gguf, const char *key, bool fallback,
                                    struct error *err);
NODISCARD enum status gguf_get_string(struct gguf_string *out, const struct gguf *gguf, const char *key,
                                      const char *fallback, struct error *err);
/* An array of exactly `item_type`; *out NULL when the key is absent. */
NODISCARD enum status gguf_get_array(const struct gguf_value **out, const struct gguf *gguf, const char *key,
                                     enum gguf_type item_type, struct error *err);
/* Steps through an array of strings: `at` starts at 0 and is the byte position. To be called `count` times. */
struct gguf_string gguf_next_string(const struct gguf_value *array, size_t *at);
/* Item `index` of an array of numbers. */
double gguf_item_number(const struct gguf_value *array, size_t index);

/* Rows `first` .. `first + rows - 1` of a tensor (a row is its last dimension) as floats.
   STATUS_MODEL_INVALID for an element type that cannot be read. */
NODISCARD enum status gguf_to_f32(float *out, const struct gguf_tensor *tensor, size_t first, size_t rows,
                                  struct error *err);

/* Writing (version 3): values, then the list of tensors with their types, then the numbers of each tensor
   in that order; the file is published by gguf_writer_finish and never seen half-written. Only the keys
   and the list are kept in memory. The first error (also a key or name that comes twice, or rows that are
   no whole blocks of the type) is kept and every later call does nothing. */
struct gguf_writer;
NODISCARD enum status gguf_writer_open(struct gguf_writer **out, const char *path, struct error *err);
void gguf_writer_u32(struct gguf_writer *writer, const char *key, uint32_t value);
void gguf_writer_f32(struct gguf_writer *writer, const char *key, float value);
void gguf_writer_bool(struct gguf_writer *writer, const char *key, bool value);
void gguf_writer_string(struct gguf_writer *writer, const char *key, const char *text, size_t length);
void gguf_writer_strings(struct gguf_writer *writer, const char *key, const struct gguf_string *items, size_t count);
void gguf_writer_f32s(struct gguf_writer *writer, const char *key, const float *items, size_t count);
void gguf_writer_i32s(struct gguf_writer *writer, const char *key, const int32_t *items, size_t count);
/* A value of another file, as it is there; general.alignment is left out, since the writer has its own. */
void gguf_writer_copy(struct gguf_writer *writer, const struct gguf_value *value);
/* Announces a tensor of a type that ggml_from_f32 encodes; `shape` outermost first. */
void gguf_writer_tensor(struct gguf_writer *writer, const char *name, enum ggml_type type, int rank,
                        const int64_t *shape);
/* The elements of the next announced tensor, encoded in its type; in one call or in several, of whole
   blocks each. After the first call no value or tensor can be added. */
void gguf_writer_data(struct gguf_writer *writer, const float *elements, size_t count);
/* Publishes, or discards after an error; frees the writer in any case. All tensors must have come. sha256
   and bytes may be NULL. */
NODISCARD enum status gguf_writer_finish(struct gguf_writer *writer, char sha256[HASH_HEX], uint64_t *bytes,
                                         struct error *err);
/* Forgets the file and frees the writer; NULL is fine. */
void gguf_writer_discard(struct gguf_writer *writer);

#endif
