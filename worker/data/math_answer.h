/* Answers in LaTeX, as the MATH data set has them (Hendrycks et al., "Measuring mathematical problem solving with the
   MATH dataset", 2021, appendix): brought to one way of writing, then compared. Nothing is simplified: x + 1 and 1 + x
   are two answers. */
#ifndef WORKER_DATA_MATH_ANSWER_H
#define WORKER_DATA_MATH_ANSWER_H

#include "base/str.h"

enum { MATH_ANSWER_MAX = 4096 }; /* bytes; what is longer is no answer */

/* What is in the braces of the last \boxed or \fbox of a text; false: there is none that ends. */
bool math_answer_boxed(const char **at, size_t *length, const char *text);
/* Puts an answer into `out` as all are written: without spaces, units, dollar, percent and degree signs, a final full
   stop and what is before "x ="; \frac and \sqrt with their braces, a/b as \frac. False: nothing is left, it is
   too long, or (out->failed) no memory. */
bool math_answer_put(struct str *out, const char *text, size_t length);
/* Do two of them say the same? Numbers are compared by value: whole ones exactly, others within 1e-4 of the larger;
   lists one by one, and their brackets too. authors: as HRA's authors compare: whole numbers are as near as others, a
   number is also its hundredth and its hundredfold, and brackets do not matter. */
bool math_answer_equal(const char *a, const char *b, bool authors);

#endif
