/* Writing of safetensors, byte for byte as the Python library does it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/json.h"
#include "base/str.h"
#include "worker/file/safetensors.h"

static int by_rank(const void *a, const void *b) {
  const struct st_tensor *x = *(const struct st_tensor *const *)a, *y = *(const struct st_tensor *const *)b;
  if (x->dtype != y->dtype)
    return x->dtype > y->dtype ? -1 : 1;
  return strcmp(x->name, y->name);
}

static void add_json(struct str *out, json_t *value) {
  if (!value || !json_append(out, value))
    out->failed = true;
  json_decref(value);
}

/* A tensor's entry; `offset` moves on. What it refuses is our own mistake. */
static void add_entry(struct str *out, const struct st_tensor *tensor, size_t *offset) {
  size_t need = st_dtype_size(tensor->dtype), begin = *offset;
  CHECK(tensor->rank >= 0 && tensor->rank <= ST_RANK_MAX);
  add_json(out, json_string(tensor->name));
  str_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", st_dtype_name(tensor->dtype));
  for (int i = 0; i < tensor->rank; i++) {
    CHECK(tensor->shape[i] >= 0 && checked_mul(&need, need, (size_t)tensor->shape[i]));
    str_printf(out, "%s%" PRId64, i ? "," : "", tensor->shape[i]);
  }
  CHECK(need == tensor->length && checked_add(offset, begin, need));
  str_printf(out, "],\"data_offsets\":[%zu,%zu]}", begin, *offset);
}

static bool build_header(struct str *out, const struct st_tensor *const *order, size_t count,
                         const json_t *metadata) {
  size_t offset = 0, padded;
  str_puts(out, "{\"__metadata__\":");
  if (metadata)
    add_json(out, json_incref((json_t *)(uintptr_t)metadata));
  else
    str_puts(out, "{\"format\":\"pt\"}");
  for (size_t i = 0; i < count; i++) {
    CHECK(i == 0 || by_rank(&order[i - 1], &order[i]) < 0);
    str_putc(out, ',');
    add_entry(out, order[i], &offset);
  }
  str_putc(out, '}');
  if (!checked_align(&padded, out->length, 8))
    return false;
  while (!out->failed && out->length < padded)
    str_putc(out, ' ');
  return !out->failed;
}

/* Where the bytes come from: the table, or a function that makes them. */
struct source {
  const struct st_tensor *tensors;
  st_fill *fill; /* NULL: the table */
  void *payload;
  unsigned char *room; /* of the largest tensor, with `fill` */
};

static enum status write_bytes(struct file_new *file, const struct source *source, const struct st_tensor *t,
                               struct error *err) {
  if (!t->length)
    return STATUS_OK;
  if (!source->fill)
    return file_write(file, t->bytes, t->length, err);
  enum status status = source->fill(source->payload, (size_t)(t - source->tensors), source->room, err);
  return status ? status : file_write(file, source->room, t->length, err);
}

static enum status write_file(struct file_new *file, const struct str *header, const struct st_tensor *const *order,
                              size_t count, const struct source *source, struct error *err) {
  unsigned char length[8];
  for (size_t i = 0; i < sizeof length; i++)
    length[i] = (unsigned char)((uint64_t)header->length >> (8 * i));
  enum status status = file_write(file, length, sizeof length, err);
  if (!status)
    status = file_write(file, header->text, header->length, err);
  for (size_t i = 0; !status && i < count; i++)
    status = write_bytes(file, source, order[i], err);
  return status;
}

static enum status write_from(const char *path, const struct source *source, size_t count, const json_t *metadata,
                              char sha256[HASH_HEX], uint64_t *bytes, struct error *err) {
  struct str header;
  struct file_new file = {.fd = -1};
  const struct st_tensor **order = calloc(count + 1, sizeof *order);
  str_init(&header, ST_HEADER_MAX);
  for (size_t i = 0; order && i < count; i++)
    order[i] = &source->tensors[i];
  if (order)
    qsort(order, count, sizeof *order, by_rank);
  enum status status = STATUS_OK;
  if (!order || !build_header(&header, order, count, metadata))
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory (or more than %d bytes) for the header of %s",
                       ST_HEADER_MAX, path);
  if (!status)
    status = file_create(&file, path, err);
  if (!status) {
    status = write_file(&file, &header, order, count, source, err);
    if (status)
      file_discard(&file);
    else
      status = file_publish(&file, sha256, err);
  }
  if (!status && bytes)
    *bytes = file.bytes;
  str_done(&header);
  free(order);
  return status;
}

enum status safetensors_write(const char *path, const struct st_tensor *tensors, size_t count,
                              const json_t *metadata, char sha256[HASH_HEX], uint64_t *bytes, struct error *err) {
  return write_from(path, &(struct source){.tensors = tensors}, count, metadata, sha256, bytes, err);
}

enum status safetensors_write_filled(const char *path, const struct st_tensor *tensors, size_t count, st_fill *fill,
                                     void *payload, struct error *err) {
  size_t largest = 1;
  for (size_t i = 0; i < count; i++)
    largest = tensors[i].length > largest ? tensors[i].length : largest;
  struct source source = {tensors, fill, payload, malloc(largest)};
  enum status status = source.room ? write_from(path, &source, count, NULL, NULL, NULL, err)
                                   : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to write %s", path);
  free(source.room);
  return status;
}
