/* The files of a directory are merged as AutoTokenizer merges them: what a special token is, and which class. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/file.h"
#include "worker/text/tokenizer_config.h"

struct directory {
  const char *config, *model, *map, *added, *tokenizer;
};

static void put(const char *dir, const char *name, const char *text) {
  char path[128];
  struct error err;
  snprintf(path, sizeof path, "%s/%s", dir, name);
  if (text)
    assert_int_equal(file_put(path, text, strlen(text), &err), STATUS_OK);
}

static enum status read_directory(struct tokenizer_config *out, const struct directory *from, struct error *err) {
  char dir[] = "/tmp/test_tokenizer_config.XXXXXX";
  struct error ignored;
  assert_non_null(mkdtemp(dir));
  put(dir, "tokenizer_config.json", from->config);
  put(dir, "config.json", from->model);
  put(dir, "special_tokens_map.json", from->map);
  put(dir, "added_tokens.json", from->added);
  put(dir, "tokenizer.json", from->tokenizer);
  enum status status = tokenizer_config_read(out, dir, err);
  assert_int_equal(file_remove_tree(dir, &ignored), STATUS_OK);
  return status;
}

static void special_tokens_come_from_all_files(void **state) {
  (void)state;
  static const struct {
    struct directory directory;
    const char *name, *text;
  } cases[] = {
      {{.config = "{\"eos_token\":\"</s>\"}"}, "eos_token", "</s>"},
      {{.config = "{\"eos_token\":{\"content\":\"<e>\",\"lstrip\":false}}"}, "eos_token", "<e>"},
      {{.config = "{\"eos_token\":null}"}, "eos_token", NULL},
      {{.config = NULL}, "eos_token", NULL},
      {{.config = "{\"eos_token\":\"a\"}", .map = "{\"eos_token\":\"b\"}"}, "eos_token", "b"},
      {{.config = "{\"eos_token\":\"a\",\"added_tokens_decoder\":{}}", .map = "{\"eos_token\":\"b\"}"}, "eos_token",
       "a"},
      {{.model = "{\"model_type\":\"bert\"}"}, "cls_token", "[CLS]"},
      {{.model = "{\"model_type\":\"qwen2\"}"}, "eos_token", "<|endoftext|>"},
      {{.config = "{\"tokenizer_class\":\"LlamaTokenizerFast\"}", .model = "{\"model_type\":\"llama\"}"}, "eos_token",
       "</s>"},
      {{.config = "{\"tokenizer_class\":\"LlamaTokenizer\"}", .tokenizer = "{\"decoder\":{\"type\":\"ByteLevel\"}}"},
       "eos_token", NULL},
      {{.config = "{\"tokenizer_class\":\"GPT2Tokenizer\",\"eos_token\":\"<|im_end|>\"}"}, "eos_token", "<|im_end|>"},
      {{.config = "{\"tokenizer_class\":\"GPT2Tokenizer\",\"eos_token\":null}"}, "eos_token", NULL},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct tokenizer_config config;
    struct error err = {0};
    if (read_directory(&config, &cases[i].directory, &err))
      fail_msg("case %zu: %s", i, err.text);
    const char *text = tokenizer_config_token(&config, cases[i].name);
    if (!text != !cases[i].text || (text && strcmp(text, cases[i].text) != 0))
      fail_msg("case %zu: %s is %s", i, cases[i].name, text ? text : "none");
    tokenizer_config_done(&config);
  }
}

static void the_class_follows_the_files(void **state) {
  (void)state;
  static const struct {
    struct directory directory;
    enum tokenizer_class class;
  } cases[] = {
      {{.config = "{\"tokenizer_class\":\"PreTrainedTokenizerFast\"}", .model = "{\"model_type\":\"bert\"}"},
       TOKENIZER_CLASS_BACKEND},
      {{.config = "{\"tokenizer_class\":\"BertTokenizerFast\"}", .model = "{\"model_type\":\"bert\"}"},
       TOKENIZER_CLASS_BERT},
      {{.model = "{\"model_type\":\"llama\"}"}, TOKENIZER_CLASS_BACKEND},
      {{.model = "{\"model_type\":\"llama\",\"tokenizer_class\":\"GPT2Tokenizer\"}"}, TOKENIZER_CLASS_GPT2},
      {{.config = "{\"tokenizer_class\":\"LlamaTokenizer\"}", .model = "{\"model_type\":\"mistral\"}"},
       TOKENIZER_CLASS_BACKEND},
      {{.config = "{\"tokenizer_class\":\"PreTrainedTokenizerFast\"}", .model = "{\"model_type\":\"qwen2\"}"},
       TOKENIZER_CLASS_QWEN2},
      {{.config = "{\"tokenizer_class\":\"PreTrainedTokenizerFast\"}", .model = "{\"model_type\":\"qwen3\"}"},
       TOKENIZER_CLASS_BACKEND},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct tokenizer_config config;
    struct error err = {0};
    assert_int_equal(read_directory(&config, &cases[i].directory, &err), STATUS_OK);
    if (config.class != cases[i].class)
      fail_msg("case %zu: class %d", i, (int)config.class);
    tokenizer_config_done(&config);
  }
}

static void files_that_cannot_be_read_are_named(void **state) {
  (void)state;
  static const struct {
    struct directory directory;
    const char *says;
  } cases[] = {
      {{.config = "[]"}, "tokenizer_config.json: this is an array, not an object"},
      {{.config = "{"}, "tokenizer_config.json"},
      {{.map = "3"}, "special_tokens_map.json"},
      {{.added = "\"x\""}, "added_tokens.json"},
      {{.config = "{\"added_tokens_decoder\":[]}"}, "added_tokens_decoder is an array, not an object"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct tokenizer_config config;
    struct error err = {0};
    assert_int_equal(read_directory(&config, &cases[i].directory, &err), STATUS_MODEL_INVALID);
    if (!strstr(err.text, cases[i].says))
      fail_msg("case %zu: \"%s\"", i, err.text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(special_tokens_come_from_all_files),
      cmocka_unit_test(the_class_follows_the_files),
      cmocka_unit_test(files_that_cannot_be_read_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
