#include "worker/generate/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define IN_PROMPT 0x80000000u

enum { STREAM_SAMPLE = 0x5A4D };

/* A key of logit_bias; -1: it is no token id. */
static int32_t id_of(const char *key, size_t vocabulary) {
  char *end;
  long id = strtol(key, &end, 10);
  bool number = key[0] >= '0' && key[0] <= '9' && !*end;
  return number && id < (long)vocabulary ? (int32_t)id : -1;
}

enum status sampler_init(struct sampler *s, const struct sampling *how, size_t vocabulary, const int32_t *prompt,
                         size_t count, struct arena *arena, struct error *err) {
  *s = (struct sampler){.how = how, .vocabulary = vocabulary};
  s->biased = arena_array(arena, how->logit_bias.count + 1, sizeof *s->biased);
  s->seen = arena_array(arena, vocabulary, sizeof *s->seen);
  s->logits = arena_array(arena, vocabulary, sizeof *s->logits);
  s->kept = arena_array(arena, vocabulary, sizeof *s->kept);
  if (!s->biased || !s->seen || !s->logits || !s->kept)
    return error_no_memory(err, "a request");
  memset(s->seen, 0, vocabulary * sizeof *s->seen);
  for (size_t i = 0; i < count; i++)
    s->seen[prompt[i]] = IN_PROMPT;
  for (size_t i = 0; i < how->logit_bias.count; i++) {
    s->biased[i] = id_of(how->logit_bias.item[i].key, vocabulary);
    if (s->biased[i] < 0)
      return error_set(err, STATUS_INVALID_VALUE, "logit_bias", "logit_bias: \"%.40s\" is no token id below %zu",
                       how->logit_bias.item[i].key, vocabulary);
  }
  return STATUS_OK;
}

/* --- penalties ------------------------------------------------------------------------------------ */

static bool penalises(const struct sampling *how) {
  return how->repetition_penalty != 1 || how->presence_penalty != 0 || how->frequency_penalty != 0;
}

/* The repetition penalty is for prompt and completion (Keskar et al., "CTRL", 2019), the others for the completion. */
static float penalised(const struct sampling *how, float logit, uint32_t seen) {
  uint32_t times = seen & ~IN_PROMPT;
  double x = (double)logit;
  if (!seen)
    return logit;
  x = x > 0 ? x / how->repetition_penalty : x * how->repetition_penalty;
  if (times)
    x -= how->presence_penalty + how->frequency_penalty * (double)times;
  return (float)x;
}

/* The row with bias and penalties; the given one where there are none. */
static const float *processed(const struct sampler *s, const float *logits) {
  const struct number_map *bias = &s->how->logit_bias;
  if (bias->count == 0 && !penalises(s->how))
    return logits;
  memcpy(s->logits, logits, s->vocabulary * sizeof *logits);
  for (size_t i = 0; i < bias->count; i++)
    s->logits[s->biased[i]] += (float)bias->item[i].value;
  for (size_t id = 0; penalises(s->how) && id < s->vocabulary; id++)
    s->logits[id] = penalised(s->how, s->logits[id], s->seen[id]);
  return s->logits;
}

/* --- warpers -------------------------------------------------------------------------------------- */

static int32_t largest(const float *logits, size_t count) {
  size_t best = 0;
  for (size_t i = 1; i < count; i++)
    if (logits[i] > logits[best])
      best = i;
  return (int32_t)best;
}

