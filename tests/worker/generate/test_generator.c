/* On the tiny golden models: what is generated with KV caches, in whatever batch, is what whole forward passes give;
   requests that must make room, are cancelled or are wrong leave the others as they were. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/generate/generator.h"
#include "worker/generate/served.h"

enum { PROMPT = 7, TOKENS = 20, REQUESTS = 6, VOCABULARY = 99, CHAT = REQUESTS + 1 };
/* Of a token in llama-hra's cache: two layers, two heads of eight for keys and values. */
enum { TOKEN_BYTES = 2 * 2 * 2 * 8 * sizeof(float) };

/* A golden model with a tokenizer of one token a word, since its files have none. */
static char folder[64];

static const char *const special[] = {"[UNK]", "[CLS]", "[SEP]"};

static void make_folder(const char *golden) {
  struct str tokens;
  struct error err;
  char path[300], target[300], *cwd = realpath(".", NULL);
  snprintf(folder, sizeof folder, "/tmp/reflectd-test-XXXXXX");
  assert_non_null(mkdtemp(folder));
  for (int i = 0; i < 2; i++) {
    static const char *const names[] = {"config.json", "model.safetensors"};
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    snprintf(target, sizeof target, "%s/tests/golden/cases/%s/model/%s", cwd, golden, names[i]);
    assert_int_equal(symlink(target, path), 0);
  }
  str_init(&tokens, 1 << 16);
  str_puts(&tokens,
           "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Whitespace\"},"
           "\"post_processor\":null,\"decoder\":null,\"model\":");
  str_puts(&tokens, strncmp(golden, "bert", 4) == 0
                        ? "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
                          "\"max_input_chars_per_word\":100,\"vocab\":{"
                        : "{\"type\":\"BPE\",\"unk_token\":\"[UNK]\",\"merges\":[],\"vocab\":{");
  for (int i = 0; i < VOCABULARY; i++)
    if (i < (int)COUNT_OF(special))
      str_printf(&tokens, "%s\"%s\":%d", i ? "," : "", special[i], i);
    else
      str_printf(&tokens, ",\"w%d\":%d", i, i);
  str_puts(&tokens, "}}}");
  snprintf(path, sizeof path, "%s/tokenizer.json", folder);
  assert_int_equal(file_put(path, tokens.text, tokens.length, &err), STATUS_OK);
  str_done(&tokens);
  free(cwd);
}

/* --- what is told --------------------------------------------------------------------------------- */

struct told {
  size_t count;
  char text[4096];
  double logprob; /* of all tokens */
  bool ended;
  enum finish_reason reason;
  enum status code;
  char param[64], message[300];
  struct generation_event last;
  double score; /* of all labels */
  size_t labels;
};
static struct told told[REQUESTS + 2];

static void hear(void *context, const struct generation_event *event) {
  struct told *t = &told[event->id];
  (void)context;
  assert_false(t->ended);
  t->last = *event;
  switch (event->type) {
  case GENERATION_STARTED: assert_true(event->prompt_tokens == PROMPT || event->id == CHAT); break;
  case GENERATION_DELTA:
    t->count += (size_t)event->tokens;
    strncat(t->text, event->text, sizeof t->text - strlen(t->text) - 1);
    if (event->logprobs)
      t->logprob += json_real_value(json_object_get(json_array_get(event->logprobs, 0), "logprob"));
    break;
  case GENERATION_FINISHED:
    t->ended = true;
    t->reason = event->finish_reason;
    assert_int_equal(event->tokens, t->count);
    break;
  case GENERATION_FAILED:
    t->ended = true;
    t->code = event->code;
    snprintf(t->message, sizeof t->message, "%s", event->message);
    snprintf(t->param, sizeof t->param, "%s", event->param ? event->param : "");
    break;
  case GENERATION_SCORES: {
    size_t i;
    json_t *one;
    double before = 2;
    json_array_foreach(event->scores, i, one) {
      double score = json_real_value(json_object_get(one, "score"));
      assert_true(score <= before && json_string_length(json_object_get(one, "label")));
      before = score;
      t->score += score;
      t->labels++;
    }
    t->ended = true;
    break;
  }
  case GENERATION_VECTOR: t->ended = true; break;
  case GENERATION_EVENT_COUNT: break;
  }
}

struct service {
  struct backend backend;
  struct generator *generator;
};

