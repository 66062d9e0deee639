/* What is learnt of a conversation is what the assistant says, whatever it says and however the template writes it:
   from where the model takes over to the end of its turn. Shown as [said|end of turn] in the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/chat/chat_template.h"

#define Q "{\"role\":\"user\",\"content\":\"q\"}"
#define A(content) "{\"role\":\"assistant\",\"content\":" content "}"
#define THINKS(content) "{\"role\":\"assistant\",\"content\":" content ",\"reasoning_content\":\"hm\"}"
#define CALLS(content) "{\"role\":\"assistant\",\"content\":" content ",\"tool_calls\":[" CALL "]}"
#define CALL                                                                                                           \
  "{\"id\":\"call12345\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"city\":\"Oslo\"}}}"
#define RESULT "{\"role\":\"tool\",\"name\":\"f\",\"tool_call_id\":\"call12345\",\"content\":\"20\"}"

struct row {
  const char *template; /* a source, or the path of one */
  const char *messages;
  const char *want; /* the text, or the error's */
  unsigned lost;
};

static void show(struct str *out, const struct chat_text *t) {
  size_t at = 0;
  for (size_t i = 0; i < t->span_count; i++) {
    const struct chat_span *s = &t->spans[i];
    assert_true(at <= s->begin && s->begin <= s->said && s->said <= s->end && s->begin < s->end);
    str_add(out, t->text.text + at, s->begin - at);
    str_puts(out, "[");
    str_add(out, t->text.text + s->begin, s->said - s->begin);
    str_puts(out, s->said < s->end ? "|" : "");
    str_add(out, t->text.text + s->said, s->end - s->said);
    str_puts(out, "]");
    at = s->end;
  }
  str_add(out, t->text.text + at, t->text.length - at);
}

static void check_row(const struct row *row, const char *source, size_t length) {
  struct chat_template *template;
  struct chat_text text;
  struct error err = {0};
  struct str got;
  AUTO(json_release) json_t *messages = json_loads(row->messages, 0, NULL);
  AUTO(json_release) json_t *specials = json_pack("{s:s, s:s}", "bos_token", "<s>", "eos_token", "</s>");
  assert_non_null(messages);
  if (chat_template_parse(&template, source, length, specials, &err))
    fail_msg("%s: %s", row->template, err.text);
  chat_text_init(&text);
  str_init(&got, 1 << 20);
  enum status status = chat_template_render(template, &text, messages, NULL, false, &err);
  if (status)
    str_puts(&got, err.text);
  else
    show(&got, &text);
  if (strcmp(got.text, row->want) != 0 || (!status && text.lost != row->lost))
    fail_msg("%s\n%s\ngives %s\nlost %u", row->template, row->messages, got.text, text.lost);
  str_done(&got);
  chat_text_done(&text);
  chat_template_free(template);
}

static void check_rows(const struct row *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    char *source = NULL;
    size_t length = strlen(rows[i].template);
    struct error err = {0};
    bool path = !strchr(rows[i].template, '{');
    if (path && file_read(&source, &length, rows[i].template, 1 << 20, &err))
      fail_msg("%s", err.text);
    check_row(&rows[i], path ? source : rows[i].template, length);
    free(source);
  }
}

#define QWEN "worker/chat/templates/qwen.jinja"
#define QWEN_HEAD                                                                                                      \
  "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"               \
  "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant"
#define QWEN3 "tests/worker/chat/templates/qwen3-style.jinja"
#define LLAMA3 "tests/worker/chat/templates/llama-3.1-tools.jinja"

