#include "worker/data/math_answer.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "worker/data/decimal.h"

/* --- finding -------------------------------------------------------------------------------------- */

/* Behind the brace that closes the one at *at; NULL: it is not closed. */
static const char *behind_braces(const char *at) {
  size_t depth = 0;
  do {
    depth += *at == '{';
    depth -= *at == '}';
  } while (*at++ && depth);
  return depth ? NULL : at;
}

bool math_answer_boxed(const char **at, size_t *length, const char *text) {
  bool found = false;
  for (const char *s = text; (s = strstr(s, "box")); s++) {
    bool boxed = s - text >= 1 && strncmp(s, "boxed{", 6) == 0 && s[-1] == '\\';
    bool fbox = s - text >= 2 && strncmp(s, "box{", 4) == 0 && s[-1] == 'f' && s[-2] == '\\';
    const char *brace = s + (boxed ? 5 : 3), *end = boxed || fbox ? behind_braces(brace) : NULL;
    if (!end)
      continue;
    *at = brace + 1;
    *length = (size_t)(end - 1 - *at);
    found = true;
  }
  return found;
}

/* --- one way of writing --------------------------------------------------------------------------- */

static const char *const removed[] = {"\n",      "\t",  "\\!", "\\,", "\\left", "\\right", "^{\\circ}",
                                      "^\\circ", "\\$", "$",   "\\%", "%",      " "};

/* `from` becomes `to`, which is no longer, everywhere. */
static void replace(struct str *s, const char *from, const char *to) {
  size_t out = 0, width = strlen(from);
  for (size_t i = 0; i < s->length;) {
    bool here = strncmp(s->text + i, from, width) == 0;
    if (here)
      for (const char *t = to; *t; t++)
        s->text[out++] = *t;
    else
      s->text[out++] = s->text[i];
    i += here ? width : 1;
  }
  s->length = out;
  s->text[out] = 0;
}

static void cut(struct str *s, size_t length) {
  s->length = length;
  s->text[length] = 0;
}

static void drop(struct str *s, size_t count) {
  memmove(s->text, s->text + count, s->length - count + 1);
  s->length -= count;
}

/* "12\text{ cm}" is 12; "\text{ cm}" is all there is. */
static void drop_unit(struct str *s) {
  char *unit = strstr(s->text, "\\text{ ");
  if (unit && unit > s->text)
    cut(s, (size_t)(unit - s->text));
}

/* "x=5" is 5. */
static void drop_variable(struct str *s) {
  const char *equals = strchr(s->text, '=');
  if (equals && equals - s->text <= 2 && !strchr(equals + 1, '='))
    drop(s, (size_t)(equals + 1 - s->text));
}

/* "\text{Monday}" is Monday. */
static void unwrap_text(struct str *s) {
  enum { OPENING = sizeof "\\text" - 1 };
  if (strncmp(s->text, "\\text{", OPENING + 1) != 0 || behind_braces(s->text + OPENING) != s->text + s->length)
    return;
  cut(s, s->length - 1);
  drop(s, OPENING + 1);
}

/* Marks the arguments of the command behind which `at` is that are a character without braces. */
static void mark_arguments(bool *bare, const char *text, const char *at, size_t count) {
  while (count-- && *at && *at != '[' && *at != '\\') {
    bare[at - text] = *at != '{';
    at = *at == '{' ? behind_braces(at) : at + 1;
    if (!at)
      return;
  }
}

/* Braces of \frac and \sqrt, and a 0 before the point of a decimal that has none. */
static void put_braces(struct str *out, const char *text) {
  bool bare[MATH_ANSWER_MAX + 1] = {false};
  for (const char *at = text; *at; at++) {
    if (strncmp(at, "\\frac", 5) == 0)
      mark_arguments(bare, text, at + 5, 2);
    else if (strncmp(at, "\\sqrt", 5) == 0)
      mark_arguments(bare, text, at + 5, 1);
    if (*at == '.' && ascii_digit(at[1]) && (at == text || !ascii_digit(at[-1])))
      str_putc(out, '0');
    str_printf(out, bare[at - text] ? "{%c}" : "%c", *at);
  }
}

static size_t digits(const char *at) {
  size_t count = 0;
  while (ascii_digit(at[count]))
    count++;
  return count;
}

/* Of "-3/4" the parts; false: it is something else. */
static bool is_ratio(const char *text, size_t *sign, size_t *above, size_t *below) {
  *sign = *text == '-';
  *above = digits(text + *sign);
  if (!*above || text[*sign + *above] != '/')
    return false;
  *below = digits(text + *sign + *above + 1);
  return *below && !text[*sign + *above + 1 + *below];
}

