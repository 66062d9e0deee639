#include "worker/generate/generator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "worker/generate/answer.h"
#include "worker/generate/cache.h"
#include "worker/generate/prompt.h"

enum {
  BATCH_SEQUENCES = 32,
  BATCH_TOKENS = 512, /* of prompts beside the tokens of those that decode: how long these wait */
  SERVED_MAX = 16,
  REQUESTS_MAX = 1024,
};

struct generator {
  const char *path, *folder; /* of the base; of the adapters */
  struct backend *backend;
  struct checkpoint checkpoint;
  struct data_tasks tasks; /* what the base can be */
  struct prompts prompts;
  struct tape tape;
  size_t context;
  struct cache_memory caches;
  struct served *served; /* newest first */
  size_t served_count;
  uint64_t clock;
  struct active *active; /* in the order in which they came */
  size_t active_count;
  generator_tell *tell;
  void *told;
};

/* --- what is said --------------------------------------------------------------------------------- */

static void say(const struct generator *g, const struct active *a, struct generation_event event) {
  event.id = a->request.id;
  g->tell(g->told, &event);
}

static void fail(const struct generator *g, struct active *a, const struct error *why) {
  say(g, a,
      (struct generation_event){.type = GENERATION_FAILED,
                                .code = why->status,
                                .param = why->param[0] ? why->param : NULL,
                                .message = why->text});
  a->ended = true;
}

static void finish(const struct generator *g, struct active *a, enum finish_reason reason) {
  say(g, a,
      (struct generation_event){.type = GENERATION_FINISHED, .finish_reason = reason, .tokens = (int64_t)a->told});
  a->ended = true;
}

/* --- models --------------------------------------------------------------------------------------- */

/* What a request without an adapter is answered with. */
static enum job_output output_of(enum generation_kind kind) {
  return kind == GENERATION_EMBEDDING        ? OUTPUT_EMBEDDING
         : kind == GENERATION_CLASSIFICATION ? OUTPUT_CLASS
                                             : OUTPUT_TEXT;
}

/* Does a model with that output answer such a request? */
static bool answers(enum job_output output, enum generation_kind kind) {
  if (kind == GENERATION_EMBEDDING)
    return output == OUTPUT_EMBEDDING;
  if (kind == GENERATION_CLASSIFICATION)
    return output == OUTPUT_CLASS || output == OUTPUT_LABELS || output == OUTPUT_NUMBER || output == OUTPUT_RELEVANCE;
  return output == OUTPUT_TEXT;
}

static void drop(struct generator *g, struct served **at) {
  struct served *gone = *at;
  *at = gone->next;
  g->served_count--;
  served_close(gone);
}

/* Models that were forgotten, and, where there are too many, the one that was used longest ago. */
static void drop_unused(struct generator *g) {
  struct served **oldest = NULL;
  for (struct served **s = &g->served; *s;) {
    if ((*s)->forgotten && (*s)->requests == 0) {
      drop(g, s);
      continue;
    }
    if ((*s)->requests == 0 && (!oldest || (*s)->used < (*oldest)->used))
      oldest = s;
    s = &(*s)->next;
  }
  if (g->served_count >= SERVED_MAX && oldest)
    drop(g, oldest);
}

static struct served_limits limits_of(const struct generator *g, const struct served *s) {
  if (s->model->language)
    return (struct served_limits){BATCH_SEQUENCES, BATCH_TOKENS, g->context};
  size_t longest = s->model->positions < g->context ? s->model->positions : g->context;
  return (struct served_limits){BATCH_SEQUENCES, longest > BATCH_TOKENS ? longest : BATCH_TOKENS, longest};
}

