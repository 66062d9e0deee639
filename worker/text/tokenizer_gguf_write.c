/* A tokenizer as the keys tokenizer.ggml.* of a GGUF file: byte-level BPE becomes the model "gpt2", BPE with byte
   fallback the model "llama". */
#include <stdlib.h>
#include <string.h>

#include "worker/text/eos.h"
#include "worker/text/gguf_pre.h"
#include "worker/text/tokenizer_model.h"

#define KEY(name) "tokenizer.ggml." name

enum { TEXTS_BYTES_MAX = 256 << 20 };

/* What the keys are made of. */
struct columns {
  struct arena arena;
  struct gguf_string *tokens; /* [count] */
  int32_t *kinds;             /* [count] enum piece_kind */
  float *scores;              /* [count] of "llama" */
  struct gguf_string *merges; /* [merge_count] of "gpt2" */
  size_t count, merge_count;
};

static enum status unsupported(struct error *err, const char *what) {
  return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports", "the tokenizer %s, which GGUF has no keys for", what);
}

/* llama.cpp finds added tokens wherever they stand, and leaves the spaces beside them. */
static enum status check_added(const struct tokenizer *t, struct error *err) {
  for (size_t i = 0; i < t->added.count; i++) {
    const struct added_token *a = &t->added.tokens[i];
    size_t length = 0;
    const char *name = vocab_text(&t->vocab, a->id, &length);
    if (a->lstrip || a->rstrip || a->single_word)
      return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports",
                       "the tokenizer's added token \"%.*s\" has %s, which GGUF has no keys for",
                       (int)(length < 60 ? length : 60), name ? name : "",
                       a->lstrip   ? "lstrip"
                       : a->rstrip ? "rstrip"
                                   : "single_word");
  }
  return STATUS_OK;
}

/* --- tokens --------------------------------------------------------------------------------------- */

/* Ids that no token has, for the embedding may have more rows, are padding as llama.cpp's converter names it. */
static bool set_tokens(struct columns *c, const struct tokenizer *t) {
  for (size_t id = 0; id < c->count; id++) {
    size_t length = 0;
    const char *text = vocab_text(&t->vocab, (int32_t)id, &length);
    c->kinds[id] = text ? PIECE_NORMAL : PIECE_UNUSED;
    if (!text && (text = arena_format(&c->arena, "[PAD%zu]", id)))
      length = strlen(text);
    if (!text)
      return false;
    c->tokens[id] = (struct gguf_string){text, length};
  }
  return true;
}

static void set_kinds(struct columns *c, const struct tokenizer *t) {
  bool bytes = !t->pre_tokenizer.byte_level;
  for (size_t i = 0; i < t->added.count; i++)
    c->kinds[t->added.tokens[i].id] = t->added.tokens[i].special ? PIECE_CONTROL : PIECE_USER;
  for (size_t i = 0; bytes && i < COUNT_OF(t->bpe.byte_ids); i++)
    if (t->bpe.byte_ids[i] >= 0)
      c->kinds[t->bpe.byte_ids[i]] = PIECE_BYTE;
  if (bytes && t->bpe.unk_id >= 0)
    c->kinds[t->bpe.unk_id] = PIECE_UNKNOWN;
}

/* --- merges --------------------------------------------------------------------------------------- */

static int by_rank(const void *a, const void *b) {
  uint32_t x = ((const struct bpe_merge *)a)->rank, y = ((const struct bpe_merge *)b)->rank;
  return (x > y) - (x < y);
}

/* In the order of their ranks; the caller frees. NULL: no memory. */
static struct bpe_merge *sorted_merges(const struct bpe *bpe) {
  struct bpe_merge *out = calloc(bpe->merge_count + 1, sizeof *out);
  size_t count = 0;
  for (size_t i = 0; out && i < bpe->merge_size; i++)
    if (bpe->merges[i].pair)
      out[count++] = bpe->merges[i];
  if (out)
    qsort(out, count, sizeof *out, by_rank);
  return out;
}

static int32_t left_of(const struct bpe_merge *m) {
  return (int32_t)(m->pair >> 32) - 1;
}

