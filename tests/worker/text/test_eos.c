/* The end of text is found wherever a model names it, and the one that its generation stops at is taken. */
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
#include "tests/worker/model_directory.h"
#include "tests/worker/text/family.h"
#include "worker/text/eos.h"

enum { VOCABULARY = 100 };

/* 0 is <|endoftext|>, 1 <|im_start|>, 2 <|im_end|>. */
static void each_place(void **state) {
  static const struct {
    const char *config, *generation, *tokenizer, *special_map;
    int32_t id, ids[4];
    size_t count;
  } rows[] = {
      {"{}", NULL, NULL, NULL, -1, {0}, 0},
      {"{\"eos_token_id\":2}", NULL, NULL, NULL, 2, {2}, 1},
      {"{\"eos_token_id\":[5,2]}", NULL, NULL, NULL, 5, {5, 2}, 2},
      {"{\"eos_token_id\":null,\"text_config\":{\"eos_token_id\":[2]}}", NULL, NULL, NULL, 2, {2}, 1},
      {"{}", "{\"eos_token_id\":[7,0]}", NULL, NULL, 7, {7, 0}, 2},
      {"{}", NULL, "{\"eos_token\":\"<|im_end|>\"}", NULL, 2, {2}, 1},
      {"{}", NULL, "{\"eos_token\":{\"content\":\"<|im_end|>\"}}", NULL, 2, {2}, 1},
      {"{}", NULL, "{\"eos_token\":null}", "{\"eos_token\":\"<|endoftext|>\"}", 0, {0}, 1},
      /* The tokenizer's, of several at which the model stops; not one at which it does not. */
      {"{\"eos_token_id\":0}", "{\"eos_token_id\":[0,2]}", "{\"eos_token\":\"<|im_end|>\"}", NULL, 2, {0, 2}, 2},
      {"{\"eos_token_id\":5}", NULL, "{\"eos_token\":\"<|im_end|>\"}", NULL, 5, {5, 2}, 2},
      /* What is no token is none. */
      {"{\"eos_token_id\":-1}", "{\"eos_token_id\":100}", "{\"eos_token\":\"</none>\"}", NULL, -1, {0}, 0},
      {"{\"eos_token_id\":100}", "{\"eos_token_id\":3}", NULL, NULL, 3, {3}, 1},
  };
  struct tokenizer *tokenizer = open_family("smollm");
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    struct eos eos;
    struct error err = {0};
    AUTO(json_release) json_t *config = json_loads(rows[i].config, 0, NULL);
    put("generation_config.json", rows[i].generation);
    put("tokenizer_config.json", rows[i].tokenizer);
    put("special_tokens_map.json", rows[i].special_map);
    if (eos_find(&eos, directory, NULL, config, tokenizer, VOCABULARY, &err))
      fail_msg("%s", err.text);
    if (eos.id != rows[i].id || eos.count != rows[i].count ||
        memcmp(eos.ids, rows[i].ids, eos.count * sizeof *eos.ids) != 0)
      fail_msg("row %zu: %d, and %zu in all", i, eos.id, eos.count);
    assert_int_equal(eos_has(&eos, 2), eos.count > 0 && (eos.ids[0] == 2 || (eos.count > 1 && eos.ids[1] == 2)));
  }
  tokenizer_free(tokenizer);
}

static void a_file_that_is_no_object(void **state) {
  struct tokenizer *tokenizer = open_family("smollm");
  struct eos eos;
  struct error err = {0};
  (void)state;
  put("generation_config.json", "[]");
  assert_int_equal(eos_find(&eos, directory, NULL, NULL, tokenizer, VOCABULARY, &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "generation_config.json"));
  tokenizer_free(tokenizer);
}

/* A GGUF file has its end of text in the config made from it, and the ends of turns and messages beside. */
static void gguf_files(void **state) {
  static const struct {
    const char *config;
    uint32_t eot, eom;
    int32_t id;
    size_t count;
  } rows[] = {{"{\"eos_token_id\":0}", 2, 5, 0, 3}, {"{}", 2, 2, 2, 1}, {"{\"eos_token_id\":0}", 0, 1000, 0, 1}};
  struct tokenizer *tokenizer = open_family("smollm");
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    char path[128];
    struct gguf_writer *writer;
    struct gguf gguf;
    struct eos eos;
    struct error err = {0};
    const float one = 1;
    const int64_t shape[] = {1};
    AUTO(json_release) json_t *config = json_loads(rows[i].config, 0, NULL);
    snprintf(path, sizeof path, "%s/model.gguf", directory);
    assert_int_equal(gguf_writer_open(&writer, path, &err), STATUS_OK);
    gguf_writer_u32(writer, "tokenizer.ggml.eot_token_id", rows[i].eot);
    gguf_writer_u32(writer, "tokenizer.ggml.eom_token_id", rows[i].eom);
    gguf_writer_tensor(writer, "t", GGML_F32, 1, shape);
    gguf_writer_data(writer, &one, 1);
    assert_int_equal(gguf_writer_finish(writer, NULL, NULL, &err), STATUS_OK);
    assert_int_equal(gguf_open(&gguf, path, &err), STATUS_OK);
    assert_int_equal(eos_find(&eos, path, &gguf, config, tokenizer, VOCABULARY, &err), STATUS_OK);
    assert_int_equal(eos.id, rows[i].id);
    assert_int_equal(eos.count, rows[i].count);
    gguf_close(&gguf);
  }
  tokenizer_free(tokenizer);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_place),
      cmocka_unit_test(gguf_files),
      cmocka_unit_test(a_file_that_is_no_object),
  };
  return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
