/* Data of language models: a record is rendered or joined to one text, tokenised as a whole, and each token learns
   from the bytes it covers whether it is in the loss mask. */
#include <stdlib.h>
#include <string.h>

#include "api/objective.h"
#include "base/clock.h"
#include "base/json.h"
#include "worker/chat/chat_template.h"
#include "worker/chat/conversation.h"
#include "worker/data/completions.h"
#include "worker/data/corpus.h"
#include "worker/data/example_tokens.h"
#include "worker/data/messages.h"
#include "worker/data/mismatched.h"
#include "worker/data/records.h"

enum example_kind { KIND_CHAT, KIND_COMPLETION, KIND_TEXT, KIND_PAIR, KIND_RATED, KIND_NONE };

struct reader {
  struct corpus *corpus;
  const struct language_options *options;
  struct records *records;
  enum example_kind kind; /* of every record */
  size_t first_line;
  int columns[2]; /* CSV, TSV: prompt and completion, or text */
  struct chat_template *chat;
  struct example_tokens example; /* under construction */
  struct corpus_watch *watch;
  int thread;
};

static void note(struct corpus *c, enum corpus_note what, size_t line) {
  c->notes[what].line = c->notes[what].count++ ? c->notes[what].line : line;
}

/* Tokens that are kept of the example under construction; 0: nothing of them is learnt, which is noted. */
static size_t keep_tokens(struct reader *r, const struct record *record) {
  size_t before = 0, after = 0, kept = r->example.count;
  if (r->options->max_length && kept > r->options->max_length)
    kept = r->options->max_length;
  for (size_t i = 1; i < r->example.count; i++) { /* nothing predicts the first token */
    before += r->example.loss_mask[i];
    after += i < kept ? r->example.loss_mask[i] : 0;
  }
  if (after == 0)
    note(r->corpus, before == 0 ? NOTE_UNTAUGHT : NOTE_CUT_OFF, record->line);
  return after ? kept : 0;
}

