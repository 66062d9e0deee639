#include "worker/text/charsmap.h"

#include <string.h>

#include "base/str.h"

static uint32_t little_endian(const unsigned char *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

bool charsmap_open(struct charsmap *map, const unsigned char *bytes, size_t length) {
  if (length < 8)
    return false;
  size_t trie = little_endian(bytes);
  if (trie < 4 || trie % 4 != 0 || trie > length - 4)
    return false;
  *map = (struct charsmap){bytes + 4, trie / 4, (const char *)bytes + 4 + trie, length - 4 - trie};
  return utf8_valid(map->texts, map->texts_length, NULL);
}

static uint32_t offset_of(uint32_t unit) {
  return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* Walks the trie along `chunk`. False when no key is a prefix of it; else the value of the first one on the way, or of
   the last where `longest`, and that key's length. */
static bool walk(const struct charsmap *map, const char *chunk, size_t length, bool longest, size_t *value,
                 size_t *key_length) {
  bool found = false;
  size_t at = offset_of(little_endian(map->units));
  for (size_t i = 0; i < length && chunk[i]; i++) {
    unsigned char byte = (unsigned char)chunk[i];
    at ^= byte;
    if (at >= map->unit_count)
      break;
    uint32_t unit = little_endian(map->units + 4 * at);
    if ((unit & (1u << 31 | 0xFF)) != byte)
      break;
    at ^= offset_of(unit);
    if (at >= map->unit_count)
      break;
    if (unit >> 8 & 1) {
      *value = little_endian(map->units + 4 * at) & ~(1u << 31);
      *key_length = i + 1;
      found = true;
      if (!longest)
        break;
    }
  }
  return found;
}

/* Returns the length of the key, or 0. */
static size_t find(const struct charsmap *map, const char *chunk, size_t length, bool longest, const char **text,
                   size_t *text_length) {
  size_t at, key_length;
  if (!walk(map, chunk, length, longest, &at, &key_length) || at >= map->texts_length)
    return 0;
  *text = map->texts + at;
  *text_length = strnlen(*text, map->texts_length - at);
  return ((unsigned char)**text & 0xC0) != 0x80 ? key_length : 0; /* not in the middle of a character */
}

bool charsmap_find(const struct charsmap *map, const char *chunk, size_t length, const char **text,
                   size_t *text_length) {
  return find(map, chunk, length, false, text, text_length) > 0;
}

size_t charsmap_longest(const struct charsmap *map, const char *chunk, size_t length, const char **text,
                        size_t *text_length) {
  return find(map, chunk, length, true, text, text_length);
}
