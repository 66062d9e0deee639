/* Proves, on the tiny golden models: that adapting it trains what it should and saves what it trains;
   that the same step is the same bits on one and on two threads, with recomputation and with room for larger
   batches. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/backend/cpu/cpu.h"
#include "worker/peft/peft.h"
#include "worker/train/learner.h"

static const char *folder = "tests/golden/cases/bert-hra/model";
static const char language[] = "tests/golden/cases/llama-hra/model";
static const uint32_t offsets[] = {0, 7, 8, 20}, labels[] = {2, 0, 1};
static const int32_t ids[] = {3, 9, 27, 81, 45, 36, 10, 5, 98, 97, 96, 12, 13, 14, 15, 16, 17, 18, 19, 4};
static const char *query[] = {"query"};

static struct adapter_spec spec_of(const char *pattern, enum adapter_bias bias) {
  struct adapter_spec spec = {.peft_type = PEFT_HRA, .bias = bias, .hra = {.r = 4, .init_weights = true}};
  if (pattern)
    spec.target_modules.pattern = pattern;
  else
    spec.target_modules.names = (struct string_list){1, query};
  return spec;
}

struct run {
  struct backend backend;
  struct model model;
  struct learner learner;
};

static enum precision precision = PRECISION_FP32;
static enum matmul_library matmul = MATMUL_AUTO;

static void start_for(struct run *r, const struct adapter_spec *spec, int threads, bool recompute,
                      struct batch_limits limits) {
  struct error err = {0};
  *r = (struct run){.learner = {.recompute_segments = recompute ? SIZE_MAX : 0,
                                .adamw = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}}};
  assert_int_equal(cpu_open(&r->backend, threads, NULL, &err), STATUS_OK);
  backend_set_precision(&r->backend, precision);
  backend_set_matmul(&r->backend, matmul);
  if (model_open(&r->model, folder, OUTPUT_CLASS, 3, 5, &r->backend, &err) || model_adapt(&r->model, spec, 5, &err) ||
      learner_init(&r->learner, &r->model, &limits, &limits, &err))
    fail_msg("%s", err.text);
}

static void start(struct run *r, const struct adapter_spec *spec, int threads, bool recompute) {
  start_for(r, spec, threads, recompute, (struct batch_limits){3, 20, 12});
}

static void stop(struct run *r) {
  learner_done(&r->learner);
  model_close(&r->model);
  backend_close(&r->backend);
}

static double steps(struct run *r, int count) {
  struct error err;
  double loss = 0, norm;
  for (int i = 0; i < count; i++) {
    assert_int_equal(learner_begin(&r->learner, NULL, &err), STATUS_OK);
    const struct sequences three = sequences_host(3, 20, 12, offsets, ids, NULL);
    assert_int_equal(learner_accumulate(&r->learner, &three, &(struct targets){.ids = labels}, 1.0f / 3, (uint64_t)i,
                                        &loss, NULL, &err),
                     STATUS_OK);
    learner_finish(&r->learner);
    assert_int_equal(learner_update(&r->learner, 1e-2, &norm, &err), STATUS_OK);
  }
  return loss;
}

static void keys_are_pefts(void **state) {
  (void)state;
  struct run r;
  struct adapter_spec spec = spec_of(NULL, BIAS_METHOD_ONLY);
  start(&r, &spec, 1, false);
  const char *const want[] = {"base_model.model.bert.encoder.layer.0.attention.self.query.hra_u",
                              "base_model.model.bert.encoder.layer.1.attention.self.query.hra_u",
                              "base_model.model.classifier.weight",
                              "base_model.model.classifier.bias",
                              "base_model.model.bert.encoder.layer.0.attention.self.query.base_layer.bias",
                              "base_model.model.bert.encoder.layer.1.attention.self.query.base_layer.bias"};
  assert_int_equal(r.model.parameters.count, COUNT_OF(want));
  for (size_t i = 0; i < COUNT_OF(want); i++)
    assert_string_equal(r.model.parameters.item[i]->key, want[i]);
  stop(&r);
  spec = spec_of("all-linear", BIAS_ALL);
  start(&r, &spec, 1, false);
  assert_int_equal(r.model.adapter_count, 13);
  /* 13 reflections, a head's weight, and the biases of 14 linear modules and 5 norms */
  assert_int_equal(r.model.parameters.count, 13 + 1 + 14 + 5);
  stop(&r);
}

static void training_lowers_the_loss(void **state) {
  (void)state;
  struct run r;
  struct adapter_spec spec = spec_of("all-linear", BIAS_ALL);
  start(&r, &spec, 2, false);
  double first = steps(&r, 1), last = steps(&r, 30);
  assert_true(last < first / 2);
  stop(&r);
}

