#include "worker/text/pattern.h"

#include <string.h>
#include <strings.h>

#include "base/attr.h"
#include "worker/text/regex.h"
#include "worker/text/unicode.h"

typedef bool is_in_class(uint32_t c);

/* Past the characters of the class, at most `most` of them. */
static size_t match_run(is_in_class *in, const char *text, size_t at, size_t length, size_t most) {
  for (size_t n, count = 0; at < length && count < most; at += n, count++)
    if (!in(utf8_decode(text + at, &n)))
      break;
  return at;
}

static size_t run_all(is_in_class *in, const char *text, size_t at, size_t length) {
  return match_run(in, text, at, length, SIZE_MAX);
}

/* [^\s\p{L}\p{N}] */
static bool is_symbol(uint32_t c) {
  return !unicode_is_letter(c) && !unicode_is_number(c) && !unicode_is_space(c);
}

static bool is_newline(uint32_t c) {
  return c == '\r' || c == '\n';
}

/* [^\w\s] */
static bool is_other(uint32_t c) {
  return !unicode_is_word(c) && !unicode_is_space(c);
}

size_t pattern_space(const char *text, size_t at, size_t length) {
  return match_run(unicode_is_space, text, at, length, 1);
}

size_t pattern_punctuation(const char *text, size_t at, size_t length) {
  return match_run(unicode_is_punctuation, text, at, length, 1);
}

size_t pattern_digit(const char *text, size_t at, size_t length) {
  return match_run(unicode_is_numeric, text, at, length, 1);
}

size_t pattern_digits(const char *text, size_t at, size_t length) {
  return run_all(unicode_is_numeric, text, at, length);
}

size_t pattern_word(const char *text, size_t at, size_t length) {
  size_t end = run_all(unicode_is_word, text, at, length);
  return end > at ? end : run_all(is_other, text, at, length);
}

/* 's|'t|'re|'ve|'m|'ll|'d. `any_case` as a regular expression sees it: the long s is an s, too. */
static size_t contraction(const char *text, size_t at, size_t length, bool any_case) {
  static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
  if (text[at] != '\'')
    return at;
  for (size_t i = 0; i < COUNT_OF(endings); i++) {
    size_t n = strlen(endings[i]);
    if (length - at > n && (any_case ? strncasecmp : strncmp)(text + at + 1, endings[i], n) == 0)
      return at + 1 + n;
  }
  bool long_s = any_case && length - at >= 3 && memcmp(text + at + 1, "\xC5\xBF", 2) == 0;
  return long_s ? at + 3 : at;
}

/* \s+(?!\S)|\s+ : a run of white space leaves its last character to the word that follows. */
static size_t spaces(const char *text, size_t at, size_t length) {
  size_t end = at, last = at, n;
  for (; end < length && unicode_is_space(utf8_decode(text + end, &n)); end += n)
    last = end;
  return end < length && last > at ? last : end;
}

size_t pattern_gpt2(const char *text, size_t at, size_t length) {
  size_t end = contraction(text, at, length, false);
  if (end > at)
    return end;
  size_t from = text[at] == ' ' ? at + 1 : at;
  end = run_all(unicode_is_letter, text, from, length);
  if (end == from)
    end = run_all(unicode_is_number, text, from, length);
  if (end == from)
    end = run_all(is_symbol, text, from, length);
  return end > from ? end : spaces(text, at, length);
}

/* The expression of LLaMA-3; Qwen2's takes one digit at a time. */
static size_t words(const char *text, size_t at, size_t length, size_t digits) {
  size_t end = contraction(text, at, length, true), n;
  if (end > at)
    return end;
  uint32_t c = utf8_decode(text + at, &n);
  bool letter = unicode_is_letter(c), number = unicode_is_number(c);
  size_t from = letter || number || is_newline(c) ? at : at + n;
  end = run_all(unicode_is_letter, text, from, length);
  if (end > from)
    return end;
  if (number)
    return match_run(unicode_is_number, text, at, length, digits);
  from = c == ' ' ? at + 1 : at;
  end = run_all(is_symbol, text, from, length);
  if (end > from)
    return run_all(is_newline, text, end, length);
  size_t after_newline = at;
  for (end = at; end < length && unicode_is_space(c = utf8_decode(text + end, &n)); end += n)
    if (is_newline(c))
      after_newline = end + n;
  return after_newline > at ? after_newline : spaces(text, at, length);
}

size_t pattern_llama3(const char *text, size_t at, size_t length) {
  return words(text, at, length, 3);
}

size_t pattern_qwen2(const char *text, size_t at, size_t length) {
  return words(text, at, length, 1);
}

enum status pattern_regex(struct pattern *out, const char *regex, struct error *err) {
  static const struct {
    const char *regex;
    pattern_match *match;
  } known[] = {
      {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", pattern_gpt2},
      {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
       "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", pattern_llama3},
      {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
       "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", pattern_qwen2},
  };
  *out = (struct pattern){0};
  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (strcmp(regex, known[i].regex) == 0)
      out->match = known[i].match;
  return out->match ? STATUS_OK : regex_open(&out->regex, regex, err);
}

bool pattern_matches_nothing(const struct pattern *pattern) {
  return pattern->regex && regex_matches_nothing(pattern->regex);
}

void pattern_done(struct pattern *pattern) {
  regex_free(pattern->regex);
  pattern->regex = NULL;
}

void pattern_scratch_done(struct pattern_scratch *scratch) {
  regex_scratch_free(scratch->regex);
  *scratch = (struct pattern_scratch){0};
}

void pattern_scratch_start(struct pattern_scratch *scratch, size_t length) {
  scratch->steps = 10000 + 200 * (uint64_t)length;
  scratch->failed = false;
}

static bool find_regex(const struct pattern *pattern, struct pattern_scratch *scratch, const char *text, size_t from,
                       size_t length, struct pattern_search *search) {
  enum regex_found found = regex_find(pattern->regex, &scratch->regex, &scratch->steps, text, from, length,
                                      &search->start, &search->end);
  scratch->failed = scratch->failed || found == REGEX_FAILED;
  return found == REGEX_FOUND && !scratch->failed;
}

static bool find_literal(const struct pattern *pattern, const char *text, size_t from, size_t length,
                         struct pattern_search *search) {
  const char *at = from < length ? memmem(text + from, length - from, pattern->literal, pattern->length) : NULL;
  if (!at)
    return false;
  search->start = (size_t)(at - text);
  search->end = search->start + pattern->length;
  return true;
}

static bool find_match(const struct pattern *pattern, const char *text, size_t from, size_t length,
                       struct pattern_search *search) {
  for (size_t n; from < length; from += n) {
    search->end = pattern->match(text, from, length);
    search->start = from;
    if (search->end > from)
      return true;
    utf8_decode(text + from, &n);
  }
  return false;
}

bool pattern_next(const struct pattern *pattern, struct pattern_scratch *scratch, struct pattern_search *search,
                  const char *text, size_t length) {
  size_t from = search->end, last = search->end, n = 1;
  bool found;
  if (pattern->match)
    return find_match(pattern, text, from, length, search);
  if (!pattern->regex)
    return find_literal(pattern, text, from, length, search);
  /* An empty match right behind the last one does not count. */
  while ((found = find_regex(pattern, scratch, text, from, length, search)) && search->any &&
         search->start == search->end && search->end == last) {
    if (from >= length)
      return false;
    utf8_decode(text + from, &n);
    from += n;
  }
  search->any = true;
  return found;
}