static void open_service(struct service *s, const char *golden, int64_t memory, int threads) {
  static char adapters[300];
  struct error err = {0};
  struct task task = {.kind = TASK_GENERATE, .model_dir = folder, .output_dir = adapters, .memory_bytes = memory};
  make_folder(golden);
  snprintf(adapters, sizeof adapters, "tests/golden/cases/%s", golden);
  assert_int_equal(cpu_open(&s->backend, threads, NULL, &err), STATUS_OK);
  if (generator_open(&s->generator, &task, &s->backend, hear, NULL, &err))
    fail_msg("%s: %s", golden, err.text);
  memset(told, 0, sizeof told);
}

static void close_service(struct service *s) {
  generator_close(s->generator);
  backend_close(&s->backend);
  assert_int_equal(file_remove_tree(folder, NULL), STATUS_OK);
}

static void prompt_of(int64_t ids[PROMPT], size_t which) {
  for (size_t i = 0; i < PROMPT; i++)
    ids[i] = (int64_t)(3 + (which * 31 + i * 17) % 90);
}

static void send(struct service *s, struct generation_line *line) {
  struct str text;
  struct generation_line own;
  struct arena arena;
  struct error err;
  json_t *document;
  str_init(&text, GENERATION_LINE_MAX);
  arena_init(&arena, 1 << 24);
  assert_true(generation_line_write(&text, line));
  assert_int_equal(generation_line_parse(&own, &document, text.text, text.length - 1, &arena, &err), STATUS_OK);
  generator_hear(s->generator, &own, &arena, document);
  str_done(&text);
}

static void ask(struct service *s, size_t which, const char *adapter, double temperature, int64_t tokens) {
  int64_t ids[PROMPT];
  prompt_of(ids, which);
  struct generation_line line = {
      .kind = GENERATION_LINE_REQUEST,
      .request = {
          .id = (int64_t)which,
          .kind = GENERATION_COMPLETION,
          .adapter = adapter,
          .prompt_ids = {PROMPT, ids},
          .max_tokens = tokens,
          .logprobs = true,
          .sampling = {.temperature = temperature, .top_p = 1, .repetition_penalty = 1, .seed = (int64_t)which}}};
  send(s, &line);
}

static void step(struct service *s) {
  struct error err;
  if (generator_step(s->generator, &err))
    fail_msg("%s", err.text);
}

static void run(struct service *s) {
  while (generator_busy(s->generator))
    step(s);
}

/* --- against whole forward passes ----------------------------------------------------------------- */

static int64_t eos_of(const char *golden) {
  char path[300];
  json_t *config;
  snprintf(path, sizeof path, "tests/golden/cases/%s/model/config.json", golden);
  assert_int_equal(json_parse_file(&config, path, NULL, NULL), STATUS_OK);
  const json_t *eos = json_object_get(config, "eos_token_id");
  int64_t id = json_is_integer(eos) ? json_integer_value(eos) : -1;
  json_decref(config);
  return id;
}

/* The likeliest token again and again, each by a pass over all before it, to the end: the text, the log-probabilities'
   sum; returns how many tokens there are. */
static size_t without_cache(char *text, size_t size, double *logprob, const char *golden, const char *adapter,
                            size_t which) {
  char path[300];
  int64_t prompt[PROMPT];
  int32_t ids[PROMPT + TOKENS];
  struct served *served;
  struct backend backend;
  struct tape tape;
  struct error err = {0};
  prompt_of(prompt, which);
  for (size_t i = 0; i < PROMPT; i++)
    ids[i] = (int32_t)prompt[i];
  snprintf(path, sizeof path, "tests/golden/cases/%s/%s", golden, adapter ? adapter : "");
  assert_int_equal(cpu_open(&backend, 1, NULL, &err), STATUS_OK);
  assert_int_equal(tape_init(&tape, &backend, &err), STATUS_OK);
  if (served_open(&served, folder, adapter ? path : NULL, OUTPUT_TEXT, EMBEDDING_AUTO, &backend, &err) ||
      served_plan(served, &tape, &(struct served_limits){1, PROMPT + TOKENS, PROMPT + TOKENS}, &err))
    fail_msg("%s: %s", golden, err.text);
  *text = '\0';
  *logprob = 0;
  size_t tokens = 0;
  for (size_t count = PROMPT; count < PROMPT + TOKENS; count++) {
    const uint32_t cu_seqlens[] = {0, (uint32_t)count};
    const float *row;
    size_t cols, best = 0;
    double sum = 0;
    struct sequences sequences = sequences_host(1, count, count, cu_seqlens, ids, NULL);
    assert_int_equal(served_forward(&row, &cols, served, &tape, &sequences, &err), STATUS_OK);
    assert_int_equal(cols, VOCABULARY);
    for (size_t i = 0; i < cols; i++)
      best = row[i] > row[best] ? i : best;
    for (size_t i = 0; i < cols; i++)
      sum += exp((double)(row[i] - row[best]));
    *logprob -= log(sum);
    tokens++;
    if ((int64_t)best == eos_of(golden))
      break;
    ids[count] = (int32_t)best;
    if (best < COUNT_OF(special))
      snprintf(text + strlen(text), size - strlen(text), "%s", special[best]);
    else
      snprintf(text + strlen(text), size - strlen(text), "w%zu", best);
  }
  served_close(served);
  tape_done(&tape);
  backend_close(&backend);
  return tokens;
}

