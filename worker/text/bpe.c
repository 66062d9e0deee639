#include "worker/text/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/text/unicode.h"

#define NONE UINT32_MAX

enum { CACHE_WORDS = 1 << 14 };

void bpe_init(struct bpe *bpe) {
  *bpe = (struct bpe){.unk_id = -1, .continuing_subword_prefix = "", .end_of_word_suffix = ""};
}

void bpe_done(struct bpe *bpe) {
  free(bpe->merges);
}

void bpe_scratch_done(struct bpe_scratch *scratch) {
  free(scratch->symbols);
  free(scratch->heap);
  free(scratch->cache);
}

void bpe_find_bytes(int32_t bytes[256], const struct vocab *vocab) {
  char name[8];
  for (unsigned i = 0; i < 256; i++)
    bytes[i] = vocab_id(vocab, name, (size_t)snprintf(name, sizeof name, "<0x%02X>", i));
}

/* --- merges --------------------------------------------------------------------------------------- */

static size_t slot_of(const struct bpe *bpe, uint64_t pair) {
  size_t mask = bpe->merge_size - 1;
  size_t slot = (size_t)((pair * 0x9E3779B97F4A7C15u) >> 32) & mask;
  while (bpe->merges[slot].pair && bpe->merges[slot].pair != pair)
    slot = (slot + 1) & mask;
  return slot;
}

static uint64_t pair_of(int32_t left, int32_t right) {
  return ((uint64_t)(uint32_t)left + 1) << 32 | (uint32_t)right;
}

static bool make_room(struct bpe *bpe) {
  if (bpe->merge_count * 3 < bpe->merge_size * 2)
    return true;
  struct bpe old = *bpe;
  bpe->merge_size = old.merge_size ? old.merge_size * 2 : 1024;
  bpe->merges = calloc(bpe->merge_size, sizeof *bpe->merges);
  if (!bpe->merges) {
    *bpe = old;
    return false;
  }
  for (size_t i = 0; i < old.merge_size; i++)
    if (old.merges[i].pair)
      bpe->merges[slot_of(bpe, old.merges[i].pair)] = old.merges[i];
  free(old.merges);
  return true;
}

bool bpe_add_merge(struct bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t id) {
  if (!make_room(bpe))
    return false;
  uint64_t pair = pair_of(left, right);
  struct bpe_merge *merge = &bpe->merges[slot_of(bpe, pair)];
  bpe->merge_count += merge->pair == 0;
  *merge = (struct bpe_merge){pair, rank, id};
  return true;
}

const struct bpe_merge *bpe_find_merge(const struct bpe *bpe, int32_t left, int32_t right) {
  if (!bpe->merge_size)
    return NULL;
  const struct bpe_merge *merge = &bpe->merges[slot_of(bpe, pair_of(left, right))];
  return merge->pair ? merge : NULL;
}

/* --- the heap of candidates ----------------------------------------------------------------------- */

