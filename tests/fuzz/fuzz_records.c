/* sources: base worker/data/[dfr][eo]*.c worker/data/m[ae]*.c worker/chat/[cm][oe][ns][vs]*.c worker/file/[au]*.c */
/* Any bytes, read as each of the three formats: every record is whole and in its place, every refusal
   names a line, and the records behind it can be read. A line with messages is checked as a chat, and one that passes
   is read as a conversation in one form.
 */
#include <stdio.h>
#include <string.h>

#include "worker/chat/conversation.h"
#include "worker/data/messages.h"
#include "worker/data/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_message(const json_t *message) {
  const json_t *content = json_object_get(message, "content"), *calls = json_object_get(message, "tool_calls");
  const char *name, *role = json_string_value(json_object_get(message, "role"));
  bool assistant = strcmp(role, "assistant") == 0;
  json_t *value;
  CHECK(strcmp(role, "function") != 0 && (json_is_string(content) || json_is_null(content)));
  json_object_foreach((json_t *)(uintptr_t)message, name, value) {
    CHECK(!json_is_null(value) || strcmp(name, "content") == 0);
  }
  CHECK(!assistant || !calls || json_array_size(calls) > 0);
  for (size_t i = 0; assistant && i < json_array_size(calls); i++) {
    const json_t *function = json_object_get(json_array_get(calls, i), "function");
    const json_t *arguments = json_object_get(function, "arguments");
    CHECK(json_string_length(json_object_get(function, "name")) > 0);
    CHECK(json_is_object(arguments) || json_is_string(arguments));
  }
}

static void use_chat(const struct record *record) {
  struct messages_facts facts;
  struct error err = {0};
  json_t *messages = json_object_get(record->object, "messages");
  if (messages_check(&facts, record, "messages", &err)) {
    CHECK(err.status == STATUS_DATASET_INVALID && strncmp(err.text, "line ", 5) == 0);
    return;
  }
  CHECK(facts.learnt <= facts.assistant && facts.assistant <= facts.turns);
  struct conversation c;
  CHECK(conversation_read(&c, record->object, "messages"));
  CHECK(json_array_size(c.messages) == json_array_size(messages));
  for (size_t i = 0; i < json_array_size(c.messages); i++)
    check_message(json_array_get(c.messages, i));
  CHECK(!c.tools || json_array_size(c.tools) > 0);
  conversation_done(&c);
}

static void use(const struct records *records, const struct record *record) {
  struct error err;
  CHECK(record->line >= 1 && record->line <= records_lines(records));
  CHECK((record->object != NULL) == (records_format(records) == RECORD_JSONL));
  CHECK(record->count == records_columns(records, NULL));
  for (size_t i = 0; i < record->count; i++) {
    const struct record_value *value = &record->values[i];
    CHECK(strlen(value->text) == value->length);
    CHECK(value->line >= record->line && value->column >= 1);
  }
  if (record->object)
    use_chat(record);
  record_fault(&err, record, record->count ? 0 : -1, "a", "x");
  CHECK(strncmp(err.text, "line ", 5) == 0);
}

static bool names_a_line(const struct error *err) {
  size_t line;
  return err->status == STATUS_DATASET_INVALID && sscanf(err->text, "line %zu, column", &line) == 1 && line >= 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  for (int format = 0; format < RECORD_FORMAT_COUNT; format++) {
    struct records *records;
    const struct record *record;
    struct error err = {0};
    enum status status = records_open_memory(&records, (const char *)bytes, length, (enum record_format)format, &err);
    CHECK(!status || names_a_line(&err));
    for (bool more = !status; more;) {
      status = records_next(records, &record, &err);
      if (!status && record)
        use(records, record);
      CHECK(!status || names_a_line(&err));
      more = status ? records_skip(records) : record != NULL; /* those after a bad one are read as well */
    }
    if (!status)
      CHECK(records_bytes(records) == length);
    records_close(records);
  }
  return 0;
}
