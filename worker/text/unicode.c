/* utf8proc behind the questions that the tokenizer asks. ASCII never reaches a table. */
#include "worker/text/unicode.h"

#include <utf8proc.h>

#include "base/attr.h"

struct range {
  uint32_t first, last;
};
#include "worker/text/unicode_tables.inc"

static bool in_ranges(const struct range *ranges, size_t count, uint32_t c) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (c > ranges[middle].last)
      low = middle + 1;
    else if (c < ranges[middle].first)
      high = middle;
    else
      return true;
  }
  return false;
}
#define IN(table, c) in_ranges(table, COUNT_OF(table), c)

static utf8proc_category_t category(uint32_t c) {
  return utf8proc_category((utf8proc_int32_t)c);
}

size_t utf8_encode(char out[UTF8_MAX], uint32_t c) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  return (size_t)utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)out);
}

bool unicode_is_space(uint32_t c) {
  if (c < 0x80)
    return c == ' ' || (c >= '\t' && c <= '\r');
  utf8proc_category_t cat = category(c);
  return c == 0x85 || cat == UTF8PROC_CATEGORY_ZS || cat == UTF8PROC_CATEGORY_ZL || cat == UTF8PROC_CATEGORY_ZP;
}

bool unicode_is_removed(uint32_t c) {
  if (c < 0x80)
    return c == 0x7F || (c < ' ' && c != '\t' && c != '\n' && c != '\r');
  utf8proc_category_t cat = category(c);
  if (cat == UTF8PROC_CATEGORY_CC || cat == UTF8PROC_CATEGORY_CF || cat == UTF8PROC_CATEGORY_CO)
    return !IN(not_removed, c);
  return c == 0xFFFD;
}

bool unicode_is_ideograph(uint32_t c) {
  static const struct range ideographs[] = {
      {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
      {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F},
  };
  return c >= 0x3400 && IN(ideographs, c);
}

bool unicode_is_punctuation(uint32_t c) {
  if (c < 0x80)
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  utf8proc_category_t cat = category(c);
  if (cat >= UTF8PROC_CATEGORY_PC && cat <= UTF8PROC_CATEGORY_PO)
    return !IN(not_punctuation, c);
  return IN(also_punctuation, c);
}

bool unicode_is_mark(uint32_t c) {
  if (c < 0x300)
    return false;
  return category(c) == UTF8PROC_CATEGORY_MN ? !IN(not_mark, c) : IN(also_mark, c);
}

bool unicode_is_accent(uint32_t c) {
  if (c < 0x300)
    return false;
  utf8proc_category_t cat = category(c);
  if (cat >= UTF8PROC_CATEGORY_MN && cat <= UTF8PROC_CATEGORY_ME)
    return !IN(not_accent, c);
  return IN(also_accent, c);
}

static bool ascii_letter(uint32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool ascii_digit(uint32_t c) {
  return c >= '0' && c <= '9';
}

bool unicode_is_letter(uint32_t c) {
  if (c < 0x80)
    return ascii_letter(c);
  utf8proc_category_t cat = category(c);
  return (cat >= UTF8PROC_CATEGORY_LU && cat <= UTF8PROC_CATEGORY_LO) || IN(also_letter, c);
}

static bool category_n(uint32_t c) {
  utf8proc_category_t cat = category(c);
  return cat >= UTF8PROC_CATEGORY_ND && cat <= UTF8PROC_CATEGORY_NO;
}

bool unicode_is_number(uint32_t c) {
  return c < 0x80 ? ascii_digit(c) : category_n(c) || IN(also_number, c);
}

bool unicode_is_numeric(uint32_t c) {
  return c < 0x80 ? ascii_digit(c) : category_n(c) || IN(also_numeric, c);
}

bool unicode_is_word(uint32_t c) {
  if (c < 0x80)
    return ascii_letter(c) || ascii_digit(c) || c == '_';
  utf8proc_category_t cat = category(c);
  return (cat >= UTF8PROC_CATEGORY_LU && cat <= UTF8PROC_CATEGORY_NL) || cat == UTF8PROC_CATEGORY_PC ||
         IN(also_word, c);
}

unsigned unicode_class(uint32_t c) {
  if (c < 0x300)
    return 0;
  unsigned value = (unsigned)utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
  return value && IN(not_combining, c) ? 0 : value;
}

size_t unicode_decompose(uint32_t out[UNICODE_DECOMPOSED_MAX], uint32_t c, bool compatible) {
  out[0] = c;
  if (c < 0xA0 || IN(not_decomposed, c) || (compatible && IN(not_compatible, c)))
    return 1;
  utf8proc_int32_t parts[UNICODE_DECOMPOSED_MAX];
  int boundary = 0;
  utf8proc_option_t how = compatible ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE;
  utf8proc_ssize_t count =
      utf8proc_decompose_char((utf8proc_int32_t)c, parts, UNICODE_DECOMPOSED_MAX, how, &boundary);
  CHECK(count >= 1 && count <= UNICODE_DECOMPOSED_MAX);
  for (utf8proc_ssize_t i = 0; i < count; i++)
    out[i] = (uint32_t)parts[i];
  return (size_t)count;
}

uint32_t unicode_compose(uint32_t a, uint32_t b) {
  utf8proc_int32_t pair[3] = {(utf8proc_int32_t)a, (utf8proc_int32_t)b};
  if (b < 0x300 || utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) != 1)
    return 0;
  return IN(not_decomposed, (uint32_t)pair[0]) ? 0 : (uint32_t)pair[0];
}

size_t unicode_lower(uint32_t out[UNICODE_LOWER_MAX], uint32_t c) {
  if (c < 0x80) {
    out[0] = c >= 'A' && c <= 'Z' ? c + 32 : c;
    return 1;
  }
  if (c == 0x130) {  /* the one capital whose small form is two code points */
    out[0] = 'i';
    out[1] = 0x307;
    return 2;
  }
  out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
  for (size_t low = 0, high = COUNT_OF(also_lower); out[0] == c && low < high;) {
    size_t middle = (low + high) / 2;
    if (also_lower[middle].from == c)
      out[0] = also_lower[middle].to;
    else if (also_lower[middle].from < c)
      low = middle + 1;
    else
      high = middle;
  }
  return 1;
}
