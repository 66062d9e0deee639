#include "worker/chat/probe.h"

#include "base/json.h"

#define ASK "{\"role\":\"user\",\"content\":\"question\"}"
#define SAY "{\"role\":\"assistant\",\"content\":\"answer\"}"
#define CALL                                                                                                           \
  "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"call00001\",\"type\":\"function\","              \
  "\"function\":{\"name\":\"look\",\"arguments\":{\"at\":\"it\"}}}]}"
#define RESULT "{\"role\":\"tool\",\"tool_call_id\":\"call00001\",\"name\":\"look\",\"content\":\"result\"}"
#define TOOLS                                                                                                          \
  "[{\"type\":\"function\",\"function\":{\"name\":\"look\",\"description\":\"looks\",\"parameters\":"                  \
  "{\"type\":\"object\",\"properties\":{\"at\":{\"type\":\"string\",\"description\":\"what\"}},"                       \
  "\"required\":[\"at\"]}}}]"

static const struct {
  const char *messages, *tools;
} probes[CHAT_FEATURE_COUNT] = {
    [CHAT_SYSTEM] = {"[{\"role\":\"system\",\"content\":\"rule\"}," ASK "," SAY "]", NULL},
    [CHAT_TOOLS] = {"[" ASK "," SAY "]", TOOLS},
    [CHAT_TOOL_CALLS] = {"[" ASK "," CALL "]", TOOLS},
    [CHAT_TOOL_RESULTS] = {"[" ASK "," CALL "," RESULT "," SAY "]", TOOLS},
    [CHAT_ASSISTANT_FIRST] = {"[" SAY "," ASK "," SAY "]", NULL},
    [CHAT_REPEATED_USER] = {"[" ASK "," ASK "," SAY "]", NULL},
    [CHAT_REPEATED_ASSISTANT] = {"[" ASK "," SAY "," SAY "]", NULL},
};

static enum status render_probe(const struct chat_template *chat, struct chat_text *text, const char *messages,
                                const char *tools, struct error *err) {
  AUTO(json_release) json_t *said = json_loads(messages, 0, NULL);
  AUTO(json_release) json_t *offered = tools ? json_loads(tools, 0, NULL) : NULL;
  if (!said || (tools && !offered))
    return error_no_memory(err, "a conversation");
  return chat_template_render(chat, text, said, offered, false, err);
}

enum status probe_chat_template(json_t **refused, const struct chat_template *chat, struct error *err) {
  struct chat_text text;
  chat_text_init(&text);
  *refused = json_object();
  enum status status =
      *refused ? render_probe(chat, &text, "[" ASK "," SAY "]", NULL, err) : error_no_memory(err, "a report");
  for (size_t i = 0; !status && i < CHAT_FEATURE_COUNT; i++) {
    struct error why;
    enum status said = render_probe(chat, &text, probes[i].messages, probes[i].tools, &why);
    if (said)
      json_object_set_new(*refused, chat_feature_name((enum chat_feature)i), json_string(why.text));
  }
  chat_text_done(&text);
  if (!status)
    return STATUS_OK;
  json_decref(*refused);
  *refused = NULL;
  return status;
}
