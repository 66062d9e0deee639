/* Canonical order sorts each run of combining marks by class; marks wait in the run until the next
   starter. To compose, a starter waits, and behind it the marks that it could not take. */
#include "worker/text/normal_form.h"

#include <stdlib.h>

#include "base/grow.h"
#include "worker/text/unicode.h"

struct composer {
  struct transform transform;
  struct mark_run *order; /* marks to be sorted */
  struct mark_run *wait;  /* marks behind the starter */
  bool composes, has_starter;
  struct mark starter;
  int last_class; /* of the last mark that waits; -1: none does */
};

static bool push(struct mark_run *run, struct mark mark) {
  struct mark *marks = grow(run->marks, &run->size, run->count + 1, sizeof *marks);
  if (!marks)
    return false;
  run->marks = marks;
  marks[run->count++] = mark;
  return true;
}

static void put_mark(struct composer *composer, struct mark mark) {
  transform_put(&composer->transform, mark.c, mark.change);
}

static void release(struct composer *composer) {
  if (composer->has_starter)
    put_mark(composer, composer->starter);
  for (size_t i = 0; i < composer->wait->count; i++)
    put_mark(composer, composer->wait->marks[i]);
  composer->has_starter = false;
  composer->wait->count = 0;
  composer->last_class = -1;
}

/* Takes the characters of the decomposed form in their order. */
static bool take(struct composer *composer, struct mark mark, int class) {
  if (!composer->composes || (!composer->has_starter && class != 0)) {
    put_mark(composer, mark);
    return true;
  }
  uint32_t made = 0;
  if (composer->has_starter && composer->last_class < class)
    made = unicode_compose(composer->starter.c, mark.c);
  if (made) {
    composer->starter.c = made;
    composer->starter.change += mark.change - 1;
  } else if (class == 0) {
    release(composer);
    composer->starter = mark;
    composer->has_starter = true;
  } else {
    composer->last_class = class;
    return push(composer->wait, mark);
  }
  return true;
}

static int by_key(const void *a, const void *b) {
  uint64_t x = ((const struct mark *)a)->key, y = ((const struct mark *)b)->key;
  return (x > y) - (x < y);
}

static bool flush(struct composer *composer) {
  struct mark_run *order = composer->order;
  bool ok = true;
  if (order->count > 1)
    qsort(order->marks, order->count, sizeof *order->marks, by_key);
  for (size_t i = 0; ok && i < order->count; i++)
    ok = take(composer, order->marks[i], (int)(order->marks[i].key >> 32));
  order->count = 0;
  return ok;
}

static bool decompose(struct composer *composer, uint32_t c, bool compatible) {
  uint32_t parts[UNICODE_DECOMPOSED_MAX];
  size_t count = unicode_decompose(parts, c, compatible);
  bool ok = true;
  for (size_t i = 0; ok && i < count; i++) {
    struct mark mark = {0, parts[i], i > 0};
    uint64_t class = unicode_class(parts[i]);
    if (class == 0) {
      ok = flush(composer) && take(composer, mark, 0);
      continue;
    }
    mark.key = class << 32 | composer->order->count;
    ok = push(composer->order, mark);
  }
  return ok;
}

void normal_form(struct normalized_string *out, struct mark_run run[2], const struct normalized_string *in,
                 bool compatible, bool compose) {
  struct composer composer = {
      .transform = {out, in, 0}, .order = &run[0], .wait = &run[1], .composes = compose, .last_class = -1};
  bool ok = true;
  run[0].count = run[1].count = 0;
  for (size_t i = 0, n; ok && i < in->length; i += n)
    ok = decompose(&composer, utf8_decode(in->bytes + i, &n), compatible);
  ok = ok && flush(&composer);
  release(&composer);
  if (!ok)
    out->failed = true;
}