/* Cuts the example and keeps it, unless there is nothing to learn. */
static enum status keep_example(struct reader *r, const struct record *record, struct error *err) {
  size_t kept = keep_tokens(r, record);
  if (kept == 0)
    return STATUS_OK;
  r->corpus->truncated += kept < r->example.count;
  return corpus_append(r->corpus, r->example.token_ids, NULL, r->example.loss_mask, kept, r->options->vocabulary, err);
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

static bool prefers(const struct reader *r) {
  return r->options->objective != OBJECTIVE_SUPERVISED;
}

/* KTO takes pairs as one completion that is wanted and one that is not. */
static enum example_kind kind_of_completions(const struct reader *r, const struct record *record) {
  enum completions_kind kind = completions_kind_of(r->records, record);
  return kind == COMPLETIONS_PAIR                                              ? KIND_PAIR
         : kind == COMPLETIONS_RATED && r->options->objective == OBJECTIVE_KTO ? KIND_RATED
                                                                               : KIND_NONE;
}

static enum example_kind kind_of(const struct reader *r, const struct record *record) {
  const struct language_options *o = r->options;
  if (prefers(r))
    return kind_of_completions(r, record);
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

/* Messages or texts, as the first record has them. */
static enum status find_completions(struct reader *r, const struct record *record, struct error *err) {
  struct completions_record first;
  if (r->kind == KIND_NONE)
    return record_fault(err, record, -1, NULL, "method.type %s learns from %s; this record has not these",
                        objective_names[r->options->objective], objective_needs((enum objective)r->options->objective));
  enum completions_kind kind = r->kind == KIND_PAIR ? COMPLETIONS_PAIR : COMPLETIONS_RATED;
  enum status status = completions_read(&first, r->records, record, kind, err);
  if (!status)
    r->example.chats = first.chat;
  completions_done(&first);
  return status;
}

static enum status find_kind(struct reader *r, const struct record *record, struct error *err) {
  const struct language_options *o = r->options;
  r->kind = kind_of(r, record);
  r->first_line = record->line;
  r->example.chats = r->kind == KIND_CHAT;
  if (prefers(r))
    return find_completions(r, record, err);
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
  case KIND_PAIR: return "a pair of answers";
  case KIND_RATED: return "a completion with a label";
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
  if (kind == KIND_NONE && !prefers(r))
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
  str_clear(&r->example.text.text);
  for (size_t i = 0; i < parts; i++) {
    enum status status = get_text(&part, &length, record, r->columns[i], names[i], err);
    if (status)
      return status;
    begin = r->example.text.text.length;
    str_add(&r->example.text.text, part, length);
  }
  if (length == 0)
    return record_fault(err, record, r->columns[parts - 1], names[parts - 1], "%.60s is empty", names[parts - 1]);
  if (r->example.text.text.failed || !set_span(&r->example.text, begin, r->example.text.text.length))
    return error_no_memory(err, "the tokens of the data");
  enum status status = example_tokens_add_templated(&r->example, r->kind == KIND_TEXT, err);
  return status ? status : keep_example(r, record, err);
}

static enum status render_chat(struct reader *r, const struct record *record, const char *name, struct error *err) {
  struct conversation conversation;
  if (!conversation_read(&conversation, record->object, name))
    return error_no_memory(err, "the tokens of the data");
  struct error found = {0};
  enum status status =
      chat_template_render(r->chat, &r->example.text, conversation.messages, conversation.tools, false, &found);
  conversation_done(&conversation);
  if (!status)
    return STATUS_OK;
  struct location place = record_location(record, -1, name);
  return error_set(err, status, found.param[0] ? found.param : name, "line %zu, column %zu: chat template: %s",
                   place.line, place.column, found.text);
}

static void note_lost(struct reader *r, const struct record *record) {
  static const struct {
    enum chat_lost bit;
    enum corpus_note note;
  } lost[] = {{CHAT_LOST_REASONING, NOTE_REASONING},
              {CHAT_LOST_CONTENT, NOTE_CONTENT},
              {CHAT_LOST_TOOLS, NOTE_TOOLS},
              {CHAT_LOST_TURN, NOTE_TURN}};
  for (size_t i = 0; i < COUNT_OF(lost); i++)
    if (r->example.text.lost & lost[i].bit)
      note(r->corpus, lost[i].note, record->line);
}

static enum status read_chat(struct reader *r, const struct record *record, struct error *err) {
  const char *name = r->options->messages;
  struct messages_facts facts;
  enum status status = messages_check(&facts, record, name, err);
  if (status)
    return status;
  if (!r->options->train_on_inputs && messages_check_learnt(&facts, record, name, err))
    return STATUS_DATASET_INVALID;
  status = render_chat(r, record, name, err);
  if (status)
    return status;
  note_lost(r, record);
  status = example_tokens_add_text(&r->example, err);
  return status ? status : keep_example(r, record, err);
}

/* --- completions ---------------------------------------------------------------------------------- */

/* The tokens of one of a record's completions after its prompt. */
static enum status make_completion(struct reader *r, const struct record *record, const struct completions_record *c,
                                   size_t index, struct error *err) {
  r->example.count = 0;
  if (c->chat) {
    struct record chat = *record;
    chat.object = c->chats[index];
    chat.aliases = c->aliases[index];
    enum status status = render_chat(r, &chat, "messages", err);
    if (status)
      return status;
    note_lost(r, record);
    return example_tokens_add_text(&r->example, err);
  }
  str_clear(&r->example.text.text);
  if (c->prompt_length)
    str_add(&r->example.text.text, c->prompt, c->prompt_length);
  str_add(&r->example.text.text, c->texts[index], c->lengths[index]);
  if (r->example.text.text.failed || !set_span(&r->example.text, c->prompt_length, r->example.text.text.length))
    return error_no_memory(err, "the tokens of the data");
  return example_tokens_add_templated(&r->example, r->kind == KIND_TEXT, err);
}

/* A pair is kept whole, or not at all. */
static enum status read_completions(struct reader *r, const struct record *record, struct error *err) {
  struct corpus *corpus = r->corpus;
  struct completions_record c;
  bool rates = r->options->objective == OBJECTIVE_KTO, cut = false;
  size_t before = corpus->count;
  enum completions_kind kind = r->kind == KIND_PAIR ? COMPLETIONS_PAIR : COMPLETIONS_RATED;
  enum status status = completions_read(&c, r->records, record, kind, err);
  if (!status && c.chat != r->example.chats)
    status = record_fault(err, record, -1, NULL, "this line has %s, but line %zu has %s", c.chat ? "messages" : "texts",
                          r->first_line, r->example.chats ? "messages" : "texts");
  for (size_t i = 0; !status && i < c.count; i++) {
    status = make_completion(r, record, &c, i, err);
    size_t kept = status ? 0 : keep_tokens(r, record);
    if (!status && kept == 0 && !rates) {
      corpus->count = before;
      break;
    }
    cut = cut || kept < r->example.count;
    if (kept)
      status =
          corpus_append(corpus, r->example.token_ids, NULL, r->example.loss_mask, kept, r->options->vocabulary, err);
    if (!status && kept && rates)
      status = corpus_rate(corpus, c.count == 1 ? c.desirable : i == 0, err);
  }
  corpus->truncated += !status && cut && corpus->count > before;
  completions_done(&c);
  return status;
}

static enum status read_record(struct reader *r, const struct record *record, struct error *err) {
  enum status status = corpus_beat(r->watch, r->thread, err);
  status = status ? status : check_kind(r, record, err);
  r->example.count = 0;
  if (status)
    return status;
  return prefers(r)             ? read_completions(r, record, err)
         : r->kind == KIND_CHAT ? read_chat(r, record, err)
                                : read_plain(r, record, err);
}

/* Its lines and columns are the template's, not the data's. */
static enum status open_template(struct reader *r, const char *model_path, const struct gguf *gguf, struct error *err) {
  enum status status = chat_template_open(&r->chat, r->options->chat_template, model_path, gguf, err);
  return status ? error_prefix(err, "chat template") : STATUS_OK;
}

/* --- the file ------------------------------------------------------------------------------------- */

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
    example_tokens_init(&b.readers[i].example);
  }
  do
    status = status ? status : read_blocks(&b, r, pool, err);
  while (!status && b.count == b.max);
  for (size_t i = 0; b.readers && i < threads; i++)
    example_tokens_done(&b.readers[i].example);
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
                     r->example.chats ? "the chat template puts nothing that the assistant says into the text"
                                      : "each is a single token, and the model names no end of text");
  return error_set(err, STATUS_DATASET_INVALID, "max_seq_length",
                   "nothing is left of %zu examples after cutting them to %zu tokens: what they teach comes later",
                   cut->count + untaught->count, r->options->max_length);
}

