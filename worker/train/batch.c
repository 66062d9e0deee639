#include "worker/train/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static int longer_first(const void *a, const void *b) {
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  return x < y ? 1 : x > y ? -1 : 0;
}

/* Rows of the `batch` longest examples together. */
static size_t longest_together(const struct corpus *c, size_t batch) {
  size_t *lengths = malloc((c->count + 1) * sizeof *lengths), sum = 0;
  if (!lengths)
    return c->longest * corpus_texts(c) * batch;
  for (size_t i = 0; i < c->count; i++)
    lengths[i] = corpus_tokens(c, i) - corpus_shared(c, i);
  qsort(lengths, c->count, sizeof *lengths, longer_first);
  for (size_t i = 0; i < batch && i < c->count; i++)
    sum += lengths[i];
  free(lengths);
  return sum;
}

/* How many of the shortest examples `tokens` tokens hold: no batch can have more. */
static size_t most_within(const struct corpus *c, size_t tokens) {
  size_t *lengths = malloc((c->count + 1) * sizeof *lengths), count = 0;
  if (!lengths)
    return c->count;
  for (size_t i = 0; i < c->count; i++)
    lengths[i] = corpus_tokens(c, i);
  qsort(lengths, c->count, sizeof *lengths, longer_first);
  for (size_t sum = 0; count < c->count && (sum += lengths[c->count - 1 - count]) <= tokens;)
    count++;
  free(lengths);
  return count ? count : 1;
}

size_t batch_next(const struct corpus *c, const uint32_t *order, size_t count, size_t first,
                  const struct batch_rule *rule) {
  size_t n = 0, tokens = 0;
  while (first + n < count && (!rule->examples || n < rule->examples)) {
    tokens += corpus_tokens(c, order[first + n]);
    if (n > 0 && rule->tokens && tokens > rule->tokens)
      break;
    n++;
  }
  return n;
}

struct batch_limits batch_limits_for(const struct corpus *c, const struct batch_rule *rule) {
  size_t examples = rule->examples && rule->examples < c->count ? rule->examples : c->count, texts = corpus_texts(c);
  if (!rule->tokens)
    return (struct batch_limits){examples * texts, longest_together(c, examples), c->longest};
  size_t within = most_within(c, rule->tokens), together = longest_together(c, examples),
         alone = longest_together(c, 1);
  size_t tokens = rule->tokens > alone ? rule->tokens : alone;
  return (struct batch_limits){(within < examples ? within : examples) * texts, tokens < together ? tokens : together,
                               c->longest};
}

struct batch_limits batch_evaluation_limits(const struct corpus *c) {
  size_t together = c->loss_mask ? c->longest * corpus_texts(c) : c->longest; /* completions are told as pairs */
  size_t tokens = together > EVALUATION_TOKENS ? together : EVALUATION_TOKENS;
  return (struct batch_limits){EVALUATION_SEQUENCES, tokens, c->longest};
}

enum status batch_init(struct batch *b, const struct batch_limits *limits, size_t answers, bool tokens,
                       struct error *err) {
  size_t targets = tokens ? limits->tokens : limits->sequences;
  *b = (struct batch){.answers = answers};
  b->cu_seqlens = calloc(limits->sequences + 1, sizeof *b->cu_seqlens);
  b->target_ids = calloc(targets, sizeof *b->target_ids);
  b->rows = calloc(targets, sizeof *b->rows);
  b->target_values = calloc(limits->sequences * answers, sizeof *b->target_values);
  b->token_ids = calloc(limits->tokens, sizeof *b->token_ids);
  b->token_type_ids = calloc(limits->tokens, 1);
  b->cu_rows = calloc(limits->sequences + 1, sizeof *b->cu_rows);
  b->reference = calloc(limits->sequences, sizeof *b->reference);
  b->desirable = calloc(limits->sequences, 1);
  b->prompt = calloc(targets, 1);
  b->prefixes = calloc(limits->sequences, sizeof *b->prefixes);
  bool completions = b->cu_rows && b->reference && b->desirable && b->prompt && b->prefixes;
  if (completions && b->cu_seqlens && b->target_ids && b->rows && b->target_values && b->token_ids && b->token_type_ids)
    return STATUS_OK;
  batch_done(b);
  return error_no_memory(err, "a batch");
}

void batch_done(struct batch *b) {
  free(b->cu_seqlens);
  free(b->target_ids);
  free(b->rows);
  free(b->target_values);
  free(b->token_ids);
  free(b->token_type_ids);
  free(b->cu_rows);
  free(b->reference);
  free(b->desirable);
  free(b->prompt);
  free(b->prefixes);
  *b = (struct batch){0};
}

/* Which sequences of which examples a batch has. */
struct choice {
  const uint32_t *order;
  size_t count, first_text, texts;
};

/* Of the corpus, the s-th of the batch. */
static size_t sequence_of(const struct corpus *c, const struct choice *of, size_t s) {
  return of->order[s % of->count] * corpus_texts(c) + of->first_text + s / of->count;
}

