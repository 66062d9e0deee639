/* What a language model learns from each kind of data, shown by decoding it: the predicted tokens stand in brackets.
   What is cut or left out is counted, and what cannot be learnt from is refused at its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "tests/worker/data/data_file.h"
#include "tests/worker/text/family.h"
#include "worker/train/batch.h"

/* Like LLaMA-2's: BOS in the template, a space before the end of a turn. */
#define INST                                                                                                           \
  "{% for m in messages %}{% if m.role == 'user' %}<s>[INST] {{ m.content }} [/INST]{% else %} "                       \
  "{{ m.content }} </s>{% endif %}{% endfor %}"
#define GENERATION                                                                                                     \
  "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}A:{{ m.content }}{% endgeneration %}"          \
  "{% else %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}"

static struct language_options defaults(void) {
  return (struct language_options){.text = "text",
                                   .messages = "messages",
                                   .prompt = "prompt",
                                   .completion = "completion",
                                   .chat_template = "chatml",
                                   .eos = {.id = -1},
                                   .max_length = 1000,
                                   .vocabulary = 100000};
}

static enum status read_data(struct corpus *out, const struct tokenizer *tokenizer, const char *name, const char *text,
                             const struct language_options *options, struct error *err) {
  struct pool *pool;
  *err = (struct error){0};
  put_data(text);
  assert_int_equal(pool_new(&pool, 2, err), STATUS_OK);
  enum status status = corpus_read(out, data_file, name, tokenizer, options, FAMILIES "smollm", NULL, pool, NULL, err);
  pool_free(pool);
  return status;
}

/* One example: runs of tokens decoded, those that the model must predict in brackets. */
static void show_example(struct str *out, const struct corpus *c, uint32_t example, const struct tokenizer *tokenizer) {
  struct batch_limits limits = {1, c->longest, c->longest};
  struct error err = {0};
  struct batch b;
  bool predicted[1000] = {false};
  assert_int_equal(batch_init(&b, &limits, 1, true, &err), STATUS_OK);
  batch_fill(&b, c, &example, 1);
  for (size_t i = 0; i < b.targets.count; i++) {
    predicted[b.targets.rows[i] + 1] = true;
    assert_int_equal(b.targets.ids[i], b.token_ids[b.targets.rows[i] + 1]);
  }
  for (size_t from = 0, to; from < b.sequences.tokens; from = to) {
    for (to = from + 1; to < b.sequences.tokens && predicted[to] == predicted[from];)
      to++;
    str_puts(out, predicted[from] ? "[" : "");
    assert_true(tokenizer_decode(tokenizer, out, b.token_ids + from, to - from, false));
    str_puts(out, predicted[from] ? "]" : "");
  }
  batch_done(&b);
}

/* All examples, "|" after each. */
static void show(struct str *out, const char *family, const char *name, const char *text,
                 const struct language_options *options) {
  struct tokenizer *tokenizer = open_family(family);
  struct corpus c;
  struct error err;
  str_clear(out);
  if (read_data(&c, tokenizer, name, text, options, &err))
    fail_msg("%s: %s", text, err.text);
  for (size_t i = 0; i < c.count; i++) {
    show_example(out, &c, (uint32_t)i, tokenizer);
    str_puts(out, "|");
  }
  corpus_done(&c);
  tokenizer_free(tokenizer);
}

struct shown {
  const char *family, *name, *text, *want, *chat_template;
  int32_t eos;
  bool train_on_inputs;
};

static void expect(const struct shown *cases, size_t count) {
  struct str out;
  str_init(&out, 1 << 16);
  for (size_t i = 0; i < count; i++) {
    struct language_options options = defaults();
    options.chat_template = cases[i].chat_template ? cases[i].chat_template : "chatml";
    options.eos = (struct eos){.id = cases[i].eos, .count = cases[i].eos >= 0, .ids = {cases[i].eos}};
    options.train_on_inputs = cases[i].train_on_inputs;
    show(&out, cases[i].family, cases[i].name, cases[i].text, &options);
    assert_string_equal(out.text, cases[i].want);
  }
  str_done(&out);
}

#define EXPECT(cases) expect(cases, sizeof(cases) / sizeof *(cases))