static void same_bits(const struct run *a, const struct run *b) {
  assert_int_equal(a->model.parameters.count, b->model.parameters.count);
  for (size_t i = 0; i < a->model.parameters.count; i++) {
    const struct parameter *p = a->model.parameters.item[i], *q = b->model.parameters.item[i];
    assert_memory_equal(p->data, q->data, p->count * sizeof(float));
  }
}

static void threads_and_recomputation_change_nothing_in(enum precision of) {
  struct run one, two, again;
  precision = of;
  struct adapter_spec spec = spec_of("all-linear", BIAS_ALL);
  start(&one, &spec, 1, false);
  start(&two, &spec, 2, false);
  start(&again, &spec, 2, true);
  steps(&one, 5);
  steps(&two, 5);
  steps(&again, 5);
  same_bits(&one, &two);
  same_bits(&one, &again);
  stop(&one);
  stop(&two);
  stop(&again);
  precision = PRECISION_FP32;
}

static void threads_and_recomputation_change_nothing(void **state) {
  (void)state;
  for (matmul = MATMUL_NATIVE; matmul < MATMUL_LIBRARY_COUNT; matmul++) {
    threads_and_recomputation_change_nothing_in(PRECISION_FP32);
    threads_and_recomputation_change_nothing_in(PRECISION_BF16);
  }
  matmul = MATMUL_AUTO;
}

/* Its last layer is whole, since all rows are read: more is recomputed than a layer of some rows. */
static void nor_do_they_in_modernbert(void **state) {
  const char *bert = folder;
  folder = "tests/golden/cases/modernbert-mean-hra/model";
  threads_and_recomputation_change_nothing(state);
  folder = bert;
}

/* bf16 keeps eight bits of what is multiplied: losses differ, by little. */
static void bf16_is_near(void **state) {
  (void)state;
  struct run floats, brains;
  struct adapter_spec spec = spec_of("all-linear", BIAS_ALL);
  start(&floats, &spec, 2, false);
  precision = PRECISION_BF16;
  start(&brains, &spec, 2, false);
  precision = PRECISION_FP32;
  double a = steps(&floats, 1), b = steps(&brains, 1);
  assert_true(a != b && fabs(a - b) < 0.01 * a);
  double a_last = steps(&floats, 20), b_last = steps(&brains, 20);
  assert_true(b_last < b / 2 && fabs(a_last - b_last) < 0.1 * a);
  stop(&floats);
  stop(&brains);
}

/* The batch has the plan of as many eighths of the largest as it needs. */
static void room_for_larger_batches_changes_nothing(void **state) {
  (void)state;
  static const size_t largest[] = {20, 22, 40, 54, 159, 160, 1000};
  struct run exact, r;
  struct adapter_spec spec = spec_of("all-linear", BIAS_ALL);
  start(&exact, &spec, 2, false);
  steps(&exact, 3);
  for (size_t i = 0; i < sizeof largest / sizeof *largest; i++) {
    start_for(&r, &spec, 2, i % 2, (struct batch_limits){largest[i] / 4, largest[i], largest[i] / 3 + 6});
    steps(&r, 3);
    same_bits(&exact, &r);
    size_t part = (20 * LEARNER_PARTS + largest[i] - 1) / largest[i];
    for (size_t p = 1; p < LEARNER_PARTS; p++)
      assert_int_equal(r.learner.smaller[p - 1] != NULL, p == part);
    stop(&r);
  }
  stop(&exact);
}

/* Plans only: a batch large enough that a step outweighs the process. A language model: a classifier of two layers has
   one whose rows take memory, and to recompute that one alone frees nothing. */
static enum status limited(struct run *r, size_t memory_limit, struct error *err) {
  struct adapter_spec spec = spec_of("all-linear", BIAS_NONE);
  struct batch_limits large = {4000, 48000, 12}, small = {1, 12, 12};
  *r = (struct run){.learner = {.memory_limit = memory_limit}};
  assert_int_equal(cpu_open(&r->backend, 1, NULL, err), STATUS_OK);
  assert_int_equal(model_open(&r->model, language, OUTPUT_TEXT, 0, 5, &r->backend, err), STATUS_OK);
  assert_int_equal(model_adapt(&r->model, &spec, 5, err), STATUS_OK);
  return learner_init(&r->learner, &r->model, &large, &small, err);
}

static void a_memory_limit_recomputes_or_refuses(void **state) {
  (void)state;
  struct run r;
  struct error err = {0};
  assert_int_equal(limited(&r, 0, &err), STATUS_OK);
  size_t all = r.learner.estimate, step = learner_bytes(&r.learner);
  assert_int_equal(r.learner.recompute_segments, 0);
  assert_true(step > (size_t)50 << 20);
  stop(&r);
  assert_int_equal(limited(&r, all - step / 8, &err), STATUS_OK);
  assert_true(r.learner.recompute_segments > 0);
  assert_true(r.learner.estimate <= all - step / 8);
  stop(&r);
  assert_int_equal(limited(&r, 1 << 20, &err), STATUS_OUT_OF_MEMORY);
  assert_string_equal(err.param, "scheduling.memory_limit");
  assert_non_null(strstr(err.text, "memory_limit is 1 MiB; this job needs "));
  stop(&r);
}

