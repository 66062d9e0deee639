/* The safetensors format: a JSON header of names, types, shapes and byte ranges, then the raw
   little-endian numbers. Files are read as hostile: nothing is used before it was checked against
   the size of the file. */
#ifndef WORKER_FILE_SAFETENSORS_H
#define WORKER_FILE_SAFETENSORS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"

/* The closed list of element types, in the order in which the Python library ranks them. */
enum st_dtype {
  ST_BOOL,
  ST_U8,
  ST_I8,
  ST_F8_E5M2,
  ST_F8_E4M3,
  ST_I16,
  ST_U16,
  ST_F16,
  ST_BF16,
  ST_I32,
  ST_U32,
  ST_F32,
  ST_F64,
  ST_I64,
  ST_U64,
  ST_DTYPE_COUNT
};

enum {
  ST_RANK_MAX = 8,
  ST_NAME_MAX = 256,          /* bytes of a name */
  ST_TENSORS_MAX = 65536,     /* in one file */
  ST_HEADER_MAX = 4 << 20,    /* bytes of a header */
  ST_METADATA_MAX = 64 << 10, /* bytes of keys and values in __metadata__ */
  ST_SHARDS_MAX = 1024,
};

struct st_tensor {
  const char *name;
  enum st_dtype dtype;
  int rank;                    /* 0: a scalar */
  int64_t shape[ST_RANK_MAX];  /* outermost first */
  const unsigned char *bytes;  /* little-endian; not always aligned to the element */
  size_t length;               /* bytes: elements times st_dtype_size */
};

struct safetensors {
  struct arena arena;         /* names and the table */
  size_t count;
  struct st_tensor *tensors;  /* sorted by name (bytewise), names are unique */
  json_t *metadata;           /* of the first file: an object of strings, or NULL */
  size_t map_count;
  struct file_map *maps;      /* what `bytes` points into */
};

const char *st_dtype_name(enum st_dtype dtype);  /* "F32" */
size_t st_dtype_size(enum st_dtype dtype);       /* bytes an element */

/* Reads one file. Every fault is STATUS_MODEL_INVALID (or IO, OUT_OF_MEMORY), its text names the
   file and the tensor or byte. After a failure *out is empty and safetensors_close does nothing. */
NODISCARD enum status safetensors_open(struct safetensors *out, const char *path, struct error *err);
/* A model's directory: model.safetensors, or else the shards that model.safetensors.index.json lists. */
NODISCARD enum status safetensors_open_model(struct safetensors *out, const char *directory, struct error *err);
/* The same for a file `name`, or the shards that `name`.index.json lists, of any format that `open` makes such a table
   of. */
typedef enum status st_open(struct safetensors *out, const char *path, struct error *err);
NODISCARD enum status safetensors_open_named(struct safetensors *out, const char *directory, const char *name,
                                             st_open *open, struct error *err);
/* From memory, which must outlive *out. */
NODISCARD enum status safetensors_parse(struct safetensors *out, const unsigned char *bytes, size_t length,
                                        struct error *err);
void safetensors_close(struct safetensors *file);

/* NULL when there is no tensor of that name. */
const struct st_tensor *safetensors_find(const struct safetensors *file, const char *name);

int64_t st_elements(const struct st_tensor *tensor);
/* Converts F32, F16 or BF16 into out[st_elements]; STATUS_MODEL_INVALID for another type. */
NODISCARD enum status st_to_f32(float *out, const struct st_tensor *tensor, struct error *err);

/* Writes a file as the Python library lays it out (types of higher rank first, then by name; header
   padded with spaces to 8 bytes) and publishes it under `path`. `metadata` is an object of strings;
   NULL means {"format":"pt"}. The tensors may come in any order, must have distinct names and a
   `length` that fits their shape. `sha256` and `bytes` (the file's size) may be NULL. */
NODISCARD enum status safetensors_write(const char *path, const struct st_tensor *tensors, size_t count,
                                        const json_t *metadata, char sha256[HASH_HEX], uint64_t *bytes,
                                        struct error *err);
/* The same with the bytes of each tensor made when it is its turn (`bytes` of the table is not read): a file of
   any size needs memory for its largest tensor only. `fill` writes tensors[index].length bytes. */
typedef enum status st_fill(void *payload, size_t index, unsigned char *bytes, struct error *err);
NODISCARD enum status safetensors_write_filled(const char *path, const struct st_tensor *tensors, size_t count,
                                               st_fill *fill, void *payload, struct error *err);

#endif
