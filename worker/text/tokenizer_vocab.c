/* Vocabularies of older models, without a tokenizer.json: they are made into one, and their class does the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/text/component.h"
#include "worker/text/tokenizer_model.h"

/* The lines of a text file, one after the other, without their ends. */
struct lines {
  char *text;
  size_t length, at;
};

static enum status open_lines(struct lines *lines, const char *path, struct error *err) {
  size_t bad;
  *lines = (struct lines){0};
  enum status status = file_read(&lines->text, &lines->length, path, TOKENIZER_FILE_BYTES_MAX, err);
  if (!status && !utf8_valid(lines->text, lines->length, &bad)) {
    free(lines->text);
    lines->text = NULL;
    return error_set(err, STATUS_MODEL_INVALID, NULL, "%s: byte %zu is not UTF-8", path, bad + 1);
  }
  return status;
}

static bool next_line(struct lines *lines, const char **line, size_t *length) {
  if (lines->at >= lines->length)
    return false;
  const char *from = lines->text + lines->at;
  const char *end = memchr(from, '\n', lines->length - lines->at);
  *line = from;
  *length = end ? (size_t)(end - from) : lines->length - lines->at;
  lines->at += *length + 1;
  if (*length && from[*length - 1] == '\r')
    --*length;
  return true;
}

/* One token a line, its number is its id. */
static enum status read_words(json_t *vocab, const char *path, struct error *err) {
  struct lines lines;
  const char *line;
  size_t length;
  json_int_t id = 0;
  enum status status = open_lines(&lines, path, err);
  for (; !status && next_line(&lines, &line, &length); id++)
    if (json_object_setn_new(vocab, line, length, json_integer(id)) != 0)
      status = error_no_memory(err, "the tokenizer");
  free(lines.text);
  return status;
}

enum status tokenizer_read_words(struct tokenizer *t, const char *path, struct tokenizer_config *config,
                                 struct error *err) {
  AUTO(json_release) json_t *vocab = json_object();
  const char *class = json_string_value(json_object_get(config->settings, "tokenizer_class"));
  if (config->class != TOKENIZER_CLASS_BERT && class)
    return error_set(err, STATUS_MODEL_INVALID, "tokenizer_class",
                     "tokenizer_config.json: the class %.60s is not supported without a tokenizer.json", class);
  enum status status = STATUS_OK;
  if (config->class != TOKENIZER_CLASS_BERT)
    status = tokenizer_config_set_class(config, "BertTokenizer", err);
  if (!status)
    status = vocab ? read_words(vocab, path, err) : error_no_memory(err, "the tokenizer");
  AUTO(json_release) json_t *file = json_pack("{s:{s:s,s:O?}}", "model", "type", "WordPiece", "vocab", vocab);
  if (!status)
    status = file ? tokenizer_read_file(t, file, config, err) : error_no_memory(err, "the tokenizer");
  return status ? error_prefix(err, "%s", path) : STATUS_OK;
}

/* A merge a line, "a b"; the first may be a comment. */
static enum status read_merges(json_t *merges, const char *path, struct error *err) {
  struct lines lines;
  const char *line;
  size_t length;
  enum status status = open_lines(&lines, path, err);
  while (!status && next_line(&lines, &line, &length))
    if (length && line[0] != '#' && json_array_append_new(merges, json_stringn(line, length)) != 0)
      status = error_no_memory(err, "the tokenizer");
  free(lines.text);
  return status;
}

/* BOS before and EOS after, where the settings say so. */
static enum status read_frame(struct tokenizer *t, const struct tokenizer_config *config, struct error *err) {
  static const char *const names[][2] = {{"add_bos_token", "bos_token"}, {"add_eos_token", "eos_token"}};
  int32_t ids[COUNT_OF(names)];
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    bool wanted;
    enum status status = component_bool(&wanted, config->settings, names[i][0], false, "tokenizer_config.json", err);
    if (status)
      return status;
    const char *text = tokenizer_config_token(config, names[i][1]);
    ids[i] = wanted && text ? tokenizer_id(t, text) : -1;
  }
  if (ids[0] >= 0 || ids[1] >= 0)
    post_processor_set(&t->post_processor, ids[0], ids[1], ids[0], 1);
  return STATUS_OK;
}

enum status tokenizer_read_merges(struct tokenizer *t, const char *dir, const struct tokenizer_config *config,
                                  struct error *err) {
  static const struct json_limits limits = {.bytes_max = TOKENIZER_FILE_BYTES_MAX, .values_max = 8 << 20};
  AUTO(json_release) json_t *vocab = NULL;
  AUTO(json_release) json_t *merges = json_array();
  char path[1088];
  bool clip = config->class == TOKENIZER_CLASS_CLIP;
  if (!clip && config->class != TOKENIZER_CLASS_GPT2 && config->class != TOKENIZER_CLASS_QWEN2)
    return error_set(err, STATUS_MODEL_INVALID, "tokenizer_class",
                     "%s: vocab.json and merges.txt without a tokenizer.json need the tokenizer_class GPT2Tokenizer, "
                     "Qwen2Tokenizer or CLIPTokenizer",
                     dir);
  snprintf(path, sizeof path, "%s/vocab.json", dir);
  enum status status = component_blame(err, json_parse_file(&vocab, path, &limits, err), "vocab.json");
  snprintf(path, sizeof path, "%s/merges.txt", dir);
  if (!status)
    status = merges ? read_merges(merges, path, err) : error_no_memory(err, "the tokenizer");
  AUTO(json_release)
  json_t *file = json_pack("{s:{s:s,s:O?,s:O?}}", "model", "type", "BPE", "vocab", vocab, "merges", merges);
  if (!status)
    status = file ? tokenizer_read_file(t, file, config, err) : error_no_memory(err, "the tokenizer");
  if (!status && !clip)
    status = read_frame(t, config, err);
  return status ? error_prefix(err, "%s", dir) : STATUS_OK;
}
