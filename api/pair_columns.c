#include "api/pair_columns.h"

#include <string.h>

enum { NAMES_MAX = 6 };

static const struct {
  const char *param, *usual, *words;
  const char *names[NAMES_MAX];
} roles[PAIR_ROLES] = {
    [PAIR_FIRST] = {"dataset.text",
                    "text",
                    "anchor, sentence1, query, question or text",
                    {"anchor", "sentence1", "query", "question", "text"}},
    [PAIR_SECOND] = {"dataset.text_pair",
                     "text_pair",
                     "positive, sentence2, passage, document, answer or text_pair",
                     {"positive", "sentence2", "passage", "document", "answer", "text_pair"}},
    [PAIR_NEGATIVE] = {"dataset.negative", "negative", "negative", {"negative"}},
    [PAIR_SCORE] = {"dataset.label", "label", "score or label", {"score", "label"}},
};

const char *pair_column_param(enum pair_role role) {
  return roles[role].param;
}

const char *pair_column_words(enum pair_role role) {
  return roles[role].words;
}

void pair_columns_find(struct pair_columns *out, const struct job_spec *spec, pair_has *has, const void *with) {
  const char *const asked[PAIR_ROLES] = {[PAIR_FIRST] = spec->columns.text,
                                         [PAIR_SECOND] = spec->columns.text_pair,
                                         [PAIR_NEGATIVE] = spec->columns.negative,
                                         [PAIR_SCORE] = spec->columns.label};
  *out = (struct pair_columns){0};
  for (int r = 0; r < PAIR_ROLES; r++) {
    if (asked[r] && strcmp(asked[r], roles[r].usual) != 0) {
      out->name[r] = asked[r];
      continue;
    }
    for (size_t i = 0; i < NAMES_MAX && roles[r].names[i]; i++) {
      const char **to = out->name[r] ? &out->other[r] : &out->name[r];
      if (!*to && has(with, roles[r].names[i]))
        *to = roles[r].names[i];
    }
  }
}

static bool is(const char *name, const char *one, const char *another) {
  return name && (strcmp(name, one) == 0 || strcmp(name, another) == 0);
}

enum job_output pair_columns_output(const struct pair_columns *c) {
  const char *first = c->name[PAIR_FIRST], *second = c->name[PAIR_SECOND], *score = c->name[PAIR_SCORE];
  if (is(first, "query", "question") && is(second, "passage", "document") && score)
    return OUTPUT_RELEVANCE;
  if (is(first, "anchor", "query") && is(second, "positive", "positive"))
    return OUTPUT_EMBEDDING;
  /* With a label these are classes of pairs, as GLUE has them. */
  if (is(first, "sentence1", "sentence1") && is(second, "sentence2", "sentence2") && is(score, "score", "score"))
    return OUTPUT_EMBEDDING;
  return OUTPUT_COUNT;
}
