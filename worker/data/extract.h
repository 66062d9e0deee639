/* What is compared of an answer that a model wrote, and of the expected one (evaluation.generate). */
#ifndef WORKER_DATA_EXTRACT_H
#define WORKER_DATA_EXTRACT_H

#include "api/job.h"
#include "base/str.h"
#include "worker/text/regex.h"

struct extract {
  const struct generate_spec *spec; /* borrowed */
  struct regex *regex;              /* EXTRACT_REGEX */
  struct regex_scratch *scratch;
};

/* STATUS_INVALID_VALUE (evaluation.generate.pattern) for an expression that cannot be used. */
NODISCARD enum status extract_open(struct extract *out, const struct generate_spec *spec, struct error *err);
void extract_done(struct extract *extract);

/* Puts what is compared of an answer into `out`: a number as the shortest text of its value, one of MATH as
   math_answer.h writes it, any other text without white space around it. False: there is none, or (out->failed) no
   memory. */
NODISCARD bool extract_answer(struct extract *extract, struct str *out, const char *answer);
/* The same of an expected answer: of one without the pattern all of it is taken. */
NODISCARD bool extract_expected(struct extract *extract, struct str *out, const char *expected);
/* Is an answer what is expected? Both were extracted. */
bool extract_equal(const struct extract *extract, const char *answer, const char *expected);

#endif
