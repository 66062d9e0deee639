/* Whole trainings towards preferences on the golden LLaMA: a step's metrics, the reference of a job that starts anew,
   the same bytes on any number of threads, and batches of both halves of an example. */
#include <math.h>

#include "tests/worker/pipeline.h"
#include "worker/train/preferences.h"

/* The language model instead of BERT, and data for it. */
static int setup_llama(void **state) {
  struct error err;
  char path[300], *bytes;
  size_t length;
  struct str pairs;
  int failed = setup(state);
  static const char *const files[] = {"config.json", "model.safetensors"};
  for (size_t i = 0; !failed && i < COUNT_OF(files); i++) {
    snprintf(path, sizeof path, "tests/golden/cases/llama-hra/model/%s", files[i]);
    assert_int_equal(file_read(&bytes, &length, path, 1 << 20, &err), STATUS_OK);
    snprintf(path, sizeof path, "%s/model/%s", root, files[i]);
    assert_int_equal(file_put(path, bytes, length, &err), STATUS_OK);
    free(bytes);
  }
  str_init(&pairs, 1 << 16);
  for (int i = 0; i < 24; i++)
    str_printf(&pairs, "{\"prompt\": \"w%d w%d \", \"chosen\": \"w%d w2\", \"rejected\": \"w%d\"}\n", i % 7, i % 5,
               i % 3, 40 + i % 6);
  put("pairs.jsonl", pairs.text);
  str_done(&pairs);
  return failed;
}

static double number(const struct outcome *o, size_t index, const char *name) {
  size_t i, seen = 0;
  json_t *event;
  json_array_foreach(o->events, i, event) {
    const json_t *data = json_object_get(event, "data");
    if (strcmp(json_string_value(json_object_get(event, "event")), "metrics") == 0 && seen++ == index)
      return json_is_number(json_object_get(data, name)) ? json_number_value(json_object_get(data, name)) : (double)NAN;
  }
  fail_msg("no metrics event %zu", index);
  return 0;
}

static void preferences_are_learnt(void **state) {
  (void)state;
  struct outcome o;
  objective = "dpo";
  hyperparameters = "\"n_epochs\":6,\"batch_size\":8,\"learning_rate\":0.01,\"warmup_steps\":1,\"beta\":0.5";
  run_task(&o, "dpo", "pairs.jsonl", "pairs.jsonl", "");
  if (o.status)
    fail_msg("%s", o.err.text);
  size_t last = 0, i;
  json_t *event;
  json_array_foreach(o.events, i, event) last +=
      strcmp(json_string_value(json_object_get(event, "event")), "metrics") == 0;
  assert_true(fabs(number(&o, 0, "valid_loss") - log(2)) < 1e-4);
  assert_true(fabs(number(&o, 0, "valid_rewards/chosen")) < 1e-4);
  assert_true(number(&o, 0, "valid_logps/chosen") < 0 && isnan(number(&o, 0, "valid_perplexity")));
  assert_true(number(&o, last - 1, "valid_loss") < 0.4 && number(&o, last - 1, "valid_rewards/accuracies") == 1);
  assert_true(number(&o, last - 1, "rewards/margins") > 0.5);
  assert_true(fabs(number(&o, last - 1, "rewards/chosen") - number(&o, last - 1, "rewards/rejected") -
                   number(&o, last - 1, "rewards/margins")) < 1e-6);
  assert_true(number(&o, last - 1, "logps/chosen") > number(&o, 0, "valid_logps/chosen"));
  json_decref(o.events);
}

static void same_bytes(const struct outcome *a, const struct outcome *b, const char *name) {
  const struct outcome *of[] = {a, b};
  char path[600], *bytes[2];
  size_t lengths[2];
  for (size_t i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", of[i]->output, name);
    assert_int_equal(file_read(&bytes[i], &lengths[i], path, 1 << 24, &(struct error){0}), STATUS_OK);
  }
  assert_true(lengths[0] == lengths[1] && lengths[0] > 1000 && memcmp(bytes[0], bytes[1], lengths[0]) == 0);
  free(bytes[0]);
  free(bytes[1]);
}

