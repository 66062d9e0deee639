#include "worker/data/extract.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "worker/data/decimal.h"
#include "worker/data/math_answer.h"

enum status extract_open(struct extract *out, const struct generate_spec *spec, struct error *err) {
  *out = (struct extract){.spec = spec};
  if (spec->extractor != EXTRACT_REGEX || !regex_open(&out->regex, spec->pattern, err))
    return STATUS_OK;
  return error_set(err, err->status == STATUS_MODEL_INVALID ? STATUS_INVALID_VALUE : err->status,
                   "evaluation.generate.pattern", "evaluation.generate.pattern: %s", err->text);
}

void extract_done(struct extract *e) {
  regex_free(e->regex);
  regex_scratch_free(e->scratch);
  *e = (struct extract){0};
}

/* --- numbers -------------------------------------------------------------------------------------- */

/* The number that begins here: a sign, unless it stands behind a letter or digit, digits, and perhaps a denominator. */
static const char *read_number(double *value, const char *at, const char *text) {
  double below;
  bool sign = (*at == '-' || *at == '+') && (at == text || !isalnum((unsigned char)at[-1]));
  const char *end = decimal_read(value, at + sign, NULL);
  if (!end)
    return NULL;
  const char *over = *end == '/' ? decimal_read(&below, end + 1, NULL) : NULL;
  if (over && below != 0)
    *value /= below;
  if (*at == '-')
    *value = -*value;
  return over && below != 0 ? over : end;
}

/* What [\-+]?\d*[\.,/]?\d+ matches here, as HRA's authors read it: one separator, rounded to a whole number with halves
   to even ones, a denominator of 0 left out. *value NAN: it is no number to them ("/5"). */
static const char *read_authors_number(double *value, const char *at) {
  const char *from = at, *separator = NULL;
  double whole = 0, below = 0, scale = 1;
  at += *at == '-' || *at == '+';
  const char *digits = at;
  for (; ascii_digit(*at); at++)
    whole = whole * 10 + (*at - '0');
  bool any = at > digits;
  if (*at && strchr(".,/", *at) && ascii_digit(at[1]))
    for (separator = at++; ascii_digit(*at); at++, scale *= 10)
      below = below * 10 + (*at - '0');
  if (!any && !separator)
    return NULL;
  *value = whole;
  if (separator && *separator != '/')
    *value = *separator == '.' ? whole + below / scale : whole * scale + below;
  else if (separator)
    *value = !any ? (double)NAN : below != 0 ? whole / below : whole;
  *value = nearbyint(*from == '-' ? -*value : *value);
  return at;
}

static bool find_number(const struct generate_spec *spec, struct str *out, const char *text, bool authors) {
  double value, found = NAN;
  bool any = false;
  for (const char *at = text; *at;) {
    const char *end = authors ? read_authors_number(&value, at) : read_number(&value, at, text);
    if (end) {
      found = value;
      any = true;
    }
    if (end && spec->extractor == EXTRACT_FIRST_NUMBER)
      break;
    at = end ? end : at + 1;
  }
  return any && isfinite(found) && str_printf(out, "%.15g", found == 0 ? 0 : found);
}

/* --- texts ---------------------------------------------------------------------------------------- */

static bool put_trimmed(struct str *out, const char *text, size_t length) {
  while (length && isspace((unsigned char)*text)) {
    text++;
    length--;
  }
  while (length && isspace((unsigned char)text[length - 1]))
    length--;
  return str_add(out, text, length) && length > 0;
}

static bool find_match(struct extract *e, struct str *out, const char *text) {
  size_t length = strlen(text), start, end, from = 0, first = 0, last = 0;
  uint64_t steps = (uint64_t)1 << 24; /* what a hostile expression may cost */
  bool any = false;
  while (from <= length && regex_find(e->regex, &e->scratch, &steps, text, from, length, &start, &end) == REGEX_FOUND) {
    any = true;
    if (!regex_first_group(e->scratch, &first, &last)) {
      first = start;
      last = end;
    }
    from = end > start ? end : end + 1;
    while (from < length && ((unsigned char)text[from] & 0xC0) == 0x80)
      from++;
  }
  return any && put_trimmed(out, text + first, last - first);
}

/* What follows the last `marker`; NULL: it is not there. */
static const char *behind(const char *text, const char *marker) {
  const char *found = NULL;
  for (const char *at = text; (at = strstr(at, marker)); at++)
    found = at + strlen(marker);
  return found;
}

/* What is boxed, or all of `text` up to the end of its sentence where that is `enough`. */
static bool find_math(struct str *out, const char *text, bool enough) {
  const char *at = text, *end = strstr(text, ".\n");
  size_t length = end ? (size_t)(end - text) : strlen(text);
  bool boxed = math_answer_boxed(&at, &length, text);
  return (boxed || enough) && math_answer_put(out, at, length);
}

static bool find_answer(struct extract *e, struct str *out, const char *text, bool expected) {
  bool authors = !expected && e->spec->compat == GENERATE_COMPAT_HRA_AUTHORS;
  switch ((enum extractor)e->spec->extractor) {
  case EXTRACT_FIRST_NUMBER:
  case EXTRACT_LAST_NUMBER: return find_number(e->spec, out, text, authors);
  case EXTRACT_REGEX: return find_match(e, out, text);
  case EXTRACT_MATH: return find_math(out, text, expected || e->spec->after);
  case EXTRACT_EXACT:
  case EXTRACT_CHOICE: return put_trimmed(out, text, strlen(text));
  case EXTRACT_COUNT: break;
  }
  CHECK(!"an extractor");
}

bool extract_answer(struct extract *e, struct str *out, const char *answer) {
  const char *text = e->spec->after ? behind(answer, e->spec->after) : answer;
  str_clear(out);
  return text && find_answer(e, out, text, false);
}

bool extract_expected(struct extract *e, struct str *out, const char *expected) {
  const char *marked = e->spec->answer_after ? behind(expected, e->spec->answer_after) : NULL;
  const char *text = marked ? marked : expected;
  str_clear(out);
  if (find_answer(e, out, text, true))
    return true;
  return e->spec->extractor == EXTRACT_REGEX && put_trimmed(out, text, strlen(text));
}

bool extract_equal(const struct extract *e, const char *answer, const char *expected) {
  if (e->spec->extractor == EXTRACT_MATH)
    return math_answer_equal(answer, expected, e->spec->compat == GENERATE_COMPAT_HRA_AUTHORS);
  return strcmp(answer, expected) == 0;
}
