/* What a sentence-transformers folder says of its embeddings, in the old way and the new; what would make them others
   is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/worker/model_directory.h"
#include "worker/model/sentence.h"

#define MODULE(n, name, path)                                                                                          \
  "{\"idx\":" #n ",\"name\":\"" #n "\",\"path\":\"" path "\",\"type\":\"sentence_transformers.models." name "\"}"
#define ENCODER MODULE(0, "Transformer", "")
#define POOLED "[" ENCODER "," MODULE(1, "Pooling", "1_Pooling") "]"
#define UNIT "[" ENCODER "," MODULE(1, "Pooling", "1_Pooling") "," MODULE(2, "Normalize", "2_Normalize") "]"

static void folders_are_read(void **state) {
  (void)state;
  static const struct {
    const char *modules, *pooling, *encoder;
    enum pooling want;
    size_t length;
    const char *says; /* of the refusal; NULL: it is read */
  } cases[] = {
      {NULL, NULL, NULL, POOLING_MEAN, 0, NULL},
      {UNIT, "{\"pooling_mode_cls_token\":false,\"pooling_mode_mean_tokens\":true}", "{\"max_seq_length\":256}",
       POOLING_MEAN, 256, NULL},
      {POOLED, "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}", NULL, POOLING_CLS, 0, NULL},
      {POOLED, "{\"embedding_dimension\":8,\"pooling_mode\":\"cls\"}", NULL, POOLING_CLS, 0, NULL},
      {POOLED, "{\"pooling_mode\":\"max\"}", NULL, POOLING_MEAN, 0, "pooling max is not supported"},
      {POOLED, "{\"pooling_mode\":[\"cls\",\"mean\"]}", NULL, POOLING_MEAN, 0, "of several modes"},
      {POOLED, "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":true}", NULL, POOLING_MEAN, 0,
       "of several modes"},
      {POOLED, "{\"pooling_mode_max_tokens\":true}", NULL, POOLING_MEAN, 0, "max_tokens"},
      {"[" ENCODER "," MODULE(1, "Pooling", "1_Pooling") "," MODULE(2, "Dense", "2_Dense") "]", "{}", NULL,
       POOLING_MEAN, 0, "the module Dense is not supported"},
      {"[" MODULE(0, "Pooling", "1_Pooling") "]", "{}", NULL, POOLING_MEAN, 0, "the module Pooling"},
      {"{}", "{}", NULL, POOLING_MEAN, 0, "modules.json must be an array"},
      {UNIT, "{}", "{\"do_lower_case\":true}", POOLING_MEAN, 0, "do_lower_case"},
  };
  char path[100];
  snprintf(path, sizeof path, "%s/1_Pooling", directory);
  struct error err;
  assert_int_equal(file_mkdirs(path, &err), STATUS_OK);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct sentence_modules m;
    put("modules.json", cases[i].modules);
    put("1_Pooling/config.json", cases[i].pooling);
    put("sentence_bert_config.json", cases[i].encoder);
    enum status status = sentence_modules_read(&m, directory, &err);
    if (cases[i].says ? !status || !strstr(err.text, cases[i].says) : status != STATUS_OK)
      fail_msg("case %zu: %s", i, status ? err.text : "read");
    if (status)
      continue;
    assert_int_equal(m.there, cases[i].modules != NULL);
    assert_int_equal(m.pooling, cases[i].want);
    assert_int_equal(m.normalised, !cases[i].modules || strstr(cases[i].modules, "Normalize") != NULL);
    assert_int_equal(m.max_seq_length, cases[i].length);
  }
}

static void a_job_may_not_contradict(void **state) {
  (void)state;
  struct model model = {0};
  struct error err;
  const struct sentence_modules none = {.pooling = POOLING_MEAN}, cls = {.there = true, .pooling = POOLING_CLS};
  assert_int_equal(sentence_settle(&model, &none, EMBEDDING_AUTO, &err), STATUS_OK);
  assert_int_equal(model.pooling, POOLING_MEAN);
  assert_int_equal(sentence_settle(&model, &none, EMBEDDING_CLS, &err), STATUS_OK);
  assert_int_equal(model.pooling, POOLING_CLS);
  assert_int_equal(sentence_settle(&model, &cls, EMBEDDING_AUTO, &err), STATUS_OK);
  assert_int_equal(model.pooling, POOLING_CLS);
  assert_int_equal(sentence_settle(&model, &cls, EMBEDDING_CLS, &err), STATUS_OK);
  assert_int_equal(sentence_settle(&model, &cls, EMBEDDING_MEAN, &err), STATUS_INVALID_VALUE);
  assert_string_equal(err.param, "embedding.pooling");
}

/* What is written is read as the same. */
static void writes_what_it_reads(void **state) {
  (void)state;
  struct model model = {.pooling = POOLING_CLS, .positions = 512};
  struct sentence_modules m = {.max_seq_length = 128, .normalised = true}, again;
  struct error err;
  model.checkpoint.config = json_pack("{s:i}", "hidden_size", 384);
  assert_int_equal(sentence_modules_write(&model, &m, directory, &err), STATUS_OK);
  assert_int_equal(sentence_modules_read(&again, directory, &err), STATUS_OK);
  assert_true(again.there && again.pooling == POOLING_CLS && again.max_seq_length == 128 && again.normalised);
  json_decref(model.checkpoint.config);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(folders_are_read), cmocka_unit_test(a_job_may_not_contradict),
                                     cmocka_unit_test(writes_what_it_reads)};
  return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
