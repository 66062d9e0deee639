#include "worker/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "base/str.h"
#include "worker/text/regex_syntax.h"
#include "worker/text/unicode.h"

/* Steps of one attempt. Nearly every attempt needs few; one that needs more is made again with twice as many, and from
   then on they are counted. */
enum { STEPS_FREE = 300, HEAP_KIB = 64 << 10, SOURCE_BYTES_MAX = 1 << 20 };

/* Not compiled to machine code: that counts other steps, or none, and is forbidden where no memory may be made
   executable. Repeats are not made possessive, so that giving back is counted. */
enum { OPTIONS = PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_POSSESS };

struct regex {
  pcre2_code *code;
};

struct regex_scratch {
  pcre2_match_data *data;
  pcre2_match_context *limits;
  int groups; /* of the last match, with itself, as pcre2_match counts them; 0: more than there is room for */
};

enum status regex_open(struct regex **out, const char *expression, struct error *err) {
  struct str source;
  size_t at;
  int code = 0;
  PCRE2_SIZE place;
  PCRE2_UCHAR text[160];
  *out = NULL;
  str_init(&source, SOURCE_BYTES_MAX);
  const char *why = regex_translate(&source, expression, &at);
  pcre2_code *compiled = NULL;
  if (!why) {
    compiled = pcre2_compile((PCRE2_SPTR)source.text, source.length, OPTIONS, &code, &place, NULL);
    at = 0;
  }
  str_done(&source);
  if (!why && !compiled) {
    pcre2_get_error_message(code, text, sizeof text);
    why = (const char *)text;
  }
  if (why)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "the regular expression %.300s is not supported: %s (byte %zu)",
                     expression, why, at + 1);
  *out = malloc(sizeof **out);
  if (!*out) {
    pcre2_code_free(compiled);
    return error_no_memory(err, "the tokenizer");
  }
  (*out)->code = compiled;
  return STATUS_OK;
}

void regex_free(struct regex *regex) {
  if (regex)
    pcre2_code_free(regex->code);
  free(regex);
}

bool regex_matches_nothing(const struct regex *regex) {
  uint32_t empty = 1;
  return pcre2_pattern_info(regex->code, PCRE2_INFO_MATCHEMPTY, &empty) != 0 || empty;
}

void regex_scratch_free(struct regex_scratch *scratch) {
  if (!scratch)
    return;
  pcre2_match_data_free(scratch->data);
  pcre2_match_context_free(scratch->limits);
  free(scratch);
}

static struct regex_scratch *scratch_new(void) {
  struct regex_scratch *scratch = calloc(1, sizeof *scratch);
  if (!scratch)
    return NULL;
  scratch->data = pcre2_match_data_create(2, NULL);
  scratch->limits = pcre2_match_context_create(NULL);
  if (!scratch->data || !scratch->limits) {
    regex_scratch_free(scratch);
    return NULL;
  }
  pcre2_set_heap_limit(scratch->limits, HEAP_KIB);
  return scratch;
}

/* An attempt at text[at] alone, with as many steps as it needs of those that are left. */
static int attempt(const struct regex *regex, struct regex_scratch *scratch, uint64_t *steps, const char *text,
                   size_t at, size_t length) {
  uint64_t limit = STEPS_FREE;
  for (;; limit *= 2) {
    if (limit > *steps || limit > UINT32_MAX)
      return PCRE2_ERROR_MATCHLIMIT;
    *steps -= limit;
    pcre2_set_match_limit(scratch->limits, (uint32_t)limit);
    int found = pcre2_match(regex->code, (PCRE2_SPTR)text, length, at, PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED,
                            scratch->data, scratch->limits);
    if (found != PCRE2_ERROR_MATCHLIMIT)
      return found;
  }
}

enum regex_found regex_find(const struct regex *regex, struct regex_scratch **scratch, uint64_t *steps,
                            const char *text, size_t from, size_t length, size_t *start, size_t *end) {
  if (!*scratch && !(*scratch = scratch_new()))
    return REGEX_FAILED;
  pcre2_set_match_limit((*scratch)->limits, STEPS_FREE);
  int found = pcre2_match(regex->code, (PCRE2_SPTR)text, length, from, PCRE2_NO_UTF_CHECK, (*scratch)->data,
                          (*scratch)->limits);
  if (found == PCRE2_ERROR_MATCHLIMIT) {
    found = PCRE2_ERROR_NOMATCH;
    for (size_t at = from, n = 0; found == PCRE2_ERROR_NOMATCH && at <= length; at += n) {
      found = attempt(regex, *scratch, steps, text, at, length);
      n = 1;
      if (at < length)
        utf8_decode(text + at, &n);
    }
  }
  if (found < 0)
    return found == PCRE2_ERROR_NOMATCH ? REGEX_NONE : REGEX_FAILED;
  const PCRE2_SIZE *place = pcre2_get_ovector_pointer((*scratch)->data);
  *start = place[0];
  *end = place[1];
  (*scratch)->groups = found;
  return REGEX_FOUND;
}

bool regex_first_group(const struct regex_scratch *scratch, size_t *start, size_t *end) {
  const PCRE2_SIZE *place = pcre2_get_ovector_pointer(scratch->data);
  *start = place[2];
  *end = place[3];
  return scratch->groups != 1 && place[2] != PCRE2_UNSET;
}
