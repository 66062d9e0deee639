#include "worker/data/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/grow.h"

/* Makes room for so many more examples and tokens. */
static bool reserve(struct corpus *c, size_t examples, size_t more, bool masked) {
  size_t used = c->cu_seqlens ? c->cu_seqlens[c->count] : 0;
  if (c->count + examples + 1 > c->example_size) {
    size_t want = (c->count + examples) * 3 / 2 + 1024;
    size_t *cu_seqlens = realloc(c->cu_seqlens, want * sizeof *cu_seqlens);
    if (!cu_seqlens)
      return false;
    if (!c->cu_seqlens)
      cu_seqlens[0] = 0;
    c->cu_seqlens = cu_seqlens;
    c->example_size = want;
  }
  if (used + more <= c->token_size)
    return true;
  size_t want = (used + more) * 3 / 2 + 4096;
  int32_t *ids = realloc(c->token_ids, want * sizeof *ids);
  c->token_ids = ids ? ids : c->token_ids;
  uint8_t *types = realloc(c->token_type_ids, want), *mask = masked ? realloc(c->loss_mask, want) : NULL;
  c->token_type_ids = types ? types : c->token_type_ids;
  c->loss_mask = mask ? mask : c->loss_mask;
  if (!ids || !types || (masked && !mask))
    return false;
  c->token_size = want;
  return true;
}

enum status corpus_append(struct corpus *c, const int32_t *token_ids, const int32_t *token_type_ids,
                          const uint8_t *loss_mask, size_t count, size_t vocab_size, struct error *err) {
  if (!reserve(c, 1, count, loss_mask != NULL))
    return error_no_memory(err, "the tokens of the data");
  size_t at = c->cu_seqlens[c->count];
  for (size_t t = 0; t < count; t++) {
    if (token_ids[t] < 0 || (size_t)token_ids[t] >= vocab_size)
      return error_set(err, STATUS_MODEL_INVALID, "model",
                       "the tokenizer makes id %d, but the model's vocab_size is %zu", token_ids[t], vocab_size);
    c->token_ids[at + t] = token_ids[t];
    c->token_type_ids[at + t] = token_type_ids ? (uint8_t)token_type_ids[t] : 0;
  }
  if (loss_mask && count)
    memcpy(c->loss_mask + at, loss_mask, count);
  c->cu_seqlens[++c->count] = at + count;
  c->longest = count > c->longest ? count : c->longest;
  return STATUS_OK;
}

/* Room for the ratings of so many examples. */
static bool reserve_ratings(struct corpus *c, size_t examples) {
  uint8_t *desirable = grow(c->desirable, &c->desirable_size, examples, sizeof *desirable);
  c->desirable = desirable ? desirable : c->desirable;
  return desirable != NULL;
}

enum status corpus_rate(struct corpus *c, bool desirable, struct error *err) {
  if (!reserve_ratings(c, c->count))
    return error_no_memory(err, "the tokens of the data");
  c->desirable[c->count - 1] = desirable;
  return STATUS_OK;
}

size_t corpus_shared(const struct corpus *c, size_t example) {
  if (!c->shares_prompts)
    return 0;
  const size_t *at = c->cu_seqlens + example * 2;
  size_t first = at[1] - at[0], second = at[2] - at[1], same = 0;
  if (c->short_most && (first > c->short_most) != (second > c->short_most))
    return 0;
  while (same < first && same < second && c->token_ids[at[0] + same] == c->token_ids[at[1] + same] &&
         !c->loss_mask[at[1] + same])
    same++;
  return same ? same - 1 : 0;
}

static enum status join_part(struct corpus *c, const struct corpus *part, struct error *err) {
  size_t tokens = part->count ? part->cu_seqlens[part->count] : 0;
  if (!reserve(c, part->count, tokens, part->loss_mask != NULL))
    return error_no_memory(err, "the tokens of the data");
  size_t at = c->cu_seqlens[c->count];
  for (size_t i = 1; i <= part->count; i++)
    c->cu_seqlens[c->count + i] = at + part->cu_seqlens[i];
  if (tokens) {
    memcpy(c->token_ids + at, part->token_ids, tokens * sizeof *c->token_ids);
    memcpy(c->token_type_ids + at, part->token_type_ids, tokens);
  }
  if (tokens && part->loss_mask)
    memcpy(c->loss_mask + at, part->loss_mask, tokens);
  if (part->desirable && !reserve_ratings(c, c->count + part->count))
    return error_no_memory(err, "the tokens of the data");
  if (part->desirable)
    memcpy(c->desirable + c->count, part->desirable, part->count);
  c->count += part->count;
  c->longest = part->longest > c->longest ? part->longest : c->longest;
  c->truncated += part->truncated;
  for (size_t i = 0; i < NOTE_COUNT; i++) {
    c->notes[i].line = c->notes[i].count ? c->notes[i].line : part->notes[i].line;
    c->notes[i].count += part->notes[i].count;
  }
  return STATUS_OK;
}

