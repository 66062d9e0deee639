#include "worker/text/pre_tokenizer.h"

#include <string.h>

#include "worker/text/unicode.h"
#include "worker/text/vocab.h"

bool pre_tokenizer_add(struct pre_tokenizer *pre_tokenizer, struct pre_tokenizer_step step) {
  if (pre_tokenizer->count >= PRE_TOKENIZER_STEPS_MAX)
    return false;
  step.in_alphabet = pre_tokenizer->byte_level;
  pre_tokenizer->steps[pre_tokenizer->count++] = step;
  return true;
}

void pre_tokenizer_done(struct pre_tokenizer *pre_tokenizer) {
  for (size_t i = 0; i < pre_tokenizer->count; i++)
    pattern_done(&pre_tokenizer->steps[i].pattern);
}

bool pre_tokenizer_add_split(struct pre_tokenizer *pre_tokenizer, pattern_match *match, enum split_behavior behavior) {
  return pre_tokenizer_add(
      pre_tokenizer,
      (struct pre_tokenizer_step){.kind = PRE_TOKENIZER_SPLIT, .pattern = {.match = match}, .behavior = behavior});
}

bool pre_tokenizer_add_bert(struct pre_tokenizer *pre_tokenizer) {
  return pre_tokenizer_add_split(pre_tokenizer, pattern_space, SPLIT_REMOVED) &&
         pre_tokenizer_add_split(pre_tokenizer, pattern_punctuation, SPLIT_ISOLATED);
}

bool pre_tokenizer_add_metaspace(struct pre_tokenizer *pre_tokenizer, const char *replacement,
                                 enum prepend_scheme scheme, bool split) {
  struct pre_tokenizer_step space = {.kind = PRE_TOKENIZER_METASPACE, .replacement = replacement, .scheme = scheme};
  struct pre_tokenizer_step cut = {.kind = PRE_TOKENIZER_SPLIT,
                                   .pattern = {.literal = replacement, .length = strlen(replacement)},
                                   .behavior = SPLIT_MERGED_WITH_NEXT};
  return pre_tokenizer_add(pre_tokenizer, space) && (!split || pre_tokenizer_add(pre_tokenizer, cut));
}

void pre_tokenizer_scratch_done(struct pre_tokenizer_scratch *scratch) {
  for (size_t i = 0; i < 2; i++) {
    normalized_done(&scratch->text[i]);
    split_list_done(&scratch->splits[i]);
  }
  split_list_done(&scratch->cuts);
  normalized_done(&scratch->alphabet);
  pattern_scratch_done(&scratch->pattern);
}

/* Cuts a split at the matches: the id of a cut says whether it is one. */
static void find_cuts(const struct pre_tokenizer_step *step, struct pattern_scratch *scratch, struct split_list *cuts,
                      const char *text, size_t length) {
  struct pattern_search search = {0};
  size_t at = 0;
  split_list_clear(cuts);
  while (pattern_next(&step->pattern, scratch, &search, text, length)) {
    if (search.start > at)
      split_list_add(cuts, at, search.start, step->invert);
    split_list_add(cuts, search.start, search.end, !step->invert);
    at = search.end;
  }
  if (at < length)
    split_list_add(cuts, at, length, step->invert);
  cuts->failed = cuts->failed || scratch->failed;
}

/* The same where the pattern sees characters for bytes. */
static void find_cuts_in_alphabet(const struct pre_tokenizer_step *step, struct pre_tokenizer_scratch *scratch,
                                  const char *bytes, size_t length) {
  struct normalized_string *text = &scratch->alphabet;
  struct split_list *cuts = &scratch->cuts;
  normalized_clear(text);
  for (size_t i = 0; i < length; i++)
    normalized_add_char(text, vocab_char((unsigned char)bytes[i]), (struct alignment){(uint32_t)i, (uint32_t)i + 1});
  find_cuts(step, &scratch->pattern, cuts, text->bytes, text->length);
  for (size_t i = 0; !text->failed && i < cuts->count; i++) {
    struct split *cut = &cuts->items[i];
    cut->start = cut->start < text->length ? text->alignments[cut->start].start : length;
    cut->end = cut->end < text->length ? text->alignments[cut->end].start : length;
  }
  cuts->failed = cuts->failed || text->failed;
}

/* Does cut `i` hang together with the one after it? */
static bool joins_next(enum split_behavior behavior, const struct split_list *cuts, size_t i) {
  bool match = cuts->items[i].id, next = cuts->items[i + 1].id;
  switch (behavior) {
  case SPLIT_REMOVED:
  case SPLIT_ISOLATED: return false;
  case SPLIT_CONTIGUOUS: return match == next;
  case SPLIT_MERGED_WITH_PREVIOUS: return !match && next;
  case SPLIT_MERGED_WITH_NEXT: return match && !next;
  }
  return false;
}

