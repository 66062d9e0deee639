/* POST /v1/embeddings. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "server/http/answering.h"

/* The vector's numbers; they are little-endian, as this machine is. */
static json_t *numbers(const unsigned char *bytes, size_t count) {
  json_t *out = json_array();
  for (size_t i = 0; i < count; i++) {
    float value;
    memcpy(&value, bytes + i * sizeof value, sizeof value);
    json_array_append_new(out, json_real((double)value));
  }
  return out;
}

/* One vector as it is wanted. */
static enum status show(json_t **out, const struct answer_part *part, struct error *err) {
  const struct generation_body *body = &part->whole->body;
  unsigned char *bytes;
  size_t length;
  enum status status = base64_read(&bytes, &length, part->vector ? part->vector : "?", err);
  int64_t dimensions = (int64_t)(length / sizeof(float));
  if (status || dimensions == 0 || length % sizeof(float))
    status = error_set(err, STATUS_WORKER_CRASHED, NULL, "the worker's vector is none");
  else if (body->dimensions && body->dimensions != dimensions)
    status = error_set(err, STATUS_UNSUPPORTED_VALUE, "dimensions",
                       "%.128s gives vectors of %lld dimensions, and no others", body->model, (long long)dimensions);
  else
    *out = body->base64 ? json_string(part->vector) : numbers(bytes, (size_t)dimensions);
  free(bytes);
  return status;
}

static enum status whole(json_t **out, const struct answering *answering, struct error *err) {
  json_t *data = json_array(), *usage = answering_usage(answering);
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < answering->part_count; i++) {
    json_t *vector = NULL;
    status = show(&vector, &answering->part[i], err);
    if (!status)
      json_array_append_new(data, json_pack("{s:s, s:I, s:o}", "object", "embedding", "index", (json_int_t)i,
                                            "embedding", vector));
  }
  json_object_del(usage, "completion_tokens");
  *out = json_pack("{s:s, s:o, s:s, s:o}", "object", "list", "data", data, "model", answering->body.model, "usage",
                   usage);
  if (!status)
    return STATUS_OK;
  json_decref(*out);
  return status;
}

static const struct answer_kind embedding = {.whole = whole};

void http_embeddings_create(struct request *request) {
  answering_reply(request, &embedding);
}
