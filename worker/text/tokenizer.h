/* Text to token ids and back, exactly as the Hugging Face `tokenizers` library does it: WordPiece (BERT),
   byte-level BPE (GPT-2, SmolLM, LLaMA-3, Qwen2), BPE with byte fallback (LLaMA-2, Mistral, Gemma) and
   Unigram (T5, DeBERTa-v3). A model whose tokenizer has any other component is refused by name. */
#ifndef WORKER_TEXT_TOKENIZER_H
#define WORKER_TEXT_TOKENIZER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "worker/file/gguf.h"

struct tokenizer; /* read-only once open: any number of threads may encode with it */

/* One encoded example. The buffers are reused from call to call and owned by the encoding, which belongs to one
   tokenizer: it remembers words. */
struct encoding {
  size_t count;      /* tokens, special ones included */
  int32_t *ids;      /* [count] */
  int32_t *type_ids; /* [count] token type ids: 0 for the first text, 1 for the second; within ids' memory */
  uint32_t *ends;    /* [count] of tokenizer_encode_plain: the bytes of text consumed up to and with each token;
                        where a character's bytes fall into several tokens, they share that character's end;
                        NULL after tokenizer_encode */
  uint32_t *words;   /* [count] of tokenizer_encode_words: the word that a token is the first one of, or WORD_NONE;
                        NULL after the others */
  bool truncated;    /* tokens were cut off */
  size_t size;       /* allocated elements */
  struct tokenizer_scratch *scratch;
};

enum { WORD_NONE = UINT32_MAX };

void encoding_init(struct encoding *encoding);
void encoding_done(struct encoding *encoding);

/* Reads tokenizer.json of a model's directory; where there is none a SentencePiece model (spm.model,
   spiece.model, tokenizer.model; config.json names the architecture) or vocab.txt, with the
   tokenizer_config.json beside it. The truncation and padding that a tokenizer.json may carry are ignored.
   STATUS_MODEL_INVALID names the file and the component that cannot be used; *out is then NULL. */
NODISCARD enum status tokenizer_open(struct tokenizer **out, const char *model_dir, struct error *err);
/* From the keys tokenizer.ggml.* of a GGUF file (models gpt2, llama, bert, t5). */
NODISCARD enum status tokenizer_from_gguf(struct tokenizer **out, const struct gguf *gguf, struct error *err);
/* The other way: keys tokenizer.ggml.* of the tokenizer of the model at `dir`, whose config.json is `model_config` and
   whose embedding has `vocabulary` rows. Byte-level BPE becomes the model gpt2, BPE with byte fallback the model llama.
   STATUS_UNSUPPORTED_VALUE says what of it GGUF has no keys for; errors of the writer are the writer's. */
NODISCARD enum status tokenizer_to_gguf(struct gguf_writer *writer, const struct tokenizer *tokenizer, const char *dir,
                                        const json_t *model_config, size_t vocabulary, struct error *err);
/* Is the tokenizer of a file that was written so the same? Its merges are compared, and what becomes of texts that tell
   tokenizers apart and of what stands beside each added token. STATUS_UNSUPPORTED_VALUE where it is not. */
NODISCARD enum status tokenizer_check_gguf(const struct tokenizer *tokenizer, const struct gguf *gguf,
                                           struct error *err);
/* The same from the text of a tokenizer.json. */
NODISCARD enum status tokenizer_parse(struct tokenizer **out, const char *json, size_t length, struct error *err);
void tokenizer_free(struct tokenizer *tokenizer);

/* Encodes `text`, or the pair (`text`, `pair`) when `pair` is not NULL, with special tokens, cut to
   `max_length` tokens by the strategy "longest_first" (0: never cut). Text that is not UTF-8 is
   STATUS_DATASET_INVALID naming the byte; a `max_length` below the number of special tokens is
   STATUS_INVALID_VALUE. After a failure `out` holds nothing that can be used. */
NODISCARD enum status tokenizer_encode(const struct tokenizer *tokenizer, struct encoding *out, const char *text,
                                       size_t length, const char *pair, size_t pair_length, size_t max_length,
                                       struct error *err);

/* Encodes a text that is cut into words, with special tokens, cut to `max_length` tokens, and fills `words`: as the
   library does it with is_pretokenized. Each word is a text of its own; where the tokens are bytes' (ByteLevel) a space
   is put before it, as Transformers asks for there (add_prefix_space). A word may have no token. */
struct word_text {
  const char *text;
  size_t length;
};
NODISCARD enum status tokenizer_encode_words(const struct tokenizer *tokenizer, struct encoding *out,
                                             const struct word_text *words, size_t count, size_t max_length,
                                             struct error *err);

/* Encodes `text` alone, without the special tokens of the post-processor and without a limit, and fills
   `ends`; special tokens written in the text are recognised. What a rendered chat needs. */
NODISCARD enum status tokenizer_encode_plain(const struct tokenizer *tokenizer, struct encoding *out, const char *text,
                                             size_t length, struct error *err);
/* The special tokens that the post-processor puts before and after a single text (BOS, EOS; often none). */
struct tokenizer_template {
  size_t before_count, after_count;
  int32_t before[8], after[8];
};
void tokenizer_get_template(const struct tokenizer *tokenizer, struct tokenizer_template *out);
/* Text of the ids, as the library's decode. Appends to `out`; false when memory runs out. */
NODISCARD bool tokenizer_decode(const struct tokenizer *tokenizer, struct str *out, const int32_t *ids, size_t count,
                                bool skip_special);
/* Is it an added token marked special (end of turn, BOS, padding)? */
bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id);
/* Is it an added token at all, special or not? */
bool tokenizer_is_added(const struct tokenizer *tokenizer, int32_t id);

/* One more than the largest id. */
int32_t tokenizer_vocab_size(const struct tokenizer *tokenizer);
/* Of [PAD] or <pad>, or what the GGUF file says; 0 when there is none. */
int32_t tokenizer_pad_id(const struct tokenizer *tokenizer);
/* The id of a token by its text, or -1. */
int32_t tokenizer_id(const struct tokenizer *tokenizer, const char *token);

#endif
