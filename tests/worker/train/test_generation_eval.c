/* evaluation.generate in whole trainings of the tiny golden LLaMA: answers are generated and compared at each
   evaluation, the best by them is kept, samples are left; the same bytes on any number of threads and after a pause; a
   likelihood decides between choices; what cannot be asked is refused by its line. */
#include "tests/worker/pipeline.h"

enum { VOCABULARY = 99, EXAMPLES = 6 };

#define STEPS(count)                                                                                                   \
  "\"max_steps\":" count                                                                                               \
  ",\"batch_size\":6,\"learning_rate\":0.05,\"lr_scheduler_type\":\"constant\",\"warmup_ratio\":0"

/* Prompts of two words are answered with one that the first of them determines. */
static int start(void **state) {
  struct str text, swapped;
  char path[300], *bytes;
  size_t length;
  struct error err;
  static const char *const files[] = {"config.json", "model.safetensors"};
  if (setup(state))
    return -1;
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    snprintf(path, sizeof path, "tests/golden/cases/llama-hra/model/%s", files[i]);
    assert_int_equal(file_read(&bytes, &length, path, 1 << 22, &err), STATUS_OK);
    snprintf(path, sizeof path, "%s/model/%s", root, files[i]);
    assert_int_equal(file_put(path, bytes, length, &err), STATUS_OK);
    free(bytes);
  }
  str_init(&text, 1 << 16);
  str_init(&swapped, 1 << 16);
  str_puts(&text,
           "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Whitespace\"},"
           "\"post_processor\":null,\"decoder\":null,\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"w0\","
           "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":{");
  for (int i = 0; i < VOCABULARY; i++)
    str_printf(&text, "%s\"w%d\":%d", i ? "," : "", i, i);
  str_puts(&text, "}}}");
  put("model/tokenizer.json", text.text);
  put("model/tokenizer_config.json", "{\"chat_template\":\"{% for m in messages %}{{ m.content }} {% endfor %}\"}");
  str_clear(&text);
  for (int i = 0; i < EXAMPLES; i++) {
    str_printf(&text, "{\"prompt\": \"w%d w%d \", \"completion\": \"w%d\", \"number\": %d}\n", 10 + i, 50 + i,
               30 + i % 2, 30 + i % 2);
    str_printf(&swapped,
               "{\"messages\": [{\"role\": \"user\", \"content\": \"w%d w%d\"}, {\"role\": \"assistant\", "
               "\"content\": \"w%d\"}]}\n",
               10 + i, 50 + i, 30 + i % 2);
  }
  put("pairs.jsonl", text.text);
  put("chats.jsonl", swapped.text);
  str_done(&text);
  str_done(&swapped);
  hyperparameters = STEPS("60");
  return 0;
}

#define GENERATE(rest) "\"evaluation\":{\"every_steps\":20,\"metric\":\"exact_match\",\"generate\":{" rest "}},"

static double exact_match(const struct outcome *o, int64_t step) {
  size_t i;
  json_t *event;
  json_array_foreach(o->events, i, event) {
    const json_t *data = json_object_get(event, "data"), *value = json_object_get(data, "valid_exact_match");
    if (strcmp(json_string_value(json_object_get(event, "event")), "metrics") == 0 && value &&
        json_integer_value(json_object_get(data, "step")) == step)
      return json_number_value(value);
  }
  fail_msg("no exact_match at step %d", (int)step);
  return -1;
}

static void learnt(struct outcome *o, const char *name, const char *file) {
  run_task(o, name, file, file, "");
  if (o->status)
    fail_msg("%s: %s", name, o->err.text);
  assert_true(exact_match(o, 0) < 0.6);
  assert_true(exact_match(o, 60) > 0.9);
}

static void answers_become_right(void **state) {
  struct outcome o, other;
  size_t lines = 0, right = 0;
  (void)state;
  more = "\"checkpointing\":{\"load_best_at_end\":true}," GENERATE("\"max_tokens\":4");
  learnt(&o, "learnt", "pairs.jsonl");
  assert_true(json_object_get(newest(&o, "progress", "best"), "best") != NULL);
  assert_true(said(&o, "exact match=1.0000"));
  char *text = file_of(&o, "generations.jsonl"), *line = text;
  for (char *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
    json_t *one = json_loadb(line, (size_t)(end - line), 0, NULL);
    right += json_is_true(json_object_get(one, "exact_match"));
    assert_int_equal(json_integer_value(json_object_get(one, "line")), lines + 1);
    assert_non_null(strstr(json_string_value(json_object_get(one, "prompt")), "w1"));
    assert_string_equal(json_string_value(json_object_get(one, "expected")), lines % 2 ? "w31" : "w30");
    assert_true(json_is_string(json_object_get(one, "output")) && json_object_get(one, "finish_reason"));
    json_decref(one);
  }
  assert_true(lines == EXAMPLES && right >= 5);
  free(text);
  char *csv = file_of(&o, "step_metrics.csv");
  assert_non_null(strstr(csv, "valid_exact_match"));
  free(csv);
  threads = 1;
  learnt(&other, "one-thread", "pairs.jsonl");
  threads = 2;
  same_file(&o, &other, "generations.jsonl");
  same_file(&o, &other, "step_metrics.csv");
  json_decref(o.events);
  json_decref(other.events);
}

/* A column of numbers is expected, and found in the words. */
static void columns_and_numbers(void **state) {
  struct outcome o;
  (void)state;
  more = GENERATE("\"answer\":\"number\",\"extractor\":\"first_number\",\"max_tokens\":4,\"max_examples\":4,"
                  "\"prompt\":\"prompt\",\"prompt_template\":\"{prompt} \"");
  run_task(&o, "numbers", "pairs.jsonl", "pairs.jsonl", "");
  if (o.status)
    fail_msg("%s", o.err.text);
  char *text = file_of(&o, "generations.jsonl");
  assert_non_null(strstr(text, "\"expected\":\"31\""));
  assert_null(strstr(text, "\"index\":4"));
  free(text);
  json_decref(o.events);
}

static void chats_end_before_their_answer(void **state) {
  struct outcome o;
  (void)state;
  more = GENERATE("\"max_tokens\":1");
  learnt(&o, "chats", "chats.jsonl");
  char *text = file_of(&o, "generations.jsonl");
  assert_non_null(strstr(text, "\"prompt\":\"w10 w50 \""));
  free(text);
  json_decref(o.events);
}

static void choices_are_weighed(void **state) {
  struct outcome o;
  (void)state;
  more = GENERATE("\"extractor\":\"choice\",\"choices\":[\"w30\",\"w31\"]");
  run_task(&o, "choices", "pairs.jsonl", "pairs.jsonl", "");
  if (o.status)
    fail_msg("%s", o.err.text);
  assert_true(exact_match(&o, 60) > 0.9);
  char *text = file_of(&o, "generations.jsonl");
  assert_non_null(strstr(text, "\"logprobs\":["));
  free(text);
  json_decref(o.events);
  more = GENERATE("\"extractor\":\"choice\",\"choices\":[\"w30\",\"w32\"]");
  run_task(&o, "no-choice", "pairs.jsonl", "pairs.jsonl", "");
  assert_int_equal(o.status, STATUS_DATASET_INVALID);
  assert_non_null(strstr(o.err.text, "line 2: the expected answer \"w31\" is none of"));
  json_decref(o.events);
}

static void refusals_name_the_line(void **state) {
  static const struct {
    const char *more, *says;
    enum status status;
  } rows[] = {
      {GENERATE("\"extractor\":\"regex\",\"pattern\":\"(\""), "pattern", STATUS_INVALID_VALUE},
      {GENERATE("\"answer\":\"nowhere\""), "line 1, column 1: no member nowhere", STATUS_DATASET_INVALID},
      {GENERATE("\"answer\":\"prompt\",\"extractor\":\"regex\",\"pattern\":\"x\",\"prompt\":\"none\""), "none",
       STATUS_DATASET_INVALID},
  };
  struct outcome o;
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    more = rows[i].more;
    run_task(&o, "refused", "pairs.jsonl", "pairs.jsonl", "");
    if (o.status != rows[i].status || !strstr(o.err.text, rows[i].says))
      fail_msg("%d: %s", (int)o.status, o.err.text);
    json_decref(o.events);
  }
}

