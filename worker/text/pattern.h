/* What a tokenizer file may search for: a literal text, or one of the regular expressions that real files
   have, each a hand-written scanner chosen by its exact text. Every scanner takes linear time. */
#ifndef WORKER_TEXT_PATTERN_H
#define WORKER_TEXT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* The end of the match that begins at text[at], or `at` when none does. The text is valid UTF-8. */
typedef size_t pattern_match(const char *text, size_t at, size_t length);

struct pattern {
  pattern_match *match; /* NULL: the literal */
  const char *literal;
  size_t length; /* of the literal, at least 1 */
};

/* The scanner of a regular expression, or NULL. */
pattern_match *pattern_regex(const char *regex);

/* The first match in text[from..length): false when there is none. */
bool pattern_find(const struct pattern *pattern, const char *text, size_t from, size_t length, size_t *start,
                  size_t *end);

/* One character that is white space, punctuation or a digit; a run of digits; `\w+|[^\w\s]+`. */
pattern_match pattern_space, pattern_punctuation, pattern_digit, pattern_digits, pattern_word;
/* The regular expression of GPT-2, which is also that of the pre-tokenizer ByteLevel. */
pattern_match pattern_gpt2, pattern_llama3, pattern_qwen2;

#endif