static enum status make_served(struct served **out, struct generator *g, const struct generation_request *request,
                               struct error *err) {
  char folder[4400];
  enum job_output output = output_of(request->kind);
  drop_unused(g);
  if (!request->adapter && !data_tasks_allow(g->tasks, output))
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "model",
                     "the base model cannot answer this request: its task is not %s", job_output_of(output)->words);
  if (g->served_count >= SERVED_MAX)
    return error_set(err, STATUS_OVERLOADED, "model", "%d adapters are in use at a time at most", SERVED_MAX);
  snprintf(folder, sizeof folder, "%s/%s", g->folder, request->adapter ? request->adapter : "");
  enum status status = served_open(out, g->path, request->adapter ? folder : NULL, output,
                                   (enum embedding_pooling)request->pooling, g->backend, err);
  if (status)
    return status;
  struct served_limits limits = limits_of(g, *out);
  status = served_plan(*out, &g->tape, &limits, err);
  if (status) {
    served_close(*out);
    return status;
  }
  snprintf((*out)->name, sizeof(*out)->name, "%s", request->adapter ? request->adapter : "");
  (*out)->next = g->served;
  g->served = *out;
  g->served_count++;
  return STATUS_OK;
}

static enum status find_served(struct served **out, struct generator *g, const struct generation_request *request,
                               struct error *err) {
  struct served *s = g->served;
  const char *name = request->adapter ? request->adapter : "";
  while (s && (strcmp(s->name, name) != 0 || s->forgotten ||
               (!request->adapter && !answers(s->model->output, request->kind))))
    s = s->next;
  enum status status = s ? STATUS_OK : make_served(&s, g, request, err);
  if (status)
    return status;
  if (!answers(s->model->output, request->kind))
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "model", "the model does %s: it cannot answer this request",
                     job_output_of(s->model->output)->words);
  *out = s;
  return STATUS_OK;
}

/* --- KV caches ------------------------------------------------------------------------------------ */

/* Makes room for `tokens` tokens. False: the request waits for the older ones, or has failed. */
static bool reserve_cache(struct generator *g, struct active *a, size_t tokens) {
  struct error err = {0};
  if (cache_reserve(&g->caches, a, tokens, &err))
    return true;
  if (err.status)
    fail(g, a, &err);
  return false;
}

/* --- requests come and go ------------------------------------------------------------------------- */

/* A language model's answer has room for one token at least. */
static struct prompt_room room_of(const struct generator *g, const struct served *served,
                                  const struct generation_request *request) {
  if (!served->model->language)
    return (struct prompt_room){.most = limits_of(g, served).longest, .bound = "as many as the model reads"};
  bool whole = g->context >= served->model->positions;
  bool less = request->max_tokens && (size_t)request->max_tokens < g->context;
  return (struct prompt_room){.most = g->context - 1,
                              .bound = whole ? "the model's context less one for an answer"
                                             : "what the server's memory for KV caches holds, less one for an answer",
                              .beside = less ? (size_t)request->max_tokens : g->context};
}

static enum status begin(struct generator *g, struct active *a, struct error *err) {
  const struct generation_request *request = &a->request;
  struct served *served = NULL;
  if (request->kind == GENERATION_IMAGE)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "model", "the model makes no images: a diffusion pipeline does");
  enum status status = find_served(&served, g, request, err);
  if (status)
    return status;
  bool language = served->model->language;
  struct prompt_room room = room_of(g, served, request);
  status = prompts_read(a, &g->prompts, &room, err);
  if (status)
    return status;
  a->limit = a->prompt + room.beside < g->context ? a->prompt + room.beside : g->context;
  if (language)
    status =
        sampler_init(&a->sampler, &a->request.sampling, served->model->vocabulary, a->ids, a->prompt, &a->arena, err);
  if (status)
    return status;
  detokenizer_init(&a->text, g->prompts.tokenizer, &a->request.stop, a->prompt);
  tool_calls_init(&a->calls, request->kind == GENERATION_CHAT ? request->tools : NULL,
                  (uint64_t)request->sampling.seed * 1000003 + a->prompt);
  a->served = served;
  served->requests++;
  served->used = ++g->clock;
  if (language)
    say(g, a, (struct generation_event){.type = GENERATION_STARTED, .prompt_tokens = (int64_t)a->prompt});
  return STATUS_OK;
}

static void active_free(struct generator *g, struct active *a) {
  if (a->served) {
    a->served->requests--;
    cache_drop(&g->caches, a);
    detokenizer_done(&a->text);
    tool_calls_done(&a->calls);
  }
  json_decref(a->document);
  arena_done(&a->arena);
  free(a);
}