static int32_t right_of(const struct bpe_merge *m) {
  return (int32_t)(uint32_t)m->pair;
}

static bool set_merges(struct columns *c, const struct tokenizer *t, const struct bpe_merge *merges) {
  c->merge_count = t->bpe.merge_count;
  c->merges = arena_array(&c->arena, c->merge_count, sizeof *c->merges);
  for (size_t i = 0; c->merges && i < c->merge_count; i++) {
    size_t left, right;
    const char *a = vocab_text(&t->vocab, left_of(&merges[i]), &left);
    const char *b = vocab_text(&t->vocab, right_of(&merges[i]), &right);
    char *text = a && b ? arena_alloc(&c->arena, left + right + 1) : NULL;
    if (!text)
      return false;
    memcpy(text, a, left);
    text[left] = ' ';
    memcpy(text + left + 1, b, right);
    c->merges[i] = (struct gguf_string){text, left + right + 1};
  }
  return c->merges != NULL;
}

/* SentencePiece merges what makes the piece of the best score: scores fall as ranks rise. What no merge makes is below
   all of them. */
static bool set_scores(struct columns *c, const struct tokenizer *t, const struct bpe_merge *merges) {
  c->scores = arena_array(&c->arena, c->count, sizeof *c->scores);
  for (size_t id = 0; c->scores && id < c->count; id++)
    c->scores[id] = -(float)(t->bpe.merge_count + 1);
  for (size_t i = t->bpe.merge_count; c->scores && i-- > 0;)
    c->scores[merges[i].id] = -(float)(i + 1);
  return c->scores != NULL;
}

/* --- keys ----------------------------------------------------------------------------------------- */

/* One special token before the text, and one after it, is what GGUF has keys for. */
static enum status put_frame(struct gguf_writer *w, const struct tokenizer *t, int32_t ids[2], struct error *err) {
  struct tokenizer_template frame;
  tokenizer_get_template(t, &frame);
  if (frame.before_count > 1 || frame.after_count > 1)
    return unsupported(err, "puts several special tokens beside a text");
  const size_t counts[2] = {frame.before_count, frame.after_count};
  const int32_t found[2] = {frame.before[0], frame.after[0]};
  static const char *const keys[2] = {KEY("add_bos_token"), KEY("add_eos_token")};
  for (int i = 0; i < 2; i++) {
    gguf_writer_bool(w, keys[i], counts[i] > 0);
    if (counts[i] && ids[i] >= 0 && ids[i] != found[i])
      return unsupported(err, i ? "puts another token than its eos_token after a text"
                                : "puts another token than its bos_token before a text");
    if (counts[i])
      ids[i] = found[i];
  }
  return STATUS_OK;
}

static int32_t named(const struct tokenizer *t, const struct tokenizer_config *config, const char *name) {
  const char *text = tokenizer_config_token(config, name);
  return text ? tokenizer_id(t, text) : -1;
}

/* The ends of turn that a chat model also stops at are llama.cpp's "eot". */
static enum status put_special_tokens(struct gguf_writer *w, const struct tokenizer *t, const char *dir,
                                      const json_t *model_config, size_t vocabulary, struct error *err) {
  struct tokenizer_config config;
  struct eos eos;
  enum status status = eos_find(&eos, dir, NULL, model_config, t, vocabulary, err);
  status = status ? status : tokenizer_config_read(&config, dir, err);
  if (status)
    return status;
  int32_t ids[2] = {named(t, &config, "bos_token"), eos.id}, eot = -1;
  int32_t unknown = t->bpe.unk_id >= 0 ? t->bpe.unk_id : named(t, &config, "unk_token");
  int32_t padding = named(t, &config, "pad_token");
  tokenizer_config_done(&config);
  status = put_frame(w, t, ids, err);
  for (size_t i = eos.count; i-- > 0;)
    if (eos.ids[i] != ids[1])
      eot = eos.ids[i];
  const struct {
    const char *key;
    int32_t id;
  } rows[] = {{KEY("bos_token_id"), ids[0]},
              {KEY("eos_token_id"), ids[1]},
              {KEY("eot_token_id"), eot},
              {KEY("unknown_token_id"), unknown},
              {KEY("padding_token_id"), padding}};
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    if (rows[i].id >= 0 && (size_t)rows[i].id < vocabulary)
      gguf_writer_u32(w, rows[i].key, (uint32_t)rows[i].id);
  return status;
}

