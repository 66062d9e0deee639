#include "worker/image/exif.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY_BYTES = 12 };

static uint32_t number(const unsigned char *bytes, size_t size, bool big_endian) {
  uint32_t value = 0;
  for (size_t i = 0; i < size; i++)
    value = value << 8 | bytes[big_endian ? i : size - 1 - i];
  return value;
}

int exif_orientation(const unsigned char *bytes, size_t length) {
  if (length >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0) {
    bytes += 6;
    length -= 6;
  }
  if (length < 8 || (memcmp(bytes, "II*\0", 4) != 0 && memcmp(bytes, "MM\0*", 4) != 0))
    return 1;
  bool big_endian = bytes[0] == 'M';
  size_t at = number(bytes + 4, 4, big_endian);
  if (at > length - 2)
    return 1;
  size_t entries = number(bytes + at, 2, big_endian);
  for (at += 2; entries > 0 && length - at >= ENTRY_BYTES; entries--, at += ENTRY_BYTES) {
    if (number(bytes + at, 2, big_endian) != TAG_ORIENTATION || number(bytes + at + 2, 2, big_endian) != TYPE_SHORT)
      continue;
    uint32_t value = number(bytes + at + 8, 2, big_endian);
    return value >= 1 && value <= 8 ? (int)value : 1;
  }
  return 1;
}
