/* POST /v1/images/generations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "server/http/answering.h"

enum { HEAD_BYTES = 24, HEAD_CHARS = 32 };

static uint32_t big_endian(const unsigned char *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Of a PNG its signature, and the width and height that its first chunk begins with. */
static enum status read_size(char out[32], const char *text, struct error *err) {
  static const unsigned char signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  char head[HEAD_CHARS + 1];
  unsigned char *bytes = NULL;
  size_t length = 0;
  snprintf(head, sizeof head, "%s", text);
  enum status status = base64_read(&bytes, &length, head, err);
  if (status || length != HEAD_BYTES || memcmp(bytes, signature, sizeof signature) != 0)
    status = error_set(err, STATUS_WORKER_CRASHED, NULL, "the worker's image is none");
  else
    snprintf(out, 32, "%ux%u", big_endian(bytes + 16), big_endian(bytes + 20));
  free(bytes);
  return status;
}

static enum status whole(json_t **out, const struct answering *answering, struct error *err) {
  char size[32] = "";
  json_t *data = json_array();
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < answering->part_count; i++) {
    const struct answer_part *part = &answering->part[i];
    status = read_size(size, part->text.text, err);
    if (!status)
      json_array_append_new(data, json_pack("{s:s, s:I}", "b64_json", part->text.text, "seed",
                                            (json_int_t)(answering->seed + (int64_t)i)));
  }
  *out = json_pack("{s:I, s:s, s:s, s:s, s:s, s:o}", "created", (json_int_t)answering->created, "background", "opaque",
                   "output_format", "png", "quality", "auto", "size", size, "data", data);
  if (!status && (!*out || json_array_size(data) != answering->part_count))
    status = error_no_memory(err, "the answer");
  if (status) {
    json_decref(*out);
    *out = NULL;
  }
  return status;
}

static const struct answer_kind image = {.whole = whole};

void http_images_generate(struct request *request) {
  answering_reply(request, &image);
}
