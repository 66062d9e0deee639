/* The two syntaxes share most of their letters and differ in what they mean: classes nest and intersect, \h is a
   hexadecimal digit, ^ and $ see lines, {1,3}+ is a repeat of a repeat, and the Unicode tables are of other versions.
   So every part is read and written anew, and what is not known here to mean the same is refused. */
#include "worker/text/regex_syntax.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/attr.h"
#include "worker/text/regex_classes.inc"
#include "worker/text/unicode.h"

enum { DEPTH_MAX = 30, TEXT_BYTES_MAX = 1 << 18, REPEAT_MAX = 1000 };
#define ANY "[\\x{0}-\\x{10ffff}]"

struct reader {
  const char *regex;
  size_t at;
  struct str *out;
  bool any_case;
  int depth;
  uint32_t letter; /* the letter before, as any_case has it; 0: none */
  const char *fault;
};

/* Whether a part must be there, may be nothing, or has no length of its own. */
enum part { PART_SOLID, PART_EMPTY, PART_ASSERTION };

static bool read_alternatives(struct reader *r);
static void read_class(struct reader *r, struct str *out, bool *plain);

static void refuse(struct reader *r, const char *why) {
  if (!r->fault)
    r->fault = why;
}

static bool next_is(const struct reader *r, const char *text) {
  return strncmp(r->regex + r->at, text, strlen(text)) == 0;
}

static bool skip(struct reader *r, const char *text) {
  bool is = next_is(r, text);
  if (is)
    r->at += strlen(text);
  return is;
}

/* --- characters ----------------------------------------------------------------------------------- */

static void put_char(struct str *out, uint32_t c) {
  bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  str_printf(out, plain ? "%c" : "\\x{%x}", (unsigned)c);
}

/* The hexadecimal number of \x41, \x{41} and \u0041. */
static uint32_t read_hex(struct reader *r, char kind) {
  size_t most = kind == 'u' ? 4 : 2, count = 0;
  bool braces = kind == 'x' && skip(r, "{");
  uint32_t c = 0;
  for (; count < (braces ? 6 : most); count++, r->at++) {
    char d = r->regex[r->at];
    if (!(d >= '0' && d <= '9') && !((d | 32) >= 'a' && (d | 32) <= 'f'))
      break;
    c = 16 * c + (uint32_t)(d <= '9' ? d - '0' : (d | 32) - 'a' + 10);
  }
  if (count == 0 || (kind == 'u' && count != 4) || (braces && !skip(r, "}")) || c > 0x10FFFF ||
      (c >= 0xD800 && c <= 0xDFFF) || (c >= 0x80 && !braces && kind == 'x'))
    refuse(r, "a number that is no character");
  return c;
}