static enum status put_gpt2(struct gguf_writer *w, struct columns *c, const struct tokenizer *t,
                            const struct bpe_merge *merges, struct error *err) {
  char name[64];
  const struct gguf_pre *pre = gguf_pre_of(t, err);
  if (!pre)
    return err->status;
  if (!set_merges(c, t, merges))
    return error_no_memory(err, "the tokenizer");
  gguf_pre_name(name, pre);
  gguf_writer_string(w, KEY("model"), "gpt2", 4);
  gguf_writer_string(w, KEY("pre"), name, strlen(name));
  gguf_writer_strings(w, KEY("merges"), c->merges, c->merge_count);
  return STATUS_OK;
}

static bool has_metaspace(const struct tokenizer *t, enum prepend_scheme scheme) {
  bool has = false;
  for (size_t i = 0; i < t->pre_tokenizer.count; i++)
    has = has ||
          (t->pre_tokenizer.steps[i].kind == PRE_TOKENIZER_METASPACE && t->pre_tokenizer.steps[i].scheme == scheme);
  return has;
}

/* A space before the text: a step of the normalizer or of the pre-tokenizer puts it there. */
static bool has_space_prefix(const struct tokenizer *t) {
  bool prefix = has_metaspace(t, PREPEND_ALWAYS);
  for (size_t i = 0; i < t->normalizer.count; i++)
    prefix = prefix || t->normalizer.steps[i].kind == NORMALIZER_PREPEND;
  return prefix;
}

static enum status put_llama(struct gguf_writer *w, struct columns *c, const struct tokenizer *t,
                             const struct bpe_merge *merges, struct error *err) {
  if (!t->bpe.byte_fallback)
    return unsupported(err, "is BPE neither of bytes nor with byte fallback");
  /* llama.cpp puts it also after each special token, so that a chat's turns would begin with other tokens. */
  if (has_metaspace(t, PREPEND_FIRST))
    return unsupported(err, "puts a space before a text's first word alone (Metaspace, prepend_scheme \"first\")");
  if (!set_scores(c, t, merges))
    return error_no_memory(err, "the tokenizer");
  gguf_writer_string(w, KEY("model"), "llama", 5);
  gguf_writer_string(w, KEY("pre"), "default", 7);
  gguf_writer_f32s(w, KEY("scores"), c->scores, c->count);
  gguf_writer_bool(w, KEY("add_space_prefix"), has_space_prefix(t));
  return STATUS_OK;
}

static enum status put_model(struct gguf_writer *w, struct columns *c, const struct tokenizer *t, struct error *err) {
  struct bpe_merge *merges = sorted_merges(&t->bpe);
  if (!merges)
    return error_no_memory(err, "the tokenizer");
  enum status status = t->pre_tokenizer.byte_level ? put_gpt2(w, c, t, merges, err) : put_llama(w, c, t, merges, err);
  free(merges);
  return status;
}

static enum status put_keys(struct gguf_writer *w, struct columns *c, const struct tokenizer *t, struct error *err) {
  c->tokens = arena_array(&c->arena, c->count, sizeof *c->tokens);
  c->kinds = arena_array(&c->arena, c->count, sizeof *c->kinds);
  if (!c->tokens || !c->kinds || !set_tokens(c, t))
    return error_no_memory(err, "the tokenizer");
  set_kinds(c, t);
  enum status status = put_model(w, c, t, err);
  gguf_writer_strings(w, KEY("tokens"), c->tokens, c->count);
  gguf_writer_i32s(w, KEY("token_type"), c->kinds, c->count);
  return status;
}

