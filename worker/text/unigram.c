#include "worker/text/unigram.h"

#include <math.h>

#include "worker/text/unicode.h"

static const double unknown_penalty = 10;

void unigram_init(struct unigram *unigram) {
  *unigram = (struct unigram){.unk_id = -1, .min_score = INFINITY};
}

void unigram_done(struct unigram *unigram) {
  free(unigram->scores);
}

bool unigram_add(struct unigram *unigram, double score) {
  double *scores = grow(unigram->scores, &unigram->size, unigram->count + 1, sizeof *scores);
  if (!scores)
    return false;
  unigram->scores = scores;
  scores[unigram->count++] = score;
  unigram->min_score = fmin(unigram->min_score, score);
  return true;
}

static void improve(struct unigram_node *node, double score, size_t from, int32_t id) {
  if (node->starts_at == SIZE_MAX || score > node->score)
    *node = (struct unigram_node){score, from, id};
}

/* Fills nodes[0..length]: forward over the word. */
static bool find_best_paths(const struct unigram *unigram, const struct vocab *vocab, struct unigram_node *nodes,
                            const char *word, size_t length) {
  nodes[0] = (struct unigram_node){0};
  for (size_t i = 1; i <= length; i++)
    nodes[i].starts_at = SIZE_MAX;
  for (size_t i = 0, n; i < length; i += n) {
    struct trie_walk walk = trie_walk(&vocab->trie, vocab->whole, word + i, length - i);
    double here = nodes[i].score;
    bool single = false;
    utf8_decode(word + i, &n);
    for (int32_t id; (id = trie_next(&walk)) >= 0;) {
      improve(&nodes[i + walk.length], here + unigram->scores[id], i, id);
      single = single || walk.length == n;
    }
    if (!single && unigram->unk_id < 0)
      return false;
    if (!single)
      improve(&nodes[i + n], here + unigram->min_score - unknown_penalty, i, unigram->unk_id);
  }
  return true;
}

/* A stretch that is no token: its bytes' tokens, or the unknown token. */
static void add_unknown(const struct unigram *unigram, struct token_list *out, const char *word, size_t length,
                        uint32_t end) {
  bool ok = unigram->byte_fallback;
  for (size_t i = 0; ok && i < length; i++)
    ok = unigram->byte_ids[(unsigned char)word[i]] >= 0;
  for (size_t i = 0; ok && i < length; i++)
    token_list_add(out, unigram->byte_ids[(unsigned char)word[i]], end);
  if (!ok)
    token_list_add(out, unigram->unk_id, end);
}

/* Turns the way that ends at nodes[length] round: node i then leads to the place where the token that begins
   at i ends. */
static void backtrack(struct unigram_node *nodes, size_t length) {
  size_t at = length, next = SIZE_MAX;
  int32_t id = -1;
  for (;;) {
    struct unigram_node node = nodes[at];
    nodes[at].starts_at = next;
    nodes[at].id = id;
    if (at == 0)
      return;
    next = at;
    id = node.id;
    at = node.starts_at;
  }
}

bool unigram_encode(const struct unigram *unigram, const struct vocab *vocab, struct unigram_scratch *scratch,
                    struct token_list *out, const struct normalized_string *text, size_t start, size_t end) {
  const char *word = text->bytes + start;
  size_t length = end - start;
  struct unigram_node *nodes = grow(scratch->nodes, &scratch->size, length + 1, sizeof *nodes);
  if (!nodes) {
    out->failed = true;
    return true;
  }
  scratch->nodes = nodes;
  if (!find_best_paths(unigram, vocab, nodes, word, length))
    return false;
  backtrack(nodes, length);
  for (size_t i = 0, stop; i < length; i = stop) {
    int32_t id = nodes[i].id;
    stop = nodes[i].starts_at;
    while (id == unigram->unk_id && stop < length && nodes[stop].id == id)
      stop = nodes[stop].starts_at;
    uint32_t original = text->alignments[start + stop - 1].end;
    int32_t known = id == unigram->unk_id ? trie_get(&vocab->trie, vocab->whole, word + i, stop - i) : id;
    if (known >= 0)
      token_list_add(out, known, original);
    else
      add_unknown(unigram, out, word + i, stop - i, original);
  }
  return true;
}
