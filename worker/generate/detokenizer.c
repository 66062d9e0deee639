#include "worker/generate/detokenizer.h"

#include <string.h>

enum { BEFORE = 5, TEXT_MAX = 1 << 20 };

void detokenizer_init(struct detokenizer *d, const struct tokenizer *tokenizer, const struct string_list *stops,
                      size_t prompt) {
  *d = (struct detokenizer){
      .tokenizer = tokenizer, .stops = stops, .from = prompt > BEFORE ? prompt - BEFORE : 0, .read = prompt};
  str_init(&d->pending, TEXT_MAX);
}

void detokenizer_done(struct detokenizer *d) {
  str_done(&d->pending);
}

/* U+FFFD, which stands for bytes that are no whole character yet. */
static bool ends_open(const struct str *text) {
  return text->length >= 3 && memcmp(text->text + text->length - 3, "\xEF\xBF\xBD", 3) == 0;
}

/* Decodes the tokens from `from` on twice, without the new ones and with them: what the second has more is theirs. */
static bool decode(struct detokenizer *d, const int32_t *ids, size_t count, bool last) {
  AUTO(str_done) struct str before;
  AUTO(str_done) struct str after;
  str_init(&before, TEXT_MAX);
  str_init(&after, TEXT_MAX);
  if (!tokenizer_decode(d->tokenizer, &before, ids + d->from, d->read - d->from, true) ||
      !tokenizer_decode(d->tokenizer, &after, ids + d->from, count - d->from, true))
    return false;
  if (after.length <= before.length || (!last && ends_open(&after)))
    return true;
  d->from = d->read;
  d->read = count;
  return str_add_json_text(&d->pending, after.text + before.length, after.length - before.length);
}

/* Where the first of the stops begins. */
static size_t find_stop(const struct detokenizer *d) {
  size_t first = SIZE_MAX;
  for (size_t i = 0; d->pending.length && i < d->stops->count; i++) {
    const char *stop = d->stops->item[i], *at = memmem(d->pending.text, d->pending.length, stop, strlen(stop));
    if (at && (size_t)(at - d->pending.text) < first)
      first = (size_t)(at - d->pending.text);
  }
  return first;
}

/* Bytes at the end that may be the beginning of a stop. */
static size_t held_back(const struct detokenizer *d) {
  size_t most = 0;
  for (size_t i = 0; i < d->stops->count; i++) {
    const char *stop = d->stops->item[i];
    size_t length = strlen(stop) - 1;
    for (length = length < d->pending.length ? length : d->pending.length; length > most; length--)
      if (memcmp(d->pending.text + d->pending.length - length, stop, length) == 0)
        most = length;
  }
  return most;
}

bool detokenizer_next(struct detokenizer *d, struct str *out, const int32_t *ids, size_t count, bool last) {
  if (d->stopped)
    return true;
  if (!decode(d, ids, count, last))
    return false;
  size_t stop = find_stop(d), tell = d->pending.length;
  d->stopped = stop != SIZE_MAX;
  if (d->stopped)
    tell = stop;
  else if (!last)
    tell -= held_back(d);
  bool ok = tell == 0 || str_add(out, d->pending.text, tell);
  size_t rest = d->stopped ? 0 : d->pending.length - tell;
  if (d->pending.length) {
    memmove(d->pending.text, d->pending.text + tell, rest);
    d->pending.length = rest;
    d->pending.text[rest] = '\0';
  }
  return ok;
}
