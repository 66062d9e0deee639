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

/* Walks the trie to the end of the first key. */
static bool first_value(const struct charsmap *map, const char *chunk, size_t length, size_t *value) {
  size_t at = offset_of(little_endian(map->units));
  for (size_t i = 0; i < length && chunk[i]; i++) {
    unsigned char byte = (unsigned char)chunk[i];
    at ^= byte;
    if (at >= map->unit_count)
      return false;
    uint32_t unit = little_endian(map->units + 4 * at);
    if ((unit & (1u << 31 | 0xFF)) != byte)
      return false;
    at ^= offset_of(unit);
    if (unit >> 8 & 1) {
      if (at >= map->unit_count)
        return false;
      *value = little_endian(map->units + 4 * at) & ~(1u << 31);
      return true;
    }
  }
  return false;
}

bool charsmap_find(const struct charsmap *map, const char *chunk, size_t length, const char **text,
                   size_t *text_length) {
  size_t at;
  if (!first_value(map, chunk, length, &at) || at >= map->texts_length)
    return false;
  *text = map->texts + at;
  *text_length = strnlen(*text, map->texts_length - at);
  return ((unsigned char)**text & 0xC0) != 0x80;  /* not in the middle of a character */
}
