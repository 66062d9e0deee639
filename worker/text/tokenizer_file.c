/* Reads a tokenizer from tokenizer.json, or from vocab.txt and tokenizer_config.json. Every component
   is checked: what this engine would do otherwise than the reference is refused by name. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/text/grow.h"
#include "worker/text/tokenizer_model.h"
#include "worker/text/unicode.h"

enum { FILE_BYTES_MAX = 64 << 20, WORD_CHARS_MAX = 1000, TOKEN_BYTES_MAX = 4096 };

static const struct json_limits limits = {.bytes_max = FILE_BYTES_MAX, .depth_max = 16, .values_max = 8 << 20};

static enum status no_memory(struct error *err) {
  return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the tokenizer");
}

/* `object`.`key` must be an object whose `type` is `type`. */
static enum status component(const json_t **out, const json_t *file, const char *key, const char *type,
                             struct error *err) {
  *out = json_object_get(file, key);
  const char *got = json_string_value(json_object_get(*out, "type"));
  if (!json_is_object(*out) || !got)
    return error_set(err, STATUS_MODEL_INVALID, key, "%s: a %s with a type is needed", key, key);
  if (strcmp(got, type) != 0)
    return error_set(err, STATUS_MODEL_INVALID, key, "%s: the type %.60s is not supported, only %s", key, got, type);
  return STATUS_OK;
}

/* A wrong type of a member is the model's fault. */
static enum status blame(struct error *err, enum status status, const char *key) {
  if (status && err)
    err->status = STATUS_MODEL_INVALID;
  if (status)
    error_prefix(err, "%s", key);
  return status ? STATUS_MODEL_INVALID : STATUS_OK;
}

/* --- the vocabulary ------------------------------------------------------------------------------- */

static enum status add_entry(struct tokenizer *t, const char *token, size_t length, int64_t id, const char *prefix,
                             struct error *err) {
  if (id < 0 || id >= TOKENIZER_ID_MAX)
    return error_set(err, STATUS_MODEL_INVALID, "vocab", "vocab: \"%.60s\" has the id %" PRId64, token, id);
  if (length > TOKEN_BYTES_MAX)
    return error_set(err, STATUS_MODEL_INVALID, "vocab", "vocab: the entry of id %" PRId64 " has %zu bytes", id,
                     length);
  size_t skip = strlen(prefix);
  if (!trie_set(&t->trie, t->whole, token, length, (int32_t)id))
    return no_memory(err);
  if (length > skip && memcmp(token, prefix, skip) == 0 &&
      !trie_set(&t->trie, t->rest, token + skip, length - skip, (int32_t)id))
    return no_memory(err);
  if (id >= t->vocab_size)
    t->vocab_size = (int32_t)id + 1;
  return STATUS_OK;
}

static enum status find_unknown(struct tokenizer *t, const char *unknown, struct error *err) {
  t->unknown = trie_get(&t->trie, t->whole, unknown, strlen(unknown));
  if (t->unknown < 0)
    return error_set(err, STATUS_MODEL_INVALID, "vocab", "vocab: the unknown token \"%.60s\" is not in it", unknown);
  return STATUS_OK;
}

static enum status read_model(struct tokenizer *t, const json_t *file, struct error *err) {
  const json_t *model;
  const char *prefix = "##", *unknown = "[UNK]", *key;
  int64_t chars = 100;
  json_t *id;
  enum status status = component(&model, file, "model", "WordPiece", err);
  if (status)
    return status;
  status = json_get_string(&prefix, model, "continuing_subword_prefix", "##", err);
  if (!status)
    status = json_get_string(&unknown, model, "unk_token", "[UNK]", err);
  if (!status)
    status = json_get_int(&chars, model, "max_input_chars_per_word", 100, 1, WORD_CHARS_MAX, err);
  if (status)
    return blame(err, status, "model");
  t->word_chars_max = (size_t)chars;
  json_t *vocab = json_object_get(model, "vocab");
  if (!json_is_object(vocab) || json_object_size(vocab) == 0)
    return error_set(err, STATUS_MODEL_INVALID, "vocab", "model: vocab must be an object of tokens");
  json_object_foreach(vocab, key, id) {
    if (!json_is_integer(id))
      return error_set(err, STATUS_MODEL_INVALID, "vocab", "vocab: \"%.60s\" has %s for an id", key, json_kind(id));
    status = add_entry(t, key, strlen(key), json_integer_value(id), prefix, err);
    if (status)
      return status;
  }
  return find_unknown(t, unknown, err);
}

