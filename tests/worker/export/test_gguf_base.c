/* Proves that the merged model of a Hugging Face folder is the same as a GGUF file: its logits, for each architecture,
   each scaling of rotary positions and with its tokenizer and chat template; and that what GGUF cannot say is refused
   before anything is left in the folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/json.h"
#include "tests/worker/export/fixture.h"
#include "worker/chat/chat_template.h"
#include "worker/text/tokenizer.h"

static const struct adapter_spec hra = {.peft_type = PEFT_HRA, .hra = {.r = 4}};
static const char chat_template[] = "{% for m in messages %}{{ m['content'] }}{% endfor %}";

static json_t *special_token(int id, const char *content) {
  return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", content, "single_word", 0, "lstrip", 0,
                   "rstrip", 0, "normalized", 0, "special", 1);
}

/* 99 tokens, as many as the golden models have: of bytes, two merges, and special ones. Transformers' tokenizer of
   Qwen2 wants <|endoftext|>. */
static json_t *tiny_tokenizer(void) {
  json_t *vocabulary = json_object();
  for (int i = 0; i < 93; i++)
    json_object_set_new(vocabulary, (char[]){(char)('!' + i), 0}, json_integer(i));
  json_object_set_new(vocabulary, "\u0120", json_integer(93));
  json_object_set_new(vocabulary, "th", json_integer(94));
  json_object_set_new(vocabulary, "\u0120th", json_integer(95));
  json_t *added = json_pack("[o, o, o]", special_token(96, "<|endoftext|>"), special_token(97, "<s>"),
                            special_token(98, "</s>"));
  json_t *cut = json_pack("{s:s, s:[{s:s, s:b}, {s:s, s:b, s:b, s:b}]}", "type", "Sequence", "pretokenizers", "type",
                          "Digits", "individual_digits", 1, "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets",
                          1, "use_regex", 1);
  json_t *decoder = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
                              "use_regex", 1);
  return json_pack("{s:s, s:o, s:n, s:o, s:n, s:o, s:{s:s, s:o, s:[ss]}}", "version", "1.0", "added_tokens", added,
                   "normalizer", "pre_tokenizer", cut, "post_processor", "decoder", decoder, "model", "type", "BPE",
                   "vocab", vocabulary, "merges", "t h", "\u0120 th");
}

static void put_json(const char *folder, const char *name, json_t *value) {
  char path[200];
  assert_non_null(value);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_int_equal(json_dump_file(value, path, 0), 0);
  json_decref(value);
}

/* The model of a golden case, with members of config.json set and a tokenizer and chat template beside it. */
static void make_folder(char folder[64], const char *golden, json_t *members) {
  char from[200], to[200], here[200];
  snprintf(folder, 64, "/tmp/test_gguf_base.XXXXXX");
  assert_non_null(mkdtemp(folder));
  snprintf(from, sizeof from, "tests/golden/cases/%s/model/config.json", golden);
  json_t *config = json_load_file(from, 0, NULL);
  assert_non_null(config);
  if (members)
    assert_int_equal(json_object_update(config, members), 0);
  json_decref(members);
  put_json(folder, "config.json", config);
  assert_non_null(getcwd(here, sizeof here));
  snprintf(from, sizeof from, "%.100s/tests/golden/cases/%.40s/model/model.safetensors", here, golden);
  snprintf(to, sizeof to, "%s/model.safetensors", folder);
  assert_int_equal(symlink(from, to), 0);
  put_json(folder, "tokenizer.json", tiny_tokenizer());
  put_json(folder, "tokenizer_config.json",
           json_pack("{s:s, s:s, s:s, s:s}", "tokenizer_class", "PreTrainedTokenizerFast", "bos_token", "<s>",
                     "eos_token", "</s>", "chat_template", chat_template));
}

