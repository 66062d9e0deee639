/* What a tokenizer is made of: filled from one of four kinds of files, used by tokenizer.c. */
#ifndef WORKER_TEXT_TOKENIZER_MODEL_H
#define WORKER_TEXT_TOKENIZER_MODEL_H

#include <jansson.h>

#include "worker/text/added_vocabulary.h"
#include "worker/text/bpe.h"
#include "worker/text/decoder.h"
#include "worker/text/normalizer.h"
#include "worker/text/post_processor.h"
#include "worker/text/pre_tokenizer.h"
#include "worker/text/tokenizer.h"
#include "worker/text/tokenizer_config.h"
#include "worker/text/unigram.h"
#include "worker/text/vocab.h"
#include "worker/text/wordpiece.h"

enum tokenizer_kind { TOKENIZER_WORDPIECE, TOKENIZER_BPE, TOKENIZER_UNIGRAM };

enum { TOKENIZER_FILE_BYTES_MAX = 64 << 20 };

struct tokenizer {
  struct arena arena; /* texts of the components */
  struct vocab vocab;
  struct added_vocabulary added;
  struct normalizer normalizer;
  struct pre_tokenizer pre_tokenizer;
  enum tokenizer_kind kind;
  struct wordpiece wordpiece;
  struct bpe bpe;
  struct unigram unigram;
  struct post_processor post_processor;
  struct decoder decoder;
  int32_t pad;
};

/* An empty tokenizer, or NULL. */
struct tokenizer *tokenizer_new(void);
/* Gives the tokenizer to *out, or frees it when `status` is a fault: *out is then NULL. */
enum status tokenizer_finish(struct tokenizer **out, struct tokenizer *tokenizer, enum status status);
/* The token of padding by its usual names. */
void tokenizer_find_pad(struct tokenizer *tokenizer);

/* The member "model" of tokenizer.json. */
NODISCARD enum status tokenizer_read_model(struct tokenizer *tokenizer, const json_t *model, struct error *err);

/* Pieces as SentencePiece numbers their kinds; also GGUF's token types. */
enum piece_kind { PIECE_NORMAL = 1, PIECE_UNKNOWN, PIECE_CONTROL, PIECE_USER, PIECE_UNUSED, PIECE_BYTE };
/* The token that marks a space in SentencePiece's models. */
#define METASPACE "\xE2\x96\x81"

/* Adds the merges that scores imply: every way to make a normal piece of two others, the best score first.
   `kinds` and `scores` have vocab.count items. */
NODISCARD enum status tokenizer_merges_from_scores(struct tokenizer *tokenizer, const float *scores,
                                                   const unsigned char *kinds, struct error *err);
/* Makes added tokens of the pieces that are control (special), user-defined or, with `unknown`, unknown. */
NODISCARD enum status tokenizer_add_kinds(struct tokenizer *tokenizer, const unsigned char *kinds, bool unknown,
                                          struct error *err);

/* The JSON of a tokenizer.json. */
NODISCARD enum status tokenizer_read_text(json_t **out, const char *json, size_t length, struct error *err);
/* A tokenizer.json, which is changed, as the class of `config` makes it, with the added tokens of all files. */
NODISCARD enum status tokenizer_read_file(struct tokenizer *tokenizer, json_t *file,
                                          const struct tokenizer_config *config, struct error *err);
/* Added tokens, objects as in tokenizer.json; `numbered`: each must have its id. */
NODISCARD enum status tokenizer_read_added(struct tokenizer *tokenizer, const json_t *list, bool numbered,
                                           struct error *err);
/* What a directory without tokenizer.json has: vocab.txt (BERT), or vocab.json and merges.txt in its place. */
NODISCARD enum status tokenizer_read_words(struct tokenizer *tokenizer, const char *path,
                                           struct tokenizer_config *config, struct error *err);
NODISCARD enum status tokenizer_read_merges(struct tokenizer *tokenizer, const char *dir,
                                            const struct tokenizer_config *config, struct error *err);
/* A SentencePiece model with the files beside it. */
NODISCARD enum status tokenizer_read_spm(struct tokenizer *tokenizer, const char *path,
                                         const struct tokenizer_config *config, struct error *err);
/* The same from memory; `architecture` is config.json's model_type, `config` tokenizer_config.json or NULL. */
NODISCARD enum status tokenizer_build_spm(struct tokenizer *tokenizer, const char *bytes, size_t length,
                                          const char *architecture, const json_t *config, struct error *err);

#endif