enum status corpus_join(struct corpus *c, struct corpus_part *parts, size_t count, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; i < count; i++) {
    if (!status && parts[i].status) {
      status = parts[i].status;
      *err = parts[i].err;
    }
    if (!status)
      status = join_part(c, &parts[i].corpus, err);
    corpus_done(&parts[i].corpus);
  }
  return status;
}

enum status corpus_beat(struct corpus_watch *watch, int thread, struct error *err) {
  enum { BEATS_A_SECOND = 5 };
  if (!watch)
    return STATUS_OK;
  if (atomic_load_explicit(&watch->stop, memory_order_relaxed))
    return error_set(err, STATUS_CANCELLED, NULL, "told to stop");
  double now = thread == 0 ? clock_seconds() : 0;
  if (thread != 0 || now - watch->last < 1.0 / BEATS_A_SECOND)
    return STATUS_OK;
  watch->last = now;
  enum status status = watch->beat(watch->with, err);
  if (status)
    atomic_store_explicit(&watch->stop, true, memory_order_relaxed);
  return status;
}

/* What the tasks of corpus_make share: each encodes a run of the examples. */
struct making {
  const struct dataset *dataset;
  const struct tokenizer *tokenizer;
  size_t max_length, vocab_size, type_vocab_size;
  size_t run;
  struct corpus *corpus;
  struct corpus_part *parts;
  struct encoding *encodings; /* one a thread */
  struct corpus_watch *watch;
};

/* A text's words: none may be left without a tag to learn. */
static enum status make_words(const struct making *m, struct corpus *part, struct encoding *encoding, size_t i,
                              struct error *err) {
  const struct example *e = &m->dataset->examples[i];
  uint32_t *rows = m->corpus->mark_rows + e->first_mark;
  enum status status = tokenizer_encode_words(m->tokenizer, encoding, m->dataset->words + e->first_mark, e->mark_count,
                                              m->max_length, err);
  if (status)
    return error_prefix(err, "line %zu", e->line);
  bool any = false;
  for (size_t w = 0; w < e->mark_count; w++)
    rows[w] = WORD_NONE;
  for (size_t t = 0; t < encoding->count; t++)
    if (encoding->words[t] != WORD_NONE) {
      rows[encoding->words[t]] = (uint32_t)t;
      any = true;
    }
  if (!any)
    return error_set(err, STATUS_DATASET_INVALID, NULL,
                     "line %zu: the model's tokenizer makes nothing of its words that fits into %zu tokens", e->line,
                     m->max_length);
  part->truncated += encoding->truncated;
  return corpus_append(part, encoding->ids, encoding->type_ids, NULL, encoding->count, m->vocab_size, err);
}

/* One sequence: a text, or two of them as a pair. */
static enum status make_sequence(const struct making *m, struct corpus *part, struct encoding *encoding,
                                 const struct example *e, const char *text, size_t length, const char *pair,
                                 size_t pair_length, struct error *err) {
  enum status status = tokenizer_encode(m->tokenizer, encoding, text, length, pair, pair_length, m->max_length, err);
  if (status)
    return error_prefix(err, "line %zu", e->line);
  for (size_t t = 0; m->type_vocab_size && t < encoding->count; t++)
    if ((size_t)encoding->type_ids[t] >= m->type_vocab_size)
      return error_set(err, STATUS_MODEL_INVALID, "model",
                       "line %zu: the tokenizer makes token type %d (a second text), but the model's type_vocab_size "
                       "is %zu",
                       e->line, encoding->type_ids[t], m->type_vocab_size);
  part->truncated += encoding->truncated;
  return corpus_append(part, encoding->ids, encoding->type_ids, NULL, encoding->count, m->vocab_size, err);
}

