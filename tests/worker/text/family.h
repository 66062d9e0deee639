/* Tokenizers of the families that the tests of corpora read: tests/worker/text/families/. */
#ifndef TESTS_WORKER_TEXT_FAMILY_H
#define TESTS_WORKER_TEXT_FAMILY_H

#include <jansson.h>
#include <stdio.h>

#include "worker/text/tokenizer.h"

#define FAMILIES "tests/worker/text/families/"

static inline struct tokenizer *open_family(const char *family) {
  struct tokenizer *tokenizer;
  struct error err = {0};
  char path[128];
  snprintf(path, sizeof path, FAMILIES "%s", family);
  if (tokenizer_open(&tokenizer, path, &err))
    fail_msg("%s", err.text);
  return tokenizer;
}

/* Hands each line of cases.jsonl in a directory to `check`, with the directory's tokenizer. Returns how many there
 * were. */
static inline size_t each_case(const char *dir,
                               void (*check)(const struct tokenizer *tokenizer, struct encoding *out,
                                             const json_t *line)) {
  char path[256], line[65536];
  struct tokenizer *tokenizer;
  struct encoding out;
  struct error err = {0};
  size_t cases = 0;
  if (tokenizer_open(&tokenizer, dir, &err))
    fail_msg("%s", err.text);
  snprintf(path, sizeof path, "%s/cases.jsonl", dir);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  encoding_init(&out);
  for (; fgets(line, sizeof line, file); cases++) {
    json_t *c = json_loads(line, JSON_ALLOW_NUL, NULL);
    assert_non_null(c);
    check(tokenizer, &out, c);
    json_decref(c);
  }
  fclose(file);
  encoding_done(&out);
  tokenizer_free(tokenizer);
  return cases;
}

#endif
