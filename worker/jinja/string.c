/* What Python's str does, on strings with provenance. What replaces or joins bytes of an origin takes that origin: a
   text in other letters is still that text. */
#include <string.h>
#include <utf8proc.h>

#include "worker/jinja/run.h"
#include "worker/text/unicode.h"

size_t jinja_characters(const struct jinja_string *t) {
  size_t count = 0;
  for (size_t i = 0; i < t->length; i++)
    count += ((unsigned char)t->bytes[i] & 0xC0) != 0x80;
  return count;
}

size_t jinja_character_at(const struct jinja_string *t, size_t index) {
  size_t at = 0, length;
  for (; at < t->length && index > 0; index--, at += length)
    utf8_decode(t->bytes + at, &length);
  return at;
}

size_t jinja_find(const struct jinja_string *t, size_t from, size_t to, const struct jinja_string *needle) {
  if (needle->length > to - from)
    return SIZE_MAX;
  if (!needle->length)
    return from;
  const char *found = memmem(t->bytes + from, to - from, needle->bytes, needle->length);
  return found ? (size_t)(found - t->bytes) : SIZE_MAX;
}

bool jinja_space(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool jinja_printable(uint32_t c) {
  if (c < 0x7F)
    return c >= 0x20;
  switch (utf8proc_category((utf8proc_int32_t)c)) {
  case UTF8PROC_CATEGORY_CN:
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_CS:
  case UTF8PROC_CATEGORY_CO:
  case UTF8PROC_CATEGORY_ZL:
  case UTF8PROC_CATEGORY_ZP:
  case UTF8PROC_CATEGORY_ZS: return false;
  default: return true; /* utf8proc's enum, not ours */
  }
}

/* --- strip, replace, split, join ------------------------------------------------------------------ */

/* Is the character of `length` bytes at `c` to be stripped? */
static bool strips(const struct jinja_string *characters, const char *c, size_t length) {
  size_t ignored;
  if (!characters)
    return jinja_space(utf8_decode(c, &ignored));
  return memmem(characters->bytes, characters->length, c, length) != NULL;
}

struct jinja_string jinja_strip(const struct jinja_string *t, const struct jinja_string *characters, bool left,
                                bool right) {
  size_t begin = 0, end = t->length, length;
  while (left && begin < end) {
    utf8_decode(t->bytes + begin, &length);
    if (!strips(characters, t->bytes + begin, length))
      break;
    begin += length;
  }
  while (right && end > begin) {
    size_t last = end - 1;
    while (((unsigned char)t->bytes[last] & 0xC0) == 0x80)
      last--;
    if (!strips(characters, t->bytes + last, end - last))
      break;
    end = last;
  }
  return jinja_cut(t, begin, end);
}

static bool add_replaced(struct jinja_run *run, struct jinja_builder *b, const struct jinja_string *new,
                         uint32_t origin) {
  struct jinja_string piece = *new;
  if (!piece.origins && !piece.origin)
    piece.origin = origin;
  return jinja_add(run, b, &piece);
}

/* "".replace("", x) and the like: x before each character and at the end. */
static bool replace_nothing(struct jinja_run *run, struct jinja_builder *b, const struct jinja_string *t,
                            const struct jinja_string *new, int64_t count) {
  size_t at = 0, length;
  for (; count != 0; count--) {
    uint32_t origin = t->length ? jinja_origin(t, at < t->length ? at : at - 1) : 0;
    if (!jinja_spend(run, 1) || !add_replaced(run, b, new, origin))
      return false;
    if (at == t->length)
      return true;
    utf8_decode(t->bytes + at, &length);
    struct jinja_string c = jinja_cut(t, at, at + length);
    if (!jinja_add(run, b, &c))
      return false;
    at += length;
  }
  struct jinja_string rest = jinja_cut(t, at, t->length);
  return jinja_add(run, b, &rest);
}

bool jinja_replace(struct jinja_run *run, struct jinja_string *out, const struct jinja_string *t,
                   const struct jinja_string *old, const struct jinja_string *new, int64_t count) {
  struct jinja_builder b = {0};
  size_t at = 0;
  if (!jinja_spend_bytes(run, t->length))
    return false;
  if (!old->length && !replace_nothing(run, &b, t, new, count))
    return false;
  for (; old->length && count != 0; count--) {
    size_t found = jinja_find(t, at, t->length, old);
    if (found == SIZE_MAX)
      break;
    struct jinja_string before = jinja_cut(t, at, found);
    if (!jinja_spend(run, 1) || !jinja_add(run, &b, &before) || !add_replaced(run, &b, new, jinja_origin(t, found)))
      return false;
    at = found + old->length;
  }
  struct jinja_string rest = jinja_cut(t, at, t->length);
  if (old->length && !jinja_add(run, &b, &rest))
    return false;
  *out = jinja_built(&b);
  return true;
}

static bool add_piece(struct jinja_run *run, struct jinja_list *list, const struct jinja_string *t, size_t begin,
                      size_t end) {
  struct jinja_value v;
  return jinja_string_value(run, &v, jinja_cut(t, begin, end)) && jinja_list_add(run, list, v);
}

static void turn(struct jinja_list *list) {
  for (size_t i = 0; i < list->count / 2; i++) {
    struct jinja_value v = list->items[i];
    list->items[i] = list->items[list->count - 1 - i];
    list->items[list->count - 1 - i] = v;
  }
}

/* At runs of white space; `max` splits at most (negative: no bound), the rest keeps its inner space. */
static bool split_space(struct jinja_run *run, struct jinja_list *list, const struct jinja_string *t, int64_t max,
                        bool from_right) {
  struct jinja_string rest = jinja_strip(t, NULL, !from_right, from_right);
  for (; rest.length && max != 0; max--) {
    size_t at = from_right ? rest.length : 0, length;
    if (from_right) {
      while (at > 0) {
        size_t last = at - 1;
        while (((unsigned char)rest.bytes[last] & 0xC0) == 0x80)
          last--;
        if (jinja_space(utf8_decode(rest.bytes + last, &length)))
          break;
        at = last;
      }
      if (!add_piece(run, list, &rest, at, rest.length))
        return false;
      rest = jinja_cut(&rest, 0, at);
      rest = jinja_strip(&rest, NULL, false, true);
      continue;
    }
    while (at < rest.length && !jinja_space(utf8_decode(rest.bytes + at, &length)))
      at += length;
    if (!add_piece(run, list, &rest, 0, at))
      return false;
    rest = jinja_cut(&rest, at, rest.length);
    rest = jinja_strip(&rest, NULL, true, false);
  }
  return !rest.length || add_piece(run, list, &rest, 0, rest.length);
}

static size_t find_last(const struct jinja_string *t, size_t end, const struct jinja_string *needle) {
  for (size_t at = end - needle->length + 1; end >= needle->length && at-- > 0;)
    if (memcmp(t->bytes + at, needle->bytes, needle->length) == 0)
      return at;
  return SIZE_MAX;
}

bool jinja_split(struct jinja_run *run, struct jinja_list **out, const struct jinja_string *t,
                 const struct jinja_string *separator, int64_t max, bool from_right) {
  *out = jinja_list_new(run, 4);
  if (!*out || !jinja_spend_bytes(run, t->length))
    return false;
  if (!separator) {
    if (!split_space(run, *out, t, max, from_right))
      return false;
    if (from_right)
      turn(*out);
    return true;
  }
  if (!separator->length)
    return jinja_wrong(run, "empty separator");
  if (from_right && !jinja_spend_bytes(run, t->length * separator->length))
    return false;
  size_t begin = 0, end = t->length;
  for (; max != 0; max--) {
    size_t at = from_right ? find_last(t, end, separator) : jinja_find(t, begin, end, separator);
    if (at == SIZE_MAX)
      break;
    size_t after = at + separator->length;
    if (!add_piece(run, *out, t, from_right ? after : begin, from_right ? end : at))
      return false;
    if (from_right)
      end = at;
    else
      begin = after;
  }
  if (!add_piece(run, *out, t, begin, end))
    return false;
  if (from_right)
    turn(*out);
  return true;
}

static bool ends_line(uint32_t c) {
  return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool jinja_lines(struct jinja_run *run, struct jinja_list **out, const struct jinja_string *t, bool keep_ends) {
  size_t begin = 0, length;
  *out = jinja_list_new(run, 4);
  if (!*out || !jinja_spend_bytes(run, t->length))
    return false;
  for (size_t i = 0; i < t->length; i += length) {
    if (!ends_line(utf8_decode(t->bytes + i, &length)))
      continue;
    if (t->bytes[i] == '\r' && i + 1 < t->length && t->bytes[i + 1] == '\n')
      length = 2;
    if (!add_piece(run, *out, t, begin, keep_ends ? i + length : i))
      return false;
    begin = i + length;
  }
  return begin == t->length || add_piece(run, *out, t, begin, t->length);
}

bool jinja_join(struct jinja_run *run, struct jinja_string *out, const struct jinja_list *items,
                const struct jinja_string *separator) {
  struct jinja_builder b = {0};
  for (size_t i = 0; i < items->count; i++) {
    struct jinja_string piece;
    if (!jinja_spend(run, 1) || !jinja_str(run, &piece, &items->items[i]))
      return false;
    if (i) {
      struct jinja_string so_far = jinja_built(&b);
      uint32_t before = so_far.length ? jinja_origin(&so_far, so_far.length - 1) : 0;
      uint32_t after = piece.length ? jinja_origin(&piece, 0) : before;
      if (!add_replaced(run, &b, separator, before == after ? before : 0))
        return false;
    }
    if (!jinja_add(run, &b, &piece))
      return false;
  }
  *out = jinja_built(&b);
  return true;
}

bool jinja_repeat(struct jinja_run *run, struct jinja_string *out, const struct jinja_string *t, int64_t times) {
  struct jinja_builder b = {0};
  for (int64_t i = 0; t->length && i < times; i++)
    if (!jinja_spend(run, 1) || !jinja_add(run, &b, t))
      return false;
  *out = jinja_built(&b);
  out->safe = t->safe;
  return true;
}

/* --- letters -------------------------------------------------------------------------------------- */

static bool is_cased(uint32_t c) {
  utf8proc_int32_t u = (utf8proc_int32_t)c;
  if (c < 0x80)
    return (c | 32) >= 'a' && (c | 32) <= 'z';
  return utf8proc_toupper(u) != u || utf8proc_tolower(u) != u;
}

/* Does the jinja filter title begin a new word after it? */
static bool parts_words(uint32_t c) {
  return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || jinja_space(c);
}

static bool add_cased(struct jinja_run *run, struct jinja_builder *b, uint32_t c, bool upper, bool title,
                      uint32_t origin) {
  char bytes[UTF8_MAX];
  utf8proc_int32_t u = (utf8proc_int32_t)c;
  if (c == 0xDF && upper)
    return jinja_add_bytes(run, b, title ? "Ss" : "SS", 2, origin);
  if (c == 0x130 && !upper) /* the only letter whose lower case is two */
    return jinja_add_bytes(run, b, "i\xCC\x87", 3, origin);
  u = !upper ? utf8proc_tolower(u) : title ? utf8proc_totitle(u) : utf8proc_toupper(u);
  return jinja_add_bytes(run, b, bytes, utf8_encode(bytes, (uint32_t)u), origin);
}

bool jinja_change_case(struct jinja_run *run, struct jinja_string *out, const struct jinja_string *t,
                       enum jinja_letter_case how) {
  struct jinja_builder b = {0};
  bool begins = true;
  for (size_t i = 0, length; i < t->length; i += length) {
    uint32_t c = utf8_decode(t->bytes + i, &length);
    bool upper = how == CASE_UPPER || (how != CASE_LOWER && begins);
    if (!add_cased(run, &b, c, upper, how == CASE_TITLE || how == CASE_CAPITAL, jinja_origin(t, i)))
      return false;
    begins = how == CASE_TITLE ? !is_cased(c) : how == CASE_WORDS && parts_words(c);
  }
  *out = jinja_built(&b);
  out->safe = t->safe;
  return true;
}