static bool better(const struct bpe_candidate *a, const struct bpe_candidate *b) {
  return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static bool heap_push(struct bpe_scratch *scratch, struct bpe_candidate candidate) {
  struct bpe_candidate *heap = grow(scratch->heap, &scratch->heap_size, scratch->heap_count + 1, sizeof *heap);
  if (!heap)
    return false;
  scratch->heap = heap;
  size_t at = scratch->heap_count++;
  for (; at > 0 && better(&candidate, &heap[(at - 1) / 2]); at = (at - 1) / 2)
    heap[at] = heap[(at - 1) / 2];
  heap[at] = candidate;
  return true;
}

static struct bpe_candidate heap_pop(struct bpe_scratch *scratch) {
  struct bpe_candidate *heap = scratch->heap, top = heap[0], last = heap[--scratch->heap_count];
  size_t at = 0;
  for (size_t child; (child = 2 * at + 1) < scratch->heap_count; at = child) {
    if (child + 1 < scratch->heap_count && better(&heap[child + 1], &heap[child]))
      child++;
    if (!better(&heap[child], &last))
      break;
    heap[at] = heap[child];
  }
  heap[at] = last;
  return top;
}

/* --- words ---------------------------------------------------------------------------------------- */

static bool add_symbol(struct bpe_scratch *scratch, int32_t id, uint32_t last) {
  size_t count = scratch->symbol_count;
  struct bpe_symbol *symbols = grow(scratch->symbols, &scratch->symbol_size, count + 1, sizeof *symbols);
  if (!symbols)
    return false;
  scratch->symbols = symbols;
  symbols[count] =
      (struct bpe_symbol){.id = id, .prev = count ? (uint32_t)count - 1 : NONE, .next = NONE, .last = last};
  if (count)
    symbols[count - 1].next = (uint32_t)count;
  scratch->symbol_count++;
  return true;
}

/* The token of one character, with the prefix of a continuing and the suffix of an ending one. */
static int32_t first_token(const struct bpe *bpe, const struct vocab *vocab, const char *c, size_t length, bool first,
                           bool last) {
  char name[128];
  if ((first || !*bpe->continuing_subword_prefix) && (!last || !*bpe->end_of_word_suffix))
    return trie_get(&vocab->trie, vocab->whole, c, length);
  int n = snprintf(name, sizeof name, "%s%.*s%s", first ? "" : bpe->continuing_subword_prefix, (int)length, c,
                   last ? bpe->end_of_word_suffix : "");
  return n < 0 || (size_t)n >= sizeof name ? -1 : trie_get(&vocab->trie, vocab->whole, name, (size_t)n);
}

/* Unknown characters that wait to become a token. */
struct unknown {
  bool waits;
  uint32_t last;
};

static bool add_unknown(const struct bpe *bpe, struct bpe_scratch *scratch, struct unknown *unknown, uint32_t last) {
  bool ok = true;
  if (bpe->unk_id < 0)
    return true;
  if (unknown->waits && !bpe->fuse_unk)
    ok = add_symbol(scratch, bpe->unk_id, unknown->last);
  *unknown = (struct unknown){true, last};
  return ok;
}

static bool has_bytes(const struct bpe *bpe, const char *c, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (bpe->byte_ids[(unsigned char)c[i]] < 0)
      return false;
  return bpe->byte_fallback;
}

/* The characters of the word as symbols. Fallback bytes pass an unknown character that waits: so the
   library does it. */
static bool add_symbols(const struct bpe *bpe, const struct vocab *vocab, struct bpe_scratch *scratch, const char *word,
                        size_t length) {
  struct unknown unknown = {0};
  bool ok = true;
  scratch->symbol_count = 0;
  for (size_t i = 0, n = 1; ok && i < length; i += n) {
    const char *c = word + i;
    uint32_t at = (uint32_t)i;
    if (!vocab->byte_level)
      utf8_decode(c, &n);
    int32_t id = first_token(bpe, vocab, c, n, i == 0, i + n == length);
    if (id >= 0) {
      if (unknown.waits)
        ok = add_symbol(scratch, bpe->unk_id, unknown.last);
      unknown.waits = false;
      ok = ok && add_symbol(scratch, id, at);
    } else if (has_bytes(bpe, c, n)) {
      for (size_t k = 0; ok && k < n; k++)
        ok = add_symbol(scratch, bpe->byte_ids[(unsigned char)c[k]], at);
    } else {
      ok = add_unknown(bpe, scratch, &unknown, at);
    }
  }
  return ok && (!unknown.waits || add_symbol(scratch, bpe->unk_id, unknown.last));
}

/* Offers the merge of symbol `at` with the one after it. */
static bool offer(const struct bpe *bpe, struct bpe_scratch *scratch, uint32_t at) {
  const struct bpe_symbol *symbols = scratch->symbols;
  if (at == NONE || symbols[at].next == NONE)
    return true;
  const struct bpe_merge *merge = bpe_find_merge(bpe, symbols[at].id, symbols[symbols[at].next].id);
  return !merge || heap_push(scratch, (struct bpe_candidate){merge->rank, at, merge->id});
}

static bool merge_symbols(const struct bpe *bpe, struct bpe_scratch *scratch) {
  struct bpe_symbol *symbols = scratch->symbols;
  bool ok = true;
  scratch->heap_count = 0;
  for (size_t i = 0; ok && i < scratch->symbol_count; i++)
    ok = offer(bpe, scratch, (uint32_t)i);
  while (ok && scratch->heap_count) {
    struct bpe_candidate best = heap_pop(scratch);
    struct bpe_symbol *left = &symbols[best.at];
    if (left->gone || left->next == NONE)
      continue;
    struct bpe_symbol *right = &symbols[left->next];
    const struct bpe_merge *now = bpe_find_merge(bpe, left->id, right->id);
    if (!now || now->id != best.id)
      continue; /* one of the two has changed since */
    left->id = best.id;
    left->last = right->last;
    left->next = right->next;
    right->gone = true;
    if (left->next != NONE)
      symbols[left->next].prev = best.at;
    ok = offer(bpe, scratch, left->prev) && offer(bpe, scratch, best.at);
  }
  return ok;
}

/* --- the cache of words ------------------------------------------------------------------------- */

/* Where a short word is cached, or another is; NULL: it is not. */
static struct bpe_cached_word *cache_slot(struct bpe_scratch *scratch, const char *word, size_t length) {
  uint64_t hash = length;
  if (length > BPE_WORD_BYTES)
    return NULL;
  if (!scratch->cache && !(scratch->cache = calloc(CACHE_WORDS, sizeof *scratch->cache)))
    return NULL;
  for (size_t i = 0; i < length; i++)
    hash = (hash ^ (unsigned char)word[i]) * 0x9E3779B97F4A7C15u;
  return &scratch->cache[(hash >> 40) % CACHE_WORDS];
}

static void remember(struct bpe_cached_word *cached, const struct bpe_scratch *scratch, const char *word,
                     size_t length) {
  cached->count = 0;
  for (size_t i = 0; i < scratch->symbol_count; i++) {
    const struct bpe_symbol *symbol = &scratch->symbols[i];
    if (symbol->gone)
      continue;
    if (cached->count == BPE_WORD_TOKENS) {
      cached->length = 0;
      return;
    }
    cached->last[cached->count] = (uint8_t)symbol->last;
    cached->ids[cached->count++] = symbol->id;
  }
  memcpy(cached->bytes, word, length);
  cached->length = (uint8_t)length;
}

void bpe_encode(const struct bpe *bpe, const struct vocab *vocab, struct bpe_scratch *scratch, struct token_list *out,
                const struct normalized_string *text, size_t start, size_t end) {
  const char *word = text->bytes + start;
  const struct alignment *alignments = text->alignments + start;
  size_t length = end - start;
  struct bpe_cached_word *cached = cache_slot(scratch, word, length);
  if (cached && cached->length == length && memcmp(cached->bytes, word, length) == 0) {
    for (size_t i = 0; i < cached->count; i++)
      token_list_add(out, cached->ids[i], alignments[cached->last[i]].end);
    return;
  }
  int32_t whole = -1;
  if (bpe->ignore_merges)
    whole = trie_get(&vocab->trie, vocab->whole, word, length);
  if (whole >= 0) {
    token_list_add(out, whole, alignments[length - 1].end);
    return;
  }
  if (!add_symbols(bpe, vocab, scratch, word, length) || !merge_symbols(bpe, scratch)) {
    out->failed = true;
    return;
  }
  for (size_t i = 0; i < scratch->symbol_count; i++)
    if (!scratch->symbols[i].gone)
      token_list_add(out, scratch->symbols[i].id, alignments[scratch->symbols[i].last].end);
  if (cached)
    remember(cached, scratch, word, length);
}