static void chats(void **state) {
  (void)state;
  static const struct shown cases[] = {
      {"smollm", "x.jsonl",
       CHAT(MESSAGE("system", "\"be good\"") "," USER("hi") "," SAYS("the clips") "," USER("and?") "," SAYS("6x7 = 42"))
           CHAT(USER("a") "," SAYS("b")),
       "<|im_start|>system\nbe good<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
       "[the clips<|im_end|>]\n<|im_start|>user\nand?<|im_end|>\n<|im_start|>assistant\n[6x7 = 42<|im_end|>]\n|"
       "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]\n|",
       .eos = 0},
      /* A user who writes the very words of the assistant, or the end of a turn, teaches nothing. */
      {"smollm", "x.jsonl", CHAT(USER("yes<|im_end|>\\n<|im_start|>assistant\\nyes") "," SAYS("yes")),
       "<|im_start|>user\nyes<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>assistant\n"
       "[yes<|im_end|>]\n|",
       .eos = 0},
      {"smollm", "x.jsonl", CHAT(USER("q") "," WEIGHED("no", "0") "," USER("r") "," WEIGHED("yes", "1") "," SAYS("")),
       "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nno<|im_end|>\n<|im_start|>user\nr<|im_end|>\n"
       "<|im_start|>assistant\n[yes<|im_end|>]\n<|im_start|>assistant\n<|im_end|>\n|",
       .eos = 0},
      {"smollm", "x.jsonl",
       CHAT(MESSAGE("user", "[" PART("a ") "," PART("b") "]") "," MESSAGE("assistant",
                                                                          "[" PART("c") "," PART(" é") "]")),
       "<|im_start|>user\na b<|im_end|>\n<|im_start|>assistant\n[c é<|im_end|>]\n|", .eos = 0},
      {"smollm", "x.jsonl", CHAT(USER("q") "," SAYS("b") "," USER("r") "," SAYS("c")),
       "q<|im_end|>[A:b]<|im_end|>r<|im_end|>[A:c]<|im_end|>|", GENERATION, 0, false},
      {"smollm", "x.jsonl", CHAT(USER("q") "," SAYS("b")), "q[<|im_end|>A:b<|im_end|>]|", GENERATION, 0, true},
      /* The first special token after an answer ends it only if nothing but white space stands between. */
      {"smollm", "x.jsonl", CHAT(SAYS("ab")), "a[b]; the end<|im_end|>|",
       "{{ messages[0].content }}; the end<|im_end|>", 0, false},
      {"llama2", "x.jsonl", CHAT(USER("q") "," SAYS("the clips") "," USER("r") "," SAYS("of")),
       "<s> [INST] q [/INST][the clips </s>]<s> [INST] r [/INST][of </s>]|", INST, 2, false},
  };
  EXPECT(cases);
}

#define THINKS(text, name, thought) "{\"role\":\"assistant\",\"content\":\"" text "\",\"" name "\":\"" thought "\"}"
#define TURNS(end) "{% for m in messages %}{{ m.role }}:{{ m.content }}" end "{% endfor %}"

/* A model must learn to stop, with every template. */
static void ends_of_turns(void **state) {
  (void)state;
  static const char text[] = CHAT(USER("q") "," SAYS("b") "," USER("r") "," SAYS("c"));
  static const struct shown cases[] = {
      /* An added token that is not special; white space after it is the template's. */
      {"smollm", "x.jsonl", text, "user:q <tool>\nassistant:[b <tool>]\nuser:r <tool>\nassistant:[c <tool>]\n|",
       TURNS(" <tool>\n"), -1, false},
      /* The model's EOS, be it an ordinary token; the template's words after it are not learnt. */
      {"smollm", "x.jsonl", text, "user:q.\n!assistant:[b.]\n!user:r.\n!assistant:[c.]\n!|", TURNS(".\n!"), 16, false},
      /* No token at all: all that ends the turn. */
      {"smollm", "x.jsonl", text, "user:q\n;assistant:[b\n;]user:r\n;assistant:[c\n;]|", TURNS("\n;"), -1, false},
      /* The last of several, and one that only the end of the conversation has. */
      {"smollm", "x.jsonl", text,
       "user:q <tool><|im_end|>\nassistant:[b <tool><|im_end|>]\nuser:r <tool><|im_end|>\n"
       "assistant:[c <tool><|im_end|>]\n|",
       TURNS(" <tool><|im_end|>\n"), 0, false},
      {"smollm", "x.jsonl", text, "user:q\nassistant:[b\n]user:r\nassistant:[c\n<|endoftext|>]|",
       TURNS("\n") "<|endoftext|>", 0, false},
      /* None there either: EOS ends the conversation, as it ends a text. */
      {"smollm", "x.jsonl", text, "user:q\nassistant:[b\n]user:r\nassistant:[c\n<|endoftext|>]|", TURNS("\n"), 0,
       false},
      {"smollm", "x.jsonl", CHAT(USER("q") "," SAYS("b") "," USER("r")), "user:q\nassistant:[b\n]user:r\n|",
       TURNS("\n"), 0, false},
  };
  EXPECT(cases);
}