static void check_files_alike(const char *folder, const char *path) {
  struct checkpoint written;
  struct tokenizer *a, *b;
  struct error err = {0};
  AUTO(json_release) json_t *sources = NULL;
  struct gguf_string pre;
  assert_int_equal(checkpoint_open(&written, path, &err), STATUS_OK);
  assert_int_equal(tokenizer_open(&a, folder, &err), STATUS_OK);
  assert_int_equal(tokenizer_from_gguf(&b, &written.gguf, &err), STATUS_OK);
  assert_int_equal(tokenizer_id(b, "</s>"), 98);
  assert_true(tokenizer_is_special(b, 98) && !tokenizer_is_special(b, 95));
  assert_int_equal(tokenizer_check_gguf(a, &written.gguf, &err), STATUS_OK);
  assert_int_equal(gguf_get_string(&pre, &written.gguf, "tokenizer.ggml.pre", "", &err), STATUS_OK);
  assert_true(pre.length && (memcmp(pre.text, "smollm", 6) == 0 || memcmp(pre.text, "qwen2", 5) == 0));
  assert_int_equal(chat_template_sources(&sources, NULL, &written.gguf, &err), STATUS_OK);
  assert_string_equal(json_string_value(json_object_get(sources, "default")), chat_template);
  assert_int_equal(json_integer_value(json_object_get(written.config, "eos_token_id")), 98);
  assert_int_equal(json_integer_value(json_object_get(written.config, "bos_token_id")), 97);
  tokenizer_free(a);
  tokenizer_free(b);
  checkpoint_close(&written);
}

/* The tokenizer's eos_token, which the golden configs do not know of. */
static json_t *ends(void) {
  return json_pack("{s:i, s:i}", "bos_token_id", 97, "eos_token_id", 98);
}

static void a_folder_s_model_says_the_same(void **state) {
  (void)state;
  static const char *const cases[] = {"llama-hra",   "llama-linear-hra", "llama3-hra", "mistral-hra",
                                      "qwen2-hra",   "qwen3-hra",        "qwen3-yarn-hra"};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct fixture f;
    char folder[64], path[120];
    make_folder(folder, cases[i], ends());
    open_model(&f, folder, 0, &hra);
    if (write_format(&f, "gguf:f16"))
      fail_msg("%s: %s", cases[i], f.err.text);
    snprintf(path, sizeof path, "%s/merged-f16.gguf", f.out);
    double differ = logits_differ(&f, path);
    if (!(differ < 3e-3))
      fail_msg("%s: %g", cases[i], differ);
    assert_true(logits_differ(&f, folder) > 0.05); /* the adapter does something */
    check_files_alike(folder, path);
    close_model(&f);
    assert_int_equal(file_remove_tree(folder, NULL), STATUS_OK);
  }
}

static void refused(const char *golden, json_t *members, const char *says) {
  struct fixture f;
  char folder[64], path[120];
  make_folder(folder, golden, members);
  open_model(&f, folder, 0, &hra);
  if (write_format(&f, "gguf:f16") != STATUS_UNSUPPORTED_VALUE)
    fail_msg("written, or \"%s\", where it should say \"%s\"", f.err.text, says);
  if (!strstr(f.err.text, says))
    fail_msg("\"%s\" does not say \"%s\"", f.err.text, says);
  snprintf(path, sizeof path, "%s/merged-f16.gguf", f.out);
  assert_int_not_equal(access(path, F_OK), 0);
  close_model(&f);
  assert_int_equal(file_remove_tree(folder, NULL), STATUS_OK);
}

static void what_has_no_key_is_refused(void **state) {
  (void)state;
  refused("qwen3-yarn-hra",
          json_pack("{s:{s:s, s:f, s:f, s:f, s:f}}", "rope_scaling", "rope_type", "yarn", "factor", 4.0, "rope_theta",
                    10000.0, "mscale", 1.0, "mscale_all_dim", 1.0),
          "mscale has no key in GGUF");
  refused("qwen2-hra",
          json_pack("{s:b, s:i, s:[ss]}", "use_sliding_window", 1, "sliding_window", 8, "layer_types", "full_attention",
                    "sliding_attention"),
          "sliding_window of some layers alone");
  refused("mixtral-hra", NULL, "a mixture of experts");
  refused("gemma-hra", NULL, "not a gemma model");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_folder_s_model_says_the_same),
      cmocka_unit_test(what_has_no_key_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
