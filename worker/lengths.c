#include "worker/lengths.h"

#include <stdlib.h>

enum { BARS = 20 };

static int shorter_first(const void *a, const void *b) {
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  return (x > y) - (x < y);
}

/* Bars of one width, a power of two. */
static json_t *histogram(const size_t *lengths, size_t count) {
  json_t *out = json_array();
  size_t width = 1, most = lengths[count - 1];
  while (width * BARS <= most)
    width *= 2;
  for (size_t from = 0, i = 0; from <= most; from += width) {
    size_t bar = 0;
    for (; i < count && lengths[i] < from + width; i++)
      bar++;
    json_array_append_new(out, json_pack("{s:I, s:I, s:I}", "from", (json_int_t)from, "to", (json_int_t)(from + width),
                                         "count", (json_int_t)bar));
  }
  return out;
}

/* The length that a share of all do not exceed. */
static json_int_t percentile(const size_t *lengths, size_t count, double share) {
  size_t rank = (size_t)(share * (double)count + 0.999999);
  return (json_int_t)lengths[rank ? rank - 1 : 0];
}

json_t *lengths_json(const struct corpus *c, const char *model, size_t max_seq_length) {
  size_t *lengths = malloc((c->count + 1) * sizeof *lengths), total = 0, longer = 0;
  if (!lengths || !c->count) {
    free(lengths);
    return NULL;
  }
  for (size_t i = 0; i < c->count; i++) {
    lengths[i] = corpus_tokens(c, i);
    total += lengths[i];
    longer += lengths[i] > max_seq_length;
  }
  qsort(lengths, c->count, sizeof *lengths, shorter_first);
  json_t *out = json_pack("{s:s, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:o}", "model", model, "max_seq_length",
                          (json_int_t)max_seq_length, "total", (json_int_t)total, "min", (json_int_t)lengths[0], "mean",
                          (double)total / (double)c->count, "p50", percentile(lengths, c->count, 0.5), "p95",
                          percentile(lengths, c->count, 0.95), "p99", percentile(lengths, c->count, 0.99), "max",
                          (json_int_t)lengths[c->count - 1], "longer", (json_int_t)longer, "histogram",
                          histogram(lengths, c->count));
  free(lengths);
  return out;
}