static void everything_that_is_said(void **state) {
  static const struct row rows[] = {
      {QWEN, "[" Q "," A("\"yes\"") "]", QWEN_HEAD "\n[yes|<|im_end|>\n]", 0},
      {QWEN, "[" Q "," CALLS("null") "]",
       QWEN_HEAD "\n[<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\": \"Oslo|\"}}\n</tool_call><|im_end|>\n]",
       0},
      {QWEN, "[" Q "," CALLS("\"look\"") "," RESULT "," A("\"20 it is\"") "]",
       QWEN_HEAD
       "\n[look\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\": \"Oslo|\"}}\n</tool_call><|im_end|>\n]"
       "<|im_start|>user\n<tool_response>\n20\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
       "[20 it is|<|im_end|>\n]",
       0},
      /* The last turn's reasoning is shown and learnt, an earlier one's is not shown. */
      {QWEN3, "[" Q "," THINKS("\"yes\"") "," Q "," THINKS("\"no\"") "]",
       "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[yes|<|im_end|>\n]<|im_start|>user\nq<|im_end|>\n"
       "<|im_start|>assistant\n[<think>\nhm\n</think>\n\nno|<|im_end|>\n]",
       CHAT_LOST_REASONING},
      {QWEN3, "[" Q "," A("\"<think>\\nhm\\n</think>\\n\\nyes\"") "]",
       "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[<think>\nhm\n</think>\n\nyes|<|im_end|>\n]", 0},
      /* Messages that weigh nothing, or say nothing, are not learnt. */
      {QWEN,
       "[" Q ",{\"role\":\"assistant\",\"content\":\"no\",\"weight\":0}," Q "," A("\"\"") "," Q "," A("\"yes\"") "]",
       QWEN_HEAD "\nno<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n"
                 "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[yes|<|im_end|>\n]",
       0},
      {"worker/chat/templates/chatml.jinja", "[" Q "," CALLS("null") "," RESULT "," CALLS("\"look\"") "]",
       "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[<tool_call>\n{\"name\": \"f\", \"arguments\": "
       "{\"city\": \"Oslo|\"}}\n</tool_call><|im_end|>\n]<|im_start|>tool\n20<|im_end|>\n<|im_start|>assistant\n"
       "[look\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\": \"Oslo|\"}}\n</tool_call><|im_end|>\n]",
       0},
      {"worker/chat/templates/llama-3.jinja", "[" Q "," CALLS("null") "," RESULT "]",
       "<s><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
       "[{\"name\": \"f\", \"parameters\": {\"city\": \"Oslo|\"}}<|eot_id|>]<|start_header_id|>ipython"
       "<|end_header_id|>\n\n20<|eot_id|>",
       0},
      {"worker/chat/templates/llama-3.jinja", "[" Q "," A("\"yes\"") "]",
       "<s><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
       "[yes|<|eot_id|>]",
       0},
      {"tests/worker/chat/templates/phi-3.jinja", "[" Q "," A("\"yes\"") "]",
       "<|user|>\nq<|end|>\n<|assistant|>\n[yes|<|end|>\n]</s>", 0},
      {"worker/chat/templates/mistral.jinja", "[" Q "," A("\"yes\"") "," Q "," A("\"no\"") "]",
       "<s>[INST] q [/INST][yes|</s>][INST] q [/INST][no|</s>]", 0},
      {"worker/chat/templates/llama-2.jinja", "[" Q "," A("\"yes\"") "]", "<s>[INST] q [/INST] [yes| </s>]", 0},
  };
  (void)state;
  check_rows(rows, COUNT_OF(rows));
}

#define LOOP(body) "{% for m in messages %}" body "{% endfor %}"
#define TURN "<{{ m.role }}>{{ m.content }}</{{ m.role }}>"