static enum status make_example(const struct making *m, struct corpus *part, struct encoding *encoding, size_t i,
                                struct error *err) {
  const struct example *e = &m->dataset->examples[i];
  size_t texts = m->dataset->texts;
  if (m->corpus->labels)
    m->corpus->labels[i] = e->label;
  if (m->corpus->subsets)
    m->corpus->subsets[i] = e->subset;
  if (m->corpus->targets)
    m->corpus->targets[i] = e->target;
  if (m->corpus->groups)
    m->corpus->groups[i] = e->group;
  if (m->dataset->words)
    return make_words(m, part, encoding, i, err);
  if (texts <= 1)
    return make_sequence(m, part, encoding, e, e->text, e->text_length, e->pair, e->pair_length, err);
  enum status status = make_sequence(m, part, encoding, e, e->text, e->text_length, NULL, 0, err);
  status = status ? status : make_sequence(m, part, encoding, e, e->pair, e->pair_length, NULL, 0, err);
  if (!status && texts > 2)
    status = make_sequence(m, part, encoding, e, e->negative, e->negative_length, NULL, 0, err);
  return status;
}

static void make_part(void *payload, size_t task, int thread) {
  const struct making *m = payload;
  struct corpus_part *part = &m->parts[task];
  size_t end = (task + 1) * m->run;
  end = end < m->dataset->count ? end : m->dataset->count;
  for (size_t i = task * m->run; !part->status && i < end; i++) {
    part->status = corpus_beat(m->watch, thread, &part->err);
    if (!part->status)
      part->status = make_example(m, &part->corpus, &m->encodings[thread], i, &part->err);
  }
}

/* The lists of labels, or the words' tags, as the data set has them. */
static enum status copy_marks(struct corpus *c, const struct dataset *d, struct error *err) {
  const struct example *last = &d->examples[d->count - 1];
  size_t marks = last->first_mark + last->mark_count;
  c->marks = calloc(marks + 1, sizeof *c->marks);
  c->cu_marks = calloc(d->count + 1, sizeof *c->cu_marks);
  c->mark_rows = d->words ? calloc(marks, sizeof *c->mark_rows) : NULL;
  if (!c->marks || !c->cu_marks || (d->words && !c->mark_rows))
    return error_no_memory(err, "the labels of the data");
  if (marks)
    memcpy(c->marks, d->marks, marks * sizeof *c->marks);
  for (size_t i = 0; i < d->count; i++)
    c->cu_marks[i + 1] = d->examples[i].first_mark + d->examples[i].mark_count;
  return STATUS_OK;
}

enum status corpus_make(struct corpus *c, const struct dataset *d, const struct tokenizer *tokenizer, size_t max_length,
                        size_t vocab_size, size_t type_vocab_size, struct pool *pool, struct corpus_watch *watch,
                        struct error *err) {
  enum { RUN_LEAST = 64, RUNS = 8 };
  size_t threads = (size_t)pool_threads(pool), run = d->count / (threads * RUNS) + RUN_LEAST;
  size_t tasks = (d->count + run - 1) / run;
  bool marked = d->lists || d->words, classes = d->label_kind == LABEL_CLASS && !marked,
       targets = !classes && !marked && (d->texts <= 1 || d->scored);
  *c = (struct corpus){.texts = d->texts};
  c->labels = classes ? calloc(d->count, sizeof *c->labels) : NULL;
  c->targets = !targets ? NULL : calloc(d->count, sizeof *c->targets);
  c->subsets = classes ? calloc(d->count, sizeof *c->subsets) : NULL;
  c->groups = d->grouped ? calloc(d->count, sizeof *c->groups) : NULL;
  struct making m = {d, tokenizer, max_length, vocab_size, type_vocab_size, run, c, NULL, NULL, watch};
  m.parts = calloc(tasks, sizeof *m.parts);
  m.encodings = calloc(threads, sizeof *m.encodings);
  enum status status = (!classes || (c->labels && c->subsets)) && (!targets || c->targets) && m.parts && m.encodings
                           ? STATUS_OK
                           : error_no_memory(err, "the tokens of the data");
  if (!status && d->grouped && !c->groups)
    status = error_no_memory(err, "the tokens of the data");
  if (!status && marked)
    status = copy_marks(c, d, err);
  if (!status) {
    pool_run(pool, tasks, make_part, &m);
    status = corpus_join(c, m.parts, tasks, err);
    c->count /= corpus_texts(c); /* sequences were counted */
  }
  for (size_t i = 0; m.encodings && i < threads; i++)
    encoding_done(&m.encodings[i]);
  free(m.encodings);
  free(m.parts);
  if (status)
    corpus_done(c);
  return status;
}

void corpus_done(struct corpus *c) {
  free(c->cu_seqlens);
  free(c->token_ids);
  free(c->token_type_ids);
  free(c->labels);
  free(c->marks);
  free(c->cu_marks);
  free(c->mark_rows);
  free(c->targets);
  free(c->groups);
  free(c->subsets);
  free(c->loss_mask);
  free(c->desirable);
  free(c->reference);
  *c = (struct corpus){0};
}
