#include "server/http/answering.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"
#include "server/host.h"
#include "server/http/reply.h"
#include "server/http/wait.h"
#include "server/servings.h"

enum {
  WINDOW = 32, /* parts that are asked at a time */
  TEXT_BYTES = 8 << 20,
  UNTOLD_BYTES = 1 << 20, /* of a stream's part */
  FRAMES_BYTES = 32 << 20,
  LOAD_MS = 300 * 1000,
};

/* ---- what is heard ---- */

static void wake(const struct answering *answering) {
  if (answering->stream.kind)
    stream_wake((struct stream *)(uintptr_t)&answering->stream);
  else
    wait_over(answering->request->waiters, answering->key);
}

/* What the body calls it. */
static const char *param_of(const struct answering *answering, const char *param) {
  if (param && strncmp(param, "prompt", 6) == 0)
    return generation_prompt_names[answering->body.request.kind];
  return param && strcmp(param, "adapter") == 0 ? "model" : param;
}

static void take_delta(struct answer_part *part, const struct generation_event *event) {
  struct answering *whole = part->whole;
  struct metrics *metrics = &whole->request->server->metrics;
  if (!part->first_ms && event->tokens > 0) {
    part->first_ms = clock_boot_ms();
    metrics_first_token(metrics, (double)(part->first_ms - whole->request->started_ms) / 1000);
  }
  bool fits = str_puts(&part->text, event->text);
  if (event->tool_calls) {
    if (!part->tool_calls)
      part->tool_calls = json_array();
    fits &= json_array_extend(part->tool_calls, event->tool_calls) == 0;
    part->calls = true;
  }
  if (event->logprobs) {
    if (!part->logprobs)
      part->logprobs = json_array();
    fits &= json_array_extend(part->logprobs, event->logprobs) == 0;
  }
  if (!fits && !whole->error.status)
    error_set(&whole->error, STATUS_TOO_LARGE, NULL, "more is generated than was read of it");
}

/* Of several inputs: which one it is about. */
static void take_failure(const struct answer_part *part, const struct generation_event *event) {
  struct answering *whole = part->whole;
  const char *name = generation_prompt_names[whole->body.request.kind], *param = param_of(whole, event->param);
  char place[48];
  if (whole->body.input_count < 2 || !param || strcmp(param, name) != 0) {
    error_set(&whole->error, event->code, param, "%s", event->message);
    return;
  }
  size_t length = strlen(name);
  bool named = strncmp(event->message, name, length) == 0;
  snprintf(place, sizeof place, "%s[%zu]", name, part->index / (size_t)whole->body.n);
  error_set(&whole->error, event->code, place, "%s%s%s", place, named ? "" : ": ",
            event->message + (named ? length : 0));
}

static void take_end(struct answer_part *part, const struct generation_event *event) {
  struct answering *whole = part->whole;
  part->generation = NULL;
  part->ended = true;
  whole->ended++;
  if (event->type == GENERATION_FINISHED) {
    part->finish_reason = event->finish_reason;
    part->tokens = event->tokens;
  } else if (event->type == GENERATION_VECTOR) {
    part->vector = strdup(event->vector);
  } else if (event->type == GENERATION_SCORES) {
    part->scores = json_incref(event->scores);
  }
  if (event->type == GENERATION_VECTOR || event->type == GENERATION_SCORES)
    part->prompt_tokens = event->prompt_tokens;
  if (whole->error.status)
    return;
  if (event->type == GENERATION_FAILED)
    take_failure(part, event);
  else if (event->type == GENERATION_FINISHED && event->finish_reason == FINISH_CANCELLED)
    error_set(&whole->error, STATUS_UNAVAILABLE, NULL, "the worker was told to stop");
  else if (event->type == GENERATION_VECTOR && !part->vector)
    error_no_memory(&whole->error, "a vector");
}

static void count(const struct answer_part *part, enum metrics_generation how) {
  struct metrics *metrics = &part->whole->request->server->metrics;
  int64_t now_ms = clock_boot_ms();
  metrics_generated(metrics, part->whole->body.request.kind, how, part->prompt_tokens, part->tokens);
  if (part->tokens > 1 && now_ms > part->first_ms)
    metrics_token_time(metrics, (double)(now_ms - part->first_ms) / 1000 / (double)(part->tokens - 1));
}

static void on_event(void *context, const struct generation_event *event) {
  struct answer_part *part = context;
  struct answering *whole = part->whole;
  switch (event->type) {
  case GENERATION_STARTED:
    part->started = true;
    part->prompt_tokens = event->prompt_tokens;
    break;
  case GENERATION_DELTA: take_delta(part, event); break;
  case GENERATION_FINISHED:
  case GENERATION_VECTOR:
  case GENERATION_SCORES:
  case GENERATION_FAILED:
    take_end(part, event);
    count(part, event->type == GENERATION_FAILED ? GENERATION_REFUSED : GENERATION_ANSWERED);
    break;
  case GENERATION_EVENT_COUNT: break;
  }
  bool is_whole = whole->ended == whole->part_count || whole->asked < whole->part_count;
  if (whole->body.stream || whole->error.status || (part->ended && is_whole))
    wake(whole);
}