static void calls_and_reasoning(void **state) {
  (void)state;
  static const struct shown cases[] = {
      {"smollm", "x.jsonl", CHAT(USER("q") "," CALLS(CALL("f", "\"{\\\"city\\\": \\\"Oslo\\\"}\""))),
       "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
       "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
       "[<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call><|im_end|>]\n|",
       "qwen", 0, false},
      {"smollm", "x.jsonl",
       CHAT(USER(
           "q") ",{\"role\":\"assistant\",\"content\":\"\",\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}}"
                ",{\"role\":\"function\",\"name\":\"f\",\"content\":\"20\"}"),
       "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
       "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
       "[<tool_call>\n{\"name\": \"f\", \"arguments\": "
       "{}}\n</tool_call><|im_end|>]\n<|im_start|>user\n<tool_response>\n"
       "20\n</tool_response><|im_end|>\n|",
       "qwen", 0, false},
      {"smollm", "x.jsonl", CHAT(USER("q") "," THINKS("b", "reasoning_content", "hm")),
       "user:q <tool>assistant:[<think>hm</think>b <tool>]|",
       "{% for m in messages %}{{ m.role }}:{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% "
       "endif %}"
       "{{ m.content }} <tool>{% endfor %}",
       0, false},
      {"smollm", "x.jsonl", CHAT(USER("q") ",{\"role\":\"assistant\",\"content\":null,\"refusal\":\"No.\"}"),
       "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[No.<|im_end|>]\n|", .eos = 0},
  };
  EXPECT(cases);
}

/* What the template leaves out is counted, with the line of the first. */
static void notes(void **state) {
  (void)state;
#define TOOLS "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"
  static const char text[] = CHAT(USER("q") "," SAYS("b"))
      CHAT(MESSAGE("system", "\"s\"") "," USER("q") "," THINKS("b", "thinking", "hm")) "{\"messages\":[" USER(
          "q") "," SAYS("b") "]," TOOLS "}\n" CHAT(USER("none") "," SAYS("b"));
  struct tokenizer *tokenizer = open_family("smollm");
  struct language_options options = defaults();
  struct corpus c;
  struct error err;
  options.chat_template =
      "{% for m in messages if m.role != 'system' %}{% if messages[0].content != 'none' %}{% generation %}"
      "{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
  if (read_data(&c, tokenizer, "x.jsonl", text, &options, &err))
    fail_msg("%s", err.text);
  static const struct note want[NOTE_COUNT] = {
      [NOTE_UNTAUGHT] = {1, 4}, [NOTE_REASONING] = {1, 2}, [NOTE_CONTENT] = {1, 2}, [NOTE_TOOLS] = {1, 3}};
  assert_memory_equal(c.notes, want, sizeof want);
  assert_int_equal(c.count, 3);
  corpus_done(&c);
  tokenizer_free(tokenizer);
}