static void add(struct generator *g, const struct generation_request *request, struct arena *arena, json_t *document) {
  struct active *a = calloc(1, sizeof *a);
  struct error err = {0};
  if (!a) {
    arena_done(arena);
    json_decref(document);
    log_error("no memory for a request");
    return;
  }
  a->arena = *arena;
  a->document = document;
  a->request = *request;
  enum status status = g->active_count < REQUESTS_MAX
                           ? begin(g, a, &err)
                           : error_set(&err, STATUS_OVERLOADED, NULL, "%d requests wait already", REQUESTS_MAX);
  if (status) {
    fail(g, a, &err);
    active_free(g, a);
    return;
  }
  struct active **last = &g->active;
  while (*last)
    last = &(*last)->next;
  *last = a;
  g->active_count++;
}

static void sweep_ended(struct generator *g) {
  for (struct active **a = &g->active; *a;) {
    struct active *ended = *a;
    if (!ended->ended) {
      a = &ended->next;
      continue;
    }
    *a = ended->next;
    g->active_count--;
    active_free(g, ended);
  }
  drop_unused(g);
}

void generator_hear(struct generator *g, const struct generation_line *line, struct arena *arena, json_t *document) {
  if (line->kind == GENERATION_LINE_REQUEST) {
    add(g, &line->request, arena, document);
    return;
  }
  for (struct active *a = g->active; line->kind == GENERATION_LINE_CANCEL && a; a = a->next)
    if (a->request.id == line->id && !a->ended)
      finish(g, a, FINISH_CANCELLED);
  for (struct served *s = g->served; line->kind == GENERATION_LINE_FORGET && s; s = s->next)
    s->forgotten = s->forgotten || strcmp(s->name, line->adapter) == 0;
  json_decref(document);
  arena_done(arena);
  sweep_ended(g);
}

/* --- a batch -------------------------------------------------------------------------------------- */

struct batch {
  struct active *of[BATCH_SEQUENCES];
  size_t rows[BATCH_SEQUENCES]; /* tokens of each in this batch */
  size_t count, tokens, longest;
};

/* So many of its tokens take part; returns how many do. */
static size_t join(struct generator *g, struct batch *b, struct active *a, size_t rows) {
  size_t total = a->cache.past + rows;
  if (rows == 0 || b->count == BATCH_SEQUENCES || a->ended ||
      (a->served->model->language && !reserve_cache(g, a, total)))
    return 0;
  b->of[b->count] = a;
  b->rows[b->count++] = rows;
  b->tokens += rows;
  b->longest = total > b->longest ? total : b->longest;
  return rows;
}

static bool decodes(const struct active *a) {
  return a->count - a->cache.past == 1;
}

/* In the order in which they came, so that nobody takes the cache of one that has joined. Parts of prompts have the
   room that those who decode leave. A text that is not generated from comes whole. */
static void compose(struct generator *g, struct batch *b, const struct served *served) {
  size_t left = limits_of(g, served).tokens, decoding = 0;
  *b = (struct batch){0};
  for (struct active *a = g->active; a; a = a->next)
    if (a->served == served) {
      cache_renew(a);
      decoding += decodes(a) && decoding < BATCH_SEQUENCES;
    }
  left -= decoding;
  for (struct active *a = g->active; a; a = a->next) {
    size_t waits = a->count - a->cache.past;
    if (a->served != served)
      continue;
    if (decodes(a))
      join(g, b, a, 1);
    else
      left -= join(g, b, a, served->model->language ? (waits < left ? waits : left) : waits <= left ? waits : 0);
  }
}

/* The tokens of a text's answer, however they were chosen. */
static void told_token(struct generator *g, struct active *a, const float *logits, int32_t id, bool last) {
  struct str text;
  struct error err;
  AUTO(json_release) json_t *logprobs = NULL, *calls = NULL;
  str_init(&text, 1 << 20);
  if (a->request.logprobs)
    logprobs =
        answer_logprobs(g->prompts.tokenizer, logits, a->sampler.vocabulary, id, (size_t)a->request.top_logprobs);
  bool ok = detokenizer_next(&a->text, &text, a->ids, a->count, last);
  ok = ok && tool_calls_next(&a->calls, &text, &calls, last || a->text.stopped);
  if (!ok || (a->request.logprobs && !logprobs)) {
    (void)error_no_memory(&err, "an answer");
    fail(g, a, &err);
  } else {
    a->told++;
    say(g, a,
        (struct generation_event){
            .type = GENERATION_DELTA, .text = text.text, .tokens = 1, .tool_calls = calls, .logprobs = logprobs});
  }
  str_done(&text);
}

