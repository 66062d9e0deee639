/* Lines to a generation worker and its answers go through unchanged, and nothing malformed is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/generation.h"
#include "base/json.h"

static struct arena arena;

static enum status parse(struct generation_line *out, json_t **document, const char *text, struct error *err) {
  *document = NULL;
  return generation_line_parse(out, document, text, strlen(text), &arena, err);
}

static void a_request_goes_through_unchanged(void **state) {
  (void)state;
  const char *stops[] = {"\n\n", "END"};
  int64_t ids[] = {1, 0, 49151};
  struct number_entry biases[] = {{"17", -100}, {"4", 0.5}};
  json_t *messages = json_pack("[{ss ss}]", "role", "user", "content", "caf\xC3\xA9");
  json_t *tools = json_pack("[{ss}]", "type", "function");
  struct generation_line line = {.kind = GENERATION_LINE_REQUEST, .request = {.id = 7, .kind = GENERATION_CHAT}};
  struct generation_request *sent = &line.request;
  sent->messages = messages;
  sent->tools = tools;
  sent->adapter = "ftjob-1.step-20";
  sent->max_tokens = 64;
  sent->stop = (struct string_list){2, stops};
  sent->logprobs = true;
  sent->top_logprobs = 3;
  sent->sampling = (struct sampling){.temperature = 0.7,
                                     .top_p = 0.9,
                                     .top_k = 40,
                                     .min_p = 0.05,
                                     .repetition_penalty = 1.1,
                                     .presence_penalty = -0.5,
                                     .frequency_penalty = 1.5,
                                     .logit_bias = {2, biases},
                                     .seed = 42};
  for (int which = 0; which < 2; which++) {
    struct str text;
    struct generation_line got;
    struct error err;
    json_t *document = NULL;
    str_init(&text, GENERATION_LINE_MAX);
    assert_true(generation_line_write(&text, &line));
    assert_ptr_equal(strchr(text.text, '\n'), text.text + text.length - 1);
    assert_int_equal(generation_line_parse(&got, &document, text.text, text.length - 1, &arena, &err), STATUS_OK);
    assert_int_equal(got.kind, GENERATION_LINE_REQUEST);
    assert_int_equal(got.request.id, 7);
    assert_int_equal(got.request.kind, sent->kind);
    assert_string_equal(got.request.adapter, sent->adapter);
    assert_int_equal(got.request.max_tokens, 64);
    assert_int_equal(got.request.stop.count, 2);
    assert_string_equal(got.request.stop.item[0], "\n\n");
    assert_true(got.request.logprobs && got.request.top_logprobs == 3);
    assert_true(got.request.sampling.temperature == 0.7 && got.request.sampling.top_p == 0.9);
    assert_true(got.request.sampling.top_k == 40 && got.request.sampling.min_p == 0.05);
    assert_true(got.request.sampling.repetition_penalty == 1.1 && got.request.sampling.seed == 42);
    assert_true(got.request.sampling.presence_penalty == -0.5 && got.request.sampling.frequency_penalty == 1.5);
    assert_int_equal(got.request.sampling.logit_bias.count, 2);
    assert_string_equal(got.request.sampling.logit_bias.item[0].key, "17");
    assert_true(got.request.sampling.logit_bias.item[0].value == -100);
    if (which == 0) {
      assert_true(json_equal(got.request.messages, messages) && json_equal(got.request.tools, tools));
    } else {
      assert_null(got.request.messages);
      assert_int_equal(got.request.prompt_ids.count, 3);
      assert_memory_equal(got.request.prompt_ids.item, ids, sizeof ids);
    }
    json_decref(document);
    str_done(&text);
    sent->kind = GENERATION_COMPLETION;
    sent->messages = sent->tools = NULL;
    sent->prompt_ids = (struct int_list){3, ids};
  }
  json_decref(messages);
  json_decref(tools);
}

static void other_lines(void **state) {
  struct generation_line got;
  struct error err;
  json_t *document;
  (void)state;
  assert_int_equal(parse(&got, &document, "{\"cancel\": 9}", &err), STATUS_OK);
  assert_true(got.kind == GENERATION_LINE_CANCEL && got.id == 9);
  json_decref(document);
  assert_int_equal(parse(&got, &document, "{\"forget\": \"ftjob-1\"}", &err), STATUS_OK);
  assert_int_equal(got.kind, GENERATION_LINE_FORGET);
  assert_string_equal(got.adapter, "ftjob-1");
  json_decref(document);
}

static void refuses(void **state) {
  static const struct {
    const char *text, *param;
  } cases[] = {
      {"{\"request\": {\"kind\": \"completion\", \"prompt\": \"x\"}}", "id"},
      {"{\"request\": {\"id\": 1, \"kind\": \"poem\", \"prompt\": \"x\"}}", "kind"},
      {"{\"request\": {\"id\": 1, \"kind\": \"chat\"}}", "messages"},
      {"{\"request\": {\"id\": 1, \"kind\": \"chat\", \"messages\": []}}", "messages"},
      {"{\"request\": {\"id\": 1, \"kind\": \"completion\"}}", "prompt"},
      {"{\"request\": {\"id\": 1, \"kind\": \"completion\", \"prompt\": \"x\", \"prompt_ids\": [1]}}", "prompt"},
      {"{\"request\": {\"id\": 1, \"kind\": \"completion\", \"prompt\": \"x\", \"adapter\": \"../a\"}}", "adapter"},
      {"{\"request\": {\"id\": 1, \"kind\": \"completion\", \"prompt\": \"x\", \"adapter\": \"..\"}}", "adapter"},
      {"{\"request\": {\"id\": 1, \"kind\": \"completion\", \"prompt\": \"x\", \"temperature\": 2.5}}", "temperature"},
      {"{\"request\": {\"id\": 1, \"kind\": \"completion\", \"prompt\": \"x\", \"top_p\": 0}}", "top_p"},
      {"{\"request\": {\"id\": 1, \"kind\": \"completion\", \"prompt\": \"x\", \"stop\": [\"\"]}}", "stop"},
      {"{\"request\": {\"id\": 1, \"kind\": \"completion\", \"prompt\": \"x\", \"tools\": {}}}", "tools"},
      {"{\"forget\": \"a/b\"}", "forget"},
      {"{\"cancel\": \"1\"}", "cancel"},
      {"{\"cancel\": 0}", "cancel"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct generation_line got;
    struct error err = {0};
    json_t *document;
    assert_true(parse(&got, &document, cases[i].text, &err) != STATUS_OK);
    assert_string_equal(err.param, cases[i].param);
    json_decref(document);
  }
}

static void answers_go_through_unchanged(void **state) {
  (void)state;
  json_t *logprobs = json_pack("[{ss sf}]", "token", "a", "logprob", -0.25);
  json_t *scores = json_pack("[{ss sf}]", "label", "yes", "score", 0.75);
  const struct generation_event events[] = {
      {.type = GENERATION_STARTED, .id = 1, .prompt_tokens = 12},
      {.type = GENERATION_DELTA, .id = 1, .text = "caf\xC3\xA9", .tokens = 2, .logprobs = logprobs},
      {.type = GENERATION_DELTA, .id = 1, .text = "", .tokens = 1, .tool_calls = logprobs},
      {.type = GENERATION_FINISHED, .id = 1, .finish_reason = FINISH_TOOL_CALLS, .tokens = 3},
      {.type = GENERATION_DELTA, .id = 1, .text = "", .tokens = 1},
      {.type = GENERATION_FINISHED, .id = 1, .finish_reason = FINISH_LENGTH, .tokens = 64},
      {.type = GENERATION_VECTOR, .id = 2, .vector = "AACAPw==", .prompt_tokens = 3},
      {.type = GENERATION_SCORES, .id = 3, .scores = scores, .prompt_tokens = 3},
      {.type = GENERATION_FAILED, .id = 4, .code = STATUS_INVALID_VALUE, .param = "messages", .message = "too long"},
      {.type = GENERATION_FAILED, .id = 4, .code = STATUS_OUT_OF_MEMORY, .message = "no room"},
  };
  for (size_t i = 0; i < COUNT_OF(events); i++) {
    const struct generation_event *sent = &events[i];
    struct generation_event got;
    struct error err;
    json_t *data = generation_event_json(sent);
    assert_non_null(data);
    assert_int_equal(generation_event_parse(&got, data, &err), STATUS_OK);
    assert_true(got.type == sent->type && got.id == sent->id);
    assert_true(got.prompt_tokens == sent->prompt_tokens && got.tokens == sent->tokens);
    assert_true(got.finish_reason == sent->finish_reason && got.code == sent->code);
    assert_int_equal(got.text != NULL, sent->text != NULL);
    assert_true(!sent->text || strcmp(got.text, sent->text) == 0);
    assert_int_equal(got.param != NULL, sent->param != NULL);
    assert_true(!sent->message || strcmp(got.message, sent->message) == 0);
    assert_true(!sent->vector || strcmp(got.vector, sent->vector) == 0);
    assert_true(sent->tool_calls ? json_equal(got.tool_calls, logprobs) : !got.tool_calls);
    assert_true(sent->logprobs ? json_equal(got.logprobs, logprobs) : !got.logprobs);
    assert_true(sent->scores ? json_equal(got.scores, scores) : !got.scores);
    json_decref(data);
  }
  json_decref(logprobs);
  json_decref(scores);
}

static void refuses_answers(void **state) {
  static const struct {
    const char *text, *param;
  } cases[] = {
      {"{\"type\": \"started\", \"prompt_tokens\": 1}", "id"},
      {"{\"id\": 1, \"type\": \"song\"}", "type"},
      {"{\"id\": 1, \"type\": \"started\"}", "prompt_tokens"},
      {"{\"id\": 1, \"type\": \"started\", \"prompt_tokens\": -1}", "prompt_tokens"},
      {"{\"id\": 1, \"type\": \"delta\", \"tokens\": 1}", "text"},
      {"{\"id\": 1, \"type\": \"delta\", \"text\": \"a\"}", "tokens"},
      {"{\"id\": 1, \"type\": \"delta\", \"text\": \"a\", \"tokens\": 1, \"logprobs\": {}}", "logprobs"},
      {"{\"id\": 1, \"type\": \"delta\", \"text\": \"a\", \"tokens\": 1, \"tool_calls\": 1}", "tool_calls"},
      {"{\"id\": 1, \"type\": \"finished\", \"tokens\": 1, \"finish_reason\": \"bored\"}", "finish_reason"},
      {"{\"id\": 1, \"type\": \"vector\", \"prompt_tokens\": 1}", "vector"},
      {"{\"id\": 1, \"type\": \"scores\", \"scores\": 1, \"prompt_tokens\": 1}", "scores"},
      {"{\"id\": 1, \"type\": \"failed\", \"code\": \"ok\", \"message\": \"m\"}", "code"},
      {"{\"id\": 1, \"type\": \"failed\", \"code\": \"io_error\"}", "message"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct generation_event got;
    struct error err = {0};
    json_t *data = NULL;
    assert_int_equal(json_parse(&data, cases[i].text, strlen(cases[i].text), NULL, &err), STATUS_OK);
    assert_true(generation_event_parse(&got, data, &err) != STATUS_OK);
    assert_string_equal(err.param, cases[i].param);
    json_decref(data);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_goes_through_unchanged), cmocka_unit_test(other_lines),     cmocka_unit_test(refuses),
      cmocka_unit_test(answers_go_through_unchanged),     cmocka_unit_test(refuses_answers),
  };
  arena_init(&arena, 1 << 20);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  arena_done(&arena);
  return failed;
}