static void completions_and_texts(void **state) {
  (void)state;
  static const struct shown cases[] = {
      {"smollm", "x.jsonl", "{\"prompt\":\"2+2=\",\"completion\":\" 4\"}\n{\"prompt\":\"\",\"completion\":\"of\"}\n",
       "2+2=[ 4<|endoftext|>]|o[f<|endoftext|>]|", .eos = 0},
      /* A token that reaches over the boundary belongs to what must be learnt. */
      {"smollm", "x.jsonl", "{\"prompt\":\"the cl\",\"completion\":\"ips\"}\n", "the[ clips<|endoftext|>]|", .eos = 0},
      {"smollm", "x.csv", "completion,prompt\n\" 4\",2+2=\n", "2+2=[ 4]|", .eos = -1},
      {"smollm", "x.tsv", "completion\tprompt\n 4\t2+2=\n", "2[+2= 4<|endoftext|>]|", .eos = 0,
       .train_on_inputs = true},
      {"smollm", "x.csv", "text,id\n4 of,7\n", "4[ of<|im_end|>]|", .eos = 2},
      /* All tokens of a character are trained, and none of one that the prompt ends in. */
      {"smollm", "x.jsonl", "{\"prompt\":\"東\",\"completion\":\"日\"}\n", "東[日]|", .eos = -1},
      {"t5", "x.jsonl", "{\"prompt\":\"the\",\"completion\":\" clips\"}\n", "the[clips</s>]|", .eos = 1},
      /* The special tokens of the post-processor; its BOS is the first token, which nothing predicts. */
      {"llama2", "x.jsonl", "{\"text\":\"the clips\"}\n", "<s>[the clips</s>]|", .eos = 2},
      {"llama2", "x.jsonl", "{\"prompt\":\"the\",\"completion\":\" clips\"}\n", "<s> the[clips</s>]|", .eos = 2},
      {"llama3", "x.jsonl", "{\"text\":\"the\"}\n", "<|begin_of_text|>[the]|", .eos = -1},
  };
  EXPECT(cases);
}

/* The reader is asked for lengths at which the answer is whole, cut, and gone. */
static void cuts_and_drops(void **state) {
  (void)state;
  /* Each letter and each line end is a token: <|im_start|>, u s e r, \n, q, <|im_end|>, ... */
  static const char text[] = CHAT(USER("q") "," SAYS("abcdef")) CHAT(USER("qqqqqqqqqqqqqqqqqqqqq") "," SAYS("a"));
  struct tokenizer *tokenizer = open_family("smollm");
  struct language_options options = defaults();
  struct corpus c;
  struct error err;
  assert_int_equal(read_data(&c, tokenizer, "x.jsonl", text, &options, &err), STATUS_OK);
  assert_int_equal(c.count, 2);
  size_t whole = c.cu_seqlens[1], answer = 0;
  while (!c.loss_mask[answer])
    answer++;
  assert_int_equal(c.truncated + c.notes[NOTE_CUT_OFF].count, 0);
  corpus_done(&c);

  options.max_length = whole;
  assert_int_equal(read_data(&c, tokenizer, "x.jsonl", text, &options, &err), STATUS_OK);
  assert_int_equal(c.cu_seqlens[1], whole);
  assert_int_equal(c.count, 1);
  assert_int_equal(c.truncated, 0);
  assert_int_equal(c.notes[NOTE_CUT_OFF].count, 1);
  assert_int_equal(c.notes[NOTE_CUT_OFF].line, 2);
  corpus_done(&c);

  options.max_length = answer + 1;
  assert_int_equal(read_data(&c, tokenizer, "x.jsonl", text, &options, &err), STATUS_OK);
  assert_int_equal(c.cu_seqlens[1], answer + 1);
  assert_int_equal(c.truncated, 1);
  assert_int_equal(c.loss_mask[answer], 1);
  corpus_done(&c);

  options.max_length = answer;
  assert_int_equal(read_data(&c, tokenizer, "x.jsonl", text, &options, &err), STATUS_DATASET_INVALID);
  assert_string_equal(err.param, "max_seq_length");
  assert_non_null(strstr(err.text, "nothing is left of 2 examples"));
  assert_int_equal(c.count, 0);
  tokenizer_free(tokenizer);
}