bool math_answer_put(struct str *out, const char *text, size_t length) {
  struct str s;
  size_t start = out->length, sign, above, below;
  if (length > MATH_ANSWER_MAX)
    return false;
  str_init(&s, MATH_ANSWER_MAX);
  str_add(&s, text, length);
  replace(&s, "\\\\", "\\");
  replace(&s, "tfrac", "frac");
  replace(&s, "dfrac", "frac");
  drop_unit(&s);
  for (size_t i = 0; i < COUNT_OF(removed); i++)
    replace(&s, removed[i], "");
  if (s.length && s.text[s.length - 1] == '.')
    cut(&s, s.length - 1);
  drop_variable(&s);
  unwrap_text(&s);
  if (is_ratio(s.text, &sign, &above, &below))
    str_printf(out, "%.*s\\frac{%.*s}{%s}", (int)sign, s.text, (int)above, s.text + sign, s.text + sign + above + 1);
  else
    put_braces(out, s.text);
  out->failed |= s.failed;
  str_done(&s);
  return !out->failed && out->length > start;
}

/* --- comparing ------------------------------------------------------------------------------------ */

struct span {
  const char *at, *end;
};

/* A decimal or a \frac of two, with a sign before it or in it, and nothing else. */
static bool read_value(double *value, struct span s) {
  double sign = 1, above, below;
  if (s.at < s.end && (*s.at == '-' || *s.at == '+'))
    sign = *s.at++ == '-' ? -1 : 1;
  if (s.end - s.at < 5 || strncmp(s.at, "\\frac", 5) != 0) {
    *value = 0;
    const char *end = decimal_read(value, s.at, s.end);
    *value *= sign;
    return end == s.end;
  }
  const char *first = s.at + 5, *second = *first == '{' ? behind_braces(first) : NULL;
  const char *end = second && *second == '{' ? behind_braces(second) : NULL;
  if (end != s.end)
    return false;
  struct span over = {first + 1, second - 1}, under = {second + 1, end - 1};
  if (over.at < over.end && *over.at == '-') {
    sign = -sign;
    over.at++;
  }
  if (decimal_read(&above, over.at, over.end) != over.end || decimal_read(&below, under.at, under.end) != under.end ||
      below == 0)
    return false;
  *value = sign * above / below;
  return true;
}

static bool near(double a, double b) {
  return fabs(a - b) <= 1e-4 * fmax(fabs(a), fabs(b));
}

static bool same_value(double a, double b, bool authors) {
  if (authors)
    return near(a, b) || near(a, b * 100) || near(a, b / 100);
  return a == trunc(a) && b == trunc(b) ? a == b : near(a, b);
}

static bool is_bracket(char c) {
  return c != 0 && strchr("()[]{}", c) != NULL;
}

static bool same_text(struct span a, struct span b, bool authors) {
  while (true) {
    while (authors && a.at < a.end && is_bracket(*a.at))
      a.at++;
    while (authors && b.at < b.end && is_bracket(*b.at))
      b.at++;
    if (a.at == a.end || b.at == b.end || *a.at != *b.at)
      return a.at == a.end && b.at == b.end;
    a.at++;
    b.at++;
  }
}

/* Where the first entry of a list ends: at a comma outside of all brackets, or at the end. */
static const char *entry_end(struct span s) {
  int depth = 0;
  for (; s.at < s.end && (depth > 0 || *s.at != ','); s.at++)
    depth += (*s.at == '(' || *s.at == '[' || *s.at == '{') - (*s.at == ')' || *s.at == ']' || *s.at == '}');
  return s.at;
}

/* Takes the brackets around a list off; a number in parentheses is no list. */
static struct span inside(struct span s) {
  struct span in = {s.at + 1, s.end - 1};
  bool brackets = s.end - s.at > 2 && strchr("([", *s.at) && strchr(")]", s.end[-1]);
  return brackets && entry_end(in) < in.end ? in : s;
}

/* `depth`: of lists in lists; what is nested deeper is compared as text. */
static bool equal(struct span a, struct span b, bool authors, int depth) {
  double x, y;
  if (read_value(&x, a) && read_value(&y, b))
    return same_value(x, y, authors);
  struct span as = inside(a), bs = inside(b);
  bool lists = entry_end(as) < as.end && entry_end(bs) < bs.end;
  if (!depth || !lists)
    return same_text(a, b, authors);
  bool both = as.at > a.at && bs.at > b.at && *a.at == *b.at && a.end[-1] == b.end[-1];
  if (!authors && !both && (as.at > a.at || bs.at > b.at))
    return false;
  while (true) {
    struct span p = {as.at, entry_end(as)}, q = {bs.at, entry_end(bs)};
    if (!equal(p, q, authors, depth - 1))
      return false;
    if (p.end == as.end || q.end == bs.end)
      return p.end == as.end && q.end == bs.end;
    as.at = p.end + 1;
    bs.at = q.end + 1;
  }
}

bool math_answer_equal(const char *a, const char *b, bool authors) {
  enum { DEPTH = 4 };
  return equal((struct span){a, a + strlen(a)}, (struct span){b, b + strlen(b)}, authors, DEPTH);
}