/* Sequences become examples. */
static enum status finish_completions(struct reader *r, struct error *err) {
  const struct language_options *o = r->options;
  struct corpus *c = r->corpus;
  if (o->objective == OBJECTIVE_KTO)
    return mismatched_add(c, o->group, o->max_length, o->vocabulary, err);
  if (!prefers(r))
    return STATUS_OK;
  c->texts = 2;
  c->count /= 2;
  c->learns_prompts = o->train_on_inputs;
  return STATUS_OK;
}

static enum status read_all(struct reader *r, const char *model_path, const struct gguf *gguf, struct pool *pool,
                            struct error *err) {
  const struct record *record;
  enum status status = records_next(r->records, &record, err);
  if (!status)
    status = find_kind(r, record, err);
  if (!status && r->example.chats)
    status = open_template(r, model_path, gguf, err);
  if (!status)
    status = read_record(r, record, err);
  if (!status)
    status = read_rest(r, pool, err);
  status = status || r->corpus->count ? status : nothing_left(r, err);
  return status ? status : finish_completions(r, err);
}

enum status corpus_read(struct corpus *out, const char *path, const char *filename, const struct tokenizer *tokenizer,
                        const struct language_options *options, const char *model_path, const struct gguf *gguf,
                        struct pool *pool, struct corpus_watch *watch, struct error *err) {
  struct reader r = {
      .corpus = out, .options = options, .example = {.tokenizer = tokenizer, .eos = &options->eos}, .watch = watch};
  *out = (struct corpus){0};
  example_tokens_init(&r.example);
  r.example.inputs = options->train_on_inputs && !prefers(&r);
  tokenizer_get_template(tokenizer, &r.example.template);
  enum status status = records_open(&r.records, path, filename, err);
  if (!status)
    status = read_all(&r, model_path, gguf, pool, err);
  records_close(r.records);
  chat_template_free(r.chat);
  example_tokens_done(&r.example);
  if (status)
    corpus_done(out);
  return status;
}