static char *without_spaces(char *text) {
  char *to = text;
  for (const char *from = text; *from; from++)
    if (*from != ' ')
      *to++ = *from;
  *to = '\0';
  return text;
}

static void caches_change_nothing(void **state) {
  static const char *const cases[] = {"llama-hra",
                                      "llama-lora",
                                      "llama-oft",
                                      "llama-boft",
                                      "mistral-hra",
                                      "qwen3-hra",
                                      "smollm3-hra",
                                      "olmo2-hra",
                                      "gemma2-hra",
                                      "gemma3-hra",
                                      "phi3-hra",
                                      "phi3-long-hra",
                                      "granite-hra",
                                      "gpt2-lora",
                                      "mixtral-hra",
                                      "qwen3moe-lora",
                                      "qwen3moe-normalised-oft"};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct service s;
    char want[4096];
    double logprob;
    open_service(&s, cases[i], 0, 2);
    ask(&s, 1, NULL, 0, TOKENS);
    ask(&s, 2, "adapter", 0, TOKENS);
    ask(&s, 3, "adapter", 0, TOKENS);
    run(&s);
    for (size_t k = 1; k <= 3; k++) {
      size_t count = without_cache(want, sizeof want, &logprob, cases[i], k == 1 ? NULL : "adapter", k);
      assert_int_equal(told[k].count, count);
      assert_int_equal(told[k].reason, count < TOKENS ? FINISH_STOP : FINISH_LENGTH);
      assert_string_equal(without_spaces(told[k].text), want);
      if (fabs(told[k].logprob - logprob) > 1e-4)
        fail_msg("%s: %g, not %g", cases[i], told[k].logprob, logprob);
    }
    close_service(&s);
  }
}

/* --- in company ----------------------------------------------------------------------------------- */

/* Alone; then all together, joining one after the other, on two threads. Bit by bit. */
static void company_changes_nothing(void **state) {
  struct told alone[REQUESTS + 1];
  struct service s;
  (void)state;
  open_service(&s, "llama-hra", 0, 1);
  for (size_t k = 1; k <= REQUESTS; k++) {
    ask(&s, k, k % 2 ? "adapter" : NULL, k % 3 ? 0.9 : 0, TOKENS);
    run(&s);
  }
  memcpy(alone, told, sizeof alone);
  close_service(&s);
  open_service(&s, "llama-hra", 0, 2);
  for (size_t k = 1; k <= REQUESTS; k++) {
    ask(&s, k, k % 2 ? "adapter" : NULL, k % 3 ? 0.9 : 0, TOKENS);
    step(&s);
  }
  run(&s);
  for (size_t k = 1; k <= REQUESTS; k++) {
    assert_string_equal(told[k].text, alone[k].text);
    assert_true(told[k].logprob == alone[k].logprob);
  }
  close_service(&s);
}

/* Memory for two and a half of them: the younger ones make room, and say the same in the end. */
static void little_memory_changes_nothing(void **state) {
  struct told roomy[REQUESTS + 1];
  struct service s;
  (void)state;
  open_service(&s, "llama-hra", 0, 2);
  size_t context = generator_context(s.generator);
  for (size_t k = 1; k <= REQUESTS; k++)
    ask(&s, k, NULL, 0.9, 50);
  run(&s);
  memcpy(roomy, told, sizeof roomy);
  close_service(&s);
  open_service(&s, "llama-hra", TOKEN_BYTES * 150, 2);
  assert_int_equal(generator_context(s.generator), context < 150 ? context : 150);
  for (size_t k = 1; k <= REQUESTS; k++)
    ask(&s, k, NULL, 0.9, 50);
  run(&s);
  for (size_t k = 1; k <= REQUESTS; k++) {
    assert_int_equal(told[k].reason, roomy[k].reason);
    assert_string_equal(told[k].text, roomy[k].text);
  }
  close_service(&s);
}

