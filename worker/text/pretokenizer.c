#include "worker/text/pretokenizer.h"

#include <string.h>

#include "worker/text/unicode.h"
#include "worker/text/vocab.h"

bool pretokenizer_add(struct pretokenizer *pretokenizer, struct pretokenizer_step step) {
  if (pretokenizer->count >= PRETOKENIZER_STEPS_MAX)
    return false;
  step.in_alphabet = pretokenizer->byte_level;
  pretokenizer->steps[pretokenizer->count++] = step;
  return true;
}

void pretokenizer_done(struct pretokenizer *pretokenizer) {
  for (size_t i = 0; i < pretokenizer->count; i++)
    pattern_done(&pretokenizer->steps[i].pattern);
}

bool pretokenizer_add_split(struct pretokenizer *pretokenizer, pattern_match *match, enum split_behavior behavior) {
  return pretokenizer_add(pretokenizer, (struct pretokenizer_step){.kind = PRETOKENIZER_SPLIT,
                                                                   .pattern = {.match = match},
                                                                   .behavior = behavior});
}

bool pretokenizer_add_bert(struct pretokenizer *pretokenizer) {
  return pretokenizer_add_split(pretokenizer, pattern_space, SPLIT_REMOVED) &&
         pretokenizer_add_split(pretokenizer, pattern_punctuation, SPLIT_ISOLATED);
}

bool pretokenizer_add_metaspace(struct pretokenizer *pretokenizer, const char *replacement, enum prepend_scheme scheme,
                                bool split) {
  struct pretokenizer_step space = {.kind = PRETOKENIZER_METASPACE, .replacement = replacement, .scheme = scheme};
  struct pretokenizer_step cut = {.kind = PRETOKENIZER_SPLIT,
                                  .pattern = {.literal = replacement, .length = strlen(replacement)},
                                  .behavior = SPLIT_WITH_NEXT};
  return pretokenizer_add(pretokenizer, space) && (!split || pretokenizer_add(pretokenizer, cut));
}

void pretokenizer_scratch_done(struct pretokenizer_scratch *scratch) {
  for (size_t i = 0; i < 2; i++) {
    text_done(&scratch->text[i]);
    piece_list_done(&scratch->pieces[i]);
  }
  piece_list_done(&scratch->cuts);
  text_done(&scratch->alphabet);
  pattern_scratch_done(&scratch->pattern);
}

/* Cuts a piece at the matches: the id of a cut says whether it is one. */
static void find_cuts(const struct pretokenizer_step *step, struct pattern_scratch *scratch, struct piece_list *cuts,
                      const char *text, size_t length) {
  struct pattern_search search = {0};
  size_t at = 0;
  piece_list_clear(cuts);
  while (pattern_next(&step->pattern, scratch, &search, text, length)) {
    if (search.start > at)
      piece_list_add(cuts, at, search.start, step->invert);
    piece_list_add(cuts, search.start, search.end, !step->invert);
    at = search.end;
  }
  if (at < length)
    piece_list_add(cuts, at, length, step->invert);
  cuts->failed = cuts->failed || scratch->failed;
}

/* The same where the pattern sees characters for bytes. */
static void find_cuts_in_alphabet(const struct pretokenizer_step *step, struct pretokenizer_scratch *scratch,
                                  const char *bytes, size_t length) {
  struct text *text = &scratch->alphabet;
  struct piece_list *cuts = &scratch->cuts;
  text_clear(text);
  for (size_t i = 0; i < length; i++)
    text_add_char(text, vocab_char((unsigned char)bytes[i]), (struct span){(uint32_t)i, (uint32_t)i + 1});
  find_cuts(step, &scratch->pattern, cuts, text->bytes, text->length);
  for (size_t i = 0; !text->failed && i < cuts->count; i++) {
    struct piece *cut = &cuts->items[i];
    cut->start = cut->start < text->length ? text->spans[cut->start].start : length;
    cut->end = cut->end < text->length ? text->spans[cut->end].start : length;
  }
  cuts->failed = cuts->failed || text->failed;
}

/* Does cut `i` hang together with the one after it? */
static bool joins_next(enum split_behavior behavior, const struct piece_list *cuts, size_t i) {
  bool match = cuts->items[i].id, next = cuts->items[i + 1].id;
  switch (behavior) {
  case SPLIT_REMOVED:
  case SPLIT_ISOLATED: return false;
  case SPLIT_CONTIGUOUS: return match == next;
  case SPLIT_WITH_PREVIOUS: return !match && next;
  case SPLIT_WITH_NEXT: return match && !next;
  }
  return false;
}

