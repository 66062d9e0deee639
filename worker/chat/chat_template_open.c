/* Where chat templates come from: the built-in table, and the files in which models bring their own
   with the texts of their special tokens. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/chat/rendering.h"
#include "worker/file/directory.h"
#include "worker/text/tokenizer_config.h"

enum { CONFIG_BYTES_MAX = 64 << 20, TEMPLATE_BYTES_MAX = 1 << 20 };

static const struct json_limits limits = {.bytes_max = CONFIG_BYTES_MAX, .depth_max = 16, .values_max = 8 << 20};

/* --- built in ------------------------------------------------------------------------------------- */

static const char chatml[] =
#include "worker/chat/templates/chatml.jinja.inc"
    ;
static const char smollm2[] =
#include "worker/chat/templates/smollm2.jinja.inc"
    ;
static const char llama_2[] =
#include "worker/chat/templates/llama-2.jinja.inc"
    ;
static const char llama_3[] =
#include "worker/chat/templates/llama-3.jinja.inc"
    ;
static const char mistral[] =
#include "worker/chat/templates/mistral.jinja.inc"
    ;
static const char zephyr[] =
#include "worker/chat/templates/zephyr.jinja.inc"
    ;
static const char gemma[] =
#include "worker/chat/templates/gemma.jinja.inc"
    ;
static const char qwen[] =
#include "worker/chat/templates/qwen.jinja.inc"
    ;
static const char alpaca[] =
#include "worker/chat/templates/alpaca.jinja.inc"
    ;

static const struct {
  const char *name, *source;
} builtin[] = {{"chatml", chatml},   {"smollm2", smollm2}, {"llama-2", llama_2},
               {"llama-3", llama_3}, {"mistral", mistral}, {"zephyr", zephyr},
               {"gemma", gemma},     {"qwen", qwen},       {"alpaca", alpaca}};

/* NULL: there is none of that name. */
static const char *find_builtin(const char *name) {
  for (size_t i = 0; i < COUNT_OF(builtin); i++)
    if (strcmp(builtin[i].name, name) == 0)
      return builtin[i].source;
  return NULL;
}

static void list_names(char *out, size_t size) {
  size_t used = 0;
  for (size_t i = 0; i < COUNT_OF(builtin) && used < size; i++)
    used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", builtin[i].name);
}

/* --- files ---------------------------------------------------------------------------------------- */

/* The templates of a model by their names, as far as they are used: "default", and "tool_use" for conversations with
   tools. */
static enum status keep_template(json_t *templates, const char *name, const char *text, size_t length,
                                 struct error *err) {
  json_t *source = json_stringn(text, length);
  if (!source)
    return error_set(err, STATUS_MODEL_INVALID, "chat_template", "the chat template \"%.40s\" is not UTF-8", name);
  if (json_object_set_new(templates, name, source) != 0)
    return error_no_memory(err, "the chat template");
  return STATUS_OK;
}

/* `chat_template` of an object: a string, a list of {name, template}, or an object of templates by name. */
static enum status from_object(json_t *templates, const json_t *object, const char *file, struct error *err) {
  const json_t *found = json_object_get(object, "chat_template");
  enum status status = STATUS_OK;
  const char *key;
  json_t *value;
  if (!found || json_is_null(found))
    return STATUS_OK;
  if (json_is_string(found))
    return keep_template(templates, "default", json_string_value(found), json_string_length(found), err);
  if (!json_is_array(found) && !json_is_object(found))
    return error_set(err, STATUS_MODEL_INVALID, "chat_template", "%s: chat_template is %s, not a string", file,
                     json_kind(found));
  for (size_t i = 0; !status && i < json_array_size(found); i++) {
    const json_t *item = json_array_get(found, i), *source = json_object_get(item, "template");
    const char *name = json_string_value(json_object_get(item, "name"));
    if (!name || !json_is_string(source))
      return error_set(err, STATUS_MODEL_INVALID, "chat_template", "%s: chat_template[%zu] needs a name and a template",
                       file, i);
    status = keep_template(templates, name, json_string_value(source), json_string_length(source), err);
  }
  json_object_foreach((json_t *)(uintptr_t)found, key, value) {
    if (!status && json_is_string(value))
      status = keep_template(templates, key, json_string_value(value), json_string_length(value), err);
  }
  if (!status && !json_object_get(templates, "default"))
    return error_set(err, STATUS_MODEL_INVALID, "chat_template", "%s: none of its chat templates is named \"default\"",
                     file);
  return status;
}

