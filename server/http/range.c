#include "server/http/range.h"

#include <stdbool.h>
#include <strings.h>

/* Digits into *value; saturates. Returns the end, or the start when there is no digit. */
static const char *digits(const char *p, uint64_t *value) {
  *value = 0;
  for (; *p >= '0' && *p <= '9'; p++)
    if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, (uint64_t)(*p - '0'), value))
      *value = UINT64_MAX / 16; /* larger than any file, and the next digit cannot wrap it into a small number */
  return p;
}

enum range_kind range_parse(struct range *out, const char *header, uint64_t size) {
  uint64_t first, last = UINT64_MAX;
  *out = (struct range){.length = size};
  if (!header || strncasecmp(header, "bytes=", 6) != 0)
    return RANGE_WHOLE;
  const char *p = header + 6, *start = p;
  p = digits(p, &first);
  bool has_first = p != start;
  if (*p++ != '-')
    return RANGE_WHOLE;
  start = p;
  p = digits(p, &last);
  bool has_last = p != start;
  if (*p || (!has_first && !has_last) || (has_first && has_last && last < first))
    return RANGE_WHOLE;
  if (!has_first) { /* the last `last` bytes */
    if (last == 0 || size == 0) {
      out->length = 0;
      return RANGE_BEYOND;
    }
    out->length = last < size ? last : size;
    out->first = size - out->length;
    return RANGE_PART;
  }
  if (first >= size) {
    out->length = 0;
    return RANGE_BEYOND;
  }
  out->first = first;
  out->length = (has_last && last < size - 1 ? last : size - 1) - first + 1;
  return RANGE_PART;
}