static void apply_pattern(const struct pre_tokenizer_step *step, struct pre_tokenizer_scratch *scratch,
                          struct split_list *out, const struct normalized_string *text, const struct split *split) {
  struct split_list *cuts = &scratch->cuts;
  const char *bytes = text->bytes + split->start;
  if (step->in_alphabet)
    find_cuts_in_alphabet(step, scratch, bytes, split->end - split->start);
  else
    find_cuts(step, &scratch->pattern, cuts, bytes, split->end - split->start);
  size_t start = 0;
  for (size_t i = 0; i < cuts->count; i++) {
    if (i + 1 < cuts->count && joins_next(step->behavior, cuts, i))
      continue;
    bool removed = step->behavior == SPLIT_REMOVED && cuts->items[i].id;
    if (!removed)
      split_list_add(out, split->start + cuts->items[start].start, split->start + cuts->items[i].end, -1);
    start = i + 1;
  }
  out->failed = out->failed || cuts->failed;
}

static bool begins_with(const struct normalized_string *text, const struct split *split, const char *prefix) {
  size_t n = strlen(prefix);
  return split->end - split->start >= n && memcmp(text->bytes + split->start, prefix, n) == 0;
}

/* The split anew at the end of `out`, with `prefix` and with every ' ' replaced. */
static void replace_spaces(struct normalized_string *out, const struct normalized_string *text,
                           const struct split *split, const char *prefix, const char *space) {
  size_t length = strlen(space), from = split->start;
  normalized_add(out, prefix, strlen(prefix), text->alignments[split->start]);
  for (size_t i = split->start; i < split->end; i++) {
    if (text->bytes[i] != ' ')
      continue;
    normalized_add_part(out, text, from, i);
    normalized_add(out, space, length, text->alignments[i]);
    from = i + 1;
  }
  normalized_add_part(out, text, from, split->end);
}

static void metaspace(const struct pre_tokenizer_step *step, struct normalized_string *out,
                      const struct normalized_string *text, const struct split *split) {
  bool wanted =
      step->scheme == PREPEND_ALWAYS || (step->scheme == PREPEND_FIRST && text->alignments[split->start].start == 0);
  bool has = begins_with(text, split, " ") || begins_with(text, split, step->replacement);
  replace_spaces(out, text, split, wanted && !has ? step->replacement : "", step->replacement);
}

static bool apply_split(const struct pre_tokenizer_step *step, struct pre_tokenizer_scratch *scratch) {
  const struct normalized_string *text = &scratch->text[scratch->text_now];
  const struct split_list *in = &scratch->splits[scratch->splits_now];
  struct split_list *out = &scratch->splits[1 - scratch->splits_now];
  split_list_clear(out);
  for (size_t i = 0; i < in->count; i++) {
    const struct split *split = &in->items[i];
    if (split->id >= 0)
      split_list_add(out, split->start, split->end, split->id);
    else
      apply_pattern(step, scratch, out, text, split);
  }
  scratch->splits_now = 1 - scratch->splits_now;
  return !out->failed;
}

static bool apply_replace(const struct pre_tokenizer_step *step, struct pre_tokenizer_scratch *scratch) {
  const struct normalized_string *text = &scratch->text[scratch->text_now];
  struct normalized_string *out = &scratch->text[1 - scratch->text_now];
  struct split_list *splits = &scratch->splits[scratch->splits_now];
  normalized_clear(out);
  for (size_t i = 0; i < splits->count && !out->failed; i++) {
    struct split *split = &splits->items[i];
    size_t start = out->length;
    if (split->id >= 0)
      normalized_add_part(out, text, split->start, split->end);
    else if (step->kind == PRE_TOKENIZER_METASPACE)
      metaspace(step, out, text, split);
    else
      replace_spaces(out, text, split, begins_with(text, split, " ") ? "" : " ", " ");
    split->start = start;
    split->end = out->length;
  }
  scratch->text_now = 1 - scratch->text_now;
  return !out->failed;
}

bool pre_tokenizer_add_space(struct pre_tokenizer_scratch *scratch) {
  static const struct pre_tokenizer_step step = {.kind = PRE_TOKENIZER_ADD_PREFIX_SPACE};
  return apply_replace(&step, scratch);
}

bool pre_tokenizer_apply(const struct pre_tokenizer *pre_tokenizer, struct pre_tokenizer_scratch *scratch) {
  bool ok = true;
  for (size_t i = 0; ok && i < pre_tokenizer->count; i++) {
    const struct pre_tokenizer_step *step = &pre_tokenizer->steps[i];
    ok = step->kind == PRE_TOKENIZER_SPLIT ? apply_split(step, scratch) : apply_replace(step, scratch);
  }
  return ok;
}
