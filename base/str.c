/* Growing strings and two small text helpers. */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char empty[1] = "";

void str_init(struct str *s, size_t length_max) {
  *s = (struct str){.text = empty, .max = length_max};
}

void str_done(struct str *s) {
  if (s->size)
    free(s->text);
  str_init(s, s->max);
}

void str_clear(struct str *s) {
  s->length = 0;
  s->failed = false;
  if (s->size)
    s->text[0] = '\0';
}

/* Makes room for `more` bytes and the NUL. */
static bool grow(struct str *s, size_t more) {
  if (s->failed || more > s->max || s->length > s->max - more) {
    s->failed = true;
    return false;
  }
  size_t need = s->length + more + 1;
  if (need <= s->size)
    return true;
  enum { LEAST = 64 }; /* bytes: a little often follows a long text */
  size_t size = s->size ? s->size * 2 : LEAST;
  if (size < need)
    size = need + LEAST;
  char *text = realloc(s->size ? s->text : NULL, size);
  if (!text) {
    s->failed = true;
    return false;
  }
  s->text = text;
  s->size = size;
  return true;
}

bool str_add(struct str *s, const char *bytes, size_t length) {
  if (!grow(s, length))
    return false;
  if (length)
    memcpy(s->text + s->length, bytes, length);
  s->length += length;
  s->text[s->length] = '\0';
  return true;
}

bool str_add_json_text(struct str *s, const char *text, size_t length) {
  for (const char *nul; length && (nul = memchr(text, '\0', length)) != NULL;) {
    size_t before = (size_t)(nul - text);
    str_add(s, text, before);
    str_puts(s, "\xEF\xBF\xBD");
    text += before + 1;
    length -= before + 1;
  }
  str_add(s, text, length);
  return !s->failed;
}

bool str_puts(struct str *s, const char *text) {
  return str_add(s, text, strlen(text));
}

bool str_putc(struct str *s, char c) {
  return str_add(s, &c, 1);
}

bool str_printf(struct str *s, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  bool ok = length >= 0 && grow(s, (size_t)length);
  if (ok) {
    vsnprintf(s->text + s->length, (size_t)length + 1, format, again);
    s->length += (size_t)length;
  }
  va_end(again);
  return ok;
}

bool str_csv(struct str *s, const char *text) {
  if (!strpbrk(text, ",\"\r\n"))
    return str_puts(s, text);
  str_putc(s, '"');
  for (; *text; text++) {
    if (*text == '"')
      str_putc(s, '"');
    str_putc(s, *text);
  }
  return str_putc(s, '"');
}

char *str_take(struct str *s, size_t *length) {
  if (s->failed || !grow(s, 0))
    return NULL;
  char *text = s->text;
  text[s->length] = '\0';
  if (length)
    *length = s->length;
  str_init(s, s->max);
  return text;
}

bool utf8_valid(const char *text, size_t length, size_t *bad) {
  const unsigned char *p = (const unsigned char *)text;
  for (size_t i = 0; i < length;) {
    unsigned char c = p[i];
    size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    bool ok = n > 0 && n <= length - i;
    for (size_t k = 1; ok && k < n; k++)
      ok = (p[i + k] & 0xC0) == 0x80;
    if (ok && n == 3)
      ok = !(c == 0xE0 && p[i + 1] < 0xA0) && !(c == 0xED && p[i + 1] >= 0xA0);
    if (ok && n == 4)
      ok = !(c == 0xF0 && p[i + 1] < 0x90) && !(c == 0xF4 && p[i + 1] >= 0x90);
    if (!ok) {
      if (bad)
        *bad = i;
      return false;
    }
    i += n;
  }
  return true;
}

size_t str_distance(const char *a, const char *b, size_t limit) {
  enum { WIDTH = 64 };
  size_t la = strlen(a), lb = strlen(b);
  if (la >= WIDTH || lb >= WIDTH)
    return strcmp(a, b) == 0 ? 0 : limit + 1;
  size_t row[WIDTH];
  for (size_t j = 0; j <= lb; j++)
    row[j] = j;
  for (size_t i = 1; i <= la; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= lb; j++) {
      size_t best = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      if (row[j] + 1 < best)
        best = row[j] + 1;
      if (row[j - 1] + 1 < best)
        best = row[j - 1] + 1;
      row[j] = best;
    }
  }
  return row[lb] > limit ? limit + 1 : row[lb];
}

void str_nearer(const char **best, size_t *distance, const char *candidate, const char *name) {
  size_t own = str_distance(candidate, name, *distance);
  if (own < *distance) {
    *distance = own;
    *best = candidate;
  }
}

int str_index(const char *const *names, size_t count, const char *name) {
  for (size_t i = 0; name && i < count; i++)
    if (strcmp(names[i], name) == 0)
      return (int)i;
  return -1;
}
