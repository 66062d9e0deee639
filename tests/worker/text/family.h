/* Tokenizers of the families that the tests of corpora read: tests/worker/text/families/. */
#ifndef TESTS_WORKER_TEXT_FAMILY_H
#define TESTS_WORKER_TEXT_FAMILY_H

#include <stdio.h>

#include "worker/text/tokenizer.h"

#define FAMILIES "tests/worker/text/families/"

static struct tokenizer *open_family(const char *family) {
  struct tokenizer *tokenizer;
  struct error err = {0};
  char folder[128];
  snprintf(folder, sizeof folder, FAMILIES "%s", family);
  if (tokenizer_open(&tokenizer, folder, &err))
    fail_msg("%s", err.text);
  return tokenizer;
}

#endif
