#include "worker/corpus.h"

#include <stdlib.h>
#include <string.h>

static enum status no_memory(struct error *err) {
  return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the tokens of the data");
}

/* Makes room for `more` tokens after `used`. */
static bool grow(struct corpus *c, size_t *size, size_t used, size_t more) {
  if (used + more <= *size)
    return true;
  size_t want = (used + more) * 3 / 2 + 4096;
  int32_t *ids = realloc(c->ids, want * sizeof *ids);
  c->ids = ids ? ids : c->ids;
  uint8_t *types = realloc(c->types, want);
  c->types = types ? types : c->types;
  *size = ids && types ? want : *size;
  return ids && types;
}

static enum status append(struct corpus *c, size_t i, size_t *size, const struct encoding *e, size_t vocabulary,
                          struct error *err) {
  size_t at = c->offsets[i];
  if (!grow(c, size, at, e->count))
    return no_memory(err);
  for (size_t t = 0; t < e->count; t++) {
    if (e->ids[t] < 0 || (size_t)e->ids[t] >= vocabulary)
      return error_set(err, STATUS_MODEL_INVALID, "model",
                       "the tokenizer makes id %d, but the model's vocab_size is %zu", e->ids[t], vocabulary);
    c->ids[at + t] = e->ids[t];
    c->types[at + t] = (uint8_t)e->types[t];
  }
  c->offsets[i + 1] = at + e->count;
  c->truncated += e->truncated;
  c->longest = e->count > c->longest ? e->count : c->longest;
  return STATUS_OK;
}

enum status corpus_make(struct corpus *c, const struct dataset *d, const struct tokenizer *tokenizer, size_t max_length,
                        size_t vocabulary, struct error *err) {
  *c = (struct corpus){.count = d->count};
  bool classes = d->label_kind == LABEL_CLASS;
  c->offsets = calloc(d->count + 1, sizeof *c->offsets);
  c->labels = classes ? calloc(d->count, sizeof *c->labels) : NULL;
  c->targets = classes ? NULL : calloc(d->count, sizeof *c->targets);
  enum status status = c->offsets && (c->labels || c->targets) ? STATUS_OK : no_memory(err);
  struct encoding encoding;
  encoding_init(&encoding);
  size_t size = 0;
  for (size_t i = 0; !status && i < d->count; i++) {
    const struct example *e = &d->examples[i];
    status = tokenizer_encode(tokenizer, &encoding, e->text, e->text_length, e->pair, e->pair_length, max_length, err);
    if (status)
      error_prefix(err, "line %zu", e->line);
    else
      status = append(c, i, &size, &encoding, vocabulary, err);
    if (classes && !status)
      c->labels[i] = e->label;
    else if (!status)
      c->targets[i] = e->target;
  }
  encoding_done(&encoding);
  if (status)
    corpus_done(c);
  return status;
}

void corpus_done(struct corpus *c) {
  free(c->offsets);
  free(c->ids);
  free(c->types);
  free(c->labels);
  free(c->targets);
  *c = (struct corpus){0};
}

static int longer_first(const void *a, const void *b) {
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  return x < y ? 1 : x > y ? -1 : 0;
}

size_t corpus_tokens_max(const struct corpus *c, size_t batch) {
  size_t *lengths = malloc((c->count + 1) * sizeof *lengths), sum = 0;
  if (!lengths)
    return c->longest * batch;
  for (size_t i = 0; i < c->count; i++)
    lengths[i] = c->offsets[i + 1] - c->offsets[i];
  qsort(lengths, c->count, sizeof *lengths, longer_first);
  for (size_t i = 0; i < batch && i < c->count; i++)
    sum += lengths[i];
  free(lengths);
  return sum;
}

enum status batch_init(struct batch *b, const struct batch_limits *limits, struct error *err) {
  *b = (struct batch){0};
  b->offsets = calloc(limits->sequences + 1, sizeof *b->offsets);
  b->labels = calloc(limits->sequences, sizeof *b->labels);
  b->targets = calloc(limits->sequences, sizeof *b->targets);
  b->ids = calloc(limits->tokens, sizeof *b->ids);
  b->types = calloc(limits->tokens, 1);
  if (b->offsets && b->labels && b->targets && b->ids && b->types)
    return STATUS_OK;
  batch_done(b);
  return no_memory(err);
}

void batch_done(struct batch *b) {
  free(b->offsets);
  free(b->labels);
  free(b->targets);
  free(b->ids);
  free(b->types);
  *b = (struct batch){0};
}

void batch_fill(struct batch *b, const struct corpus *c, const uint32_t *order, size_t count) {
  size_t tokens = 0, longest = 0;
  for (size_t i = 0; i < count; i++) {
    size_t from = c->offsets[order[i]], length = c->offsets[order[i] + 1] - from;
    memcpy(b->ids + tokens, c->ids + from, length * sizeof *b->ids);
    memcpy(b->types + tokens, c->types + from, length);
    b->offsets[i] = (uint32_t)tokens;
    if (c->labels)
      b->labels[i] = c->labels[order[i]];
    else
      b->targets[i] = c->targets[order[i]];
    tokens += length;
    longest = length > longest ? length : longest;
  }
  b->offsets[count] = (uint32_t)tokens;
  b->sequences = (struct sequences){count, tokens, longest, b->offsets, b->ids, b->types};
  b->answers = (struct answers){.labels = b->labels, .targets = b->targets};
}
