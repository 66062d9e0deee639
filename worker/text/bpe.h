/* Byte-pair encoding: a word begins as its characters (or bytes), and the pair of neighbours whose merge
   has the best rank, leftmost first, becomes one until none is left. Time is n log n in the word. */
#ifndef WORKER_TEXT_BPE_H
#define WORKER_TEXT_BPE_H

#include "worker/text/normalized_string.h"
#include "worker/text/token_list.h"
#include "worker/text/vocab.h"

enum { BPE_AFFIX_MAX = 32 };

struct bpe_merge {
  uint64_t pair; /* (left + 1) << 32 | right; 0: free */
  uint32_t rank;
  int32_t id;
};

struct bpe {
  struct bpe_merge *merges; /* open addressing */
  size_t merge_count, merge_size;
  int32_t unk_id;                        /* -1: characters without a token are left out */
  bool fuse_unk;                         /* neighbours that are unknown become one token */
  bool ignore_merges;                    /* a word that is a token becomes it, whatever the merges say */
  bool byte_fallback;                    /* a character without a token becomes its bytes' tokens */
  int32_t byte_ids[256];                 /* of <0x00> .. <0xFF>; -1: there is none */
  const char *continuing_subword_prefix; /* of tokens that continue a word; "": none; at most BPE_AFFIX_MAX bytes */
  const char *end_of_word_suffix;        /* of tokens that end a word */
};

void bpe_init(struct bpe *bpe);
void bpe_done(struct bpe *bpe);
/* Looks up the tokens of the bytes. */
void bpe_find_bytes(int32_t bytes[256], const struct vocab *vocab);
/* A later merge of the same pair replaces an earlier one. False when memory runs out. */
NODISCARD bool bpe_add_merge(struct bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t id);
/* NULL: the two do not merge. */
const struct bpe_merge *bpe_find_merge(const struct bpe *bpe, int32_t left, int32_t right);

struct bpe_symbol {
  int32_t id;
  uint32_t prev, next; /* neighbours; UINT32_MAX: none */
  uint32_t last;       /* where its last character begins in the word */
  bool gone;
};

struct bpe_candidate {
  uint32_t rank, at; /* `at`: the left symbol */
  int32_t id;        /* what they become */
};

/* A word with its tokens. Most words of a text have occurred before. */
enum { BPE_WORD_BYTES = 32, BPE_WORD_TOKENS = 6 };
struct bpe_cached_word {
  char bytes[BPE_WORD_BYTES];
  uint8_t length; /* 0: free */
  uint8_t count;
  uint8_t last[BPE_WORD_TOKENS]; /* as of symbols */
  int32_t ids[BPE_WORD_TOKENS];
};

struct bpe_scratch {
  struct bpe_symbol *symbols;
  size_t symbol_count, symbol_size;
  struct bpe_candidate *heap;
  size_t heap_count, heap_size;
  struct bpe_cached_word *cache; /* by hash, the newer in the place of the older; NULL: not made yet */
};
void bpe_scratch_done(struct bpe_scratch *scratch);

/* The text's bytes start .. end are a word. A scratch knows the words of one tokenizer. */
void bpe_encode(const struct bpe *bpe, const struct vocab *vocab, struct bpe_scratch *scratch, struct token_list *out,
                const struct normalized_string *text, size_t start, size_t end);

#endif
