#include "worker/text/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "worker/text/unicode.h"
#include "worker/text/vocab.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */
enum { TEXT_MAX = 1 << 30 };

void decoder_list_init(struct decoder_list *list) {
  *list = (struct decoder_list){0};
  str_init(&list->text, TEXT_MAX);
}

void decoder_list_done(struct decoder_list *list) {
  str_done(&list->text);
  free(list->ends);
}

void decoder_list_end(struct decoder_list *list) {
  size_t *ends = grow(list->ends, &list->size, list->count + 1, sizeof *ends);
  if (!ends) {
    list->text.failed = true;
    return;
  }
  list->ends = ends;
  ends[list->count++] = list->text.length;
}

void decoder_done(struct decoder *decoder) {
  for (size_t i = 0; i < decoder->count; i++)
    pattern_done(&decoder->steps[i].pattern);
}

bool decoder_add(struct decoder *decoder, struct decoder_step step) {
  decoder->joins = true;
  if (decoder->count >= DECODER_STEPS_MAX)
    return false;
  decoder->steps[decoder->count++] = step;
  return true;
}

bool decoder_add_sentencepiece(struct decoder *decoder, bool strip) {
  struct decoder_step space = {
      .kind = DECODER_REPLACE, .pattern = {.literal = "\xE2\x96\x81", .length = 3}, .content = " "};
  return decoder_add(decoder, space) && decoder_add(decoder, (struct decoder_step){.kind = DECODER_BYTE_FALLBACK}) &&
         decoder_add(decoder, (struct decoder_step){.kind = DECODER_FUSE}) &&
         (!strip || decoder_add(decoder, (struct decoder_step){.kind = DECODER_STRIP, .content = " ", .left = 1}));
}

/* --- steps on one string -------------------------------------------------------------------------- */

/* Appends text[0..length) with every `from` replaced. */
static void replaced(struct str *out, const char *text, size_t length, const struct pattern *from, const char *to) {
  struct pattern_scratch scratch = {0};
  struct pattern_search search = {0};
  size_t at = 0;
  pattern_scratch_start(&scratch, length);
  while (pattern_next(from, &scratch, &search, text, length)) {
    str_add(out, text + at, search.start - at);
    str_puts(out, to);
    at = search.end;
  }
  str_add(out, text + at, length - at);
  out->failed = out->failed || scratch.failed;
  pattern_scratch_done(&scratch);
}

static struct pattern literal(const char *text) {
  return (struct pattern){.literal = text, .length = strlen(text)};
}

