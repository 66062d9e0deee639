#include "base/json_text.h"

#include <string.h>

#include "base/str.h"

enum { DEPTH_MAX = 32 };

/* What is left of a text. */
struct scan {
  const char *at, *end;
};

static bool take(struct scan *s, char c) {
  bool is = s->at < s->end && *s->at == c;
  s->at += is;
  return is;
}

static void skip_space(struct scan *s) {
  while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
    s->at++;
}

static bool is_digit(const struct scan *s) {
  return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool skip_escape(struct scan *s) {
  if (s->at == s->end)
    return false;
  char c = *s->at++;
  for (int i = 0; c == 'u' && i < 4; i++)
    if (s->at == s->end || !is_hex(*s->at++))
      return false;
  return c && strchr("\"\\/bfnrtu", c) != NULL;
}

static bool skip_string(struct scan *s) {
  if (!take(s, '"'))
    return false;
  while (s->at < s->end) {
    unsigned char c = (unsigned char)*s->at++;
    if (c == '"')
      return true;
    if (c < 0x20 || (c == '\\' && !skip_escape(s)))
      return false;
  }
  return false;
}

static bool skip_digits(struct scan *s) {
  if (!is_digit(s))
    return false;
  while (is_digit(s))
    s->at++;
  return true;
}

static bool skip_number(struct scan *s) {
  take(s, '-');
  if (!take(s, '0') && !skip_digits(s))
    return false;
  if (take(s, '.') && !skip_digits(s))
    return false;
  if (!take(s, 'e') && !take(s, 'E'))
    return true;
  if (!take(s, '+'))
    take(s, '-');
  return skip_digits(s);
}

static bool skip_word(struct scan *s, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0)
    return false;
  s->at += length;
  return true;
}

static bool skip_value(struct scan *s, int depth);

/* A name and its colon. */
static bool skip_name(struct scan *s) {
  skip_space(s);
  if (!skip_string(s))
    return false;
  skip_space(s);
  return take(s, ':');
}

/* What stands between brackets, to the closing one. */
static bool skip_items(struct scan *s, char close, int depth) {
  skip_space(s);
  if (take(s, close))
    return true;
  do
    if ((close == '}' && !skip_name(s)) || !skip_value(s, depth + 1))
      return false;
  while (take(s, ','));
  return take(s, close);
}

/* With the space around it. */
static bool skip_value(struct scan *s, int depth) { /* NOLINT(misc-no-recursion): depth is bounded */
  bool good;
  skip_space(s);
  if (s->at == s->end || depth > DEPTH_MAX)
    return false;
  switch (*s->at) {
  case '{':
    s->at++;
    good = skip_items(s, '}', depth);
    break;
  case '[':
    s->at++;
    good = skip_items(s, ']', depth);
    break;
  case '"': good = skip_string(s); break;
  case 't': good = skip_word(s, "true"); break;
  case 'f': good = skip_word(s, "false"); break;
  case 'n': good = skip_word(s, "null"); break;
  default: good = skip_number(s);
  }
  skip_space(s);
  return good;
}

bool json_text_valid(struct json_text text) {
  struct scan s = {text.at, text.at + text.length};
  return skip_value(&s, 0) && s.at == s.end && utf8_valid(text.at, text.length, NULL);
}

bool json_text_next(struct json_text *name, struct json_text *value, size_t *offset, struct json_text object) {
  struct scan s = {object.at + *offset, object.at + object.length};
  skip_space(&s);
  if (!take(&s, *offset ? ',' : '{'))
    return false;
  skip_space(&s);
  const char *from = s.at;
  if (!skip_string(&s))
    return false;
  *name = (struct json_text){from + 1, (size_t)(s.at - from) - 2};
  skip_space(&s);
  if (!take(&s, ':'))
    return false;
  skip_space(&s);
  from = s.at;
  if (!skip_value(&s, 0))
    return false;
  *offset = (size_t)(s.at - object.at);
  while (strchr(" \t\n\r", s.at[-1])) /* after the value */
    s.at--;
  *value = (struct json_text){from, (size_t)(s.at - from)};
  return true;
}

bool json_text_get(struct json_text *out, struct json_text object, const char *name) {
  struct json_text key, value;
  size_t length = strlen(name);
  for (size_t offset = 0; json_text_next(&key, &value, &offset, object);)
    if (key.length == length && memcmp(key.at, name, length) == 0) {
      *out = value;
      return true;
    }
  *out = (struct json_text){"", 0};
  return false;
}
