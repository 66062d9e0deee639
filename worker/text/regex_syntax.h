/* A regular expression of the `tokenizers` library (Oniguruma's syntax) in PCRE2's. */
#ifndef WORKER_TEXT_REGEX_SYNTAX_H
#define WORKER_TEXT_REGEX_SYNTAX_H

#include "base/str.h"

/* Appends the expression that matches in PCRE2 (UTF, UCP) what `regex` matches in the library. NULL, or why that cannot
   be said: the reason is static, and *at is the byte of `regex` that it is about. */
const char *regex_translate(struct str *out, const char *regex, size_t *at);

#endif