/* A file that holds nothing else; none is no fault. */
static enum status from_file(json_t *templates, const char *name, const char *directory, const char *file,
                             struct error *err) {
  char path[DIRECTORY_PATH_BYTES], *text;
  size_t length;
  if (!directory_find(path, directory, file))
    return STATUS_OK;
  enum status status = file_read(&text, &length, path, TEMPLATE_BYTES_MAX, err);
  if (status)
    return error_prefix(err, "%s", file);
  status = keep_template(templates, name, text, length, err);
  free(text);
  return status;
}

static enum status from_directory(json_t *templates, const char *directory, struct error *err) {
  static const char *const files[] = {"tokenizer_config.json", "chat_template.json"};
  /* Transformers lets these files win. */
  enum status status = from_file(templates, "default", directory, "chat_template.jinja", err);
  if (!status && json_object_size(templates))
    return from_file(templates, "tool_use", directory, "additional_chat_templates/tool_use.jinja", err);
  for (size_t i = 0; !status && i < COUNT_OF(files) && !json_object_size(templates); i++) {
    AUTO(json_release) json_t *object = NULL;
    status = directory_json(&object, directory, files[i], &limits, err);
    if (!status)
      status = from_object(templates, object, files[i], err);
  }
  return status;
}

static enum status from_gguf(json_t *templates, const struct gguf *gguf, struct error *err) {
  static const char *const rows[][2] = {{"default", "tokenizer.chat_template"},
                                        {"tool_use", "tokenizer.chat_template.tool_use"}};
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(rows); i++) {
    struct gguf_string text;
    if (!gguf_find(gguf, rows[i][1]))
      continue;
    status = gguf_get_string(&text, gguf, rows[i][1], "", err);
    if (!status)
      status = keep_template(templates, rows[i][0], text.text, text.length, err);
  }
  return status;
}

/* --- special tokens ------------------------------------------------------------------------------- */

static bool is_special_name(const char *key) {
  size_t length = strlen(key);
  return length > 6 && strcmp(key + length - 6, "_token") == 0;
}

/* Members "..._token" that are a text, or an object with `content`. */
static enum status add_special_tokens(json_t *special_tokens, const json_t *object, struct error *err) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)object, key, value) {
    json_t *text = json_is_object(value) ? json_object_get(value, "content") : value;
    if (!is_special_name(key) || !json_is_string(text))
      continue;
    if (json_object_set(special_tokens, key, text) != 0)
      return error_no_memory(err, "the special tokens");
  }
  return STATUS_OK;
}

static enum status special_tokens_of_directory(json_t *special_tokens, const char *directory, struct error *err) {
  struct tokenizer_config config;
  enum status status = tokenizer_config_read(&config, directory, err);
  if (status)
    return status;
  status = add_special_tokens(special_tokens, config.settings, err);
  tokenizer_config_done(&config);
  return status;
}

static enum status special_tokens_of_gguf(json_t *special_tokens, const struct gguf *gguf, struct error *err) {
  static const struct {
    const char *key, *name;
  } ids[] = {{"tokenizer.ggml.bos_token_id", "bos_token"},
             {"tokenizer.ggml.eos_token_id", "eos_token"},
             {"tokenizer.ggml.unknown_token_id", "unk_token"},
             {"tokenizer.ggml.padding_token_id", "pad_token"}};
  uint64_t wanted[COUNT_OF(ids)];
  const struct gguf_value *tokens;
  enum status status = gguf_get_array(&tokens, gguf, "tokenizer.ggml.tokens", GGUF_STRING, err);
  for (size_t i = 0; !status && i < COUNT_OF(ids); i++)
    status = gguf_get_u64(&wanted[i], gguf, ids[i].key, UINT64_MAX, err);
  if (status || !tokens)
    return status;
  size_t at = 0;
  for (uint64_t id = 0; id < tokens->count; id++) {
    struct gguf_string token = gguf_next_string(tokens, &at);
    for (size_t i = 0; i < COUNT_OF(ids); i++)
      if (wanted[i] == id &&
          json_object_set_new(special_tokens, ids[i].name, json_stringn(token.text, token.length)) != 0)
        return error_set(err, STATUS_MODEL_INVALID, ids[i].key, "%s: token %llu is not UTF-8", ids[i].key,
                         (unsigned long long)id);
  }
  for (size_t i = 0; i < COUNT_OF(ids); i++)
    if (wanted[i] != UINT64_MAX && wanted[i] >= tokens->count)
      return error_set(err, STATUS_MODEL_INVALID, ids[i].key, "%s: there is no token %llu", ids[i].key,
                       (unsigned long long)wanted[i]);
  return STATUS_OK;
}