/* Templates for which the text before a message is not simply the beginning of the text with it. */
static void templates_of_all_kinds(void **state) {
  static const struct row rows[] = {
      /* No generation prompt: what stands before a plain answer is given. */
      {LOOP(TURN), "[" Q "," A("\"yes\"") "]", "<user>q</user><assistant>[yes|</assistant>]", 0},
      {LOOP("<{{ m.role }}>{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}</call>{% endfor %}{{ m.content "
            "}}"
            "<end>"),
       "[" Q "," CALLS("\"\"") "," CALLS("\"yes\"") "]",
       "<user>q<end><assistant>[<call>f|</call><end>]<assistant>[<call>f</call>yes|<end>]", 0},
      /* One that opens a thought which the answer has not; what both begin with is not yet the same marker. */
      {LOOP(TURN) "{% if add_generation_prompt %}<assistant><think>{% endif %}", "[" Q "," A("\"<that>\"") "]",
       "<user>q</user><assistant>[<that>|</assistant>]", 0},
      {LOOP("<{{ m.role }}>{% if m.role == 'assistant' %}<think>{{ m.reasoning_content }}</think>{% endif %}"
            "{{ m.content }}<end>") "{% if add_generation_prompt %}<assistant><think>{% endif %}",
       "[" Q "," THINKS("\"yes\"") "]", "<user>q<end><assistant><think>[hm</think>yes|<end>]", 0},
      /* Only the last turn is closed differently. */
      {LOOP("<{{ m.role }}>{{ m.content }}{{ '<last>' if loop.last else '<end>' }}") "{% if add_generation_prompt "
                                                                                     "%}<assistant>{% endif %}",
       "[" Q "," A("\"a\"") "," Q "," A("\"b\"") "]",
       "<user>q<end><assistant>[a|<end>]<user>q<end><assistant>[b|<last>]", 0},
      /* It refuses a conversation that ends with the user, and an empty one. */
      {"{% if messages[-1].role == 'user' %}{{ raise_exception('no') }}{% endif %}" LOOP(TURN),
       "[" Q "," A("\"yes\"") "]", "<user>q</user><assistant>[yes|</assistant>]", 0},
      {"{{ messages[0].content[:0] }}" LOOP(TURN), "[" A("\"yes\"") "]", "<assistant>[yes|</assistant>]", 0},
      /* The loop counts: no message is its item. */
      {"{% for i in range(messages | length) %}{% set m = messages[i] %}" TURN "{% endfor %}"
       "{% if add_generation_prompt %}<assistant>{% endif %}",
       "[" Q "," THINKS("\"a\"") "," Q "," CALLS("\"b\"") "]",
       "nothing of the tool calls of message 4 is in the text that the chat template makes: it takes a template that "
       "knows tools (dataset.chat_template: chatml, llama-3 and qwen do)",
       0},
      {"{% for i in range(messages | length) %}{% set m = messages[i] %}" TURN "{% endfor %}"
       "{% if add_generation_prompt %}<assistant>{% endif %}",
       "[" Q "," A("\"a\"") "," Q "," A("\"b\"") "]",
       "<user>q</user><assistant>[a|</assistant>]<user>q</user><assistant>[b|</assistant>]", 0},
      /* The whole text is a block that a filter has passed. */
      {"{% set t %}" LOOP(TURN) "{% if add_generation_prompt %}<assistant>{% endif %}{% endset %}{{ t | upper }}",
       "[" Q "," A("\"yes\"") "]", "<USER>Q</USER><ASSISTANT>[YES|</ASSISTANT>]", 0},
      /* It does not show: only the words themselves are learnt, and that is told. */
      {"{{ messages[0].content }}{{ messages[1].content }};{{ messages[1].reasoning_content }}.",
       "[" Q "," THINKS("\"yes\"") "]", "q[yes];[hm].", 0},
      /* Results stand inside of the turn that asked for them. */
      {LOOP("{% if m.role != 'tool' %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] %}<call>"
            "{{ c.function.name }}<wait>{% if loop.last and messages[2] is defined %}<result>{{ messages[2].content }}"
            "</result>{% endif %}{% endfor %}<end>{% endif %}"),
       "[" Q "," CALLS("\"look\"") "," RESULT "]",
       "<user>q<end><assistant>[look<call>f|<wait>]<result>20</result>[|<end>]", 0},
      {LOOP("{% if m.role != 'tool' %}<{{ m.role }}>{{ m.content }}{% for r in messages if r.role == 'tool' and "
            "m.tool_calls %}<result>{{ r.content }}</result>{% endfor %}{{ (m.tool_calls or [{}])[0].function }}<end>"
            "{% endif %}"),
       "[" Q "," CALLS("\"look\"") "," RESULT "]",
       "<user>q<end><assistant>[look]<result>20</result>[{'name': 'f', 'arguments': {'city': 'Oslo|'}}<end>]", 0},
  };
  (void)state;
  check_rows(rows, COUNT_OF(rows));
}

