/* What the files of a model's directory say of its tokenizer beside the vocabulary: tokenizer_config.json,
   special_tokens_map.json, added_tokens.json and config.json, merged as Transformers' AutoTokenizer merges them. */
#ifndef WORKER_TEXT_TOKENIZER_CONFIG_H
#define WORKER_TEXT_TOKENIZER_CONFIG_H

#include <jansson.h>

#include "base/error.h"

/* The tokenizer classes of Transformers that build their pipeline themselves; any other takes the file's. */
enum tokenizer_class {
  TOKENIZER_CLASS_BACKEND, /* TokenizersBackend, PreTrainedTokenizerFast, ...: tokenizer.json as it is */
  TOKENIZER_CLASS_BERT,
  TOKENIZER_CLASS_GPT2,
  TOKENIZER_CLASS_LLAMA,
  TOKENIZER_CLASS_QWEN2,
  TOKENIZER_CLASS_CLIP,
};

/* "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token". */
enum { TOKENIZER_SPECIAL_NAMES = 7 };
extern const char *const tokenizer_special_names[TOKENIZER_SPECIAL_NAMES];

struct tokenizer_config {
  enum tokenizer_class class;
  json_t *settings; /* an object: tokenizer_config.json with special_tokens_map.json where that counts, and with the
                       special tokens of the class */
  json_t *model;    /* an object: config.json */
  json_t *decoder;  /* NULL, or the object added_tokens_decoder of the settings: added tokens by their id */
  json_t *numbered; /* NULL, or the object added_tokens.json: ids by text; NULL where there is a decoder */
};

/* Reads the files that are there. STATUS_MODEL_INVALID names the file that cannot be read. */
NODISCARD enum status tokenizer_config_read(struct tokenizer_config *out, const char *dir, struct error *err);
/* Takes the class of that name, with its special tokens where the files name none. */
NODISCARD enum status tokenizer_config_set_class(struct tokenizer_config *config, const char *name, struct error *err);
void tokenizer_config_done(struct tokenizer_config *config);

/* The text of a special token by its name, or NULL when the tokenizer has none. It belongs to the config. */
const char *tokenizer_config_token(const struct tokenizer_config *config, const char *name);

#endif
