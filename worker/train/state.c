#include "worker/train/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static const char format[] = "reflectd training state";

static int by_name(const void *a, const void *b) {
  return strcmp((*(const struct st_tensor *const *)a)->name, (*(const struct st_tensor *const *)b)->name);
}

/* In the order of the names: the table's order is the writer's own. */
static enum status digest(char out[HASH_HEX], const struct st_tensor *tensors, size_t count, const char *numbers,
                          struct error *err) {
  struct hash hash;
  const struct st_tensor **order = calloc(count + 1, sizeof *order);
  if (!order)
    return error_no_memory(err, "a training state");
  for (size_t i = 0; i < count; i++)
    order[i] = &tensors[i];
  qsort(order, count, sizeof *order, by_name);
  hash_init(&hash);
  hash_add(&hash, numbers, strlen(numbers) + 1);
  for (size_t i = 0; i < count; i++) {
    char head[64];
    int n = snprintf(head, sizeof head, "%s %zu", st_dtype_name(order[i]->dtype), order[i]->length);
    hash_add(&hash, order[i]->name, strlen(order[i]->name) + 1);
    hash_add(&hash, head, (size_t)n + 1);
    hash_add(&hash, order[i]->shape, (size_t)order[i]->rank * sizeof order[i]->shape[0]);
    if (order[i]->length) /* what is read may be anything */
      hash_add(&hash, order[i]->bytes, order[i]->length);
  }
  hash_hex(&hash, out);
  free(order);
  return STATUS_OK;
}

/* What the reader would refuse is never written. */
static enum status check_size(const char *path, const struct st_tensor *tensors, size_t count, const char *numbers,
                              struct error *err) {
  enum { OTHER_METADATA = 512 };
  if (strlen(numbers) > ST_METADATA_MAX - OTHER_METADATA || count > ST_TENSORS_MAX)
    return error_set(err, STATUS_TOO_LARGE, NULL, "%s would have %zu tensors and %zu bytes of numbers: too many", path,
                     count, strlen(numbers));
  for (size_t i = 0; i < count; i++) {
    CHECK(tensors[i].length > 0);
    if (strlen(tensors[i].name) > ST_NAME_MAX)
      return error_set(err, STATUS_TOO_LARGE, NULL, "%s: the name %.80s... is too long", path, tensors[i].name);
  }
  return STATUS_OK;
}

enum status state_write(const char *path, const struct st_tensor *tensors, size_t count, const json_t *numbers,
                        char sha256[HASH_HEX], uint64_t *bytes, struct error *err) {
  char own[HASH_HEX];
  char *text = json_dumps(numbers, JSON_COMPACT | JSON_SORT_KEYS);
  if (!text)
    return error_no_memory(err, "a training state");
  enum status status = check_size(path, tensors, count, text, err);
  status = status ? status : digest(own, tensors, count, text, err);
  AUTO(json_release) json_t *metadata = NULL;
  if (!status) {
    metadata = json_pack("{s:s s:o s:s s:s}", "format", format, "version", json_sprintf("%d", STATE_VERSION), "numbers",
                         text, "sha256", own);
    status = metadata ? STATUS_OK : error_no_memory(err, "a training state");
  }
  free(text);
  return status ? status : safetensors_write(path, tensors, count, metadata, sha256, bytes, err);
}

static const char *text_of(const struct state *state, const char *name) {
  const char *text = json_string_value(json_object_get(state->file.metadata, name));
  return text ? text : "";
}

static enum status check(struct state *state, struct error *err) {
  static const struct json_limits limits = {.bytes_max = ST_METADATA_MAX};
  char version[24], own[HASH_HEX];
  const char *numbers = text_of(state, "numbers");
  if (strcmp(text_of(state, "format"), format) != 0)
    return error_set(err, STATUS_DAMAGED, NULL, "it is no training state");
  snprintf(version, sizeof version, "%d", STATE_VERSION);
  if (strcmp(text_of(state, "version"), version) != 0)
    return error_set(err, STATUS_DAMAGED, NULL, "it is of version %.20s of the format; this reflectd reads %s",
                     text_of(state, "version"), version);
  enum status status = digest(own, state->file.tensors, state->file.count, numbers, err);
  if (status)
    return status;
  if (strcmp(text_of(state, "sha256"), own) != 0)
    return error_set(err, STATUS_DAMAGED, NULL, "its bytes are not those that were written (SHA-256)");
  if (json_parse(&state->numbers, numbers, strlen(numbers), &limits, err))
    return error_prefix(err, "its numbers");
  return json_is_object(state->numbers) ? STATUS_OK : error_set(err, STATUS_DAMAGED, NULL, "its numbers are no object");
}

/* A file that cannot be read as safetensors is as little a state as one that is none. */
static enum status checked(struct state *out, enum status status, struct error *err) {
  out->numbers = NULL;
  if (!status && (status = check(out, err)))
    state_close(out);
  if (status == STATUS_MODEL_INVALID || status == STATUS_INVALID_JSON || status == STATUS_TOO_LARGE)
    status = err->status = STATUS_DAMAGED;
  return status;
}

enum status state_open(struct state *out, const char *path, struct error *err) {
  return checked(out, safetensors_open(&out->file, path, err), err);
}

enum status state_parse(struct state *out, const unsigned char *bytes, size_t length, struct error *err) {
  return checked(out, safetensors_parse(&out->file, bytes, length, err), err);
}

void state_close(struct state *state) {
  json_decref(state->numbers);
  state->numbers = NULL;
  safetensors_close(&state->file);
}

const struct st_tensor *state_tensor(const struct state *state, const char *name, enum st_dtype dtype) {
  const struct st_tensor *tensor = safetensors_find(&state->file, name);
  return tensor && tensor->dtype == dtype ? tensor : NULL;
}
