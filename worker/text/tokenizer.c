/* Encoding: raw text -> added tokens cut out -> normal form -> words -> word pieces -> truncation ->
   template. */
#include "worker/text/tokenizer.h"

#include <string.h>

#include "worker/text/grow.h"
#include "worker/text/tokenizer_model.h"
#include "worker/text/unicode.h"

enum { NORMAL_BYTES_MAX = 1 << 30 };

struct id_list {
  int32_t *ids;
  size_t count, size;
};

struct tokenizer_scratch {
  struct str normal;
  struct mark_run run;
  struct id_list list[2];  /* of the first and the second text */
};

void encoding_init(struct encoding *encoding) {
  *encoding = (struct encoding){0};
}

void encoding_done(struct encoding *encoding) {
  struct tokenizer_scratch *scratch = encoding->scratch;
  if (scratch) {
    str_done(&scratch->normal);
    free(scratch->run.marks);
    free(scratch->list[0].ids);
    free(scratch->list[1].ids);
    free(scratch);
  }
  free(encoding->ids);
  encoding_init(encoding);
}

static bool add_id(struct id_list *list, int32_t id) {
  int32_t *ids = grow(list->ids, &list->size, list->count + 1, sizeof *ids);
  if (!ids)
    return false;
  list->ids = ids;
  ids[list->count++] = id;
  return true;
}

/* WordPiece: the longest entry that begins the word, then the longest that continues it, and so on;
   one [UNK] for the whole word when that fails. */
static bool add_word(const struct tokenizer *t, struct id_list *list, const char *word, size_t length, size_t chars) {
  size_t before = list->count, matched = 0;
  bool ok = true, found = chars <= t->word_chars_max;
  for (size_t i = 0; ok && found && i < length; i += matched) {
    int32_t id = trie_longest(&t->trie, i ? t->rest : t->whole, word + i, length - i, &matched);
    found = id >= 0;
    ok = !found || add_id(list, id);
  }
  if (!found) {
    list->count = before;
    ok = ok && add_id(list, t->unknown);
  }
  return ok;
}

/* BertPreTokenizer: words end at white space; a punctuation mark is a word of its own. */
static bool add_words(const struct tokenizer *t, struct id_list *list, const char *text, size_t length) {
  size_t start = 0, chars = 0;
  bool ok = true;
  for (size_t i = 0, n; ok && i < length; i += n) {
    uint32_t c = utf8_decode(text + i, &n);
    bool space = unicode_is_space(c);
    if (!space && !unicode_is_punctuation(c)) {
      chars++;
      continue;
    }
    if (chars)
      ok = add_word(t, list, text + start, i - start, chars);
    if (!space)
      ok = ok && add_word(t, list, text + i, n, 1);
    start = i + n;
    chars = 0;
  }
  return ok && (!chars || add_word(t, list, text + start, length - start, chars));
}

/* Where the white space at the end of text[0..length) begins, not before `low`. */
static size_t space_before(const char *text, size_t low, size_t length) {
  while (length > low) {
    size_t at = length - 1, n;
    while (at > low && ((unsigned char)text[at] & 0xC0) == 0x80)
      at--;
    if (!unicode_is_space(utf8_decode(text + at, &n)))
      break;
    length = at;
  }
  return length;
}

static size_t space_after(const char *text, size_t at, size_t length) {
  size_t n;
  while (at < length && unicode_is_space(utf8_decode(text + at, &n)))
    at += n;
  return at;
}

typedef bool add_text(const struct tokenizer *t, struct tokenizer_scratch *scratch, struct id_list *list,
                      const char *text, size_t length);

/* Cuts the added tokens under `root` out of the text, leftmost first, longest first; what lies between
   goes to `between`. */
static bool add_pieces(const struct tokenizer *t, struct tokenizer_scratch *scratch, struct id_list *list,
                       uint32_t root, add_text *between, const char *text, size_t length) {
  size_t start = 0, n = 0;
  bool ok = true;
  for (size_t i = 0; ok && i < length;) {
    int32_t found = trie_longest(&t->trie, root, text + i, length - i, &n);
    if (found < 0) {
      i++;
      continue;
    }
    const struct added_token *token = &t->added[found];
    size_t from = token->lstrip ? space_before(text, start, i) : i;
    if (from > start)
      ok = between(t, scratch, list, text + start, from - start);
    ok = ok && add_id(list, token->id);
    start = token->rstrip ? space_after(text, i + n, length) : i + n;
    i += n;
    if (i < start)
      i = start;
  }
  return ok && (start >= length || between(t, scratch, list, text + start, length - start));
}

static bool add_plain(const struct tokenizer *t, struct tokenizer_scratch *scratch, struct id_list *list,
                      const char *text, size_t length) {
  (void)scratch;
  return add_words(t, list, text, length);
}

