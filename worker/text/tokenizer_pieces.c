/* What SentencePiece models in a GGUF file and in their own format have in common. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/text/component.h"
#include "worker/text/tokenizer_model.h"
#include "worker/text/unicode.h"

static int descending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x < y) - (x > y);
}

/* The place of a score among all, the best first; equal scores share theirs, so that the leftmost merge
   comes first. */
static uint32_t rank_of(const float *sorted, size_t count, float score) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (sorted[middle] > score)
      low = middle + 1;
    else
      high = middle;
  }
  return (uint32_t)low;
}

static bool add_merges(struct tokenizer *t, int32_t id, uint32_t rank) {
  size_t length, n;
  const char *token = vocab_text(&t->vocab, id, &length);
  bool ok = true;
  if (!length)
    return true;
  utf8_decode(token, &n);
  for (size_t at = n; ok && at < length; at += n) {
    int32_t left = vocab_id(&t->vocab, token, at), right = vocab_id(&t->vocab, token + at, length - at);
    ok = left < 0 || right < 0 || bpe_add_merge(&t->bpe, left, right, rank, id);
    utf8_decode(token + at, &n);
  }
  return ok;
}

enum status tokenizer_merges_from_scores(struct tokenizer *t, const float *scores, const unsigned char *kinds,
                                         struct error *err) {
  size_t count = t->vocab.count;
  float *sorted = calloc(count + 1, sizeof *sorted);
  bool ok = sorted != NULL;
  if (ok && count) {
    memcpy(sorted, scores, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, descending);
  }
  for (size_t id = 0; ok && id < count; id++)
    if (kinds[id] == PIECE_NORMAL)
      ok = add_merges(t, (int32_t)id, rank_of(sorted, count, scores[id]));
  free(sorted);
  return ok ? STATUS_OK : error_no_memory(err, "the tokenizer");
}

enum status tokenizer_add_kinds(struct tokenizer *t, const unsigned char *kinds, bool unknown, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t id = 0; !status && id < t->vocab.count; id++) {
    struct added_token token = {.id = (int32_t)id, .special = kinds[id] != PIECE_USER};
    char text[VOCAB_TOKEN_BYTES_MAX];
    size_t length;
    bool wanted = kinds[id] == PIECE_CONTROL || kinds[id] == PIECE_USER || (unknown && kinds[id] == PIECE_UNKNOWN);
    const char *name = wanted ? vocab_text(&t->vocab, token.id, &length) : NULL;
    if (!name || length == 0)
      continue;
    memcpy(text, name, length); /* the name moves when the vocabulary grows */
    status = added_add(&t->added, &t->vocab, &t->normalizer, text, length, &token, err);
  }
  return status;
}