/* --- added tokens --------------------------------------------------------------------------------- */

struct added_options {
  bool lstrip, rstrip, single_word, normalized;
};

static enum status add_token(struct tokenizer *t, const char *text, int32_t id, const struct added_options *how,
                             struct error *err) {
  struct str normal;
  struct mark_run run = {0};
  if (!*text || strlen(text) > TOKEN_BYTES_MAX)
    return error_set(err, STATUS_MODEL_INVALID, "added_tokens", "added_tokens: the token of id %d has %zu bytes", id,
                     strlen(text));
  if (how->single_word)
    return error_set(err, STATUS_MODEL_INVALID, "added_tokens",
                     "added_tokens: single_word of \"%.60s\" is not supported", text);
  if (t->added_count >= TOKENIZER_ADDED_MAX)
    return error_set(err, STATUS_MODEL_INVALID, "added_tokens", "added_tokens: more than %d", TOKENIZER_ADDED_MAX);
  struct added_token *added = grow(t->added, &t->added_size, t->added_count + 1, sizeof *added);
  if (!added)
    return no_memory(err);
  t->added = added;
  added[t->added_count] = (struct added_token){.id = id, .lstrip = how->lstrip, .rstrip = how->rstrip};
  str_init(&normal, (size_t)TOKEN_BYTES_MAX * UNICODE_DECOMPOSED_MAX * UTF8_MAX);
  bool ok = how->normalized ? normalize(&t->normalizer, &normal, &run, text, strlen(text)) : str_puts(&normal, text);
  enum status status = STATUS_OK;
  if (ok && normal.length == 0)
    status = error_set(err, STATUS_MODEL_INVALID, "added_tokens", "added_tokens: \"%.60s\" is empty once normalized",
                       text);
  else if (!ok || !trie_set(&t->trie, how->normalized ? t->normalized : t->raw, normal.text, normal.length,
                            (int32_t)t->added_count))
    status = no_memory(err);
  else
    t->added_count++;
  if (!status && id >= t->vocab_size)
    t->vocab_size = id + 1;
  free(run.marks);
  str_done(&normal);
  return status;
}

/* One object with content, id and the options. The library numbers tokens that are not in the
   vocabulary itself, upwards from its end; any other id would be read differently here and there. */
static enum status read_added(struct tokenizer *t, const json_t *token, int64_t id, struct error *err) {
  const char *content = NULL;
  struct added_options how = {0};
  enum status status = json_get_string(&content, token, "content", NULL, err);
  if (!status)
    status = json_get_bool(&how.lstrip, token, "lstrip", false, err);
  if (!status)
    status = json_get_bool(&how.rstrip, token, "rstrip", false, err);
  if (!status)
    status = json_get_bool(&how.single_word, token, "single_word", false, err);
  if (!status)
    status = json_get_bool(&how.normalized, token, "normalized", false, err);
  if (status)
    return blame(err, status, "added_tokens");
  if (!content)
    return error_set(err, STATUS_MODEL_INVALID, "added_tokens", "added_tokens: a token has no content");
  int32_t known = trie_get(&t->trie, t->whole, content, strlen(content));
  if (known < 0)
    known = t->vocab_size;
  if (id != known)
    return error_set(err, STATUS_MODEL_INVALID, "added_tokens",
                     "added_tokens: \"%.60s\" has the id %" PRId64 "; the vocabulary makes it %d", content, id, known);
  return add_token(t, content, known, &how, err);
}