/* ---- asking ---- */

static enum status ask(struct answering *whole, struct answer_part *part, struct error *err) {
  struct generation_request what = whole->body.request;
  what.sampling.seed = whole->seed + (int64_t)(part->index % (size_t)whole->body.n);
  if (part->input) {
    what.prompt = part->input->text;
    what.prompt_pair = part->input->pair;
    what.prompt_ids = part->input->ids;
  }
  return servings_ask(&part->generation, whole->request->server->servings, &whole->model, &what, on_event, part, err);
}

/* As much as may be under way; where others leave less room, the rest follows what ends. */
static void ask_more(struct answering *whole) {
  while (!whole->error.status && whole->asked < whole->part_count && whole->asked - whole->ended < WINDOW) {
    struct error err = {0};
    enum status status = ask(whole, &whole->part[whole->asked], &err);
    if (status == STATUS_MODEL_OVERLOADED && whole->asked > whole->ended)
      return;
    if (status)
      whole->error = err;
    else
      whole->asked++;
  }
}

static enum status make_parts(struct answering *whole, struct error *err) {
  size_t n = (size_t)whole->body.n, inputs = whole->body.input_count;
  whole->part_count = (inputs ? inputs : 1) * n;
  whole->part = calloc(whole->part_count, sizeof *whole->part);
  if (!whole->part)
    return error_no_memory(err, "the request");
  for (size_t i = 0; i < whole->part_count; i++) {
    struct answer_part *part = &whole->part[i];
    *part = (struct answer_part){.whole = whole, .index = i, .input = inputs ? &whole->body.input[i / n] : NULL};
    str_init(&part->text, whole->body.stream ? UNTOLD_BYTES : TEXT_BYTES);
    if (whole->body.echo)
      str_puts(&part->text, part->input->text);
  }
  return STATUS_OK;
}

/* What is the same as long as the same would be answered to the same seed. */
static void make_fingerprint(struct answering *whole) {
  AUTO(str_done) struct str text;
  char hash[HASH_HEX];
  str_init(&text, 8192);
  str_printf(&text, "%s\n%s\n%lld\n%s", REFLECTD_VERSION, whole->model.base.path, (long long)whole->model.base.created,
             whole->model.adapter ? whole->model.adapter : "");
  hash_bytes(hash, text.text, text.length);
  snprintf(whole->fingerprint, sizeof whole->fingerprint, "fp_%.10s", hash);
}

/* Reads the body and finds the model. */
static enum status begin(struct answering *whole, struct error *err) {
  struct request *request = whole->request;
  const struct server *server = request->server;
  struct fault_list faults = {0};
  enum status status = request_json(&whole->document, request, err);
  if (status)
    return status;
  generation_body_parse(&whole->body, request->match.op, whole->document, &request->arena, &faults);
  if (faults.count) {
    reply_faults(request, &faults);
    return STATUS_OK;
  }
  status = served_find(&whole->model, request->server, request->tenant, whole->body.model, &request->arena, err);
  if (!status && server->hold.why.status) /* of the host: it may last */
    status = error_set(err, STATUS_UNAVAILABLE, NULL, "%s", server->hold.why.text);
  if (!status)
    status = host_check(server->config, err);
  if (!status && whole->body.stream)
    status = streams_room(request, err);
  if (!status)
    status = make_parts(whole, err);
  if (status)
    return status;
  whole->seed = whole->body.request.sampling.seed;
  if (whole->seed < 0) {
    rng_secret(&whole->seed, sizeof whole->seed);
    whole->seed &= INT32_MAX;
  }
  rng_id(whole->id, sizeof whole->id, whole->kind->id ? whole->kind->id : "gen-");
  snprintf(whole->key, sizeof whole->key, "%s", whole->id);
  whole->created = clock_unix();
  whole->give_up_ms = clock_boot_ms() + LOAD_MS;
  make_fingerprint(whole);
  return STATUS_OK;
}

void answering_free(struct answering *whole) {
  if (!whole)
    return;
  for (size_t i = 0; i < whole->part_count; i++) {
    struct answer_part *part = &whole->part[i];
    if (part->generation) {
      servings_cancel(part->generation);
      count(part, GENERATION_LEFT);
    }
    str_done(&part->text);
    json_decref(part->logprobs);
    json_decref(part->tool_calls);
    json_decref(part->scores);
    free(part->vector);
  }
  free(whole->part);
  json_decref(whole->document);
  free(whole);
}

/* ---- a whole answer ---- */

json_t *answering_usage(const struct answering *whole) {
  int64_t prompt = 0, completion = 0;
  for (size_t i = 0; i < whole->part_count; i++) {
    prompt += i % (size_t)whole->body.n == 0 ? whole->part[i].prompt_tokens : 0; /* choices share it */
    completion += whole->part[i].tokens;
  }
  return json_pack("{s:I, s:I, s:I}", "prompt_tokens", (json_int_t)prompt, "completion_tokens", (json_int_t)completion,
                   "total_tokens", (json_int_t)(prompt + completion));
}