/* The next token, by the logits of the last. */
static void decode(struct generator *g, struct active *a, const float *logits) {
  int32_t id = sampler_next(&a->sampler, logits, a->count - a->prompt);
  bool eos = eos_has(&g->prompts.eos, id);
  if (!eos)
    a->ids[a->count++] = id;
  told_token(g, a, logits, id, eos || a->count == a->limit);
  if (a->ended)
    return;
  if (eos || a->text.stopped)
    finish(g, a, a->calls.count ? FINISH_TOOL_CALLS : FINISH_STOP);
  else if (a->count == a->limit)
    finish(g, a, FINISH_LENGTH);
}

/* The row is what the model gives of the whole text. */
static void judge(struct generator *g, struct active *a, const float *row, size_t cols) {
  struct error err;
  struct str vector;
  AUTO(json_release) json_t *scores = NULL;
  struct generation_event event = {.prompt_tokens = (int64_t)a->prompt};
  str_init(&vector, 1 << 20);
  if (a->served->model->output == OUTPUT_EMBEDDING) {
    event.type = GENERATION_VECTOR;
    event.vector = answer_vector(&vector, row, cols, a->served->normalised) ? vector.text : NULL;
  } else {
    event.type = GENERATION_SCORES;
    event.scores = scores = answer_scores(a->served->model, row, cols);
  }
  if (event.vector || event.scores) {
    say(g, a, event);
    a->ended = true;
  } else {
    (void)error_no_memory(&err, "an answer");
    fail(g, a, &err);
  }
  str_done(&vector);
}

static enum status run(struct generator *g, struct served *served, const struct batch *b, struct error *err) {
  uint32_t cu_seqlens[BATCH_SEQUENCES + 1] = {0};
  struct kv_cache *caches[BATCH_SEQUENCES];
  const float *rows;
  size_t cols;
  AUTO(arena_done) struct arena arena;
  arena_init(&arena, (size_t)16 << 20);
  int32_t *ids = arena_array(&arena, b->tokens, sizeof *ids);
  uint8_t *types = arena_array(&arena, b->tokens, sizeof *types);
  if (!ids || !types)
    return error_no_memory(err, "a batch");
  for (size_t i = 0; i < b->count; i++) {
    struct active *a = b->of[i];
    size_t at = cu_seqlens[i], past = a->cache.past;
    memcpy(ids + at, a->ids + past, b->rows[i] * sizeof *ids);
    for (size_t k = 0; k < b->rows[i]; k++)
      types[at + k] = a->type_ids && served->model->token_types ? a->type_ids[past + k] : 0;
    caches[i] = &a->cache;
    cu_seqlens[i + 1] = (uint32_t)(at + b->rows[i]);
  }
  struct sequences sequences = sequences_host(b->count, b->tokens, b->longest, cu_seqlens, ids, types);
  sequences.caches = served->model->language ? caches : NULL;
  enum status status = served_forward(&rows, &cols, served, &g->tape, &sequences, err);
  for (size_t i = 0; !status && i < b->count; i++) {
    struct active *a = b->of[i];
    const float *row = rows + i * cols;
    if (!served->model->language) {
      judge(g, a, row, cols);
      continue;
    }
    a->cache.past += b->rows[i];
    if (a->cache.past == a->count)
      decode(g, a, row);
  }
  return status;
}

/* The model whose turn it is: of those with requests the one that computed longest ago. */
static struct served *next_served(const struct generator *g) {
  struct served *next = NULL;
  for (struct served *s = g->served; s; s = s->next)
    if (s->requests && (!next || s->turn < next->turn))
      next = s;
  return next;
}

enum status generator_step(struct generator *g, struct error *err) {
  struct batch batch;
  struct served *served = next_served(g);
  if (!served)
    return STATUS_OK;
  served->turn = ++g->clock;
  compose(g, &batch, served);
  enum status status = batch.count ? run(g, served, &batch, err) : STATUS_OK;
  sweep_ended(g);
  return status;
}