static enum status read_added_list(struct tokenizer *t, const json_t *list, struct error *err) {
  enum status status = STATUS_OK;
  if (list && !json_is_null(list) && !json_is_array(list))
    return error_set(err, STATUS_MODEL_INVALID, "added_tokens", "added_tokens must be an array");
  for (size_t i = 0; !status && i < json_array_size(list); i++) {
    const json_t *token = json_array_get(list, i), *id = json_object_get(token, "id");
    if (!json_is_integer(id))
      return error_set(err, STATUS_MODEL_INVALID, "added_tokens", "added_tokens: item %zu has no integer id", i);
    status = read_added(t, token, json_integer_value(id), err);
  }
  return status;
}

/* --- normalizer and template ---------------------------------------------------------------------- */

static enum status read_normalizer(struct tokenizer *t, const json_t *file, struct error *err) {
  const json_t *from;
  struct normalizer *n = &t->normalizer;
  enum status status = component(&from, file, "normalizer", "BertNormalizer", err);
  if (status)
    return status;
  status = json_get_bool(&n->clean_text, from, "clean_text", true, err);
  if (!status)
    status = json_get_bool(&n->chinese_chars, from, "handle_chinese_chars", true, err);
  if (!status)
    status = json_get_bool(&n->lowercase, from, "lowercase", true, err);
  if (!status)
    status = json_get_bool(&n->strip_accents, from, "strip_accents", n->lowercase, err);
  return blame(err, status, "normalizer");
}

static enum status bad_template(struct error *err, const char *name, const char *what) {
  return error_set(err, STATUS_MODEL_INVALID, "post_processor", "post_processor: %s: %s", name, what);
}

static enum status add_piece(struct template *out, const char *name, struct template_piece piece, struct error *err) {
  if (out->count >= TEMPLATE_PIECES_MAX)
    return bad_template(err, name, "too many parts");
  if (piece.id < 0 || piece.id >= TOKENIZER_ID_MAX || piece.type < 0)
    return bad_template(err, name, "an id is out of range");
  out->pieces[out->count++] = piece;
  return STATUS_OK;
}

static int32_t small_int(const json_t *value) {
  json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
  return n < 0 || n >= TOKENIZER_ID_MAX ? -1 : (int32_t)n;
}

static enum status read_piece(struct template *out, const char *name, const json_t *part, const json_t *specials,
                              struct error *err) {
  const json_t *sequence = json_object_get(part, "Sequence"), *special = json_object_get(part, "SpecialToken");
  const json_t *body = sequence ? sequence : special;
  const char *id = json_string_value(json_object_get(body, "id"));
  int32_t type = small_int(json_object_get(body, "type_id"));
  if (!id || type < 0)
    return bad_template(err, name, "a part must be a Sequence or a SpecialToken with id and type_id");
  if (sequence) {
    if (strcmp(id, "A") != 0 && strcmp(id, "B") != 0)
      return bad_template(err, name, "a Sequence must be A or B");
    return add_piece(out, name, (struct template_piece){*id == 'A' ? PIECE_FIRST : PIECE_SECOND, 0, type}, err);
  }
  const json_t *ids = json_object_get(json_object_get(specials, id), "ids");
  enum status status = STATUS_OK;
  if (json_array_size(ids) == 0)
    return bad_template(err, name, "a SpecialToken is not listed in special_tokens");
  for (size_t i = 0; !status && i < json_array_size(ids); i++)
    status = add_piece(out, name, (struct template_piece){PIECE_SPECIAL, small_int(json_array_get(ids, i)), type}, err);
  return status;
}