static enum status read_special_tokens(json_t **out, const char *model_path, const struct gguf *gguf,
                                       struct error *err) {
  json_t *special_tokens = *out = json_object();
  if (!special_tokens)
    return error_no_memory(err, "the special tokens");
  enum status status = gguf         ? special_tokens_of_gguf(special_tokens, gguf, err)
                       : model_path ? special_tokens_of_directory(special_tokens, model_path, err)
                                    : STATUS_OK;
  if (status) {
    json_decref(special_tokens);
    *out = NULL;
  }
  return status;
}

/* --- opening -------------------------------------------------------------------------------------- */

/* The one that `asked` names or is. */
static enum status open_asked(struct chat_template **out, const char *asked, const json_t *special_tokens,
                              struct error *err) {
  const char *source = find_builtin(asked);
  char names[200];
  if (!source && (strstr(asked, "{%") || strstr(asked, "{{")))
    source = asked;
  if (source)
    return chat_template_parse(out, source, strlen(source), special_tokens, err);
  list_names(names, sizeof names);
  return error_set(err, STATUS_INVALID_VALUE, "chat_template",
                   "there is no chat template named \"%.60s\"; there are %s, "
                   "or give the source of one",
                   asked, names);
}

/* One of the model's own; NULL stays NULL. */
static enum status parse_own(struct chat_template **out, const json_t *source, const json_t *special_tokens,
                             struct error *err) {
  if (!source)
    return STATUS_OK;
  enum status status =
      chat_template_parse(out, json_string_value(source), json_string_length(source), special_tokens, err);
  if (!status)
    return STATUS_OK;
  if (status == STATUS_INVALID_VALUE)
    status = STATUS_MODEL_INVALID;
  if (err) {
    err->status = status;
    error_prefix(err, "the model's chat template");
  }
  return status;
}

enum status chat_template_sources(json_t **out, const char *model_path, const struct gguf *gguf, struct error *err) {
  json_t *templates = *out = json_object();
  if (!templates)
    return error_no_memory(err, "the chat template");
  enum status status = gguf         ? from_gguf(templates, gguf, err)
                       : model_path ? from_directory(templates, model_path, err)
                                    : STATUS_OK;
  if (status) {
    json_decref(templates);
    *out = NULL;
  }
  return status;
}

static enum status open_own(struct chat_template **out, const char *model_path, const struct gguf *gguf,
                            const json_t *special_tokens, struct error *err) {
  AUTO(json_release) json_t *templates = NULL;
  char names[200];
  enum status status = chat_template_sources(&templates, model_path, gguf, err);
  status = status ? status : parse_own(out, json_object_get(templates, "default"), special_tokens, err);
  if (!status && *out)
    status = parse_own(&(*out)->tool_use, json_object_get(templates, "tool_use"), special_tokens, err);
  if (status) {
    chat_template_free(*out);
    *out = NULL;
    return status;
  }
  if (*out)
    return STATUS_OK;
  list_names(names, sizeof names);
  return error_set(err, STATUS_MODEL_INVALID, "chat_template",
                   "the model has no chat template: name one by chat_template (%s)", names);
}

enum status chat_template_open(struct chat_template **out, const char *asked, const char *model_path,
                               const struct gguf *gguf, struct error *err) {
  json_t *special_tokens;
  *out = NULL;
  enum status status = read_special_tokens(&special_tokens, model_path, gguf, err);
  if (status)
    return status;
  status = asked ? open_asked(out, asked, special_tokens, err) : open_own(out, model_path, gguf, special_tokens, err);
  json_decref(special_tokens);
  return status;
}
