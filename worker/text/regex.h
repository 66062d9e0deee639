/* A regular expression of a tokenizer file, in PCRE2. */
#ifndef WORKER_TEXT_REGEX_H
#define WORKER_TEXT_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct regex;         /* read-only: any number of threads may search with it */
struct regex_scratch; /* of one thread */

/* STATUS_MODEL_INVALID says what of it is not supported; *out is then NULL. */
NODISCARD enum status regex_open(struct regex **out, const char *expression, struct error *err);
void regex_free(struct regex *regex);
bool regex_matches_nothing(const struct regex *regex);

void regex_scratch_free(struct regex_scratch *scratch);

enum regex_found { REGEX_NONE, REGEX_FOUND, REGEX_FAILED };
/* The first match in text[from..length) of valid UTF-8, which may be empty. Takes what it costs off *steps; fails when
   none are left, or when memory runs out. *scratch is made at need. */
enum regex_found regex_find(const struct regex *regex, struct regex_scratch **scratch, uint64_t *steps,
                            const char *text, size_t from, size_t length, size_t *start, size_t *end);
/* Where the first group of the last match is; false: it has none, or that took no part. */
bool regex_first_group(const struct regex_scratch *scratch, size_t *start, size_t *end);

#endif