static enum status read_template(struct template *out, const json_t *from, const char *name, size_t texts,
                                 struct error *err) {
  const json_t *parts = json_object_get(from, name), *specials = json_object_get(from, "special_tokens");
  size_t firsts = 0, seconds = 0;
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < json_array_size(parts); i++)
    status = read_piece(out, name, json_array_get(parts, i), specials, err);
  for (size_t i = 0; i < out->count; i++) {
    firsts += out->pieces[i].kind == PIECE_FIRST;
    seconds += out->pieces[i].kind == PIECE_SECOND;
  }
  if (!status && (firsts != 1 || seconds != texts - 1))
    status = bad_template(err, name, "each text must occur exactly once");
  return status;
}

/* Ids of the frame must exist in the model. */
static enum status check_ids(const struct tokenizer *t, struct error *err) {
  const struct template *templates[2] = {&t->single, &t->pair};
  for (size_t k = 0; k < 2; k++)
    for (size_t i = 0; i < templates[k]->count; i++)
      if (templates[k]->pieces[i].id >= t->vocab_size)
        return bad_template(err, k ? "pair" : "single", "a special token has an id beyond the vocabulary");
  return STATUS_OK;
}

static enum status read_json(struct tokenizer *t, const json_t *file, struct error *err) {
  const json_t *ignored, *post;
  if (!json_is_object(file))
    return error_set(err, STATUS_MODEL_INVALID, NULL, "a tokenizer must be a JSON object, not %s", json_kind(file));
  enum status status = read_model(t, file, err);
  if (!status)
    status = read_normalizer(t, file, err);
  if (!status)
    status = component(&ignored, file, "pre_tokenizer", "BertPreTokenizer", err);
  if (!status)
    status = component(&post, file, "post_processor", "TemplateProcessing", err);
  if (!status)
    status = read_template(&t->single, post, "single", 1, err);
  if (!status)
    status = read_template(&t->pair, post, "pair", 2, err);
  if (!status)
    status = read_added_list(t, json_object_get(file, "added_tokens"), err);
  return status ? status : check_ids(t, err);
}

/* --- vocab.txt ------------------------------------------------------------------------------------ */

/* One token a line, its number is its id. */
static enum status read_vocab(struct tokenizer *t, const char *text, size_t length, struct error *err) {
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
    status = add_entry(t, text + i, stop - i, id, "##", err);
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

static enum status bert_specials(struct tokenizer *t, const json_t *config, struct error *err) {
  static const char *const keys[][2] = {{"unk_token", "[UNK]"}, {"sep_token", "[SEP]"}, {"cls_token", "[CLS]"},
                                        {"pad_token", "[PAD]"}, {"mask_token", "[MASK]"}};
  const struct added_options plain = {0};
  int32_t ids[COUNT_OF(keys)];
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(keys); i++) {
    const char *text = special_text(config, keys[i][0], keys[i][1]);
    ids[i] = trie_get(&t->trie, t->whole, text, strlen(text));
    if (ids[i] < 0 && i < 3)
      return error_set(err, STATUS_MODEL_INVALID, keys[i][0], "vocab.txt has no %.60s", text);
    if (ids[i] >= 0)
      status = add_token(t, text, ids[i], &plain, err);
  }
  if (status)
    return status;
  t->unknown = ids[0];
  t->pad = ids[3] < 0 ? 0 : ids[3];
  t->single = (struct template){3, {{PIECE_SPECIAL, ids[2], 0}, {PIECE_FIRST, 0, 0}, {PIECE_SPECIAL, ids[1], 0}}};
  t->pair = (struct template){5,
                              {{PIECE_SPECIAL, ids[2], 0},
                               {PIECE_FIRST, 0, 0},
                               {PIECE_SPECIAL, ids[1], 0},
                               {PIECE_SECOND, 0, 1},
                               {PIECE_SPECIAL, ids[1], 1}}};
  return STATUS_OK;
}

