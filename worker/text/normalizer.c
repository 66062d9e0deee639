/* One pass over the text. Canonical order (the last step of NFD) sorts each run of combining marks by
   class; marks wait in the run until the next starter. utf8proc's own reordering is not used because
   it is quadratic in a run. */
#include "worker/text/normalizer.h"

#include <stdlib.h>

#include "worker/text/grow.h"
#include "worker/text/unicode.h"

static void emit(const struct normalizer *how, struct str *out, uint32_t c) {
  uint32_t lower[UNICODE_LOWER_MAX] = {c};
  size_t count = 1;
  char bytes[UTF8_MAX];
  if (how->strip_accents && unicode_is_mark(c))
    return;
  if (how->lowercase)
    count = unicode_lower(lower, c);
  for (size_t i = 0; i < count; i++)
    str_add(out, bytes, utf8_encode(bytes, lower[i]));
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static void flush(const struct normalizer *how, struct str *out, struct mark_run *run) {
  if (run->count > 1)
    qsort(run->marks, run->count, sizeof *run->marks, by_value);
  for (size_t i = 0; i < run->count; i++)
    emit(how, out, (uint32_t)(run->marks[i] & 0x1FFFFF));
  run->count = 0;
}

/* NFD of one code point. */
static bool decompose(const struct normalizer *how, struct str *out, struct mark_run *run, uint32_t c) {
  uint32_t parts[UNICODE_DECOMPOSED_MAX];
  size_t count = unicode_decompose(parts, c);
  for (size_t i = 0; i < count; i++) {
    uint64_t class = unicode_class(parts[i]);
    if (class == 0) {
      flush(how, out, run);
      emit(how, out, parts[i]);
      continue;
    }
    uint64_t *marks = grow(run->marks, &run->size, run->count + 1, sizeof *marks);
    if (!marks)
      return false;
    run->marks = marks;
    marks[run->count] = class << 53 | (uint64_t)run->count << 21 | parts[i];
    run->count++;
  }
  return true;
}

static bool put(const struct normalizer *how, struct str *out, struct mark_run *run, uint32_t c) {
  if (how->strip_accents)
    return decompose(how, out, run, c);
  emit(how, out, c);
  return true;
}

bool normalize(const struct normalizer *how, struct str *out, struct mark_run *run, const char *text,
               size_t length) {
  bool ok = true;
  run->count = 0;
  for (size_t i = 0, n; ok && i < length; i += n) {
    uint32_t c = utf8_decode(text + i, &n);
    if (how->clean_text && unicode_is_removed(c))
      continue;
    if (how->clean_text && unicode_is_space(c))
      c = ' ';
    bool isolate = how->chinese_chars && unicode_is_ideograph(c);
    if (isolate)
      ok = put(how, out, run, ' ');
    ok = ok && put(how, out, run, c);
    if (isolate)
      ok = ok && put(how, out, run, ' ');
  }
  flush(how, out, run);
  return ok && !out->failed;
}
