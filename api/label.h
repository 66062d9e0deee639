/* What the text of a label means. Training, the check of an upload and the daemon, which compares two files, share it,
   so that 1, 1.0 and "1" are one label everywhere. */
#ifndef API_LABEL_H
#define API_LABEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum label_form { LABEL_WORD, LABEL_WHOLE, LABEL_FRACTION, LABEL_FORM_COUNT };

struct label_number {
  enum label_form form;
  int64_t whole;  /* WHOLE: exact */
  double number;  /* WHOLE and FRACTION; finite as a 32-bit float too, else the text is a word */
};

/* By JSON's grammar of numbers, so that "007", "1e", "nan" and " 1" are words. 2.0 and 2e0 are whole; an integer of
   more than 18 digits is a word: it is a name, not an amount. */
struct label_number label_parse(const char *text, size_t length);
struct label_number label_of_number(double number);
struct label_number label_of_integer(int64_t integer);

/* -1, 0, 1 as a is less than, equal to, more than b; neither is a word. */
int label_compare(const struct label_number *a, const struct label_number *b);

enum { LABEL_NUMBER_MAX = 32 };
/* "3" for 3 and 3.0; "0.5". Not for words. */
void label_number_name(char out[LABEL_NUMBER_MAX], const struct label_number *number);

/* Do two labels mean the same: equal bytes, or equal numbers? */
bool label_same(const char *a, const char *b);

#endif