static void refuses(void **state) {
  (void)state;
  static const struct {
    const char *name, *text, *param, *says;
  } cases[] = {
      {"x.jsonl", CHAT(USER("q")), "messages", "line 1, column 13: no message has the role assistant"},
      {"x.jsonl", CHAT(USER("q") "," SAYS("a")) CHAT(USER("q") "," SAYS("")), "messages",
       "line 2, column 13: every message of the assistant is empty or has the weight 0"},
      {"x.jsonl", CHAT("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]}"), "messages",
       "line 1, column 13: message 1: content must be a string or a list of parts, not null"},
      {"x.jsonl", CHAT(MESSAGE("assistant", "[{\"type\":\"image_url\",\"image_url\":\"no\"}]")), "messages",
       "line 1, column 13: message 1: content part 1 is of type image_url"},
      {"x.jsonl", "{\"messages\":{}}", "messages", "line 1, column 13: messages must be an array"},
      {"x.jsonl", CHAT(USER("q") "," SAYS("a")) "\n{\"text\":\"b\"}\n", "messages",
       "line 3, column 1: this line has text, but line 1 has messages"},
      {"x.jsonl", "{\"text\":\"a b\"}\n{\"prompt\":\"a\"}\n", "text", "line 2, column 1: no member text"},
      {"x.jsonl", "{\"prompt\":\"a\",\"completion\":\"\"}\n", "completion", "line 1, column 28: completion is empty"},
      {"x.jsonl", "{\"prompt\":7,\"completion\":\"a\"}\n", "prompt", "line 1, column 11: prompt must be a string"},
      {"x.jsonl", "{\"text\":null}\n", "text", "line 1, column 9: text is null"},
      {"x.csv", "question,answer\na,b\n", "text", "line 2, column 1: a language model learns from \"messages\""},
      {"x.csv", "text\na b\n\"\"\n", "text", "line 3, column 1: text is empty"},
      {"x.csv", "text\n\xff\n", "", "line 2, column 1: the byte 0xFF is not UTF-8"},
      {"x.jsonl", "{\"text\":\"a b\"}\n{\"text\":", "", "line 2"},
      {"x.jsonl", "{\"text\":\"a\"}\n", "", "none of 1 examples teaches anything: each is a single token"},
      {"x.jsonl", "", "", "the file is empty"},
  };
  struct tokenizer *tokenizer = open_family("smollm");
  struct language_options options = defaults();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct corpus c;
    struct error err;
    enum status status = read_data(&c, tokenizer, cases[i].name, cases[i].text, &options, &err);
    if (status != STATUS_DATASET_INVALID || c.count || c.token_ids || strcmp(err.param, cases[i].param) != 0 ||
        !strstr(err.text, cases[i].says))
      fail_msg("%s: %s, param %s, \"%s\" should say \"%s\"", cases[i].text, status_code(status), err.param, err.text,
               cases[i].says);
  }
  tokenizer_free(tokenizer);
}

/* What the template refuses, or leaves out, is a fault of its line; what the job asks for is none of the data's. */
static void names_the_templates_faults(void **state) {
  (void)state;
  static const struct {
    const char *chat_template;
    enum status status;
    const char *says;
  } cases[] = {
      {"{% if messages[0].role == 'user' %}{{ raise_exception('no users here') }}{% endif %}", STATUS_DATASET_INVALID,
       "line 1, column 13: chat template: no users here"},
      {"{{ messages[0].content }}", STATUS_DATASET_INVALID, "nothing of message 2"},
      {"no such name", STATUS_INVALID_VALUE, "no such name"},
  };
  struct tokenizer *tokenizer = open_family("smollm");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct language_options options = defaults();
    struct corpus c;
    struct error err;
    options.chat_template = cases[i].chat_template;
    enum status status = read_data(&c, tokenizer, "x.jsonl", CHAT(USER("q") "," SAYS("a")), &options, &err);
    if (status != cases[i].status || !strstr(err.text, cases[i].says))
      fail_msg("%s: %s %s", cases[i].chat_template, status_code(status), err.text);
  }
  tokenizer_free(tokenizer);
}

static void other_names(void **state) {
  (void)state;
  struct str out;
  struct language_options options = defaults();
  options.messages = "conversation";
  options.prompt = "question";
  options.completion = "answer";
  str_init(&out, 1 << 16);
  show(&out, "smollm", "x.jsonl", "{\"conversation\":[" USER("q") "," SAYS("a") "],\"text\":1}\n", &options);
  assert_string_equal(out.text, "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[a<|im_end|>]\n|");
  show(&out, "smollm", "x.csv", "question,text,answer\nq,t, a\n", &options);
  assert_string_equal(out.text, "q[ a]|");
  str_done(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chats),   cmocka_unit_test(ends_of_turns),         cmocka_unit_test(calls_and_reasoning),
      cmocka_unit_test(notes),   cmocka_unit_test(completions_and_texts), cmocka_unit_test(cuts_and_drops),
      cmocka_unit_test(refuses), cmocka_unit_test(other_names),           cmocka_unit_test(names_the_templates_faults),
  };
  return cmocka_run_group_tests(tests, make_data_file, remove_data_file);
}
