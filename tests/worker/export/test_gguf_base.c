/* Proves that the merged model of a Hugging Face folder is the same as a GGUF file: its logits, for each architecture,
   each scaling of rotary positions and with its tokenizer and chat template; and that what GGUF cannot say is refused
   before anything is left in the folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/attr.h"
#include "base/json.h"
#include "tests/worker/export/fixture.h"
#include "worker/chat/chat_template.h"
#include "worker/file/safetensors.h"
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

/* What is asked before the training, of which nothing stays. */
static void check_passes(struct fixture *f, const char *what) {
  const char *items[] = {"gguf:f16"};
  if (export_check(&f->export, &(struct string_list){1, items}, &f->err))
    fail_msg("%s: %s", what, f->err.text);
  assert_int_equal(rmdir(f->out), 0);
  assert_int_equal(mkdir(f->out, 0700), 0);
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
    check_passes(&f, cases[i]);
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

/* --- folders of other shapes ---------------------------------------------------------------------- */

struct made_file {
  size_t count;
  struct st_tensor tensors[32];
  char names[32][80];
  struct rng rng;
};

static void add_tensor(struct made_file *file, const char *name, int64_t rows, int64_t cols) {
  struct st_tensor *t = &file->tensors[file->count];
  snprintf(file->names[file->count], sizeof file->names[0], "%s", name);
  *t = (struct st_tensor){.name = file->names[file->count++], .dtype = ST_F32, .rank = cols ? 2 : 1};
  t->shape[0] = rows;
  t->shape[1] = cols;
  t->length = (size_t)(rows * (cols ? cols : 1)) * sizeof(float);
}

static enum status fill_at_random(void *payload, size_t index, unsigned char *bytes, struct error *err) {
  struct made_file *file = payload;
  (void)err;
  for (size_t i = 0; i < file->tensors[index].length; i += sizeof(float)) {
    float number = rng_uniform(&file->rng) - 0.5f;
    memcpy(bytes + i, &number, sizeof number);
  }
  return STATUS_OK;
}

/* Numbers at random in a tied model of one layer with 16 channels and heads of 4, and in the further tensors. */
static void make_numbers(const char *folder, int64_t heads, int64_t kv_heads, const char *embedding,
                         const char *further) {
  const struct {
    const char *name;
    int64_t rows, cols;
  } layer[] = {{"input_layernorm", 16, 0},          {"self_attn.q_proj", 4 * heads, 16},
               {"self_attn.k_proj", 4 * kv_heads, 16}, {"self_attn.v_proj", 4 * kv_heads, 16},
               {"self_attn.o_proj", 16, 4 * heads}, {"post_attention_layernorm", 16, 0},
               {"mlp.gate_proj", 24, 16},           {"mlp.up_proj", 24, 16},
               {"mlp.down_proj", 16, 24}};
  struct made_file file = {0};
  struct error err = {0};
  char path[100], name[80];
  rng_init(&file.rng, 7, 1);
  for (size_t i = 0; i < COUNT_OF(layer); i++) {
    snprintf(name, sizeof name, "model.layers.0.%s.weight", layer[i].name);
    add_tensor(&file, name, layer[i].rows, layer[i].cols);
  }
  add_tensor(&file, "model.norm.weight", 16, 0);
  add_tensor(&file, embedding, 99, 16);
  if (further)
    add_tensor(&file, further, 2, 0);
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  assert_int_equal(unlink(path), 0);
  if (safetensors_write_filled(path, file.tensors, file.count, fill_at_random, &file, &err))
    fail_msg("%s", err.text);
}

static void check_same(const char *folder, const char *what) {
  struct fixture f;
  char path[120];
  open_model(&f, folder, 0, &hra);
  check_passes(&f, what);
  if (write_format(&f, "gguf:f16"))
    fail_msg("%s: %s", what, f.err.text);
  snprintf(path, sizeof path, "%s/merged-f16.gguf", f.out);
  double differ = logits_differ(&f, path);
  if (!(differ < 3e-3))
    fail_msg("%s: %g", what, differ);
  close_model(&f);
}

static void sizes_are_the_class_s(void **state) {
  (void)state;
  static const struct {
    const char *golden, *what, *embedding, *further;
    int heads, kv_heads;
    bool says_heads, null;
  } rows[] = {
      {"llama-hra", "null is as many as heads", "model.embed_tokens.weight", NULL, 4, 4, true, true},
      {"llama-hra", "LLaMA has 32 heads", "model.embed_tokens.weight", NULL, 32, 32, false, false},
      {"mistral-hra", "Mistral has 8 heads of keys", "model.embed_tokens.weight", NULL, 16, 8, true, false},
      {"llama-hra", "buffers are no weights", "model.embed_tokens.weight",
       "model.layers.0.self_attn.rotary_emb.inv_freq", 4, 4, true, true},
      {"llama-hra", "a tied model's only matrix", "lm_head.weight", NULL, 4, 4, true, true},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    char folder[64], path[100];
    make_folder(folder, rows[i].golden, ends());
    snprintf(path, sizeof path, "%s/config.json", folder);
    json_t *config = json_load_file(path, 0, NULL);
    json_t *sizes = json_pack("{s:i, s:i, s:i, s:i, s:b}", "hidden_size", 16, "head_dim", 4, "intermediate_size", 24,
                              "num_hidden_layers", 1, "tie_word_embeddings", 1);
    assert_int_equal(json_object_update_new(config, sizes), 0);
    json_object_del(config, "num_attention_heads");
    json_object_del(config, "num_key_value_heads");
    json_object_del(config, "layer_types");
    if (rows[i].says_heads)
      json_object_set_new(config, "num_attention_heads", json_integer(rows[i].heads));
    if (rows[i].null)
      json_object_set_new(config, "num_key_value_heads", json_null());
    put_json(folder, "config.json", config);
    make_numbers(folder, rows[i].heads, rows[i].kv_heads, rows[i].embedding, rows[i].further);
    check_same(folder, rows[i].what);
    assert_int_equal(file_remove_tree(folder, NULL), STATUS_OK);
  }
}

static void refused(const char *golden, json_t *members, const char *says) {
  struct fixture f;
  char folder[64];
  const char *items[] = {"gguf:f16"};
  make_folder(folder, golden, members);
  open_model(&f, folder, 0, &hra);
  assert_int_equal(export_check(&f.export, &(struct string_list){1, items}, &f.err), STATUS_UNSUPPORTED_VALUE);
  if (!strstr(f.err.text, says))
    fail_msg("before the training: \"%s\" does not say \"%s\"", f.err.text, says);
  if (write_format(&f, "gguf:f16") != STATUS_UNSUPPORTED_VALUE)
    fail_msg("written, or \"%s\", where it should say \"%s\"", f.err.text, says);
  if (!strstr(f.err.text, says))
    fail_msg("\"%s\" does not say \"%s\"", f.err.text, says);
  assert_int_equal(rmdir(f.out), 0); /* nothing is left in it */
  assert_int_equal(mkdir(f.out, 0700), 0);
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
  refused("llama-hra",
          json_pack("{s:{s:s, s:f, s:i, s:[ffff], s:[ffff]}}", "rope_scaling", "rope_type", "longrope", "factor", 2.0,
                    "original_max_position_embeddings", 8, "short_factor", 1.0, 1.0, 1.0, 1.0, "long_factor", 2.0, 2.0,
                    2.0, 2.0),
          "longrope has no key in GGUF");
  refused("qwen2-hra",
          json_pack("{s:{s:s, s:f, s:f, s:f, s:i}}", "rope_scaling", "rope_type", "llama3", "factor", 4.0,
                    "low_freq_factor", 1.0, "high_freq_factor", 4.0, "original_max_position_embeddings", 16),
          "llama3 of this architecture has no key in GGUF");
  refused("mixtral-hra", NULL, "a mixture of experts");
  refused("gemma-hra", NULL, "not a gemma model");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_folder_s_model_says_the_same),
      cmocka_unit_test(sizes_are_the_class_s),
      cmocka_unit_test(what_has_no_key_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
