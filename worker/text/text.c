#include "worker/text/text.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "worker/text/unicode.h"

void text_done(struct text *text) {
  free(text->bytes);
  free(text->spans);
  *text = (struct text){0};
}

void text_clear(struct text *text) {
  text->length = 0;
  text->failed = text->full = false;
}

/* Room for `more` bytes. */
static bool reserve(struct text *text, size_t more) {
  size_t need = text->length + more, size = text->size;
  size_t max = text->max ? text->max : TEXT_BYTES_MAX;
  if (text->failed || more > max || need > max) {
    text->full = text->full || !text->failed;
    text->failed = true;
    return false;
  }
  if (need <= size)
    return true;
  char *bytes = grow(text->bytes, &size, need, sizeof *bytes);
  if (bytes)
    text->bytes = bytes;
  struct span *spans = bytes ? realloc(text->spans, size * sizeof *spans) : NULL;
  if (!spans) {
    text->failed = true;
    return false;
  }
  text->spans = spans;
  text->size = size;
  return true;
}

void text_add(struct text *text, const char *bytes, size_t length, struct span span) {
  if (!reserve(text, length))
    return;
  for (size_t i = 0; i < length; i++) {
    text->bytes[text->length + i] = bytes[i];
    text->spans[text->length + i] = span;
  }
  text->length += length;
}

void text_add_char(struct text *text, uint32_t c, struct span span) {
  char bytes[UTF8_MAX];
  text_add(text, bytes, utf8_encode(bytes, c), span);
}

void text_add_raw(struct text *text, const char *bytes, size_t length, size_t offset) {
  if (!reserve(text, length))
    return;
  memcpy(text->bytes + text->length, bytes, length);
  struct span *spans = text->spans + text->length;
  for (size_t i = 0, n; i < length; i += n) {
    utf8_decode(bytes + i, &n);
    for (size_t k = 0; k < n; k++)
      spans[i + k] = (struct span){(uint32_t)(offset + i), (uint32_t)(offset + i + n)};
  }
  text->length += length;
}

void text_add_part(struct text *text, const struct text *from, size_t start, size_t end) {
  if (start >= end || !reserve(text, end - start))
    return;
  memcpy(text->bytes + text->length, from->bytes + start, end - start);
  memcpy(text->spans + text->length, from->spans + start, (end - start) * sizeof *text->spans);
  text->length += end - start;
}

void rewrite_skip(struct rewrite *rewrite, int characters) {
  const struct text *from = rewrite->from;
  for (size_t n; characters > 0 && rewrite->at < from->length; characters--, rewrite->at += n)
    utf8_decode(from->bytes + rewrite->at, &n);
}

void rewrite_put(struct rewrite *rewrite, uint32_t c, int change) {
  const struct text *from = rewrite->from;
  bool before = change > 0 || rewrite->at >= from->length;
  struct span span = {0, 0};
  if (!before || rewrite->at)
    span = from->spans[rewrite->at - (before ? 1 : 0)];
  text_add_char(rewrite->out, c, span);
  if (change <= 0)
    rewrite_skip(rewrite, 1 - change);
}

void piece_list_done(struct piece_list *list) {
  free(list->items);
  *list = (struct piece_list){0};
}

void piece_list_clear(struct piece_list *list) {
  list->count = 0;
  list->failed = false;
}

void piece_list_add(struct piece_list *list, size_t start, size_t end, int32_t id) {
  if (list->failed || (start >= end && id < 0))
    return;
  struct piece *items = grow(list->items, &list->size, list->count + 1, sizeof *items);
  if (!items) {
    list->failed = true;
    return;
  }
  list->items = items;
  items[list->count++] = (struct piece){start, end, id};
}
