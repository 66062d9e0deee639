#include "worker/text/normalizer.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "worker/text/unicode.h"

bool normalizer_add(struct normalizer *normalizer, struct normalizer_step step) {
  if (normalizer->count >= NORMALIZER_STEPS_MAX)
    return false;
  normalizer->steps[normalizer->count++] = step;
  return true;
}

void normalizer_done(struct normalizer *normalizer) {
  for (size_t i = 0; i < normalizer->count; i++)
    pattern_done(&normalizer->steps[i].pattern);
}

bool normalizer_add_bert(struct normalizer *normalizer, bool clean_text, bool chinese_chars, bool strip_accents,
                         bool lowercase) {
  const struct {
    bool wanted;
    enum normalizer_kind kind;
  } steps[] = {{clean_text, NORMALIZER_CLEAN_TEXT},
               {chinese_chars, NORMALIZER_CHINESE_CHARS},
               {strip_accents, NORMALIZER_NFD},
               {strip_accents, NORMALIZER_BERT_STRIP_ACCENTS},
               {lowercase, NORMALIZER_LOWERCASE}};
  bool ok = true;
  for (size_t i = 0; ok && i < COUNT_OF(steps); i++)
    ok = !steps[i].wanted || normalizer_add(normalizer, (struct normalizer_step){.kind = steps[i].kind});
  return ok;
}

/* Steps that look at one character at a time. */
static void transform_char(enum normalizer_kind kind, struct transform *transform, uint32_t c) {
  uint32_t lower[UNICODE_LOWER_MAX] = {c};
  size_t count = 1;
  bool drop = (kind == NORMALIZER_CLEAN_TEXT && unicode_is_removed(c)) ||
              (kind == NORMALIZER_BERT_STRIP_ACCENTS && unicode_is_mark(c)) ||
              (kind == NORMALIZER_STRIP_ACCENTS && unicode_is_accent(c));
  if (drop) {
    transform_skip(transform, 1);
  } else if (kind == NORMALIZER_CLEAN_TEXT && unicode_is_space(c)) {
    transform_put(transform, ' ', 0);
  } else if (kind == NORMALIZER_CHINESE_CHARS && unicode_is_ideograph(c)) {
    transform_put(transform, ' ', 0);
    transform_put(transform, c, 1);
    transform_put(transform, ' ', 1);
  } else {
    if (kind == NORMALIZER_LOWERCASE)
      count = unicode_lower(lower, c);
    for (size_t i = 0; i < count; i++)
      transform_put(transform, lower[i], i > 0);
  }
}

static void each_char(enum normalizer_kind kind, struct normalized_string *out, const struct normalized_string *in) {
  struct transform transform = {out, in, 0};
  for (size_t i = 0, n; i < in->length; i += n)
    transform_char(kind, &transform, utf8_decode(in->bytes + i, &n));
}

/* The same for ASCII, where a byte is a character. */
static void each_byte(enum normalizer_kind kind, struct normalized_string *out, const struct normalized_string *in) {
  bool clean = kind == NORMALIZER_CLEAN_TEXT;
  size_t kept = 0;
  normalized_add_part(out, in, 0, in->length);
  for (size_t i = 0; i < out->length; i++) {
    uint32_t c = (unsigned char)out->bytes[i], lower[UNICODE_LOWER_MAX] = {c};
    if (clean && unicode_is_removed(c))
      continue;
    if (kind == NORMALIZER_LOWERCASE)
      unicode_lower(lower, c);
    out->bytes[kept] = clean && unicode_is_space(c) ? ' ' : (char)lower[0];
    out->alignments[kept++] = out->alignments[i];
  }
  out->length = kept;
}

static void strip(const struct normalizer_step *step, struct normalized_string *out,
                  const struct normalized_string *in) {
  size_t start = 0, end = 0, n;
  while (step->left && start < in->length && unicode_is_space(utf8_decode(in->bytes + start, &n)))
    start += n;
  for (size_t i = start; i < in->length; i += n)
    if (!unicode_is_space(utf8_decode(in->bytes + i, &n)) || !step->right)
      end = i + n;
  normalized_add_part(out, in, start, end);
}

static void prepend(const char *content, struct normalized_string *out, const struct normalized_string *in) {
  if (in->length == 0)
    return;
  normalized_add(out, content, strlen(content), in->alignments[0]);
  normalized_add_part(out, in, 0, in->length);
}

static void replace(const struct normalizer_step *step, struct pattern_scratch *scratch, struct normalized_string *out,
                    const struct normalized_string *in) {
  struct pattern_search search = {0};
  size_t at = 0, length = strlen(step->content);
  while (pattern_next(&step->pattern, scratch, &search, in->bytes, in->length)) {
    normalized_add_part(out, in, at, search.start);
    normalized_add(out, step->content, length, in->alignments[search.end - 1]);
    at = search.end;
  }
  normalized_add_part(out, in, at, in->length);
  out->failed = out->failed || scratch->failed;
}

/* Characters in text[0..length). */
static int characters(const char *text, size_t length) {
  int count = 0;
  for (size_t i = 0; i < length; i++)
    count += ((unsigned char)text[i] & 0xC0) != 0x80;
  return count;
}

/* Rewriting by a table of characters. The last character waits, for what is dropped behind it counts as its
   change; what is dropped with nothing before it does not count: so the library does it. */
struct mapper {
  const struct charsmap *map;
  struct transform transform;
  bool waits;
  uint32_t last;
  int change;
};

static void mapper_put(struct mapper *mapper, uint32_t c, int change) {
  if (mapper->waits)
    transform_put(&mapper->transform, mapper->last, mapper->change);
  mapper->waits = true;
  mapper->last = c;
  mapper->change = change;
}