/* One that waits for an older one takes nothing from a younger one before that helps; then it does, whatever the
   younger one was about to do. */
static void the_younger_makes_room_while_it_decodes(void **state) {
  static const int64_t tokens[] = {0, 33, 50, 23};
  struct told roomy[4];
  struct service s;
  (void)state;
  for (int little = 0; little < 2; little++) {
    open_service(&s, "llama-hra", little ? TOKEN_BYTES * 75 : 0, 2); /* caches of 40, 57 and 30 tokens */
    ask(&s, 1, NULL, 0.9, tokens[1]);
    for (int i = 0; i < 20; i++)
      step(&s);
    ask(&s, 2, NULL, 0.9, tokens[2]);
    ask(&s, 3, NULL, 0.9, tokens[3]);
    for (int i = 0; i < 8; i++)
      step(&s);
    assert_true(told[3].count >= 8 || told[3].ended);
    run(&s);
    for (size_t k = 1; k <= 3; k++) {
      assert_int_equal(told[k].reason, FINISH_LENGTH);
      assert_int_equal(told[k].count, tokens[k]);
      if (little)
        assert_string_equal(told[k].text, roomy[k].text);
    }
    memcpy(roomy, told, sizeof roomy);
    close_service(&s);
  }
}

static void requests_leave(void **state) {
  struct service s;
  struct told alone;
  (void)state;
  open_service(&s, "llama-hra", 0, 2);
  ask(&s, 1, NULL, 0, TOKENS);
  run(&s);
  alone = told[1];
  memset(told, 0, sizeof told);
  ask(&s, 1, NULL, 0, TOKENS);
  ask(&s, 2, "adapter", 0, TOKENS);
  ask(&s, 3, "adapter", 0, 0); /* as many as the context has */
  for (int i = 0; i < 6; i++)
    step(&s);
  send(&s, &(struct generation_line){.kind = GENERATION_LINE_CANCEL, .id = 2});
  send(&s, &(struct generation_line){.kind = GENERATION_LINE_CANCEL, .id = 77}); /* nobody's */
  send(&s, &(struct generation_line){.kind = GENERATION_LINE_FORGET, .adapter = "adapter"});
  assert_true(told[2].ended && told[2].reason == FINISH_CANCELLED);
  run(&s);
  assert_string_equal(told[1].text, alone.text);
  assert_int_equal(told[3].reason, FINISH_LENGTH);
  assert_int_equal(told[3].count, generator_context(s.generator) - PROMPT);
  close_service(&s);
}

/* Too long for the model, or for the caches' memory alone: the answer says which. */
static void what_bounds_a_prompt_is_said(void **state) {
  static const struct {
    size_t tokens; /* of the caches; 0: more than the context */
    const char *says;
  } cases[] = {
      {0, "the model's context less one for an answer"},
      {30, "prompt has 200 tokens, and there is room for 29: what the server's memory for KV caches holds"},
  };
  int64_t ids[200] = {5};
  struct generation_line line = {.kind = GENERATION_LINE_REQUEST,
                                 .request = {.id = 1,
                                             .kind = GENERATION_COMPLETION,
                                             .prompt_ids = {COUNT_OF(ids), ids},
                                             .sampling = {.top_p = 1, .repetition_penalty = 1}}};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct service s;
    open_service(&s, "llama-hra", (int64_t)cases[i].tokens * TOKEN_BYTES, 1);
    send(&s, &line);
    assert_int_equal(told[1].code, STATUS_CONTEXT_LENGTH);
    assert_string_equal(told[1].param, "prompt");
    assert_non_null(strstr(told[1].message, cases[i].says));
    close_service(&s);
  }
}