static void a_saved_adapter_loads_again(void **state) {
  (void)state;
  char path[] = "/tmp/reflectd-test-XXXXXX";
  struct run r, s;
  struct error err = {0};
  struct adapter_spec spec = spec_of("all-linear", BIAS_NONE), read;
  struct arena arena;
  arena_init(&arena, 1 << 20);
  assert_non_null(mkdtemp(path));
  start(&r, &spec, 1, false);
  steps(&r, 3);
  if (peft_save(&r.model, &spec, path, "tiny", NULL, &err) || peft_read_config(&read, path, &arena, &err))
    fail_msg("%s", err.text);
  assert_int_equal(read.hra.r, 4);
  start(&s, &read, 1, false);
  if (peft_load(&s.model, path, &err))
    fail_msg("%s", err.text);
  same_bits(&r, &s);
  stop(&s);
  spec = spec_of(NULL, BIAS_NONE);
  start(&s, &spec, 1, false);
  assert_int_equal(peft_load(&s.model, path, &err), STATUS_MODEL_INVALID);
  stop(&s);
  stop(&r);
  arena_done(&arena);
  assert_int_equal(file_remove_tree(path, &err), STATUS_OK);
}

/* Writes the adapter in `path` again, its tensors as `change` makes them: at most two more. */
static void rewrite(const char *path, void (*change)(struct st_tensor *tensors, size_t *count)) {
  char name[300], to[300];
  struct safetensors file;
  struct error err;
  struct st_tensor tensors[64];
  snprintf(name, sizeof name, "%s/adapter_model.safetensors", path);
  snprintf(to, sizeof to, "%s/changed", path);
  assert_int_equal(safetensors_open(&file, name, &err), STATUS_OK);
  assert_true(file.count + 2 <= COUNT_OF(tensors));
  memcpy(tensors, file.tensors, file.count * sizeof *tensors);
  size_t count = file.count;
  change(tensors, &count);
  assert_int_equal(safetensors_write(to, tensors, count, NULL, NULL, NULL, &err), STATUS_OK);
  safetensors_close(&file);
  assert_int_equal(rename(to, name), 0);
}

static struct st_tensor *named(struct st_tensor *tensors, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(tensors[i].name, name) == 0)
      return &tensors[i];
  fail_msg("no %s", name);
  return NULL;
}

/* What PEFT's bias "all" saves of a module in modules_to_save. */
static void add_inner_biases(struct st_tensor *tensors, size_t *count) {
  static const float zero[3];
  struct st_tensor *bias = named(tensors, *count, "base_model.model.classifier.bias");
  tensors[*count] = tensors[*count + 1] = *bias;
  tensors[*count].name = "base_model.model.classifier.modules_to_save.bias";
  tensors[*count + 1].name = "base_model.model.classifier.original_module.bias";
  tensors[*count + 1].bytes = (const unsigned char *)zero;
  *count += 2;
}

static void change_the_copy(struct st_tensor *tensors, size_t *count) {
  static const float other[3] = {1, 2, 3};
  named(tensors, *count, "base_model.model.classifier.modules_to_save.bias")->bytes = (const unsigned char *)other;
}

static void drop_the_copy(struct st_tensor *tensors, size_t *count) {
  *count -= 1;
  *named(tensors, *count, "base_model.model.classifier.modules_to_save.bias") = tensors[*count];
}

static void drop_prefixes(struct st_tensor *tensors, size_t *count) {
  for (size_t i = 0; i < *count; i++)
    tensors[i].name += strlen("base_model.model.");
}

static void add_a_stranger(struct st_tensor *tensors, size_t *count) {
  tensors[*count] = tensors[0];
  tensors[(*count)++].name = "base_model.model.bert.embeddings.word_embeddings.lora_embedding_A";
}

/* PEFT saves the embeddings beside an adapter where it takes them to be resized: here as the base has them. */
static struct safetensors base;

static void add_the_bases(struct st_tensor *tensors, size_t *count) {
  const struct st_tensor *own = safetensors_find(&base, "bert.embeddings.word_embeddings.weight");
  assert_non_null(own);
  tensors[*count] = *own;
  tensors[(*count)++].name = "base_model.model.bert.embeddings.word_embeddings.weight";
}

