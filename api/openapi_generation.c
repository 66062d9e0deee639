/* Bodies of what is asked of a model as schemas. */
#include "api/generation_body.h"
#include "api/openapi_parts.h"

#include <string.h>

/* A tool, or a call of one. */
#define FUNCTION                                                                                                       \
  "{'type': 'object', 'required': ['function'], 'properties': {'type': {'enum': ['function', null]}, 'function': {"    \
  "'type': 'object', 'required': ['name'], 'properties': {'name': {'type': 'string', 'minLength': 1}}}}}"

static json_t *messages_schema(void) {
  return openapi_json(
      "{'type': 'array', 'minItems': 1, 'description': 'The conversation, rendered by the chat template of the model.',"
      " 'items': {'type': 'object', 'required': ['role', 'content'], 'properties': {"
      "   'role': {'enum': ['system', 'developer', 'user', 'assistant', 'tool']},"
      "   'content': {'anyOf': [{'type': 'string'}, {'type': 'null'}, {'type': 'array', 'items': {'type': 'object',"
      "     'required': ['type', 'text'], 'properties': {'type': {'const': 'text'}, 'text': {'type': 'string'}}}}]},"
      "   'name': {'type': ['string', 'null']}, 'tool_call_id': {'type': ['string', 'null']},"
      "   'tool_calls': {'type': ['array', 'null'], 'items': " FUNCTION "}, 'audio': {'type': 'null'}},"
      "  'if': {'properties': {'content': {'type': 'null'}}}, 'then': {'required': ['tool_calls'], 'properties': {"
      "   'role': {'const': 'assistant'}, 'tool_calls': {'type': 'array', 'minItems': 1}}}}}");
}

static json_t *tools_schema(void) {
  return openapi_json("{'type': ['array', 'null'], 'items': " FUNCTION ", 'description': 'Functions that the"
                      " model may call, as its chat template writes them into the prompt.'}");
}

static json_t *input_schema(enum operation op) {
  if (op == OP_classify_create)
    return openapi_json(
        "{'description': 'A text, a list of texts, or a list of pairs of texts.', 'anyOf': ["
        " {'type': 'string', 'minLength': 1}, {'type': 'array', 'minItems': 1, 'maxItems': 2048, 'items': {'anyOf': ["
        "  {'type': 'string', 'minLength': 1},"
        "  {'type': 'array', 'minItems': 2, 'maxItems': 2, 'items': {'type': 'string', 'minLength': 1}}]}}]}");
  return openapi_json(
      "{'description': 'A text, a list of texts, token ids, or a list of lists of token ids.', 'anyOf': ["
      " {'type': 'string', 'minLength': 1},"
      " {'type': 'array', 'minItems': 1, 'maxItems': 2048, 'items': {'type': 'string', 'minLength': 1}},"
      " {'type': 'array', 'minItems': 1, 'items': {'type': 'integer', 'minimum': 0, 'maximum': 2147483647}},"
      " {'type': 'array', 'minItems': 1, 'maxItems': 2048, 'items': {'type': 'array', 'minItems': 1,"
      "  'items': {'type': 'integer', 'minimum': 0, 'maximum': 2147483647}}}]}");
}

/* What only code checks of single members. */
static void refine(struct builder *b, json_t *properties) {
  json_t *bias = json_object_get(properties, "logit_bias"), *stop = json_object_get(properties, "stop");
  if (bias) {
    openapi_set(b, bias, "propertyNames", json_pack("{ss}", "pattern", "^[0-9]+$"));
    openapi_set(b, bias, "maxProperties", json_integer(GENERATION_LOGIT_BIAS_MAX));
  }
  if (stop) {
    openapi_set(b, stop, "maxLength", json_integer(GENERATION_STOP_BYTES / 4)); /* characters, of up to four bytes */
    openapi_set(b, json_object_get(stop, "items"), "maxLength", json_integer(GENERATION_STOP_BYTES / 4));
  }
}

/* What members need of others. */
static void add_rules(struct builder *b, json_t *schema, enum operation op) {
  static const char stream[] =
      "{'if': {'required': ['stream_options'], 'properties': {'stream_options': {'type': 'object'}}},"
      " 'then': {'required': ['stream'], 'properties': {'stream': {'const': true}}}}";
  static const char logprobs[] =
      "{'if': {'required': ['top_logprobs'], 'properties': {'top_logprobs': {'type': 'integer', 'minimum': 1}}},"
      " 'then': {'required': ['logprobs'], 'properties': {'logprobs': {'const': true}}}}";
  json_t *rules = json_object_get(schema, "allOf");
  if (!rules)
    rules = openapi_set(b, schema, "allOf", json_array());
  openapi_append(b, rules, openapi_json(stream));
  if (op == OP_chat_create)
    openapi_append(b, rules, openapi_json(logprobs));
}

json_t *openapi_generation_schema(struct builder *b, enum operation op) {
  json_t *schema = openapi_table_schema(b, generation_body_fields(op));
  json_t *properties = json_object_get(schema, "properties");
  bool chat = op == OP_chat_create, completes = chat || op == OP_completions_create;
  const char *input = chat ? "messages" : completes ? "prompt" : "input";
  openapi_add_inert(b, schema, generation_body_inert(op));
  if (op == OP_images_generate) {
    openapi_set(b, json_object_get(properties, "size"), "pattern",
                json_string("^(auto|[1-9][0-9]{0,3}x[1-9][0-9]{0,3})$"));
    return schema;
  }
  openapi_set(b, properties, input, chat ? messages_schema() : input_schema(op));
  openapi_append(b, json_object_get(schema, "required"), json_string(input));
  refine(b, properties);
  if (chat) {
    openapi_set(b, properties, "tools", tools_schema());
    openapi_set(b, properties, "metadata", openapi_json("{'type': ['object', 'null'], 'maxProperties': 16}"));
  }
  if (!completes)
    return schema;
  json_t *options = openapi_set(b, properties, "stream_options", openapi_table_schema(b, &generation_stream_fields));
  openapi_set(b, options, "type", json_pack("[ss]", "object", "null"));
  add_rules(b, schema, op);
  return schema;
}