static void wordpiece(const struct decoder_step *step, struct str *out, const char *text, size_t length, bool first) {
  static const char *const cleanups[][2] = {
      {" .", "."},   {" ?", "?"},   {" !", "!"},           {" ,", ","},   {" ' ", "'"},  {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  struct str made[2];
  size_t prefix = strlen(step->content), now = 0;
  bool continues = length >= prefix && memcmp(text, step->content, prefix) == 0;
  str_init(&made[0], TEXT_MAX);
  str_init(&made[1], TEXT_MAX);
  if (!first && !continues)
    str_putc(&made[0], ' ');
  if (first || !continues)
    str_add(&made[0], text, length);
  else
    str_add(&made[0], text + prefix, length - prefix);
  for (size_t i = 0; step->cleanup && i < COUNT_OF(cleanups); i++, now = 1 - now) {
    struct pattern from = literal(cleanups[i][0]);
    str_clear(&made[1 - now]);
    replaced(&made[1 - now], made[now].text, made[now].length, &from, cleanups[i][1]);
  }
  if (made[now].failed)
    out->failed = true;
  str_add(out, made[now].text, made[now].length);
  str_done(&made[0]);
  str_done(&made[1]);
}

static void strip(const struct decoder_step *step, struct str *out, const char *text, size_t length) {
  size_t n = strlen(step->content), start = 0;
  for (size_t i = 0; i < step->left && length - start >= n && memcmp(text + start, step->content, n) == 0; i++)
    start += n;
  for (size_t i = 0; i < step->right && length - start >= n && memcmp(text + length - n, step->content, n) == 0; i++)
    length -= n;
  str_add(out, text + start, length - start);
}

static void decode_token(const struct decoder_step *step, struct str *out, const char *text, size_t length, bool first,
                         bool last) {
  struct pattern from = step->pattern;
  switch (step->kind) {
  case DECODER_WORDPIECE: wordpiece(step, out, text, length, first); return;
  case DECODER_STRIP: strip(step, out, text, length); return;
  case DECODER_REPLACE: replaced(out, text, length, &from, step->content); return;
  case DECODER_METASPACE:
    from = literal(step->content);
    replaced(out, text, length, &from, first && step->drops_first ? "" : " ");
    return;
  case DECODER_BPE:
    from = literal(step->content);
    replaced(out, text, length, &from, last ? "" : " ");
    return;
  case DECODER_BYTE_LEVEL:
  case DECODER_BYTE_FALLBACK:
  case DECODER_FUSE: return;  /* not on one string */
  }
}

/* --- steps on the whole list ---------------------------------------------------------------------- */

/* The bytes that a damaged sequence has in common with a good one: what one replacement stands for. */
static size_t bad_length(const unsigned char *p, size_t left) {
  unsigned low = 0x80, high = 0xBF;
  size_t want = p[0] < 0xC2 || p[0] > 0xF4 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
  if (p[0] == 0xE0 || p[0] == 0xF0)
    low = p[0] == 0xE0 ? 0xA0 : 0x90;
  if (p[0] == 0xED || p[0] == 0xF4)
    high = p[0] == 0xED ? 0x9F : 0x8F;
  size_t n = 1;
  for (; n < want && n < left && p[n] >= low && p[n] <= high; n++) {
    low = 0x80;
    high = 0xBF;
  }
  return n;
}

/* Appends bytes with what is not UTF-8 replaced. */
static void lossy(struct str *out, const char *bytes, size_t length) {
  size_t bad;
  for (size_t at = 0; at < length;) {
    if (utf8_valid(bytes + at, length - at, &bad)) {
      str_add(out, bytes + at, length - at);
      return;
    }
    str_add(out, bytes + at, bad);
    str_puts(out, REPLACEMENT);
    at += bad + bad_length((const unsigned char *)bytes + at + bad, length - at - bad);
  }
}

static void byte_level(struct decoder_list *out, const struct decoder_list *in) {
  struct str bytes;
  size_t start = 0;
  str_init(&bytes, TEXT_MAX);
  for (size_t i = 0; i < in->count; start = in->ends[i++]) {
    size_t before = bytes.length;
    for (size_t k = start, n; k < in->ends[i]; k += n) {
      int byte = vocab_byte(utf8_decode(in->text.text + k, &n));
      if (byte < 0) {  /* not of the alphabet: the token stands for itself */
        bytes.length = before;
        str_add(&bytes, in->text.text + start, in->ends[i] - start);
        break;
      }
      str_putc(&bytes, (char)byte);
    }
  }
  lossy(&out->text, bytes.text, bytes.length);
  out->text.failed = out->text.failed || bytes.failed;
  decoder_list_end(out);
  str_done(&bytes);
}

static int hex(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte of <0xNN>, or -1. */
static int fallback_byte(const char *text, size_t length) {
  if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
    return -1;
  int high = hex(text[3]), low = hex(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Ends a run of bytes: characters if they are UTF-8, else a replacement for each byte. */
static void end_bytes(struct decoder_list *out, struct str *bytes) {
  if (bytes->length && utf8_valid(bytes->text, bytes->length, NULL)) {
    str_add(&out->text, bytes->text, bytes->length);
    decoder_list_end(out);
  } else {
    for (size_t i = 0; i < bytes->length; i++) {
      str_puts(&out->text, REPLACEMENT);
      decoder_list_end(out);
    }
  }
  out->text.failed = out->text.failed || bytes->failed;
  str_clear(bytes);
}

static void byte_fallback(struct decoder_list *out, const struct decoder_list *in) {
  struct str bytes;
  size_t start = 0;
  str_init(&bytes, TEXT_MAX);
  for (size_t i = 0; i < in->count; start = in->ends[i++]) {
    const char *text = in->text.text + start;
    int byte = fallback_byte(text, in->ends[i] - start);
    if (byte >= 0) {
      str_putc(&bytes, (char)byte);
      continue;
    }
    end_bytes(out, &bytes);
    str_add(&out->text, text, in->ends[i] - start);
    decoder_list_end(out);
  }
  end_bytes(out, &bytes);
  str_done(&bytes);
}

static void apply_step(const struct decoder_step *step, struct decoder_list *out, const struct decoder_list *in) {
  size_t start = 0;
  if (step->kind == DECODER_BYTE_LEVEL) {
    byte_level(out, in);
  } else if (step->kind == DECODER_BYTE_FALLBACK) {
    byte_fallback(out, in);
  } else if (step->kind == DECODER_FUSE) {
    str_add(&out->text, in->text.text, in->text.length);
    decoder_list_end(out);
  } else {
    for (size_t i = 0; i < in->count; start = in->ends[i++]) {
      decode_token(step, &out->text, in->text.text + start, in->ends[i] - start, i == 0, i + 1 == in->count);
      decoder_list_end(out);
    }
  }
}

bool decoder_apply(const struct decoder *decoder, struct str *out, struct decoder_list *tokens) {
  struct decoder_list other, *in = tokens, *made = &other;
  decoder_list_init(&other);
  for (size_t i = 0; i < decoder->count && !in->text.failed; i++) {
    str_clear(&made->text);
    made->count = 0;
    apply_step(&decoder->steps[i], made, in);
    struct decoder_list *swap = in;
    in = made;
    made = swap;
  }
  bool ok = !in->text.failed;
  for (size_t i = 0, start = 0; i < in->count; start = in->ends[i++]) {
    if (i && !decoder->joins)
      str_putc(out, ' ');
    str_add(out, in->text.text + start, in->ends[i] - start);
  }
  decoder_list_done(&other);
  return ok && !out->failed;
}