/* Gone on with after step 20: the same bytes as in one piece. There is always time for the first state, and the newest
   two are kept. */
static void a_pause_changes_nothing(void **state) {
  struct outcome whole, second;
  static char states[400];
  (void)state;
  more = "\"checkpointing\":{\"every_steps\":20}," GENERATE("\"max_tokens\":4");
  hyperparameters = STEPS("35");
  run_task(&whole, "whole", "pairs.jsonl", "pairs.jsonl", "");
  snprintf(states, sizeof states, "\"%s/whole/state-20.safetensors\"", root);
  resume = states;
  run_task(&second, "second", "pairs.jsonl", "pairs.jsonl", "");
  resume = "";
  if (second.status)
    fail_msg("%s", second.err.text);
  assert_true(said(&second, "goes on after step 20 of 35"));
  same_file(&whole, &second, "generations.jsonl");
  same_file(&whole, &second, "step_metrics.csv");
  json_decref(whole.events);
  json_decref(second.events);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_become_right),          cmocka_unit_test(columns_and_numbers),
      cmocka_unit_test(chats_end_before_their_answer), cmocka_unit_test(choices_are_weighed),
      cmocka_unit_test(refusals_name_the_line),        cmocka_unit_test(a_pause_changes_nothing),
  };
  return cmocka_run_group_tests(tests, start, teardown);
}