static void change_the_bases(struct st_tensor *tensors, size_t *count) {
  static const unsigned char zero[1 << 16];
  struct st_tensor *t = named(tensors, *count, "base_model.model.bert.embeddings.word_embeddings.weight");
  assert_true(t->length <= sizeof zero);
  t->bytes = zero;
}

static void drop_the_bases(struct st_tensor *tensors, size_t *count) {
  *count -= 1;
  *named(tensors, *count + 1, "base_model.model.bert.embeddings.word_embeddings.weight") = tensors[*count];
}

static void empty_one(struct st_tensor *tensors, size_t *count) {
  struct st_tensor *t = named(tensors, *count, "classifier.weight");
  t->rank = 1;
  t->shape[0] = 0;
  t->length = 0;
}

static void tensors_are_taken_or_named(void **state) {
  (void)state;
  char path[] = "/tmp/reflectd-test-XXXXXX", file[300];
  struct run r, s;
  struct error err = {0};
  struct adapter_spec spec = spec_of("all-linear", BIAS_ALL);
  assert_non_null(mkdtemp(path));
  start(&r, &spec, 1, false);
  steps(&r, 3);
  assert_int_equal(peft_save(&r.model, &spec, path, "tiny", NULL, &err), STATUS_OK);
  start(&s, &spec, 1, false);
  rewrite(path, add_inner_biases);
  if (peft_load(&s.model, path, &err))
    fail_msg("%s", err.text);
  same_bits(&r, &s);
  rewrite(path, change_the_copy);
  assert_int_equal(peft_load(&s.model, path, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "classifier.modules_to_save.bias"));
  rewrite(path, drop_the_copy);
  rewrite(path, drop_prefixes);
  stop(&s);
  start(&s, &spec, 1, false);
  if (peft_load(&s.model, path, &err))
    fail_msg("%s", err.text);
  same_bits(&r, &s);
  snprintf(file, sizeof file, "%s/model.safetensors", folder);
  assert_int_equal(safetensors_open(&base, file, &err), STATUS_OK);
  rewrite(path, add_the_bases);
  if (peft_load(&s.model, path, &err))
    fail_msg("%s", err.text);
  same_bits(&r, &s);
  rewrite(path, change_the_bases);
  assert_int_equal(peft_load(&s.model, path, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "word_embeddings.weight"));
  rewrite(path, drop_the_bases);
  safetensors_close(&base);
  rewrite(path, add_a_stranger);
  assert_int_equal(peft_load(&s.model, path, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "word_embeddings.lora_embedding_A"));
  rewrite(path, empty_one);
  assert_int_equal(peft_load(&s.model, path, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "tensor classifier.weight is empty"));
  stop(&s);
  stop(&r);
  assert_int_equal(file_remove_tree(path, &err), STATUS_OK);
}

/* Rows of the input embedding alone are trained, whatever name it is given. */
static void token_rows_are_those_of_the_embedding(void **state) {
  (void)state;
  static const char *const names[] = {NULL, "embed_tokens", "model.embed_tokens", "lm_head", "wte", "tokens"};
  int64_t tokens[] = {7, 2};
  struct backend backend;
  struct error err;
  assert_int_equal(cpu_open(&backend, 1, NULL, &err), STATUS_OK);
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    struct model model;
    struct adapter_spec spec = {.peft_type = PEFT_LORA,
                                .target_modules = {.pattern = "all-linear"},
                                .lora = {.r = 2, .lora_alpha = 2, .trainable_token_indices = {2, tokens}}};
    spec.lora.trainable_token_module = names[i];
    assert_int_equal(model_open(&model, language, OUTPUT_TEXT, 0, 5, &backend, &err), STATUS_OK);
    assert_int_equal(model_adapt(&model, &spec, 5, &err), i < 3 ? STATUS_OK : STATUS_UNSUPPORTED_TARGET);
    if (i < 3) {
      assert_int_equal(model.token_rows->count, 2);
    } else {
      assert_string_equal(err.param, "adapter.trainable_token_indices");
      if (!strstr(err.text, names[i]) || !strstr(err.text, "which is model.embed_tokens"))
        fail_msg("%s", err.text);
    }
    model_close(&model);
  }
  backend_close(&backend);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keys_are_pefts),
      cmocka_unit_test(training_lowers_the_loss),
      cmocka_unit_test(threads_and_recomputation_change_nothing),
      cmocka_unit_test(nor_do_they_in_modernbert),
      cmocka_unit_test(bf16_is_near),
      cmocka_unit_test(room_for_larger_batches_changes_nothing),
      cmocka_unit_test(a_memory_limit_recomputes_or_refuses),
      cmocka_unit_test(a_saved_adapter_loads_again),
      cmocka_unit_test(tensors_are_taken_or_named),
      cmocka_unit_test(token_rows_are_those_of_the_embedding),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
