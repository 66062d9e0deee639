/* What a tokenizer file may search for: a literal text, or a regular expression. Those that most files have are
   hand-written scanners, many times as fast and linear in time; any other runs in PCRE2, whose steps are bounded by
   the length of the text. */
#ifndef WORKER_TEXT_PATTERN_H
#define WORKER_TEXT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The end of the match that begins at text[at], or `at` when none does. The text is valid UTF-8. */
typedef size_t pattern_match(const char *text, size_t at, size_t length);

struct regex;

struct pattern {
  pattern_match *match; /* NULL: the regular expression, or the literal */
  struct regex *regex;  /* NULL: the literal */
  const char *literal;
  size_t length; /* of the literal, at least 1 */
};

/* Reads a regular expression of the `tokenizers` library. STATUS_MODEL_INVALID says what of it is not supported. */
NODISCARD enum status pattern_regex(struct pattern *out, const char *regex, struct error *err);
/* Can it match an empty text? */
bool pattern_matches_nothing(const struct pattern *pattern);
void pattern_done(struct pattern *pattern);

/* What searching needs beside the text; of one thread. */
struct pattern_scratch {
  struct regex_scratch *regex;
  uint64_t steps; /* left to the text in hand */
  bool failed;    /* no steps are left, or no memory: what is found is then not to be used */
};
void pattern_scratch_done(struct pattern_scratch *scratch);
/* Before each text of so many bytes. */
void pattern_scratch_start(struct pattern_scratch *scratch, size_t length);

/* One match after the other; begins as {0}. */
struct pattern_search {
  size_t start, end; /* of the last match */
  bool any;
};
/* The next match in text[0..length): false when there is none. It may be empty where the expression can be. */
bool pattern_next(const struct pattern *pattern, struct pattern_scratch *scratch, struct pattern_search *search,
                  const char *text, size_t length);

/* One character that is white space, punctuation or a digit; a run of digits; `\w+|[^\w\s]+`. */
pattern_match pattern_space, pattern_punctuation, pattern_digit, pattern_digits, pattern_word;
/* The regular expression of GPT-2, which is also that of the pre-tokenizer ByteLevel. */
pattern_match pattern_gpt2, pattern_llama3, pattern_qwen2;

#endif
