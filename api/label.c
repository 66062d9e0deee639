#include "api/label.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 18 };
static const double exact_max = 9007199254740992.0; /* 2^53: beyond it not every integer is a double */

static size_t digits(const char *text) {
  size_t n = 0;
  while (text[n] >= '0' && text[n] <= '9')
    n++;
  return n;
}

/* Does the text follow JSON's grammar of numbers? *integer: it has neither fraction nor exponent. */
static bool is_number(bool *integer, const char *text, size_t length) {
  const char *p = text + (*text == '-');
  size_t whole = digits(p), part;
  if (whole == 0 || (whole > 1 && *p == '0'))
    return false;
  p += whole;
  *integer = true;
  if (*p == '.') {
    if ((part = digits(++p)) == 0)
      return false;
    p += part;
    *integer = false;
  }
  if (*p == 'e' || *p == 'E') {
    p++;
    p += *p == '+' || *p == '-';
    if ((part = digits(p)) == 0)
      return false;
    p += part;
    *integer = false;
  }
  return (size_t)(p - text) == length;
}

struct label_number label_of_integer(int64_t integer) {
  return (struct label_number){LABEL_WHOLE, integer, (double)integer};
}

struct label_number label_of_number(double number) {
  if (!(fabs(number) <= (double)FLT_MAX))
    return (struct label_number){.form = LABEL_WORD};
  if (fabs(number) < exact_max && number == floor(number))
    return (struct label_number){LABEL_WHOLE, (int64_t)number, number};
  return (struct label_number){LABEL_FRACTION, 0, number};
}

struct label_number label_parse(const char *text, size_t length) {
  bool integer;
  if (!is_number(&integer, text, length))
    return (struct label_number){.form = LABEL_WORD};
  if (!integer)
    return label_of_number(strtod(text, NULL));
  if (length - (*text == '-') > DIGITS_MAX)
    return (struct label_number){.form = LABEL_WORD};
  return label_of_integer(strtoll(text, NULL, 10));
}

int label_compare(const struct label_number *a, const struct label_number *b) {
  if (a->form == LABEL_WHOLE && b->form == LABEL_WHOLE)
    return (a->whole > b->whole) - (a->whole < b->whole);
  return (a->number > b->number) - (a->number < b->number);
}

void label_number_name(char out[LABEL_NUMBER_MAX], const struct label_number *number) {
  if (number->form == LABEL_WHOLE) {
    snprintf(out, LABEL_NUMBER_MAX, "%" PRId64, number->whole);
    return;
  }
  snprintf(out, LABEL_NUMBER_MAX, "%.15g", number->number);
  if (strtod(out, NULL) != number->number)
    snprintf(out, LABEL_NUMBER_MAX, "%.17g", number->number);
}

bool label_same(const char *a, const char *b) {
  if (strcmp(a, b) == 0)
    return true;
  struct label_number x = label_parse(a, strlen(a)), y = label_parse(b, strlen(b));
  return x.form != LABEL_WORD && y.form != LABEL_WORD && label_compare(&x, &y) == 0;
}