static bool add_raw(const struct tokenizer *t, struct tokenizer_scratch *scratch, struct id_list *list,
                    const char *text, size_t length) {
  str_clear(&scratch->normal);
  return normalize(&t->normalizer, &scratch->normal, &scratch->run, text, length) &&
         add_pieces(t, scratch, list, t->normalized, add_plain, scratch->normal.text, scratch->normal.length);
}

/* "longest_first" as the library does it: how many tokens of each text stay in `room`. */
static void truncate_pair(size_t keep[2], size_t room) {
  size_t shorter = keep[0] <= keep[1] ? 0 : 1, longer = 1 - shorter;
  if (keep[0] + keep[1] <= room)
    return;
  if (keep[shorter] <= room && room - keep[shorter] >= keep[shorter]) {
    keep[longer] = room - keep[shorter];
  } else {
    keep[shorter] = room / 2;
    keep[longer] = room / 2 + room % 2;
  }
}

static void append(struct encoding *out, const int32_t *ids, size_t count, int32_t type) {
  for (size_t i = 0; i < count; i++) {
    out->ids[out->count] = ids[i];
    out->types[out->count++] = type;
  }
}

static enum status prepare(struct encoding *out, struct error *err) {
  out->count = 0;
  out->truncated = false;
  if (!out->scratch) {
    out->scratch = calloc(1, sizeof *out->scratch);
    if (!out->scratch)
      return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to tokenise with");
    str_init(&out->scratch->normal, NORMAL_BYTES_MAX);
  }
  out->scratch->list[0].count = out->scratch->list[1].count = 0;
  return STATUS_OK;
}

/* Puts what is kept of the texts into the template. */
static enum status compose(const struct tokenizer *t, struct encoding *out, bool pair, size_t max_length,
                           struct error *err) {
  const struct template *template = pair ? &t->pair : &t->single;
  struct id_list *list = out->scratch->list;
  size_t keep[2] = {list[0].count, list[1].count}, special = 0;
  for (size_t i = 0; i < template->count; i++)
    special += template->pieces[i].kind == PIECE_SPECIAL;
  if (max_length) {
    if (max_length < special)
      return error_set(err, STATUS_INVALID_VALUE, "max_seq_length",
                       "%zu tokens have no room for the tokenizer's %zu special tokens", max_length, special);
    if (pair)
      truncate_pair(keep, max_length - special);
    else if (keep[0] > max_length - special)
      keep[0] = max_length - special;
    out->truncated = keep[0] < list[0].count || keep[1] < list[1].count;
  }
  size_t total = keep[0] + keep[1] + special;
  int32_t *ids = grow(out->ids, &out->size, 2 * total + 1, sizeof *ids);
  if (!ids)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for %zu tokens", total);
  out->ids = ids;
  out->types = ids + total;
  for (size_t i = 0; i < template->count; i++) {
    const struct template_piece *piece = &template->pieces[i];
    switch (piece->kind) {
    case PIECE_FIRST: append(out, list[0].ids, keep[0], piece->type); break;
    case PIECE_SECOND: append(out, list[1].ids, keep[1], piece->type); break;
    case PIECE_SPECIAL: append(out, &piece->id, 1, piece->type); break;
    }
  }
  return STATUS_OK;
}

enum status tokenizer_encode(const struct tokenizer *t, struct encoding *out, const char *text, size_t length,
                             const char *pair, size_t pair_length, size_t max_length, struct error *err) {
  const char *texts[2] = {text, pair};
  size_t lengths[2] = {length, pair_length}, bad;
  enum status status = prepare(out, err);
  for (size_t i = 0; !status && i < (pair ? 2 : 1); i++) {
    if (!utf8_valid(texts[i], lengths[i], &bad))
      status = error_set(err, STATUS_DATASET_INVALID, i ? "text_pair" : "text", "byte %zu (0x%02X) is not UTF-8",
                         bad + 1, (unsigned char)texts[i][bad]);
    else if (!add_pieces(t, out->scratch, &out->scratch->list[i], t->raw, add_raw, texts[i], lengths[i]))
      status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to tokenise %zu bytes", lengths[i]);
  }
  return status ? status : compose(t, out, pair != NULL, max_length, err);
}

int32_t tokenizer_vocab_size(const struct tokenizer *t) {
  return t->vocab_size;
}

int32_t tokenizer_pad_id(const struct tokenizer *t) {
  return t->pad;
}

int32_t tokenizer_id(const struct tokenizer *t, const char *token) {
  int32_t id = trie_get(&t->trie, t->whole, token, strlen(token));
  if (id < 0) {
    int32_t index = trie_get(&t->trie, t->raw, token, strlen(token));
    id = index < 0 ? -1 : t->added[index].id;
  }
  return id;
}
