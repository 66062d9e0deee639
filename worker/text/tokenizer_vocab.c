/* vocab.txt and tokenizer_config.json: BERT before tokenizer.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/text/component.h"
#include "worker/text/tokenizer_model.h"

static const char config_name[] = "tokenizer_config.json";

/* One token a line, its number is its id. */
static enum status read_lines(struct vocab *vocab, const char *text, size_t length, struct error *err) {
  enum status status = STATUS_OK;
  int64_t id = 0;
  size_t bad;
  if (!utf8_valid(text, length, &bad))
    return error_set(err, STATUS_MODEL_INVALID, NULL, "byte %zu is not UTF-8", bad + 1);
  for (size_t i = 0; !status && i < length; id++) {
    const char *end = memchr(text + i, '\n', length - i);
    size_t next = end ? (size_t)(end - text) : length, stop = next;
    if (stop > i && text[stop - 1] == '\r')
      stop--;
    status = vocab_add(vocab, text + i, stop - i, id, err);
    if (!status && stop - i > 2 && memcmp(text + i, "##", 2) == 0 &&
        !trie_set(&vocab->trie, vocab->rest, text + i + 2, stop - i - 2, (int32_t)id))
      status = component_no_memory(err);
    i = next + 1;
  }
  return status;
}

/* The text of a special token in tokenizer_config.json: a string or an object with `content`. */
static const char *special_text(const json_t *config, const char *key, const char *fallback) {
  const json_t *value = json_object_get(config, key);
  const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
  return text ? text : fallback;
}

static enum status add_specials(struct tokenizer *t, const json_t *config, struct error *err) {
  static const char *const keys[][2] = {{"unk_token", "[UNK]"}, {"sep_token", "[SEP]"}, {"cls_token", "[CLS]"},
                                        {"pad_token", "[PAD]"}, {"mask_token", "[MASK]"}};
  int32_t ids[COUNT_OF(keys)];
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(keys); i++) {
    const char *text = special_text(config, keys[i][0], keys[i][1]);
    ids[i] = vocab_id(&t->vocab, text, strlen(text));
    if (ids[i] < 0 && i < 3)
      return error_set(err, STATUS_MODEL_INVALID, keys[i][0], "vocab.txt has no %.60s", text);
    const struct added_token token = {.id = ids[i], .special = true};
    if (ids[i] >= 0)
      status = added_add(&t->added, &t->vocab, &t->normalizer, text, strlen(text), &token, err);
  }
  if (status)
    return status;
  t->wordpiece.unknown = ids[0];
  t->pad = ids[3] < 0 ? 0 : ids[3];
  frames_set(&t->frames, ids[2], ids[1], -1, 1);
  return STATUS_OK;
}

static enum status read_config(struct tokenizer *t, const json_t *config, struct error *err) {
  bool lowercase, chinese, accents;
  enum status status = component_bool(&lowercase, config, "do_lower_case", true, config_name, err);
  if (!status)
    status = component_bool(&chinese, config, "tokenize_chinese_chars", true, config_name, err);
  if (!status)
    status = component_bool(&accents, config, "strip_accents", lowercase, config_name, err);
  const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
  if (!status && class && strcmp(class, "BertTokenizer") != 0 && strcmp(class, "BertTokenizerFast") != 0)
    return error_set(err, STATUS_MODEL_INVALID, "tokenizer_class",
                     "tokenizer_config.json: the class %.60s is not supported without a tokenizer.json", class);
  CHECK(status || (normalizer_add_bert(&t->normalizer, true, chinese, accents, lowercase) &&
                   pretokenizer_add_bert(&t->pretokenizer) &&
                   decoder_add(&t->decoder, (struct decoder_step){
                                                .kind = DECODER_WORDPIECE, .content = "##", .cleanup = true})));
  return status;
}

enum status tokenizer_read_vocab(struct tokenizer *t, const char *dir, const char *path, struct error *err) {
  AUTO(json_release) json_t *config = NULL;
  char config_path[1024], *text = NULL;
  size_t length = 0;
  enum status status = STATUS_OK;
  snprintf(config_path, sizeof config_path, "%s/%s", dir, config_name);
  if (access(config_path, F_OK) == 0)
    status = json_parse_file(&config, config_path, NULL, err);
  if (!status)
    status = read_config(t, config, err);
  if (!status)
    status = file_read(&text, &length, path, TOKENIZER_FILE_BYTES_MAX, err);
  if (status)
    return status;
  t->kind = TOKENIZER_WORDPIECE;
  t->wordpiece.word_chars_max = 100;
  status = read_lines(&t->vocab, text, length, err);
  free(text);
  if (!status)
    status = add_specials(t, config, err);
  return status ? error_prefix(err, "%s", path) : STATUS_OK;
}
