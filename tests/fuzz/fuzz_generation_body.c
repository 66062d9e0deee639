/* sources: base api */
/* Any bytes are either refused with at least one fault, or are a body whose every input is there, and whose request a
   worker reads as it was written. The first byte chooses the operation. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "api/generation_body.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void write_and_read(const struct generation_body *body, struct arena *arena) {
  AUTO(json_release) json_t *document = NULL;
  AUTO(str_done) struct str text;
  struct error err;
  struct generation_line line = {.kind = GENERATION_LINE_REQUEST, .request = body->request}, got;
  line.request.id = 1;
  line.request.sampling.seed = 1;
  if (body->input_count) {
    line.request.prompt = body->input[0].text;
    line.request.prompt_pair = body->input[0].pair;
    line.request.prompt_ids = body->input[0].ids;
    CHECK(!line.request.prompt == (line.request.prompt_ids.count > 0));
  }
  str_init(&text, GENERATION_LINE_MAX);
  CHECK(generation_line_write(&text, &line));
  CHECK(generation_line_parse(&got, &document, text.text, text.length - 1, arena, &err) == STATUS_OK);
  CHECK(got.request.kind == body->request.kind && got.request.max_tokens == body->request.max_tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  static const enum operation operations[] = {OP_chat_create, OP_completions_create, OP_embeddings_create,
                                              OP_classify_create};
  struct arena arena;
  struct error err;
  struct fault_list faults = {0};
  struct generation_body body;
  json_t *object;
  if (length == 0)
    return 0;
  if (json_parse(&object, (const char *)bytes + 1, length - 1, NULL, &err) || !json_is_object(object)) {
    json_decref(object);
    return 0;
  }
  arena_init(&arena, 32 << 20);
  generation_body_parse(&body, operations[bytes[0] % 4], object, &arena, &faults);
  for (size_t i = 0; i < faults.count; i++)
    CHECK(faults.item[i].text[0] && faults.item[i].status &&
          utf8_valid(faults.item[i].text, strlen(faults.item[i].text), NULL));
  if (faults.count == 0)
    write_and_read(&body, &arena);
  json_decref(object);
  arena_done(&arena);
  return 0;
}
