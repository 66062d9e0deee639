#include "worker/generate/answer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "worker/generate/sampler.h"

/* --- log-probabilities ---------------------------------------------------------------------------- */

static json_t *token_json(const struct tokenizer *tokenizer, int32_t id, double logprob) {
  AUTO(str_done) struct str text;
  AUTO(str_done) struct str shown;
  str_init(&text, 1 << 16);
  str_init(&shown, 1 << 18);
  json_t *bytes = json_array(), *out = NULL;
  bool ok =
      bytes && tokenizer_decode(tokenizer, &text, &id, 1, false) && str_add_json_text(&shown, text.text, text.length);
  for (size_t i = 0; ok && i < text.length; i++)
    ok = json_array_append_new(bytes, json_integer((unsigned char)text.text[i])) == 0;
  if (ok)
    out = json_pack("{ss% sf sO}", "token", shown.text, shown.length, "logprob", logprob, "bytes", bytes);
  json_decref(bytes);
  return out;
}

json_t *answer_logprobs(const struct tokenizer *tokenizer, const float *logits, size_t vocabulary, int32_t id,
                        size_t top) {
  struct token_share likeliest[GENERATION_TOP_LOGPROBS_MAX];
  top = top < vocabulary ? top : vocabulary;
  double logprob = sampler_logprobs(likeliest, top, logits, vocabulary, id);
  json_t *own = token_json(tokenizer, id, logprob), *list = json_array();
  bool ok = own && list;
  for (size_t i = 0; ok && i < top; i++)
    ok = json_array_append_new(list, token_json(tokenizer, likeliest[i].id, likeliest[i].share)) == 0;
  ok = ok && json_object_set(own, "top_logprobs", list) == 0;
  json_decref(list);
  json_t *out = ok ? json_pack("[O]", own) : NULL;
  json_decref(own);
  return out;
}

/* --- classes -------------------------------------------------------------------------------------- */

struct score {
  size_t row;
  double value;
};

static int by_value(const void *a, const void *b) {
  const struct score *x = a, *y = b;
  if (x->value != y->value)
    return x->value > y->value ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

/* Of logits. */
static void softmax(struct score *scores, size_t count) {
  double most = -INFINITY, sum = 0;
  for (size_t i = 0; i < count; i++)
    most = fmax(most, scores[i].value);
  for (size_t i = 0; i < count; i++)
    sum += scores[i].value = exp(scores[i].value - most);
  for (size_t i = 0; i < count; i++)
    scores[i].value /= sum;
}

static void sigmoid(struct score *scores, size_t count) {
  for (size_t i = 0; i < count; i++)
    scores[i].value = 1 / (1 + exp(-scores[i].value));
}

json_t *answer_scores(const struct model *m, const float *row, size_t count) {
  struct score *scores = calloc(count, sizeof *scores);
  json_t *out = json_array();
  bool ok = scores && out;
  for (size_t i = 0; ok && i < count; i++)
    scores[i] = (struct score){i, (double)row[i]};
  if (ok && m->output == OUTPUT_CLASS)
    softmax(scores, count);
  else if (ok && m->output != OUTPUT_NUMBER)
    sigmoid(scores, count);
  if (ok)
    qsort(scores, count, sizeof *scores, by_value);
  for (size_t i = 0; ok && i < count; i++) {
    char generic[32];
    snprintf(generic, sizeof generic, "LABEL_%zu", scores[i].row);
    const char *label = m->label_names ? m->label_names[scores[i].row] : generic;
    ok = json_array_append_new(out, json_pack("{ss sf}", "label", label, "score", scores[i].value)) == 0;
  }
  free(scores);
  if (ok)
    return out;
  json_decref(out);
  return NULL;
}

/* --- vectors -------------------------------------------------------------------------------------- */

bool answer_vector(struct str *out, const float *row, size_t count, bool normalised) {
  double squares = 0;
  for (size_t i = 0; i < count; i++)
    squares += (double)row[i] * (double)row[i];
  double scale = normalised && squares > 0 ? 1 / sqrt(squares) : 1;
  for (size_t i = 0; i < count; i += 3) { /* twelve bytes are whole groups of base64 */
    unsigned char bytes[12];
    size_t numbers = count - i < 3 ? count - i : 3;
    for (size_t k = 0; k < numbers; k++) {
      float value = (float)((double)row[i + k] * scale);
      uint32_t bits;
      memcpy(&bits, &value, sizeof bits);
      for (int byte = 0; byte < 4; byte++)
        bytes[4 * k + (size_t)byte] = (unsigned char)(bits >> (8 * byte));
    }
    if (!base64_add(out, bytes, 4 * numbers))
      return false;
  }
  return true;
}
