#include "worker/data/example_tokens.h"

#include <stdlib.h>
#include <string.h>

void example_tokens_init(struct example_tokens *r) {
  chat_text_init(&r->text);
  encoding_init(&r->encoding);
  r->token_ids = NULL;
  r->loss_mask = NULL;
  r->count = r->size = 0;
}

void example_tokens_done(struct example_tokens *r) {
  chat_text_done(&r->text);
  encoding_done(&r->encoding);
  free(r->token_ids);
  free(r->loss_mask);
}

static bool add_token(struct example_tokens *r, int32_t id, bool in_loss) {
  if (r->count == r->size) {
    size_t want = r->size * 2 + 1024;
    int32_t *token_ids = realloc(r->token_ids, want * sizeof *token_ids);
    r->token_ids = token_ids ? token_ids : r->token_ids;
    uint8_t *mask = realloc(r->loss_mask, want);
    r->loss_mask = mask ? mask : r->loss_mask;
    if (!token_ids || !mask)
      return false;
    r->size = want;
  }
  r->token_ids[r->count] = id;
  r->loss_mask[r->count++] = in_loss;
  return true;
}

static bool is_space(const char *text, size_t from, size_t to) {
  while (from < to && strchr(" \t\r\n", text[from]))
    from++;
  return from == to;
}

/* What follows what is said in a turn. It ends with a token that stands for its end, which the model must learn in
   order to stop; the white space after that is the template's. */
struct turn_end {
  bool open;  /* it has not come to its end */
  bool ended; /* a token that can be the end came: the first `kept` tokens go up to it */
  bool blank; /* only white space came after that */
  size_t kept;
};

static bool ends_turn(const struct example_tokens *r, int32_t id) {
  return tokenizer_is_added(r->tokenizer, id) || eos_has(r->eos, id);
}

static void mask_out(struct example_tokens *r, size_t from) {
  if (!r->inputs)
    memset(r->loss_mask + from, 0, r->count - from);
}

/* The last token is in the span. The model's EOS ends the turn, whatever the template writes after it. */
static void add_within_turn(struct example_tokens *r, struct turn_end *t, bool said, bool space) {
  int32_t id = r->token_ids[r->count - 1];
  if (said)
    *t = (struct turn_end){.open = true, .kept = r->count};
  else if (!t->open)
    mask_out(r, r->count - 1);
  else if (!space && ends_turn(r, id))
    *t = (struct turn_end){.open = !eos_has(r->eos, id), .ended = true, .blank = true, .kept = r->count};
  else
    t->blank = t->blank && space;
}

/* The span is over. Where it had no such token, the next one is the end if only white space stands before it. */
static void close_turn(struct example_tokens *r, struct turn_end *t) {
  if (t->ended && t->blank)
    mask_out(r, t->kept);
  t->open = t->open && !t->ended;
  t->ended = false;
  t->kept = r->count;
}

static void add_after_turn(struct example_tokens *r, struct turn_end *t, bool space) {
  bool ends = t->open && !space && ends_turn(r, r->token_ids[r->count - 1]);
  if (ends)
    memset(r->loss_mask + t->kept, 1, r->count - t->kept);
  t->open = t->open && space;
}

enum status example_tokens_add_text(struct example_tokens *r, struct error *err) {
  const struct chat_text *t = &r->text;
  const struct encoding *e = &r->encoding;
  enum status status = tokenizer_encode_plain(r->tokenizer, &r->encoding, t->text.text, t->text.length, err);
  size_t start = 0, span = 0, entered = SIZE_MAX;
  bool turns = r->chats && !t->has_generation;
  struct turn_end turn = {0};
  for (size_t i = 0; !status && i < e->count; i++) {
    size_t end = e->ends[i];
    start = i > 0 && e->ends[i - 1] != end ? e->ends[i - 1] : i > 0 ? start : 0;
    for (; span < t->span_count && t->spans[span].end <= start; span++)
      close_turn(r, &turn);
    bool within = span < t->span_count && t->spans[span].begin < end;
    bool space = is_space(t->text.text, start, end);
    if (!add_token(r, e->ids[i], r->inputs || within))
      return error_no_memory(err, "the tokens of the data");
    if (within && entered != span)
      turn = (struct turn_end){.open = turns, .kept = r->count - 1};
    if (turns && within)
      add_within_turn(r, &turn, start < t->spans[span].said, space);
    else if (turns)
      add_after_turn(r, &turn, space);
    entered = within ? span : entered;
  }
  close_turn(r, &turn);
  /* A template that ends the last turn with nothing leaves it to the trainer. */
  if (!status && turn.open && r->eos->id >= 0 && !add_token(r, r->eos->id, true))
    return error_no_memory(err, "the tokens of the data");
  return status;
}

static bool add_special(struct example_tokens *r, const int32_t *ids, size_t count, bool in_loss) {
  bool ok = true;
  for (size_t i = 0; ok && i < count; i++)
    ok = add_token(r, ids[i], in_loss);
  return ok;
}

enum status example_tokens_add_templated(struct example_tokens *r, bool whole, struct error *err) {
  const struct tokenizer_template *t = &r->template;
  bool inputs = r->inputs || whole;
  if (!add_special(r, t->before, t->before_count, inputs))
    return error_no_memory(err, "the tokens of the data");
  enum status status = example_tokens_add_text(r, err);
  if (status)
    return status;
  int32_t eos = r->eos->id;
  bool ends = t->after_count > 0 && t->after[t->after_count - 1] == eos;
  bool ok = add_special(r, t->after, t->after_count, true);
  return ok && (ends || eos < 0 || add_token(r, eos, true)) ? STATUS_OK
                                                            : error_no_memory(err, "the tokens of the data");
}
