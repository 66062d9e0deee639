/* sources: base worker/jinja worker/chat/[cmrt]*[!n].c worker/text/unicode.c */
/* The bytes up to the first NUL are a chat template, the rest messages as JSON (a usual conversation when
   they are none). No input crashes or runs long; spans are in order, apart and not empty; a text is UTF-8;
   the same input gives the same text again. */
#include <string.h>

#include "base/json.h"
#include "worker/chat/chat_template.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static const char usual[] =
    "[{\"role\": \"system\", \"content\": \"be kind\"}, {\"role\": \"user\", \"content\": \"\\u00e9?\"},"
    " {\"role\": \"assistant\", \"content\": \" yes\\n\", \"tool_calls\": [{\"function\": {\"name\": \"f\","
    " \"arguments\": {\"a\": [1, 2.5, null, true]}}}]}]";

static void check_text(const struct chat_text *text) {
  size_t at = 0;
  CHECK(utf8_valid(text->text.text, text->text.length, NULL));
  for (size_t i = 0; i < text->span_count; i++) {
    const struct chat_span *s = &text->spans[i];
    CHECK(at <= s->begin && s->begin <= s->said && s->said <= s->end && s->begin < s->end);
    CHECK(s->end <= text->text.length);
    at = text->spans[i].end;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  struct chat_template *chat;
  struct chat_text first, second;
  struct error err = {0};
  const uint8_t *end = length ? memchr(bytes, 0, length) : NULL;
  size_t source_length = end ? (size_t)(end - bytes) : length;
  AUTO(json_release) json_t *specials = json_pack("{s:s, s:s}", "bos_token", "<s>", "eos_token", "</s>");
  AUTO(json_release) json_t *messages = NULL;
  if (!end || json_parse(&messages, (const char *)end + 1, length - source_length - 1, NULL, &err))
    messages = json_loads(usual, 0, NULL);
  enum status status = chat_template_parse(&chat, (const char *)bytes, source_length, specials, &err);
  CHECK(status == STATUS_OK || (err.text[0] && !chat));
  if (status)
    return 0;
  chat_text_init(&first);
  chat_text_init(&second);
  bool has_date = memmem(bytes, source_length, "strftime", 8) != NULL;
  status = chat_template_render(chat, &first, messages, NULL, length % 2, &err);
  CHECK(status == STATUS_OK || status == STATUS_DATASET_INVALID || status == STATUS_UNSUPPORTED_VALUE);
  if (!status) {
    check_text(&first);
    CHECK(chat_template_render(chat, &second, messages, NULL, length % 2, &err) == STATUS_OK);
    CHECK(has_date || (first.text.length == second.text.length && first.span_count == second.span_count &&
                       memcmp(first.text.text, second.text.text, first.text.length) == 0));
  }
  chat_text_done(&first);
  chat_text_done(&second);
  chat_template_free(chat);
  return 0;
}