static void threads_change_nothing(void **state) {
  (void)state;
  static const char *const objectives[] = {"dpo", "orpo", "kto"};
  hyperparameters = "\"n_epochs\":2,\"batch_size\":8,\"learning_rate\":0.01";
  for (size_t i = 0; i < COUNT_OF(objectives); i++) {
    struct outcome one, three;
    objective = objectives[i];
    threads = 1;
    run_task(&one, "one", "pairs.jsonl", "pairs.jsonl", "");
    threads = 3;
    run_task(&three, "three", "pairs.jsonl", "pairs.jsonl", "");
    threads = 2;
    if (one.status || three.status)
      fail_msg("%s: %s", objective, one.status ? one.err.text : three.err.text);
    same_file(&one, &three, "step_metrics.csv");
    same_bytes(&one, &three, "adapter/adapter_model.safetensors");
    json_decref(one.events);
    json_decref(three.events);
  }
}

/* Of each half by itself, and of both. */
static void batches_have_halves(void **state) {
  (void)state;
  struct corpus c = {0};
  struct batch b;
  struct error err;
  static const int32_t ids[] = {5, 6, 7, 8};
  static const uint8_t mask[] = {0, 0, 1, 1};
  double reference[4] = {-1, -2, -3, -4};
  uint32_t order[] = {1, 0};
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(corpus_append(&c, ids, NULL, mask, 3 + i % 2, 99, &err), STATUS_OK);
  c.count = 2;
  c.texts = 2;
  c.reference = reference;
  const struct batch_limits limits = {4, 16, 4};
  assert_int_equal(batch_init(&b, &limits, 1, true, &err), STATUS_OK);
  batch_fill(&b, &c, order, 2);
  static const uint32_t all[] = {0, 1, 2, 4, 6};
  assert_memory_equal(b.cu_rows, all, sizeof all);
  assert_true(b.completions.count == 4 && b.reference[0] == -3 && b.reference[1] == -1 && b.reference[2] == -4);
  batch_fill_texts(&b, &c, order, 2, 1, 1);
  assert_true(b.completions.count == 2 && b.targets.count == 4 && b.reference[1] == -2);
  assert_int_equal(preference_tokens(&c, order, 2), 2);
  c.learns_prompts = true;
  batch_fill(&b, &c, order, 2);
  assert_true(b.targets.count == 8 && b.prompt[0] && !b.prompt[1] && !b.prompt[5]);
  assert_int_equal(preference_tokens(&c, order, 2), 4);
  c.shares_prompts = true; /* of {5, 6, | 7} and {5, 6, | 7, 8} the first row */
  assert_int_equal(corpus_shared(&c, 0), 1);
  batch_fill(&b, &c, order, 2);
  static const uint32_t rows[] = {0, 3, 6, 9, 12}, predicting[] = {0, 1, 3, 4, 6, 7, 9, 10};
  static const struct shared_prefix prefixes[] = {{0}, {0}, {0, 1}, {1, 1}};
  assert_memory_equal(b.cu_seqlens, rows, sizeof rows);
  assert_memory_equal(b.rows, predicting, sizeof predicting);
  assert_memory_equal(b.sequences.prefixes, prefixes, sizeof prefixes);
  assert_true(b.tokens == 14 && b.sequences.tokens == 12 && b.sequences.longest == 4 && b.target_ids[6] == 7);
  batch_fill_texts(&b, &c, order, 2, 1, 1); /* they are alone */
  assert_true(!b.sequences.prefixes && b.sequences.tokens == 8);
  c.short_most = 3;
  assert_int_equal(corpus_shared(&c, 0), 0);
  batch_done(&b);
  c.reference = NULL;
  corpus_done(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(preferences_are_learnt), cmocka_unit_test(threads_change_nothing),
                                     cmocka_unit_test(batches_have_halves)};
  return cmocka_run_group_tests(tests, setup_llama, teardown);
}