/* Token i predicts token i + 1 of the same sequence where the loss mask has that. */
static void fill_next(struct batch *b, const struct corpus *c, const struct choice *of) {
  size_t n = 0, sequences = of->count * of->texts;
  for (size_t s = 0; s < sequences; s++) {
    size_t sequence = sequence_of(c, of, s);
    const uint8_t *loss_mask = c->loss_mask + c->cu_seqlens[sequence] + b->prefixes[s].tokens;
    bool prompts = c->learns_prompts && of->first_text + s / of->count == 0;
    b->cu_rows[s] = (uint32_t)n;
    if (c->reference)
      b->reference[s] = c->reference[sequence];
    if (c->desirable)
      b->desirable[s] = c->desirable[of->order[s % of->count]];
    for (uint32_t row = b->cu_seqlens[s]; row + 1 < b->cu_seqlens[s + 1]; row++) {
      bool within = loss_mask[row + 1 - b->cu_seqlens[s]];
      if (!within && !prompts)
        continue;
      b->prompt[n] = !within;
      b->rows[n] = row;
      b->target_ids[n++] = (uint32_t)b->token_ids[row + 1];
    }
  }
  b->cu_rows[sequences] = (uint32_t)n;
  b->completions = (struct completions){.count = sequences,
                                        .cu_rows = b->cu_rows,
                                        .prompt = c->learns_prompts ? b->prompt : NULL,
                                        .reference = c->reference ? b->reference : NULL,
                                        .desirable = c->desirable ? b->desirable : NULL};
  b->targets = (struct targets){.ids = b->target_ids, .rows = b->rows, .count = n, .completions = &b->completions};
}

/* The first token of each word gives its tag. */
static void fill_tags(struct batch *b, const struct corpus *c, const uint32_t *order, size_t count) {
  size_t n = 0;
  for (size_t i = 0; i < count; i++)
    for (size_t k = c->cu_marks[order[i]]; k < c->cu_marks[order[i] + 1]; k++)
      if (c->mark_rows[k] != WORD_NONE) {
        b->rows[n] = b->cu_seqlens[i] + c->mark_rows[k];
        b->target_ids[n++] = c->marks[k];
      }
  b->sequences.rows = place_host(b->rows);
  b->sequences.row_count = n;
  b->targets = (struct targets){.ids = b->target_ids, .count = n};
}

/* A row of 0 and 1 for each list of labels. */
static void fill_answers(struct batch *b, const struct corpus *c, const uint32_t *order, size_t count) {
  memset(b->target_values, 0, count * b->answers * sizeof *b->target_values);
  for (size_t i = 0; i < count; i++)
    for (size_t k = c->cu_marks[order[i]]; k < c->cu_marks[order[i] + 1]; k++)
      b->target_values[i * b->answers + c->marks[k]] = 1;
}

void batch_fill_texts(struct batch *b, const struct corpus *c, const uint32_t *order, size_t count, size_t first_text,
                      size_t texts) {
  const struct choice of = {order, count, first_text, texts};
  size_t rows = 0, longest = 0;
  b->tokens = 0;
  for (size_t s = 0; s < count * texts; s++) { /* the first texts of all examples, then the second ones */
    size_t sequence = sequence_of(c, &of, s), shared = s < count ? 0 : corpus_shared(c, order[s % count]);
    size_t from = c->cu_seqlens[sequence] + shared, own = c->cu_seqlens[sequence + 1] - from;
    memcpy(b->token_ids + rows, c->token_ids + from, own * sizeof *b->token_ids);
    memcpy(b->token_type_ids + rows, c->token_type_ids + from, own);
    b->cu_seqlens[s] = (uint32_t)rows;
    b->prefixes[s] = (struct shared_prefix){(uint32_t)(shared ? s - count : 0), (uint32_t)shared};
    b->tokens += shared + own;
    rows += own;
    longest = size_max(longest, shared + own);
  }
  for (size_t i = 0; i < count; i++) {
    if (c->labels)
      b->target_ids[i] = c->labels[order[i]];
    else if (c->targets)
      b->target_values[i] = c->targets[order[i]];
    else if (!c->loss_mask) /* which positive is whose */
      b->target_ids[i] = (uint32_t)i;
  }
  b->cu_seqlens[count * texts] = (uint32_t)rows;
  b->sequences = sequences_host(count * texts, rows, longest, b->cu_seqlens, b->token_ids, b->token_type_ids);
  b->sequences.prefixes = b->tokens > rows ? b->prefixes : NULL;
  b->targets = (struct targets){.ids = b->target_ids, .values = b->target_values};
  if (c->mark_rows)
    fill_tags(b, c, order, count);
  else if (c->marks)
    fill_answers(b, c, order, count);
  if (c->loss_mask)
    fill_next(b, c, &of);
}

void batch_fill(struct batch *b, const struct corpus *c, const uint32_t *order, size_t count) {
  batch_fill_texts(b, c, order, count, 0, corpus_texts(c));
}
