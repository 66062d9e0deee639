#include "worker/data/decimal.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool is_digit(const char *at, const char *end) {
  return at < end && *at >= '0' && *at <= '9';
}

/* Three digits and no fourth follow the comma. */
static bool is_group(const char *comma, const char *end) {
  return is_digit(comma + 1, end) && is_digit(comma + 2, end) && is_digit(comma + 3, end) && !is_digit(comma + 4, end);
}

const char *decimal_read(double *value, const char *at, const char *end) {
  const char *from = at;
  double whole = 0, scale = 1;
  end = end ? end : at + strlen(at);
  for (; is_digit(at, end) || (at < end && *at == ',' && at > from && is_digit(at - 1, end) && is_group(at, end)); at++)
    whole = *at == ',' ? whole : whole * 10 + (*at - '0');
  bool any = at > from;
  if (at < end && *at == '.' && is_digit(at + 1, end))
    for (at++, any = true; is_digit(at, end); at++, scale *= 10)
      whole = whole * 10 + (*at - '0');
  *value = whole / scale;
  return any ? at : NULL;
}