static void stops_and_faults(void **state) {
  int64_t foreign[] = {5, VOCABULARY}, ids[] = {5};
  const char *stop[1];
  struct service s;
  (void)state;
  open_service(&s, "llama-hra", 0, 2);
  ask(&s, 1, NULL, 0, TOKENS);
  run(&s);
  char third[16];
  assert_int_equal(sscanf(told[1].text, "%*s %*s %15s", third), 1);
  stop[0] = third;
  struct generation_line line = {
      .kind = GENERATION_LINE_REQUEST,
      .request = {.kind = GENERATION_COMPLETION, .sampling = {.temperature = 0, .top_p = 1, .repetition_penalty = 1}}};
  int64_t prompt[PROMPT];
  prompt_of(prompt, 1);
  line.request.id = 2;
  line.request.prompt_ids = (struct int_list){PROMPT, prompt};
  line.request.stop = (struct string_list){1, stop};
  send(&s, &line);
  run(&s);
  assert_true(told[2].ended && told[2].reason == FINISH_STOP && told[2].count <= 3);
  assert_null(strstr(told[2].text, third));
  line.request.stop.count = 0;
  line.request.id = 4;
  line.request.prompt_ids = (struct int_list){2, foreign};
  send(&s, &line);
  assert_int_equal(told[4].code, STATUS_INVALID_VALUE);
  line.request.id = 5;
  line.request.adapter = "none";
  line.request.prompt_ids = (struct int_list){1, ids};
  send(&s, &line);
  assert_true(told[5].code != STATUS_OK);
  line.request.id = 6;
  line.request.adapter = NULL;
  line.request.kind = GENERATION_EMBEDDING;
  send(&s, &line);
  assert_int_equal(told[6].code, STATUS_UNSUPPORTED_VALUE);
  assert_false(generator_busy(s.generator));
  close_service(&s);
}

/* A template that leaves the tools out would leave the model without them. */
static void tools_must_be_written(void **state) {
  struct service s;
  (void)state;
  open_service(&s, "llama-hra", 0, 2);
  json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "w9");
  json_t *tools = json_pack("[{s:s, s:{s:s}}]", "type", "function", "function", "name", "w5");
  struct generation_line line = {.kind = GENERATION_LINE_REQUEST,
                                 .request = {.id = 1,
                                             .kind = GENERATION_CHAT,
                                             .messages = messages,
                                             .tools = tools,
                                             .chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}",
                                             .max_tokens = 1,
                                             .sampling = {.top_p = 1, .repetition_penalty = 1}}};
  send(&s, &line);
  assert_int_equal(told[1].code, STATUS_UNSUPPORTED_VALUE);
  assert_string_equal(told[1].param, "tools");
  line.request.id = CHAT;
  line.request.tools = NULL;
  send(&s, &line);
  if (told[CHAT].code)
    fail_msg("%s", told[CHAT].message);
  json_decref(messages);
  json_decref(tools);
  close_service(&s);
}

/* A model without a template still takes texts: the chat is refused, not the model. */
static void chats_need_a_template(void **state) {
  struct service s;
  (void)state;
  open_service(&s, "llama-hra", 0, 2);
  json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "w9");
  struct generation_line line = {.kind = GENERATION_LINE_REQUEST,
                                 .request = {.id = 1,
                                             .kind = GENERATION_CHAT,
                                             .messages = messages,
                                             .max_tokens = 1,
                                             .sampling = {.top_p = 1, .repetition_penalty = 1}}};
  send(&s, &line);
  assert_int_equal(told[1].code, STATUS_UNSUPPORTED_VALUE);
  assert_string_equal(told[1].param, "chat_template");
  json_decref(messages);
  close_service(&s);
}

/* --- classifiers ---------------------------------------------------------------------------------- */

static void classes_have_scores(void **state) {
  struct service s;
  (void)state;
  open_service(&s, "bert-hra", 0, 2);
  struct generation_line line = {.kind = GENERATION_LINE_REQUEST,
                                 .request = {.id = 1,
                                             .kind = GENERATION_CLASSIFICATION,
                                             .adapter = "adapter",
                                             .prompt = "w9 w27 w4",
                                             .sampling = {.top_p = 1, .repetition_penalty = 1}}};
  send(&s, &line);
  if (told[1].code)
    fail_msg("%s", told[1].message);
  assert_true(generator_busy(s.generator));
  step(&s);
  assert_int_equal(told[1].last.type, GENERATION_SCORES);
  assert_int_equal(told[1].last.prompt_tokens, 5); /* [CLS] and [SEP] are there */
  assert_int_equal(told[1].labels, 3);
  assert_true(fabs(told[1].score - 1) < 1e-9);
  close_service(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(caches_change_nothing),
      cmocka_unit_test(company_changes_nothing),
      cmocka_unit_test(little_memory_changes_nothing),
      cmocka_unit_test(the_younger_makes_room_while_it_decodes),
      cmocka_unit_test(requests_leave),
      cmocka_unit_test(what_bounds_a_prompt_is_said),
      cmocka_unit_test(stops_and_faults),
      cmocka_unit_test(tools_must_be_written),
      cmocka_unit_test(chats_need_a_template),
      cmocka_unit_test(classes_have_scores),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