bool generator_busy(const struct generator *g) {
  return g->active != NULL;
}

size_t generator_requests(const struct generator *g) {
  return g->active_count;
}

/* --- life ----------------------------------------------------------------------------------------- */

enum { MEMORY_DEFAULT = 1 << 30 };

/* The context is the model's, or what the memory has room for: a plan is made for it. */
static enum status open_base(struct generator *g, struct error *err) {
  struct served *base;
  struct generation_request request = {.kind = g->tasks.language ? GENERATION_COMPLETION
                                               : g->tasks.embeds ? GENERATION_EMBEDDING
                                                                 : GENERATION_CLASSIFICATION};
  enum status status = served_open(&base, g->path, NULL, output_of(request.kind), EMBEDDING_AUTO, g->backend, err);
  if (status)
    return status;
  g->context = base->model->positions;
  if (base->model->language && g->caches.limit / cache_token_bytes(base->model) < g->context)
    g->context = g->caches.limit / cache_token_bytes(base->model);
  size_t vocabulary = base->model->vocabulary;
  served_close(base);
  if (g->context < 2)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "%zu MiB are no room for a KV cache", g->caches.limit >> 20);
  return prompts_open(&g->prompts, g->path, &g->checkpoint, NULL, vocabulary, err);
}

enum status generator_open(struct generator **out, const struct task *task, struct backend *backend,
                           generator_tell *tell, void *context, struct error *err) {
  struct generator *g = calloc(1, sizeof *g);
  *out = NULL;
  if (!g)
    return error_no_memory(err, "the models");
  *g = (struct generator){.path = task->model_dir,
                          .folder = task->output_dir,
                          .backend = backend,
                          .caches.limit = task->memory_bytes ? (size_t)task->memory_bytes : MEMORY_DEFAULT,
                          .tell = tell,
                          .told = context};
  enum status status = checkpoint_open(&g->checkpoint, g->path, err);
  status = status ? status : model_tasks(&g->tasks, g->path, err);
  status = status ? status : tape_init(&g->tape, backend, err);
  status = status ? status : open_base(g, err);
  if (status)
    generator_close(g);
  else
    *out = g;
  return status;
}

enum status generator_over(struct generator **out, const struct generator_base *base, generator_tell *tell,
                           void *context, struct error *err) {
  struct generator *g = calloc(1, sizeof *g);
  *out = NULL;
  if (!g)
    return error_no_memory(err, "the models");
  *g = (struct generator){.path = base->path,
                          .backend = base->model->backend,
                          .context = base->context,
                          .caches.limit = base->memory,
                          .tell = tell,
                          .told = context};
  enum status status = tape_init(&g->tape, g->backend, err);
  if (!status)
    status =
        prompts_open(&g->prompts, base->path, &base->model->checkpoint, base->tokenizer, base->model->vocabulary, err);
  status = status ? status : served_borrow(&g->served, base->model, err);
  if (!status) {
    g->served_count = 1;
    struct served_limits limits = limits_of(g, g->served);
    status = served_plan(g->served, &g->tape, &limits, err);
  }
  if (status)
    generator_close(g);
  else
    *out = g;
  return status;
}

size_t generator_bytes(const struct generator *g) {
  return g->tape.memory_bytes;
}

void generator_close(struct generator *g) {
  if (!g)
    return;
  while (g->active) {
    struct active *a = g->active;
    g->active = a->next;
    active_free(g, a);
  }
  while (g->served)
    drop(g, &g->served);
  prompts_done(&g->prompts);
  tape_done(&g->tape);
  checkpoint_close(&g->checkpoint);
  free(g);
}

size_t generator_context(const struct generator *g) {
  return g->context;
}

json_t *generator_kinds(const struct generator *g) {
  json_t *out = json_array();
  bool ok = out != NULL;
  if (ok && g->tasks.language)
    ok = !json_array_append_new(out, json_string("chat")) && !json_array_append_new(out, json_string("completion"));
  if (ok && g->tasks.embeds)
    ok = !json_array_append_new(out, json_string("embedding"));
  if (ok && g->tasks.classifier)
    ok = !json_array_append_new(out, json_string("classification"));
  if (ok)
    return out;
  json_decref(out);
  return NULL;
}