/* The character behind a backslash; what is no character is refused. */
static uint32_t read_escaped(struct reader *r) {
  static const char names[] = "tnrfvae", values[] = "\t\n\r\f\v\a\x1B";
  char c = r->regex[r->at];
  const char *found = c ? strchr(names, c) : NULL;
  size_t n = 1;
  if (found) {
    r->at++;
    return (uint32_t)values[found - names];
  }
  if (c == 'x' || c == 'u') {
    r->at++;
    return read_hex(r, c);
  }
  uint32_t point = c ? utf8_decode(r->regex + r->at, &n) : 0;
  if (!c || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'))
    refuse(r, c ? "an escape that is not supported" : "a backslash at its end");
  else
    r->at += n;
  return point;
}

static uint32_t read_char(struct reader *r) {
  size_t n;
  if (skip(r, "\\"))
    return read_escaped(r);
  uint32_t c = utf8_decode(r->regex + r->at, &n);
  r->at += n;
  return c;
}

/* Without case the library also takes pairs of letters for one ("ss" for a sharp s); PCRE2 does not. */
static void check_case(struct reader *r, uint32_t c) {
  static const char *const pairs[] = {"ss", "ff", "fi", "fl", "st"};
  uint32_t lower = c < 0x80 && c >= 'A' && c <= 'Z' ? c + 32 : c;
  if (!r->any_case)
    return;
  if (c >= 0x80)
    refuse(r, "a character beyond ASCII in any case");
  for (size_t i = 0; i < COUNT_OF(pairs); i++)
    if (r->letter == (unsigned char)pairs[i][0] && lower == (unsigned char)pairs[i][1])
      refuse(r, "letters that have a ligature in any case");
  r->letter = lower;
}

/* --- classes -------------------------------------------------------------------------------------- */

static const char *find_class(const char *name, size_t length) {
  for (size_t i = 0; i < COUNT_OF(classes); i++)
    if (strlen(classes[i].name) == length && strncasecmp(classes[i].name, name, length) == 0)
      return classes[i].text;
  return NULL;
}

/* \s, \S, \p{L}, \P{L}, \p{^L} behind the backslash: what the class has, and whether its complement is meant.
   NULL: the escape is of another kind, and nothing is read. Within a class the library's \w is another one. */
static const char *read_set(struct reader *r, bool in_class, bool *negated) {
  char c = r->regex[r->at];
  if (c && strchr("sSdDwWhH", c)) {
    const char name[] = {'\\', (char)(c | 32)};
    *negated = name[1] != c;
    r->at++;
    return in_class && name[1] == 'w' ? find_class("[\\w]", 4) : find_class(name, sizeof name);
  }
  if ((c != 'p' && c != 'P') || r->regex[r->at + 1] != '{')
    return NULL;
  const char *name = r->regex + r->at + 2;
  *negated = c == 'P';
  if (*name == '^') {
    *negated = !*negated;
    name++;
  }
  size_t length = strcspn(name, "}");
  const char *text = find_class(name, length);
  bool cased = length == 2 && (*name | 32) == 'l';
  if (!text || !name[length])
    refuse(r, "a property that is not supported");
  else if (r->any_case && (cased || strlen(name) - strlen(name + length) > 2))
    refuse(r, "a property with case in any case");
  else
    r->at = (size_t)(name + length + 1 - r->regex);
  return text ? text : "";
}

/* A class in the making: what it lists, and further sets as alternatives "|[^...]". */
struct set {
  struct str listed, others, before; /* before: the operands of && so far, as look-aheads */
  bool nested;                       /* one of the others is a class */
};

/* Every alternative is one character: no second one need be tried when what follows fails. */
static void put_union(struct str *out, const struct set *set) {
  const char *others = set->others.length ? set->others.text + 1 : "";
  if (set->others.length && set->listed.length)
    str_printf(out, "(?>[%s]|%s)", set->listed.text, others);
  else if (set->others.length)
    str_printf(out, "(?>%s)", others);
  else
    str_printf(out, "[%s]", set->listed.text);
}

static void read_nested(struct reader *r, struct set *set) {
  struct str inner;
  bool plain;
  if (r->any_case)
    refuse(r, "a class within a class in any case");
  str_init(&inner, TEXT_BYTES_MAX);
  read_class(r, &inner, &plain);
  if (!r->fault && plain)
    str_add(&set->listed, inner.text + 1, inner.length - 2);
  else if (!r->fault)
    str_printf(&set->others, "|%s", inner.text);
  set->nested = set->nested || !plain;
  if (inner.failed)
    refuse(r, "it is too long");
  str_done(&inner);
}

/* A character, or a range of them. */
static void read_range(struct reader *r, struct set *set) {
  uint32_t first = read_char(r), last = first;
  const char *after = r->regex + r->at;
  if (after[0] == '-' && after[1] && after[1] != ']') {
    size_t here = ++r->at;
    bool negated;
    if (next_is(r, "[") || (skip(r, "\\") && read_set(r, true, &negated)))
      refuse(r, "a range that ends with a class");
    r->at = here;
    last = read_char(r);
  }
  if (r->any_case && last >= 0x80)
    refuse(r, "a character beyond ASCII in any case");
  if (last < first)
    refuse(r, "a range that is empty");
  put_char(&set->listed, first);
  if (last > first) {
    str_putc(&set->listed, '-');
    put_char(&set->listed, last);
  }
}

static void read_item(struct reader *r, struct set *set) {
  bool negated;
  if (next_is(r, "[:")) {
    refuse(r, "a class like [:alpha:]");
  } else if (skip(r, "[")) {
    read_nested(r, set);
  } else if (skip(r, "\\")) {
    const char *text = read_set(r, true, &negated);
    if (!text) {
      r->at--;
      read_range(r, set);
    } else {
      str_printf(negated ? &set->others : &set->listed, negated ? "|[^%s]" : "%s", text);
      if (next_is(r, "-") && !next_is(r, "-]"))
        refuse(r, "a range that begins with a class");
    }
  } else {
    read_range(r, set);
  }
}

/* Behind the '['. *plain: it is written "[...]", so that its list can be part of another. */
static void read_class(struct reader *r, struct str *out, bool *plain) {
  struct set set = {.nested = false};
  bool negated = skip(r, "^");
  *plain = false;
  if (r->depth++ > DEPTH_MAX)
    refuse(r, "it is nested too deeply");
  str_init(&set.listed, TEXT_BYTES_MAX);
  str_init(&set.others, TEXT_BYTES_MAX);
  str_init(&set.before, TEXT_BYTES_MAX);
  if (next_is(r, "]"))
    refuse(r, "a class that begins with ]");
  while (!r->fault && !skip(r, "]")) {
    if (!r->regex[r->at]) {
      refuse(r, "a class without an end");
    } else if (skip(r, "&&")) {
      str_puts(&set.before, "(?=");
      put_union(&set.before, &set);
      str_putc(&set.before, ')');
      str_clear(&set.listed);
      str_clear(&set.others);
    } else {
      read_item(r, &set);
    }
  }
  if (!set.listed.length && !set.others.length)
    refuse(r, "a class with nothing in it");
  if (negated && (set.before.length || set.nested))  /* where the library has ways of its own */
    refuse(r, "a class [^...] of classes");
  bool simple = !set.before.length && !set.others.length;
  *plain = simple && !negated;
  if (simple) {
    str_printf(out, negated ? "[^%s]" : "[%s]", set.listed.text);
  } else {
    str_printf(out, negated ? "(?:(?!%s" : "(?:%s", set.before.text);
    put_union(out, &set);
    str_puts(out, negated ? ")" ANY ")" : ")");
  }
  if (set.listed.failed || set.others.failed || set.before.failed)
    refuse(r, "it is too long");
  str_done(&set.listed);
  str_done(&set.others);
  str_done(&set.before);
  r->depth--;
}

/* --- parts ---------------------------------------------------------------------------------------- */

static void put_boundary(struct str *out, bool boundary) {
  const char *word = find_class("\\w", 2);
  str_printf(out, "(?:(?<=[%s])(?%s[%s])|(?<![%s])(?%s[%s]))", word, boundary ? "!" : "=", word, word,
             boundary ? "=" : "!", word);
}

/* Behind a backslash, outside a class. */
static enum part read_escape(struct reader *r) {
  bool negated;
  if (next_is(r, "b") || next_is(r, "B")) {
    put_boundary(r->out, r->regex[r->at++] == 'b');
    return PART_ASSERTION;
  }
  if (next_is(r, "A") || next_is(r, "z")) {
    str_printf(r->out, "\\%c", r->regex[r->at++]);
    return PART_ASSERTION;
  }
  if (skip(r, "R")) {
    str_puts(r->out, "(?>\\x{d}\\x{a}|[\\x{a}-\\x{d}\\x{85}\\x{2028}\\x{2029}])");
    return PART_SOLID;
  }
  const char *set = read_set(r, false, &negated);
  if (set) {
    str_printf(r->out, negated ? "[^%s]" : "[%s]", set);
    return PART_SOLID;
  }
  uint32_t c = read_escaped(r);
  check_case(r, c);
  put_char(r->out, c);
  return PART_SOLID;
}

/* Behind the '('. */
static enum part read_group(struct reader *r) {
  static const char *const kinds[] = {"?=", "?!", "?<=", "?<!", "?>", "?:", "?i:", "?-i:"};
  bool before = r->any_case;
  size_t kind = 0;
  while (kind < COUNT_OF(kinds) && !skip(r, kinds[kind]))
    kind++;
  if (kind == COUNT_OF(kinds) && next_is(r, "?"))
    refuse(r, "a group of a kind that is not supported");
  if (r->depth++ > DEPTH_MAX)
    refuse(r, "it is nested too deeply");
  str_printf(r->out, "(%s", kind < COUNT_OF(kinds) ? kinds[kind] : "");
  if (kind >= 6)
    r->any_case = kind == 6;
  r->letter = 0;
  bool empty = read_alternatives(r);
  if (!skip(r, ")"))
    refuse(r, "a group without an end");
  str_putc(r->out, ')');
  r->any_case = before;
  r->letter = 0;
  r->depth--;
  return kind < 4 ? PART_ASSERTION : empty ? PART_EMPTY : PART_SOLID;
}

static enum part read_part(struct reader *r) {
  bool plain;
  if (skip(r, "("))
    return read_group(r);
  if (skip(r, "[")) {
    read_class(r, r->out, &plain);
    r->letter = 0;
    return PART_SOLID;
  }
  if (skip(r, "\\"))
    return read_escape(r);
  if (skip(r, ".")) {
    str_puts(r->out, "[^\\x{a}]");
    return PART_SOLID;
  }
  if (skip(r, "^")) {
    str_puts(r->out, "(?:\\A|(?<=\\x{a})(?!\\z))");
    return PART_ASSERTION;
  }
  if (skip(r, "$")) {
    str_puts(r->out, "(?=\\x{a}|\\z)");
    return PART_ASSERTION;
  }
  if (next_is(r, "*") || next_is(r, "+") || next_is(r, "?"))
    refuse(r, "a repeat of nothing");
  uint32_t c = read_char(r);
  check_case(r, c);
  put_char(r->out, c);
  return PART_SOLID;
}

/* --- repeats -------------------------------------------------------------------------------------- */

/* {n}, {n,}, {,m} and {n,m}: the bytes of it, or 0 when the brace is a character. */
static size_t braces(const char *text, long *low, long *high) {
  char *end;
  *low = strtol(text + 1, &end, 10);
  bool first = end > text + 1, comma = *end == ',';
  const char *at = end + comma;
  *high = comma ? strtol(at, &end, 10) : *low;
  bool last = comma && end > at;
  if (comma && !last)
    *high = -1;
  return *end == '}' && (first || last) && text[1] != '+' && text[1] != '-' && *at != '-' && *at != '+'
             ? (size_t)(end + 1 - text) : 0;
}

/* Puts `text` into `out` at byte `at`. */
static void insert(struct str *out, size_t at, const char *text) {
  size_t length = strlen(text);
  if (!str_puts(out, text))
    return;
  memmove(out->text + at + length, out->text + at, out->length - length - at);
  memcpy(out->text + at, text, length);
}

/* Repeats the part that was written from byte `from` on. Can it be nothing at all then? */
static bool read_repeat(struct reader *r, size_t from, enum part part) {
  long low = 0, high = 0, next_low, next_high;
  char c = r->regex[r->at];
  size_t length = c == '*' || c == '+' || c == '?' ? 1 : c == '{' ? braces(r->regex + r->at, &low, &high) : 0;
  if (length == 0)
    return part != PART_SOLID;
  if (part == PART_ASSERTION || (part == PART_EMPTY && c != '?'))
    refuse(r, "a repeat of what can be nothing");
  r->letter = 0;
  size_t end = r->out->length;
  if (c == '{') {
    if (low > REPEAT_MAX || high > REPEAT_MAX || (high >= 0 && high < low))
      refuse(r, "a repeat out of range");
    str_printf(r->out, high < 0 ? "{%ld,}" : "{%ld,%ld}", low, high);
  } else {
    str_putc(r->out, c);
  }
  r->at += length;
  char how = r->regex[r->at];
  if (c == '{' && how == '?' && low == high)
    refuse(r, "a repeat {n}?");
  if (c == '{' && how == '+' && low < 2) {  /* there a repeat of the repeat, in PCRE2 a possessive one */
    r->out->length = end;
    str_putc(r->out, low ? '+' : '*');
  } else if (c == '{' && how == '+') {
    insert(r->out, from, "(?:");
    str_puts(r->out, ")+");
  } else if (how == '?' || how == '+') {
    str_putc(r->out, how);
  }
  r->at += how == '?' || how == '+';
  how = r->regex[r->at];
  if (how == '*' || how == '+' || how == '?' || (how == '{' && braces(r->regex + r->at, &next_low, &next_high)))
    refuse(r, "a repeat of a repeat");
  return part != PART_SOLID || c == '*' || c == '?' || (c == '{' && low == 0);
}

/* Up to the end or a ')'. Can they match nothing at all? */
static bool read_alternatives(struct reader *r) {
  bool any_empty = false, empty = true;
  while (!r->fault && r->regex[r->at] && r->regex[r->at] != ')') {
    size_t from = r->out->length;
    if (skip(r, "|")) {
      str_putc(r->out, '|');
      r->letter = 0;
      any_empty = any_empty || empty;
      empty = true;
      continue;
    }
    enum part part = read_part(r);
    if (!r->fault && !read_repeat(r, from, part))
      empty = false;
  }
  return any_empty || empty;
}

const char *regex_translate(struct str *out, const char *regex, size_t *at) {
  struct reader r = {.regex = regex, .out = out};
  *at = 0;
  if (!utf8_valid(regex, strlen(regex), at))
    return "it is not UTF-8";
  if (skip(&r, "(?i)")) {
    r.any_case = true;
    str_puts(out, "(?i)");
  }
  read_alternatives(&r);
  if (!r.fault && r.regex[r.at])
    refuse(&r, "a ) without its (");
  if (!r.fault && out->failed)
    refuse(&r, "it is too long");
  *at = r.at;
  return r.fault;
}