json_t *answering_object(const struct answering *whole, const char *object, json_t *choices) {
  return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", whole->id, "object", object, "created",
                   (json_int_t)whole->created, "model", whole->body.model, "system_fingerprint", whole->fingerprint,
                   "choices", choices);
}

static void reply_whole(struct request *request) {
  struct error err;
  json_t *out;
  enum status status = request->answering->kind->whole(&out, request->answering, &err);
  if (status)
    reply_error(request, &err);
  else
    reply_json(request, out);
}

/* ---- a stream ---- */

/* Takes the reference of `data`. */
static void add_frame(struct str *out, json_t *data) {
  if (!data || !str_puts(out, "data: ") || !json_append(out, data) || !str_puts(out, "\n\n"))
    out->failed = true;
  json_decref(data);
}

/* Takes the reference of `choices`. */
static void add_chunk(struct str *out, const struct answering *whole, json_t *choices) {
  bool last = json_array_size(choices) == 0;
  json_t *chunk = answering_object(whole, whole->kind->chunk_object, choices);
  if (whole->body.include_usage)
    json_object_set_new(chunk, "usage", last ? answering_usage(whole) : json_null());
  add_frame(out, chunk);
}

/* What came of the part since it was told of last. */
static void tell(struct str *out, struct answer_part *part) {
  bool first = part->started && !part->greeted;
  if (part->told || !(first || part->text.length || part->tool_calls || part->ended))
    return;
  add_chunk(out, part->whole, json_pack("[o]", part->whole->kind->choice(part, first, part->ended)));
  str_clear(&part->text);
  json_decref(part->logprobs);
  part->logprobs = NULL;
  json_decref(part->tool_calls);
  part->tool_calls = NULL;
  part->greeted = true;
  part->told = part->ended;
}

static void fill(struct stream *stream) {
  struct answering *whole = (struct answering *)stream;
  AUTO(str_done) struct str out;
  size_t told = 0;
  str_init(&out, FRAMES_BYTES);
  ask_more(whole);
  for (size_t i = 0; i < whole->part_count && !whole->error.status; i++) {
    tell(&out, &whole->part[i]);
    told += whole->part[i].told;
  }
  bool over = whole->error.status || told == whole->part_count;
  if (whole->error.status) {
    add_frame(&out, json_pack("{s:o}", "error", reply_error_object(whole->request->server, &whole->error)));
  } else if (over) {
    if (whole->body.include_usage)
      add_chunk(&out, whole, json_array());
    str_puts(&out, "data: [DONE]\n\n");
  }
  if (out.length || out.failed)
    stream_put(stream, out.failed ? NULL : chunk_new(out.text, out.length));
  if (over)
    stream_end(stream);
}

/* Its request frees it. */
static void done(struct stream *stream) {
  (void)stream;
}

static const struct stream_kind stream_kind = {
    .content_type = "text/event-stream", .keep_alive = ": keep-alive\n\n", .fill = fill, .done = done};

/* ---- the handler's part ---- */

static void refuse(struct request *request, const struct error *why) {
  const struct error err = *why; /* it goes with what it is of */
  answering_free(request->answering);
  request->answering = NULL;
  reply_error(request, &err);
}

static bool has_started(const struct answering *whole) {
  bool started = whole->ended > 0;
  for (size_t i = 0; i < whole->asked; i++)
    started |= whole->part[i].started;
  return started;
}

static void go_on(struct request *request) {
  struct answering *whole = request->answering;
  bool started = has_started(whole);
  int64_t left_ms = whole->give_up_ms - clock_boot_ms();
  if (request->gone && !whole->error.status)
    error_set(&whole->error, STATUS_CLIENT_GONE, NULL, "the client has left");
  ask_more(whole);
  if (!whole->error.status && !started && request->waited && request->server->draining)
    error_set(&whole->error, STATUS_DRAINING, NULL, "the server is shutting down");
  if (!whole->error.status && !started && left_ms <= 0)
    error_set(&whole->error, STATUS_OVERLOADED, NULL, "no worker was free for %.128s in %d seconds",
              whole->model.base.id, LOAD_MS / 1000);
  if (whole->error.status)
    refuse(request, &whole->error);
  else if (whole->body.stream && started)
    stream_open(&whole->stream, &stream_kind, request);
  else if (whole->ended == whole->part_count)
    reply_whole(request);
  else
    wait_for(request, whole->key, started ? -1 : left_ms);
}

void answering_reply(struct request *request, const struct answer_kind *kind) {
  struct error err;
  if (!request->answering) {
    struct answering *whole = request->answering = calloc(1, sizeof *whole);
    if (!whole) {
      error_no_memory(&err, "the request");
      reply_error(request, &err);
      return;
    }
    whole->request = request;
    whole->kind = kind;
    if (begin(whole, &err)) {
      refuse(request, &err);
      return;
    }
    if (request->http_status) /* its faults were told */
      return;
  }
  go_on(request);
}
