/* Unicode normal forms in linear time: utf8proc's own reordering is quadratic in a run of marks. */
#ifndef WORKER_TEXT_NORMAL_FORM_H
#define WORKER_TEXT_NORMAL_FORM_H

#include "worker/text/normalized_string.h"

/* One character of a normal form on its way, with what it changes (struct transform). */
struct mark {
  uint64_t key; /* canonical class << 32 | arrival */
  uint32_t c;
  int change;
};

/* Combining marks that wait to be put in order, or to be composed; reused from call to call. */
struct mark_run {
  struct mark *marks;
  size_t count, size;
};

/* Appends the normal form of `in` to `out`: decomposed, or composed again when `compose`. Where memory
   runs out, out->failed is set. */
void normal_form(struct normalized_string *out, struct mark_run run[2], const struct normalized_string *in,
                 bool compatible, bool compose);

#endif