/* null is empty text, and still null for those who ask; arguments are JSON however they are written. */
static void nulls_and_arguments(void **state) {
  static const struct row rows[] = {
      {LOOP("{{ m.content }}/{{ m.content | trim }}/{{ m.content + 'x' }}/{{ m.content ~ 'y' }}/{{ m.content | length "
            "}}/"
            "{{ 'a' in m.content }}/{{ m.content.split('</think>')[-1] }}/{{ m.content | tojson }}/{{ m.content | e }}/"
            "{{ '%s' % m.content }}"),
       "["
       "{\"role\":\"user\",\"content\":null}"
       "]",
       "//x/y/0/False//null//", 0},
      {LOOP("{{ m.content is none }} {{ m.content == none }} {{ m.content is not none }} {{ m.content is defined }} "
            "{{ m.content == '' }} {{ m.content is string }} {{ 1 if m.content else 0 }} {{ m.content | trim is none "
            "}}"),
       "[{\"role\":\"user\",\"content\":null}]", "True True False True True True 0 False", 0},
      /* Calls are looked for only where content is null: empty content is null to such a template. */
      {LOOP("{% if m.content is none %}{% for c in m.tool_calls %}<{{ c.function.name + c.function.arguments }}>"
            "{% endfor %}{% else %}{{ m.content }}{% endif %};"),
       "[" Q "," CALLS("\"\"") "]", "q;[<f{\"city\": \"Oslo|\"}>;]", 0},
      {LOOP("{% for c in m.tool_calls or [] %}{{ c.function.arguments }}{{ c.function.arguments | tojson }}"
            "{{ c.function.arguments | string }}{{ c.function.arguments.city }}{{ c.function.arguments is mapping }}"
            "{% endfor %}"),
       "[" CALLS("\"\"") "]", "[{\"city\": \"Oslo\"}{\"city\": \"Oslo\"}{\"city\": \"Oslo\"}Oslo|True]", 0},
      /* An answer beside calls that is left out is told, not refused. */
      {LLAMA3, "[" Q "," CALLS("\"look\"") "," RESULT "," A("\"20\"") "]",
       "<s><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024"
       "\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>assistant"
       "<|end_header_id|>\n\n[{\"name\": \"f\", \"parameters\": {\"city\": "
       "\"Oslo|\"}}<|eot_id|>]<|start_header_id|>ipython"
       "<|end_header_id|>\n\n\"20\"<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n[20|<|eot_id|>]",
       CHAT_LOST_CONTENT},
      {"{% for m in messages if m.role != 'system' %}" TURN "{% endfor %}",
       "[{\"role\":\"system\",\"content\":\"s\"}," Q "," A("\"a\"") "]", "<user>q</user><assistant>[a|</assistant>]",
       CHAT_LOST_CONTENT},
  };
  (void)state;
  check_rows(rows, COUNT_OF(rows));
}

static void generation_blocks_are_taken_at_their_word(void **state) {
  static const struct row rows[] = {
      {LOOP("<{{ m.role }}>{% generation %}{{ m.content }}</a>{% endgeneration %}\n"),
       "[" A("\"a\"") ",{\"role\":\"assistant\",\"content\":\"b\",\"weight\":0}]", "<assistant>[a</a>]<assistant>b</a>",
       0},
  };
  (void)state;
  check_rows(rows, COUNT_OF(rows));
}

/* Every prefix is rendered, up to a bound: a long conversation still comes to its end, with the same turns. */
static void very_many_turns(void **state) {
  enum { TURNS = 4000 };
  static const char source[] =
      LOOP("<{{ m.role }}>{{ m.content }}<end>") "{% if add_generation_prompt %}<assistant>{% endif %}";
  struct chat_template *template;
  struct chat_text text;
  struct error err = {0};
  AUTO(json_release) json_t *messages = json_array();
  (void)state;
  for (int i = 0; i < TURNS; i++)
    json_array_append_new(messages, json_pack("{s:s, s:s}", "role", i % 2 ? "assistant" : "user", "content", "x"));
  assert_int_equal(chat_template_parse(&template, source, strlen(source), NULL, &err), STATUS_OK);
  chat_text_init(&text);
  if (chat_template_render(template, &text, messages, NULL, false, &err))
    fail_msg("%s", err.text);
  assert_int_equal(text.span_count, TURNS / 2);
  for (size_t i = 0; i < text.span_count; i++)
    assert_memory_equal(text.text.text + text.spans[i].begin, "x<end>", text.spans[i].end - text.spans[i].begin);
  chat_text_done(&text);
  chat_template_free(template);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everything_that_is_said), cmocka_unit_test(templates_of_all_kinds),
      cmocka_unit_test(nulls_and_arguments),     cmocka_unit_test(generation_blocks_are_taken_at_their_word),
      cmocka_unit_test(very_many_turns),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