/* Puts `text` for `old` characters. */
static void mapper_replace(struct mapper *mapper, const char *text, size_t length, int old) {
  int fresh = characters(text, length), done = 0;
  for (size_t i = 0, n; i < length; i += n, done++)
    mapper_put(mapper, utf8_decode(text + i, &n), done >= old);
  if (fresh < old && mapper->waits)
    mapper->change -= old - fresh;
}

/* The library asks for short grapheme clusters as a whole first, then for each character. */
static void mapper_cluster(struct mapper *mapper, const char *cluster, size_t length) {
  enum { CLUSTER_BYTES_MAX = 5 };
  const char *text;
  size_t text_length;
  if (length <= CLUSTER_BYTES_MAX && charsmap_find(mapper->map, cluster, length, &text, &text_length)) {
    mapper_replace(mapper, text, text_length, characters(cluster, length));
    return;
  }
  for (size_t i = 0, n; i < length; i += n) {
    uint32_t c = utf8_decode(cluster + i, &n);
    if (charsmap_find(mapper->map, cluster + i, n, &text, &text_length))
      mapper_replace(mapper, text, text_length, 1);
    else
      mapper_put(mapper, c, 0);
  }
}

static void map_chars(const struct charsmap *map, struct normalized_string *out, const struct normalized_string *in) {
  struct mapper mapper = {.map = map, .transform = {out, in, 0}};
  utf8proc_int32_t state = 0, before = 0;
  size_t start = 0;
  for (size_t i = 0, n; i < in->length; i += n) {
    utf8proc_int32_t c = (utf8proc_int32_t)utf8_decode(in->bytes + i, &n);
    if (i > 0 && utf8proc_grapheme_break_stateful(before, c, &state)) {
      mapper_cluster(&mapper, in->bytes + start, i - start);
      start = i;
    }
    before = c;
  }
  mapper_cluster(&mapper, in->bytes + start, in->length - start);
  if (mapper.waits)
    transform_put(&mapper.transform, mapper.last, mapper.change);
}

static void map_longest(const struct charsmap *map, struct normalized_string *out, const struct normalized_string *in) {
  const char *text;
  size_t text_length, n;
  for (size_t i = 0; i < in->length; i += n) {
    n = charsmap_longest(map, in->bytes + i, in->length - i, &text, &text_length);
    if (n) {
      const struct alignment key = {in->alignments[i].start, in->alignments[i + n - 1].end};
      normalized_add(out, text, text_length, key);
    } else {
      utf8_decode(in->bytes + i, &n);
      normalized_add_part(out, in, i, i + n);
    }
  }
}

static void apply_step(const struct normalizer_step *step, struct normalizer_scratch *scratch,
                       struct normalized_string *out, const struct normalized_string *in, bool ascii) {
  switch (step->kind) {
  case NORMALIZER_NFC: normal_form(out, scratch->run, in, false, true); break;
  case NORMALIZER_NFD: normal_form(out, scratch->run, in, false, false); break;
  case NORMALIZER_NFKC: normal_form(out, scratch->run, in, true, true); break;
  case NORMALIZER_NFKD: normal_form(out, scratch->run, in, true, false); break;
  case NORMALIZER_STRIP: strip(step, out, in); break;
  case NORMALIZER_PREPEND: prepend(step->content, out, in); break;
  case NORMALIZER_REPLACE: replace(step, &scratch->pattern, out, in); break;
  case NORMALIZER_PRECOMPILED: map_chars(&step->charsmap, out, in); break;
  case NORMALIZER_SENTENCEPIECE: map_longest(&step->charsmap, out, in); break;
  case NORMALIZER_CLEAN_TEXT:
  case NORMALIZER_CHINESE_CHARS:
  case NORMALIZER_BERT_STRIP_ACCENTS:
  case NORMALIZER_STRIP_ACCENTS:
  case NORMALIZER_LOWERCASE: (ascii ? each_byte : each_char)(step->kind, out, in); break;
  }
}

/* Normal forms and most other steps leave ASCII as it is. */
static bool spares_ascii(enum normalizer_kind kind) {
  return (kind >= NORMALIZER_CHINESE_CHARS && kind <= NORMALIZER_STRIP_ACCENTS);
}

static bool is_ascii(const struct normalized_string *text) {
  char any = 0;
  for (size_t i = 0; i < text->length; i++)
    any |= text->bytes[i];
  return !((unsigned char)any & 0x80);
}

void normalizer_scratch_done(struct normalizer_scratch *scratch) {
  for (size_t i = 0; i < 2; i++) {
    normalized_done(&scratch->text[i]);
    free(scratch->run[i].marks);
  }
  pattern_scratch_done(&scratch->pattern);
}

const struct normalized_string *normalizer_apply(const struct normalizer *normalizer,
                                                 struct normalizer_scratch *scratch, const char *bytes, size_t length,
                                                 size_t offset) {
  struct normalized_string *in = &scratch->text[0], *out = &scratch->text[1];
  in->max = out->max = NORMALIZER_GROWTH_MAX * length + NORMALIZER_GROWTH_FREE;
  normalized_clear(in);
  normalized_add_raw(in, bytes, length, offset);
  bool ascii = !in->failed && is_ascii(in);
  for (size_t i = 0; !in->failed && i < normalizer->count; i++) {
    const struct normalizer_step *step = &normalizer->steps[i];
    if (ascii && spares_ascii(step->kind))
      continue;
    normalized_clear(out);
    apply_step(step, scratch, out, in, ascii);
    struct normalized_string *made = out;
    out = in;
    in = made;
    ascii = !in->failed && is_ascii(in);
  }
  return in;
}