static void split(const struct pretokenizer_step *step, struct pretokenizer_scratch *scratch, struct piece_list *out,
                  const struct text *text, const struct piece *piece) {
  struct piece_list *cuts = &scratch->cuts;
  const char *bytes = text->bytes + piece->start;
  if (step->in_alphabet)
    find_cuts_in_alphabet(step, scratch, bytes, piece->end - piece->start);
  else
    find_cuts(step, &scratch->pattern, cuts, bytes, piece->end - piece->start);
  size_t start = 0;
  for (size_t i = 0; i < cuts->count; i++) {
    if (i + 1 < cuts->count && joins_next(step->behavior, cuts, i))
      continue;
    bool removed = step->behavior == SPLIT_REMOVED && cuts->items[i].id;
    if (!removed)
      piece_list_add(out, piece->start + cuts->items[start].start, piece->start + cuts->items[i].end, -1);
    start = i + 1;
  }
  out->failed = out->failed || cuts->failed;
}

static bool begins_with(const struct text *text, const struct piece *piece, const char *prefix) {
  size_t n = strlen(prefix);
  return piece->end - piece->start >= n && memcmp(text->bytes + piece->start, prefix, n) == 0;
}

/* The piece anew at the end of `out`, with `prefix` and with every ' ' replaced. */
static void rewrite(struct text *out, const struct text *text, const struct piece *piece, const char *prefix,
                    const char *space) {
  size_t length = strlen(space), from = piece->start;
  text_add(out, prefix, strlen(prefix), text->spans[piece->start]);
  for (size_t i = piece->start; i < piece->end; i++) {
    if (text->bytes[i] != ' ')
      continue;
    text_add_part(out, text, from, i);
    text_add(out, space, length, text->spans[i]);
    from = i + 1;
  }
  text_add_part(out, text, from, piece->end);
}

static void metaspace(const struct pretokenizer_step *step, struct text *out, const struct text *text,
                      const struct piece *piece) {
  bool wanted = step->scheme == PREPEND_ALWAYS ||
                (step->scheme == PREPEND_FIRST && text->spans[piece->start].start == 0);
  bool has = begins_with(text, piece, " ") || begins_with(text, piece, step->replacement);
  rewrite(out, text, piece, wanted && !has ? step->replacement : "", step->replacement);
}

static bool apply_split(const struct pretokenizer_step *step, struct pretokenizer_scratch *scratch) {
  const struct text *text = &scratch->text[scratch->text_now];
  const struct piece_list *in = &scratch->pieces[scratch->pieces_now];
  struct piece_list *out = &scratch->pieces[1 - scratch->pieces_now];
  piece_list_clear(out);
  for (size_t i = 0; i < in->count; i++) {
    const struct piece *piece = &in->items[i];
    if (piece->id >= 0)
      piece_list_add(out, piece->start, piece->end, piece->id);
    else
      split(step, scratch, out, text, piece);
  }
  scratch->pieces_now = 1 - scratch->pieces_now;
  return !out->failed;
}

static bool apply_rewrite(const struct pretokenizer_step *step, struct pretokenizer_scratch *scratch) {
  const struct text *text = &scratch->text[scratch->text_now];
  struct text *out = &scratch->text[1 - scratch->text_now];
  struct piece_list *pieces = &scratch->pieces[scratch->pieces_now];
  text_clear(out);
  for (size_t i = 0; i < pieces->count && !out->failed; i++) {
    struct piece *piece = &pieces->items[i];
    size_t start = out->length;
    if (piece->id >= 0)
      text_add_part(out, text, piece->start, piece->end);
    else if (step->kind == PRETOKENIZER_METASPACE)
      metaspace(step, out, text, piece);
    else
      rewrite(out, text, piece, begins_with(text, piece, " ") ? "" : " ", " ");
    piece->start = start;
    piece->end = out->length;
  }
  scratch->text_now = 1 - scratch->text_now;
  return !out->failed;
}

bool pretokenizer_apply(const struct pretokenizer *pretokenizer, struct pretokenizer_scratch *scratch) {
  bool ok = true;
  for (size_t i = 0; ok && i < pretokenizer->count; i++) {
    const struct pretokenizer_step *step = &pretokenizer->steps[i];
    ok = step->kind == PRETOKENIZER_SPLIT ? apply_split(step, scratch) : apply_rewrite(step, scratch);
  }
  return ok;
}