/* The likelier first; of equal ones the lower id, so that the order is one. */
static int by_logit(const void *a, const void *b) {
  const struct token_share *x = a, *y = b;
  if (x->logit != y->logit)
    return x->logit > y->logit ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

/* kept = the tokens whose logit is at least `least`, with exp((logit - most) / temperature) as shares; their sum. */
static double keep(struct sampler *s, size_t *count, const float *logits, float least, float most) {
  double sum = 0;
  *count = 0;
  for (size_t id = 0; id < s->vocabulary; id++) {
    if (!(logits[id] >= least))
      continue;
    double share = exp(((double)logits[id] - (double)most) / s->how->temperature);
    s->kept[(*count)++] = (struct token_share){(int32_t)id, logits[id], share};
    sum += share;
  }
  return sum;
}

static double sum_of(const struct token_share *kept, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += kept[i].share;
  return sum;
}

/* The k-th largest logit: of sorted copies of no more than k. */
static float kth_largest(struct sampler *s, const float *logits, size_t k) {
  size_t count = 0;
  float least = -INFINITY;
  for (size_t id = 0; id < s->vocabulary; id++) {
    if (count == 2 * k) { /* the half that can be among the k stays */
      qsort(s->kept, count, sizeof *s->kept, by_logit);
      count = k;
      least = s->kept[k - 1].logit;
    }
    if (logits[id] > least || count < k)
      s->kept[count++] = (struct token_share){(int32_t)id, logits[id], 0};
  }
  qsort(s->kept, count, sizeof *s->kept, by_logit);
  return s->kept[k - 1].logit;
}

/* How many of the sorted tokens top-p keeps: the fewest whose shares reach p (Holtzman et al., 2020). */
static size_t nucleus(const struct token_share *kept, size_t count, double sum, double p) {
  double before = 0;
  size_t n = 0;
  while (n < count && (n == 0 || before < p * sum))
    before += kept[n++].share;
  return n;
}

/* Tokens that no nucleus can have: all of them together are less than what it leaves. */
static size_t prune(struct token_share *kept, size_t count, double sum, double p) {
  double least = (1 - p) * sum / (double)count;
  size_t n = 0;
  for (size_t i = 0; i < count; i++)
    if (kept[i].share >= least)
      kept[n++] = kept[i];
  return n;
}

static size_t warp(struct sampler *s, const float *logits) {
  const struct sampling *how = s->how;
  bool cut = how->top_k > 0 && (size_t)how->top_k < s->vocabulary;
  float most = logits[largest(logits, s->vocabulary)];
  float least = cut && (size_t)how->top_k * 2 <= s->vocabulary ? kth_largest(s, logits, (size_t)how->top_k) : -INFINITY;
  size_t count;
  double sum = keep(s, &count, logits, least, most);
  if (how->top_p < 1 && !cut)
    count = prune(s->kept, count, sum, how->top_p);
  if (how->top_p < 1 || cut || how->min_p > 0)
    qsort(s->kept, count, sizeof *s->kept, by_logit);
  if (cut && (size_t)how->top_k < count) { /* of equal logits at the end Transformers keeps all */
    while ((size_t)how->top_k < count && s->kept[count - 1].logit < s->kept[how->top_k - 1].logit)
      count--;
    sum = sum_of(s->kept, count);
  }
  if (how->top_p < 1)
    count = nucleus(s->kept, count, sum, how->top_p);
  while (how->min_p > 0 && count > 1 && s->kept[count - 1].share < how->min_p * s->kept[0].share)
    count--; /* shares of the likeliest are 1 before they are divided */
  return count;
}

static int32_t draw(const struct sampler *s, size_t count, size_t position) {
  uint32_t block[4];
  rng_philox(block, (uint64_t)s->how->seed, STREAM_SAMPLE, position);
  double u = ((double)(block[0] >> 5) * 67108864 + (double)(block[1] >> 6)) * 0x1p-53; /* 53 bits in [0, 1) */
  double at = u * sum_of(s->kept, count);
  for (size_t i = 0; i + 1 < count; i++) {
    at -= s->kept[i].share;
    if (at < 0)
      return s->kept[i].id;
  }
  return s->kept[count - 1].id;
}

int32_t sampler_next(struct sampler *s, const float *logits, size_t position) {
  const float *row = processed(s, logits);
  int32_t id = s->how->temperature > 0 ? draw(s, warp(s, row), position) : largest(row, s->vocabulary);
  s->seen[id]++;
  return id;
}

/* --- log-probabilities ---------------------------------------------------------------------------- */

double sampler_logprobs(struct token_share *top, size_t count, const float *logits, size_t vocabulary, int32_t id) {
  size_t found = 0;
  double most = (double)logits[largest(logits, vocabulary)], sum = 0;
  for (size_t i = 0; i < vocabulary; i++)
    sum += exp((double)logits[i] - most);
  double all = most + log(sum);
  for (size_t i = 0; count && i < vocabulary; i++) {
    if (found == count && !(logits[i] > top[count - 1].logit))
      continue;
    size_t at = found < count ? found++ : count - 1;
    for (; at > 0 && top[at - 1].logit < logits[i]; at--)
      top[at] = top[at - 1];
    top[at] = (struct token_share){(int32_t)i, logits[i], (double)logits[i] - all};
  }
  return (double)logits[id] - all;
}
