/* Data of language models: a record is rendered or joined to one text, tokenised as a whole, and each token learns
   from the bytes it covers whether it is in the loss mask. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "worker/chat/chat_template.h"
#include "worker/chat/conversation.h"
#include "worker/data/corpus.h"
#include "worker/data/messages.h"
#include "worker/data/records.h"

enum example_kind { KIND_CHAT, KIND_COMPLETION, KIND_TEXT, KIND_NONE };

struct reader {
  struct corpus *corpus;
  const struct tokenizer *tokenizer;
  const struct language_options *options;
  struct records *records;
  enum example_kind kind; /* of every record */
  size_t first_line;
  int columns[2]; /* CSV, TSV: prompt and completion, or text */
  struct chat_template *chat;
  struct chat_text text; /* what is tokenised, and which bytes of it are learnt */
  struct encoding encoding;
  struct tokenizer_template template;
  struct corpus_watch *watch;
  int thread;
  int32_t *token_ids; /* the example under construction */
  uint8_t *loss_mask;
  size_t count, size;
};

/* --- the example's tokens ------------------------------------------------------------------------- */

static bool add_token(struct reader *r, int32_t id, bool in_loss) {
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

static bool ends_turn(const struct reader *r, int32_t id) {
  return tokenizer_is_added(r->tokenizer, id) || eos_has(&r->options->eos, id);
}

static void mask_out(struct reader *r, size_t from) {
  if (!r->options->train_on_inputs)
    memset(r->loss_mask + from, 0, r->count - from);
}

/* The last token is in the span. The model's EOS ends the turn, whatever the template writes after it. */
static void add_within_turn(struct reader *r, struct turn_end *t, bool said, bool space) {
  int32_t id = r->token_ids[r->count - 1];
  if (said)
    *t = (struct turn_end){.open = true, .kept = r->count};
  else if (!t->open)
    mask_out(r, r->count - 1);
  else if (!space && ends_turn(r, id))
    *t = (struct turn_end){.open = !eos_has(&r->options->eos, id), .ended = true, .blank = true, .kept = r->count};
  else
    t->blank = t->blank && space;
}

/* The span is over. Where it had no such token, the next one is the end if only white space stands before it. */
static void close_turn(struct reader *r, struct turn_end *t) {
  if (t->ended && t->blank)
    mask_out(r, t->kept);
  t->open = t->open && !t->ended;
  t->ended = false;
  t->kept = r->count;
}

static void add_after_turn(struct reader *r, struct turn_end *t, bool space) {
  bool ends = t->open && !space && ends_turn(r, r->token_ids[r->count - 1]);
  if (ends)
    memset(r->loss_mask + t->kept, 1, r->count - t->kept);
  t->open = t->open && space;
}

/* Tokenises the text. A token is in the loss mask if it covers a byte of a span. */
static enum status add_text(struct reader *r, struct error *err) {
  const struct chat_text *t = &r->text;
  const struct encoding *e = &r->encoding;
  enum status status = tokenizer_encode_plain(r->tokenizer, &r->encoding, t->text.text, t->text.length, err);
  size_t start = 0, span = 0, entered = SIZE_MAX;
  bool turns = r->kind == KIND_CHAT && !t->has_generation;
  struct turn_end turn = {0};
  for (size_t i = 0; !status && i < e->count; i++) {
    size_t end = e->ends[i];
    start = i > 0 && e->ends[i - 1] != end ? e->ends[i - 1] : i > 0 ? start : 0;
    for (; span < t->span_count && t->spans[span].end <= start; span++)
      close_turn(r, &turn);
    bool within = span < t->span_count && t->spans[span].begin < end;
    bool space = is_space(t->text.text, start, end);
    if (!add_token(r, e->ids[i], r->options->train_on_inputs || within))
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
  if (!status && turn.open && r->options->eos.id >= 0 && !add_token(r, r->options->eos.id, true))
    return error_no_memory(err, "the tokens of the data");
  return status;
}

static bool add_special(struct reader *r, const int32_t *ids, size_t count, bool in_loss) {
  bool ok = true;
  for (size_t i = 0; ok && i < count; i++)
    ok = add_token(r, ids[i], in_loss);
  return ok;
}

/* Plain texts have the post-processor's special tokens around them, and EOS, which is in the loss mask. */
static enum status add_templated(struct reader *r, struct error *err) {
  const struct tokenizer_template *t = &r->template;
  bool inputs = r->options->train_on_inputs || r->kind == KIND_TEXT;
  if (!add_special(r, t->before, t->before_count, inputs))
    return error_no_memory(err, "the tokens of the data");
  enum status status = add_text(r, err);
  if (status)
    return status;
  int32_t eos = r->options->eos.id;
  bool ends = t->after_count > 0 && t->after[t->after_count - 1] == eos;
  bool ok = add_special(r, t->after, t->after_count, true);
  return ok && (ends || eos < 0 || add_token(r, eos, true)) ? STATUS_OK
                                                            : error_no_memory(err, "the tokens of the data");
}

static void note(struct corpus *c, enum corpus_note what, size_t line) {
  c->notes[what].line = c->notes[what].count++ ? c->notes[what].line : line;
}

/* Cuts the example and keeps it, unless there is nothing to learn. */
static enum status keep_example(struct reader *r, const struct record *record, struct error *err) {
  size_t before = 0, after = 0, kept = r->count;
  if (r->options->max_length && kept > r->options->max_length)
    kept = r->options->max_length;
  for (size_t i = 1; i < r->count; i++) { /* nothing predicts the first token */
    before += r->loss_mask[i];
    after += i < kept ? r->loss_mask[i] : 0;
  }
  if (after == 0) {
    note(r->corpus, before == 0 ? NOTE_UNTAUGHT : NOTE_CUT_OFF, record->line);
    return STATUS_OK;
  }
  r->corpus->truncated += kept < r->count;
  return corpus_append(r->corpus, r->token_ids, NULL, r->loss_mask, kept, r->options->vocabulary, err);
}

/* --- records -------------------------------------------------------------------------------------- */

/* A prompt may be empty, so it counts where it is there. */
static bool has_prompt(const struct record *record, const struct reader *r) {
  const json_t *prompt = record->object ? json_object_get(record->object, r->options->prompt) : NULL;
  return record->object ? prompt && !json_is_null(prompt) : records_column(r->records, r->options->prompt) >= 0;
}

static bool has(const struct record *record, const struct reader *r, const char *name) {
  return record_given(record, record->object ? -1 : records_column(r->records, name), name);
}

static enum example_kind kind_of(const struct reader *r, const struct record *record) {
  const struct language_options *o = r->options;
  if (record->object && has(record, r, o->messages))
    return KIND_CHAT;
  if (has_prompt(record, r) && has(record, r, o->completion))
    return KIND_COMPLETION;
  return has(record, r, o->text) ? KIND_TEXT : KIND_NONE;
}

/* The member that is there, but says nothing, in a record that has nothing to learn from; NULL: none. */
static const char *find_silent(const struct reader *r, const struct record *record) {
  const char *const names[] = {r->options->messages, r->options->completion, r->options->text};
  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (record->object ? json_object_get(record->object, names[i]) != NULL : records_column(r->records, names[i]) >= 0)
      return has(record, r, names[i]) ? NULL : names[i];
  return NULL;
}

static enum status find_kind(struct reader *r, const struct record *record, struct error *err) {
  const struct language_options *o = r->options;
  r->kind = kind_of(r, record);
  r->first_line = record->line;
  const char *silent = r->kind == KIND_NONE ? find_silent(r, record) : NULL;
  if (silent)
    return record_missing(err, record, records_column(r->records, silent), silent);
  if (r->kind == KIND_NONE)
    return record_fault(err, record, -1, o->text,
                        "a language model learns from \"%.40s\", from \"%.40s\" with \"%.40s\", or from \"%.40s\"; "
                        "this record has none of them (dataset.* in the job names the members)",
                        o->messages, o->prompt, o->completion, o->text);
  bool object = record->object != NULL;
  r->columns[0] = object ? -1 : records_column(r->records, r->kind == KIND_TEXT ? o->text : o->prompt);
  r->columns[1] = object ? -1 : records_column(r->records, o->completion);
  return STATUS_OK;
}

/* The member that tells a kind. */
static const char *kind_member(const struct language_options *o, enum example_kind kind) {
  switch (kind) {
  case KIND_CHAT: return o->messages;
  case KIND_COMPLETION: return o->completion;
  case KIND_TEXT: return o->text;
  case KIND_NONE: return "nothing to learn from";
  }
  CHECK(!"a kind of data");
}

/* A file of JSON lines could mix the kinds; that is more often a mistake than meant. */
static enum status check_kind(const struct reader *r, const struct record *record, struct error *err) {
  enum example_kind kind = record->object ? kind_of(r, record) : r->kind;
  const char *want = kind_member(r->options, r->kind);
  if (kind == r->kind)
    return STATUS_OK;
  if (kind == KIND_NONE)
    return record_missing(err, record, r->columns[r->kind == KIND_COMPLETION], want);
  return record_fault(err, record, -1, want, "this line has %.60s, but line %zu has %.60s",
                      kind_member(r->options, kind), r->first_line, want);
}

/* A string of the record. */
static enum status get_text(const char **out, size_t *length, const struct record *record, int column, const char *name,
                            struct error *err) {
  if (!record->object) {
    *out = record->values[column].text;
    *length = record->values[column].length;
    return STATUS_OK;
  }
  const json_t *value = json_object_get(record->object, name);
  if (!json_is_string(value))
    return record_fault(err, record, column, name, "%.60s must be a string, not %s", name, json_kind(value));
  *out = json_string_value(value);
  *length = json_string_length(value);
  return STATUS_OK;
}

static bool set_span(struct chat_text *t, size_t begin, size_t end) {
  if (t->span_size == 0) {
    t->spans = malloc(sizeof *t->spans);
    t->span_size = t->spans ? 1 : 0;
  }
  t->span_count = t->spans && begin < end;
  if (t->span_count)
    t->spans[0] = (struct chat_span){begin, end, end};
  return t->spans != NULL;
}

/* prompt and completion, or a text alone: the last part is what is trained. */
static enum status read_plain(struct reader *r, const struct record *record, struct error *err) {
  const struct language_options *o = r->options;
  const char *names[2] = {r->kind == KIND_TEXT ? o->text : o->prompt, o->completion}, *part = NULL;
  size_t length = 0, begin = 0, parts = r->kind == KIND_TEXT ? 1 : 2;
  str_clear(&r->text.text);
  for (size_t i = 0; i < parts; i++) {
    enum status status = get_text(&part, &length, record, r->columns[i], names[i], err);
    if (status)
      return status;
    begin = r->text.text.length;
    str_add(&r->text.text, part, length);
  }
  if (length == 0)
    return record_fault(err, record, r->columns[parts - 1], names[parts - 1], "%.60s is empty", names[parts - 1]);
  if (r->text.text.failed || !set_span(&r->text, begin, r->text.text.length))
    return error_no_memory(err, "the tokens of the data");
  enum status status = add_templated(r, err);
  return status ? status : keep_example(r, record, err);
}

static enum status render_chat(struct reader *r, const struct record *record, struct error *err) {
  const char *name = r->options->messages;
  struct conversation conversation;
  if (!conversation_read(&conversation, record->object, name))
    return error_no_memory(err, "the tokens of the data");
  struct error found = {0};
  enum status status =
      chat_template_render(r->chat, &r->text, conversation.messages, conversation.tools, false, &found);
  conversation_done(&conversation);
  if (!status)
    return STATUS_OK;
  struct location place = record_location(record, -1, name);
  return error_set(err, status, found.param[0] ? found.param : name, "line %zu, column %zu: chat template: %s",
                   place.line, place.column, found.text);
}

static enum status read_chat(struct reader *r, const struct record *record, struct error *err) {
  static const struct {
    enum chat_lost bit;
    enum corpus_note note;
  } lost[] = {{CHAT_LOST_REASONING, NOTE_REASONING},
              {CHAT_LOST_CONTENT, NOTE_CONTENT},
              {CHAT_LOST_TOOLS, NOTE_TOOLS},
              {CHAT_LOST_TURN, NOTE_TURN}};
  const char *name = r->options->messages;
  struct messages_facts facts;
  enum status status = messages_check(&facts, record, name, err);
  if (status)
    return status;
  if (!r->options->train_on_inputs && messages_check_learnt(&facts, record, name, err))
    return STATUS_DATASET_INVALID;
  status = render_chat(r, record, err);
  if (status)
    return status;
  for (size_t i = 0; i < COUNT_OF(lost); i++)
    if (r->text.lost & lost[i].bit)
      note(r->corpus, lost[i].note, record->line);
  status = add_text(r, err);
  return status ? status : keep_example(r, record, err);
}

static enum status read_record(struct reader *r, const struct record *record, struct error *err) {
  enum status status = corpus_beat(r->watch, r->thread, err);
  status = status ? status : check_kind(r, record, err);
  r->count = 0;
  if (status)
    return status;
  return r->kind == KIND_CHAT ? read_chat(r, record, err) : read_plain(r, record, err);
}

/* Its lines and columns are the template's, not the data's. */
static enum status open_template(struct reader *r, const char *model_path, const struct gguf *gguf, struct error *err) {
  enum status status = chat_template_open(&r->chat, r->options->chat_template, model_path, gguf, err);
  return status ? error_prefix(err, "chat template") : STATUS_OK;
}

/* --- the file ------------------------------------------------------------------------------------- */

static void reader_init(struct reader *r) {
  chat_text_init(&r->text);
  encoding_init(&r->encoding);
  r->token_ids = NULL;
  r->loss_mask = NULL;
  r->size = 0;
}

static void reader_done(struct reader *r) {
  chat_text_done(&r->text);
  encoding_done(&r->encoding);
  free(r->token_ids);
  free(r->loss_mask);
}

/* Every record, from the one at hand on. */
static enum status read_records(struct reader *r, const struct record *record, struct error *err) {
  enum status status = STATUS_OK;
  while (!status && record) {
    status = read_record(r, record, err);
    if (!status)
      status = records_next(r->records, &record, err);
  }
  return status;
}

/* Blocks of records that threads read beside each other. */
struct blocks {
  size_t count, max;
  size_t bytes; /* of the next ones */
  struct records **records;
  struct corpus_part *parts;
  struct reader *readers; /* one a thread */
};

static void read_block(void *payload, size_t task, int thread) {
  const struct blocks *b = payload;
  struct corpus_part *part = &b->parts[task];
  struct reader *r = &b->readers[thread];
  const struct record *record;
  r->corpus = &part->corpus;
  r->records = b->records[task];
  r->thread = thread;
  *part = (struct corpus_part){0};
  part->status = records_next(r->records, &record, &part->err);
  if (!part->status)
    part->status = read_records(r, record, &part->err);
}

/* Blocks are small while it is not known how long a chat template takes, and where it takes long: the main thread,
   which hears a cancel, waits for the others at the end of each round. The corpus does not depend on it. */
static size_t next_bytes(size_t bytes, double seconds) {
  enum { BYTES_MAX = 1 << 16 };
  if (seconds > 0.5)
    return bytes / 8 + 1;
  return seconds < 0.1 && bytes < BYTES_MAX ? bytes * 2 : bytes;
}

/* Cuts blocks off, reads them, and joins what became of them in their order. A fault of the cutting is reported if
   nothing before it is wrong. */
static enum status read_blocks(struct blocks *b, struct reader *r, struct pool *pool, struct error *err) {
  struct error cut_err = {0};
  double start = clock_seconds();
  enum status cut = STATUS_OK;
  for (b->count = 0; b->count < b->max; b->count++) {
    cut = records_cut(&b->records[b->count], r->records, b->bytes, &cut_err);
    if (cut || !b->records[b->count])
      break;
  }
  pool_run(pool, b->count, read_block, b);
  b->bytes = next_bytes(b->bytes, clock_seconds() - start);
  enum status status = corpus_join(r->corpus, b->parts, b->count, err);
  for (size_t i = 0; i < b->count; i++)
    records_close(b->records[i]);
  if (status || !cut)
    return status;
  *err = cut_err;
  return cut;
}

/* What follows the first record, which says all that the readers must know. */
static enum status read_rest(struct reader *r, struct pool *pool, struct error *err) {
  size_t threads = (size_t)pool_threads(pool);
  struct blocks b = {.max = 4 * threads, .bytes = 1 << 10};
  b.records = calloc(b.max, sizeof *b.records);
  b.parts = calloc(b.max, sizeof *b.parts);
  b.readers = calloc(threads, sizeof *b.readers);
  enum status status = b.records && b.parts && b.readers ? STATUS_OK : error_no_memory(err, "the tokens of the data");
  for (size_t i = 0; b.readers && i < threads; i++) {
    b.readers[i] = *r;
    reader_init(&b.readers[i]);
  }
  do
    status = status ? status : read_blocks(&b, r, pool, err);
  while (!status && b.count == b.max);
  for (size_t i = 0; b.readers && i < threads; i++)
    reader_done(&b.readers[i]);
  free(b.records);
  free(b.parts);
  free(b.readers);
  return status;
}

static enum status nothing_left(const struct reader *r, struct error *err) {
  const struct note *cut = &r->corpus->notes[NOTE_CUT_OFF], *untaught = &r->corpus->notes[NOTE_UNTAUGHT];
  if (cut->count == 0)
    return error_set(err, STATUS_DATASET_INVALID, r->kind == KIND_CHAT ? "chat_template" : NULL,
                     "none of %zu examples teaches anything: %s", untaught->count,
                     r->kind == KIND_CHAT ? "the chat template puts nothing that the assistant says into the text"
                                          : "each is a single token, and the model names no end of text");
  return error_set(err, STATUS_DATASET_INVALID, "max_seq_length",
                   "nothing is left of %zu examples after cutting them to %zu tokens: what they teach comes later",
                   cut->count + untaught->count, r->options->max_length);
}

static enum status read_all(struct reader *r, const char *model_path, const struct gguf *gguf, struct pool *pool,
                            struct error *err) {
  const struct record *record;
  enum status status = records_next(r->records, &record, err);
  if (!status)
    status = find_kind(r, record, err);
  if (!status && r->kind == KIND_CHAT)
    status = open_template(r, model_path, gguf, err);
  if (!status)
    status = read_record(r, record, err);
  if (!status)
    status = read_rest(r, pool, err);
  return status || r->corpus->count ? status : nothing_left(r, err);
}

enum status corpus_read(struct corpus *out, const char *path, const char *filename, const struct tokenizer *tokenizer,
                        const struct language_options *options, const char *model_path, const struct gguf *gguf,
                        struct pool *pool, struct corpus_watch *watch, struct error *err) {
  struct reader r = {.corpus = out, .tokenizer = tokenizer, .options = options, .watch = watch};
  *out = (struct corpus){0};
  reader_init(&r);
  tokenizer_get_template(tokenizer, &r.template);
  enum status status = records_open(&r.records, path, filename, err);
  if (!status)
    status = read_all(&r, model_path, gguf, pool, err);
  records_close(r.records);
  chat_template_free(r.chat);
  reader_done(&r);
  if (status)
    corpus_done(out);
  return status;
}