static enum status read_config(struct tokenizer *t, const json_t *config, struct error *err) {
  struct normalizer *n = &t->normalizer;
  n->clean_text = true;
  enum status status = json_get_bool(&n->lowercase, config, "do_lower_case", true, err);
  if (!status)
    status = json_get_bool(&n->chinese_chars, config, "tokenize_chinese_chars", true, err);
  if (!status)
    status = json_get_bool(&n->strip_accents, config, "strip_accents", n->lowercase, err);
  const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
  if (!status && class && strcmp(class, "BertTokenizer") != 0 && strcmp(class, "BertTokenizerFast") != 0)
    return error_set(err, STATUS_MODEL_INVALID, "tokenizer_class",
                     "tokenizer_config.json: the class %.60s is not supported without a tokenizer.json", class);
  return blame(err, status, "tokenizer_config.json");
}

static enum status open_vocab(struct tokenizer *t, const char *dir, const char *path, struct error *err) {
  AUTO(json_release) json_t *config = NULL;
  char config_path[1024], *text = NULL;
  size_t length = 0;
  enum status status = STATUS_OK;
  snprintf(config_path, sizeof config_path, "%s/tokenizer_config.json", dir);
  if (access(config_path, F_OK) == 0)
    status = json_parse_file(&config, config_path, NULL, err);
  if (!status)
    status = read_config(t, config, err);
  if (!status)
    status = file_read(&text, &length, path, FILE_BYTES_MAX, err);
  if (status)
    return status;
  t->word_chars_max = 100;
  status = read_vocab(t, text, length, err);
  free(text);
  if (!status)
    status = bert_specials(t, config, err);
  return status ? error_prefix(err, "%s", path) : STATUS_OK;
}

/* --- opening -------------------------------------------------------------------------------------- */

static struct tokenizer *tokenizer_new(void) {
  struct tokenizer *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  trie_init(&t->trie);
  if (trie_root(&t->trie, &t->whole) && trie_root(&t->trie, &t->rest) && trie_root(&t->trie, &t->raw) &&
      trie_root(&t->trie, &t->normalized))
    return t;
  tokenizer_free(t);
  return NULL;
}

void tokenizer_free(struct tokenizer *t) {
  if (!t)
    return;
  trie_done(&t->trie);
  free(t->added);
  free(t);
}

static enum status finish(struct tokenizer **out, struct tokenizer *t, enum status status) {
  if (status)
    tokenizer_free(t);
  else
    *out = t;
  return status;
}

enum status tokenizer_parse(struct tokenizer **out, const char *json, size_t length, struct error *err) {
  AUTO(json_release) json_t *file = NULL;
  *out = NULL;
  struct tokenizer *t = tokenizer_new();
  if (!t)
    return no_memory(err);
  enum status status = json_parse(&file, json, length, &limits, err);
  if (status)
    return finish(out, t, blame(err, status, "not a tokenizer"));
  status = read_json(t, file, err);
  if (!status) {
    int32_t pad = tokenizer_id(t, "[PAD]");
    t->pad = pad < 0 ? 0 : pad;
  }
  return finish(out, t, status);
}

enum status tokenizer_open(struct tokenizer **out, const char *model_dir, struct error *err) {
  char path[1024], *text;
  size_t length;
  *out = NULL;
  if (strlen(model_dir) > sizeof path - 64)
    return error_set(err, STATUS_IO, NULL, "the path %.80s... is too long", model_dir);
  snprintf(path, sizeof path, "%s/tokenizer.json", model_dir);
  if (access(path, F_OK) == 0) {
    enum status status = file_read(&text, &length, path, FILE_BYTES_MAX, err);
    if (status)
      return status;
    status = tokenizer_parse(out, text, length, err);
    free(text);
    return status ? error_prefix(err, "%s", path) : STATUS_OK;
  }
  snprintf(path, sizeof path, "%s/vocab.txt", model_dir);
  if (access(path, F_OK) != 0)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "%s has neither tokenizer.json nor vocab.txt", model_dir);
  struct tokenizer *t = tokenizer_new();
  return t ? finish(out, t, open_vocab(t, model_dir, path, err)) : no_memory(err);
}
