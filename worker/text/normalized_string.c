#include "worker/text/normalized_string.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "worker/text/unicode.h"

void normalized_done(struct normalized_string *text) {
  free(text->bytes);
  free(text->alignments);
  *text = (struct normalized_string){0};
}

void normalized_clear(struct normalized_string *text) {
  text->length = 0;
  text->failed = text->full = false;
}

/* Room for `more` bytes. */
static bool reserve(struct normalized_string *text, size_t more) {
  size_t need = text->length + more, size = text->size;
  size_t max = text->max ? text->max : NORMALIZED_BYTES_MAX;
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
  struct alignment *alignments = bytes ? realloc(text->alignments, size * sizeof *alignments) : NULL;
  if (!alignments) {
    text->failed = true;
    return false;
  }
  text->alignments = alignments;
  text->size = size;
  return true;
}

void normalized_add(struct normalized_string *text, const char *bytes, size_t length, struct alignment alignment) {
  if (!reserve(text, length))
    return;
  for (size_t i = 0; i < length; i++) {
    text->bytes[text->length + i] = bytes[i];
    text->alignments[text->length + i] = alignment;
  }
  text->length += length;
}

void normalized_add_char(struct normalized_string *text, uint32_t c, struct alignment alignment) {
  char bytes[UTF8_MAX];
  normalized_add(text, bytes, utf8_encode(bytes, c), alignment);
}

void normalized_add_raw(struct normalized_string *text, const char *bytes, size_t length, size_t offset) {
  if (!reserve(text, length))
    return;
  memcpy(text->bytes + text->length, bytes, length);
  struct alignment *alignments = text->alignments + text->length;
  for (size_t i = 0, n; i < length; i += n) {
    utf8_decode(bytes + i, &n);
    for (size_t k = 0; k < n; k++)
      alignments[i + k] = (struct alignment){(uint32_t)(offset + i), (uint32_t)(offset + i + n)};
  }
  text->length += length;
}

void normalized_add_part(struct normalized_string *text, const struct normalized_string *from, size_t start,
                         size_t end) {
  if (start >= end || !reserve(text, end - start))
    return;
  memcpy(text->bytes + text->length, from->bytes + start, end - start);
  memcpy(text->alignments + text->length, from->alignments + start, (end - start) * sizeof *text->alignments);
  text->length += end - start;
}

void transform_skip(struct transform *transform, int characters) {
  const struct normalized_string *from = transform->from;
  for (size_t n; characters > 0 && transform->at < from->length; characters--, transform->at += n)
    utf8_decode(from->bytes + transform->at, &n);
}

void transform_put(struct transform *transform, uint32_t c, int change) {
  const struct normalized_string *from = transform->from;
  bool before = change > 0 || transform->at >= from->length;
  struct alignment alignment = {0, 0};
  if (!before || transform->at)
    alignment = from->alignments[transform->at - (before ? 1 : 0)];
  normalized_add_char(transform->out, c, alignment);
  if (change <= 0)
    transform_skip(transform, 1 - change);
}

void split_list_done(struct split_list *list) {
  free(list->items);
  *list = (struct split_list){0};
}

void split_list_clear(struct split_list *list) {
  list->count = 0;
  list->failed = false;
}

void split_list_add(struct split_list *list, size_t start, size_t end, int32_t id) {
  if (list->failed || (start >= end && id < 0))
    return;
  struct split *items = grow(list->items, &list->size, list->count + 1, sizeof *items);
  if (!items) {
    list->failed = true;
    return;
  }
  list->items = items;
  items[list->count++] = (struct split){start, end, id};
}
