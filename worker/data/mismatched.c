#include "worker/data/mismatched.h"

#include <stdlib.h>
#include <string.h>

/* Tokens before the first that is learnt. */
static size_t prompt_length(const struct corpus *c, size_t example) {
  size_t from = c->cu_seqlens[example], n = 0;
  while (from + n < c->cu_seqlens[example + 1] && !c->loss_mask[from + n])
    n++;
  return n;
}

static enum status append_own(struct corpus *out, const struct corpus *c, size_t example, size_t vocabulary,
                              struct error *err) {
  size_t from = c->cu_seqlens[example];
  return corpus_append(out, c->token_ids + from, NULL, c->loss_mask + from, corpus_tokens(c, example), vocabulary, err);
}

/* The prompt of one with the completion of another. */
static enum status append_mixed(struct corpus *out, const struct corpus *c, size_t example, size_t other,
                                size_t max_length, size_t vocabulary, int32_t *ids, uint8_t *mask, struct error *err) {
  size_t prompt = prompt_length(c, example), skipped = prompt_length(c, other);
  size_t rest = corpus_tokens(c, other) - skipped, from = c->cu_seqlens[other] + skipped;
  if (prompt + rest > max_length)
    rest = max_length - prompt;
  memcpy(ids, c->token_ids + c->cu_seqlens[example], prompt * sizeof *ids);
  memcpy(ids + prompt, c->token_ids + from, rest * sizeof *ids);
  memset(mask, 0, prompt);
  memcpy(mask + prompt, c->loss_mask + from, rest);
  return corpus_append(out, ids, NULL, mask, prompt + rest, vocabulary, err);
}

enum status mismatched_add(struct corpus *c, size_t group, size_t max_length, size_t vocabulary, struct error *err) {
  struct corpus out = {0};
  int32_t *ids = calloc(2 * c->longest + 1, sizeof *ids);
  uint8_t *mask = calloc(2 * c->longest + 1, sizeof *mask);
  enum status status = ids && mask ? STATUS_OK : error_no_memory(err, "the tokens of the data");
  for (size_t e = 0; !status && e < c->count; e++) {
    size_t first = e / group * group, end = first + group < c->count ? first + group : c->count;
    status = append_own(&out, c, e, vocabulary, err);
    if (!status)
      status = append_mixed(&out, c, e, e > first ? e - 1 : end - 1, max_length, vocabulary, ids, mask, err);
  }
  free(ids);
  free(mask);
  if (status) {
    corpus_done(&out);
    return status;
  }
  out.count = c->count;
  out.texts = 2;
  out.truncated = c->truncated;
  memcpy(out.notes, c->notes, sizeof out.notes);
  out.desirable = c->desirable;
  c->desirable = NULL;
  corpus_done(c);
  *c = out;
  return STATUS_OK;
}