enum status tokenizer_to_gguf(struct gguf_writer *w, const struct tokenizer *t, const char *dir,
                              const json_t *model_config, size_t vocabulary, struct error *err) {
  struct columns c = {.count = vocabulary};
  if (t->kind != TOKENIZER_BPE)
    return unsupported(err, t->kind == TOKENIZER_UNIGRAM ? "is Unigram" : "is WordPiece");
  if (t->vocab.count > vocabulary)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports",
                     "the tokenizer has ids up to %zu, the embedding %zu rows: GGUF has as many tokens as rows",
                     t->vocab.count - 1, vocabulary);
  if (t->bpe.continuing_subword_prefix[0] || t->bpe.end_of_word_suffix[0])
    return unsupported(err, "marks where words begin or end");
  enum status status = check_added(t, err);
  if (status)
    return status;
  arena_init(&c.arena, TEXTS_BYTES_MAX);
  status = put_keys(w, &c, t, err);
  status = status ? status : put_special_tokens(w, t, dir, model_config, vocabulary, err);
  arena_done(&c.arena);
  return status;
}

/* --- reading it again ----------------------------------------------------------------------------- */

/* Every merge is one of the other's, to the same token, in the same order of what they make. */
static bool same_merges(const struct tokenizer *a, const struct tokenizer *b, bool *memory) {
  struct bpe_merge *merges = sorted_merges(&a->bpe);
  bool same = merges && a->bpe.merge_count == b->bpe.merge_count;
  uint32_t last = 0;
  *memory = merges != NULL;
  for (size_t i = 0; same && i < a->bpe.merge_count; i++) {
    const struct bpe_merge *other = bpe_find_merge(&b->bpe, left_of(&merges[i]), right_of(&merges[i]));
    same = other && other->id == merges[i].id && other->rank >= last;
    last = other ? other->rank : last;
  }
  free(merges);
  return same;
}

static enum status same_text(const struct tokenizer *a, const struct tokenizer *b, struct encoding out[2],
                             const char *text, size_t length, struct error *err) {
  enum status status = tokenizer_encode(a, &out[0], text, length, NULL, 0, 0, err);
  status = status ? status : tokenizer_encode(b, &out[1], text, length, NULL, 0, 0, err);
  if (status)
    return status;
  bool same = out[0].count == out[1].count && memcmp(out[0].ids, out[1].ids, out[0].count * sizeof *out[0].ids) == 0;
  return same ? STATUS_OK
              : error_set(err, STATUS_UNSUPPORTED_VALUE, "exports",
                          "read back from GGUF the tokenizer makes other tokens of the text that begins \"%.*s\"",
                          (int)(length < 40 ? length : 40), text);
}

/* An added token beside a word, and beside spaces: what lies between two is a text of its own to llama.cpp. */
static enum status same_beside(const struct tokenizer *a, const struct tokenizer *b, struct encoding out[2],
                               const struct added_token *token, struct error *err) {
  struct str text;
  size_t length = 0;
  const char *name = vocab_text(&a->vocab, token->id, &length);
  str_init(&text, 3 * VOCAB_TOKEN_BYTES_MAX + 16);
  str_add(&text, name, length);
  str_puts(&text, "a");
  str_add(&text, name, length);
  str_puts(&text, " b ");
  str_add(&text, name, length);
  enum status status =
      text.failed ? error_no_memory(err, "the tokenizer") : same_text(a, b, out, text.text, text.length, err);
  str_done(&text);
  return status;
}

enum status tokenizer_check_gguf(const struct tokenizer *t, const struct gguf *gguf, struct error *err) {
  struct tokenizer *again;
  struct encoding out[2];
  bool memory;
  enum status status = tokenizer_from_gguf(&again, gguf, err);
  if (status)
    return status;
  encoding_init(&out[0]);
  encoding_init(&out[1]);
  if (!same_merges(t, again, &memory))
    status = memory ? unsupported(err, "merges tokens in an order") : error_no_memory(err, "the tokenizer");
  for (const char *const *text = gguf_pre_texts; !status && *text; text++)
    status = same_text(t, again, out, *text, strlen(*text), err);
  for (size_t i = 0; !status && i < t->added.count; i++)
    status = same_beside(t, again, out, &t->added.tokens[i], err);
  encoding_done(&out[0]);
  encoding_done(&out[1]);
  tokenizer_free(again);
  return status;
}
