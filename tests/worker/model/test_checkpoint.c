/* A checkpoint reads alike from every container: the tensors, their order of rows and config.json's members are
   Hugging Face's, whether they lie in safetensors or in a GGUF. What is not a model is refused by name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/model/checkpoint.h"

/* The model of these tests: 1 layer, 8 channels, 2 heads of 4 that share one of keys, 6 tokens. */
enum { HIDDEN = 8, HEADS = 2, KV_HEADS = 1, HEAD = 4, INNER = 32, VOCABULARY = 6 };

static char dir[64];

static int make_dir(void **state) {
  (void)state;
  snprintf(dir, sizeof dir, "/tmp/test_checkpoint.XXXXXX");
  return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
  (void)state;
  return file_remove_tree(dir, NULL) ? -1 : 0;
}

/* A path in `dir`; valid for the next four calls. */
static const char *at(const char *name) {
  static char paths[5][256];
  static unsigned next;
  char *out = paths[next++ % 5];
  snprintf(out, 256, "%s/%s", dir, name);
  return out;
}

/* --- files ----------------------------------------------------------------------------------------- */

/* What a GGUF has otherwise than the plain one: a list that ends with an empty row. */
struct change {
  const char *key;
  enum { DROP, SET_U32, SET_F32, SET_TEXT, SET_FALSE, ADD_VECTOR, ADD_MATRIX } what;
  double number; /* the value; elements of a vector, rows of a matrix */
  const char *text;
};

/* CHANGES({"key", SET_U32, 3, NULL}, {...}) */
#define CHANGES(...) ((const struct change[]){__VA_ARGS__, {0}})

static bool changes(const struct change *change, const char *key) {
  for (; change && change->key; change++)
    if (strcmp(change->key, key) == 0)
      return true;
  return false;
}

static void put_u32(struct gguf_writer *w, const struct change *change, const char *key, uint32_t value) {
  if (!changes(change, key))
    gguf_writer_u32(w, key, value);
}

static void put_changes(struct gguf_writer *w, const struct change *change) {
  for (; change && change->key; change++)
    if (change->what == SET_U32)
      gguf_writer_u32(w, change->key, (uint32_t)change->number);
    else if (change->what == SET_F32)
      gguf_writer_f32(w, change->key, (float)change->number);
    else if (change->what == SET_TEXT)
      gguf_writer_string(w, change->key, change->text, strlen(change->text));
    else if (change->what == SET_FALSE)
      gguf_writer_bool(w, change->key, false);
}

struct matrix {
  const char *name;
  int rank;
  int64_t shape[2];
};

static const struct matrix matrices[] = {
    {"blk.0.attn_q.weight", 2, {HEADS * HEAD, HIDDEN}},    {"blk.0.attn_q.bias", 1, {HEADS * HEAD, 0}},
    {"blk.0.attn_k.weight", 2, {KV_HEADS * HEAD, HIDDEN}}, {"blk.0.attn_v.weight", 2, {KV_HEADS * HEAD, HIDDEN}},
    {"blk.0.attn_output.weight", 2, {HIDDEN, HIDDEN}},     {"blk.0.ffn_gate.weight", 2, {INNER, HIDDEN}},
    {"blk.0.ffn_down.weight", 2, {HIDDEN, INNER}},         {"output_norm.weight", 1, {HIDDEN, 0}},
    {"token_embd.weight", 2, {VOCABULARY, HIDDEN}},
};

/* Element (row, column) of every matrix is 10 row + column / 8; of a vector, its index from 1. */
static void put_matrix(struct gguf_writer *w, const struct matrix *m) {
  float out[INNER * INNER];
  size_t columns = (size_t)m->shape[m->rank - 1], count = columns * (m->rank == 2 ? (size_t)m->shape[0] : 1);
  CHECK(count <= COUNT_OF(out));
  for (size_t i = 0; i < count; i++)
    out[i] = m->rank == 2 ? 10 * (float)(i / columns) + (float)(i % columns) / 8 : (float)(i + 1);
  gguf_writer_data(w, out, count);
}

static void write_gguf(const char *path, const char *architecture, const struct change *change) {
  static const char *const counts[] = {"embedding_length", "block_count", "feed_forward_length", "attention.head_count",
                                       "context_length"};
  static const uint32_t values[] = {HIDDEN, 1, INNER, HEADS, 128};
  struct gguf_writer *w;
  struct error err = {0};
  char key[128];
  assert_int_equal(gguf_writer_open(&w, path, &err), STATUS_OK);
  if (!changes(change, "general.architecture"))
    gguf_writer_string(w, "general.architecture", architecture, strlen(architecture));
  for (size_t i = 0; i < COUNT_OF(counts); i++) {
    snprintf(key, sizeof key, "%s.%s", architecture, counts[i]);
    put_u32(w, change, key, values[i]);
  }
  snprintf(key, sizeof key, "%s.attention.head_count_kv", architecture);
  put_u32(w, change, key, KV_HEADS);
  snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", architecture);
  if (!changes(change, key))
    gguf_writer_f32(w, key, 1e-5f);
  put_u32(w, change, "tokenizer.ggml.eos_token_id", 2);
  put_changes(w, change);
  struct matrix all[COUNT_OF(matrices) + 4];
  size_t count = 0;
  for (size_t i = 0; i < COUNT_OF(matrices); i++)
    if (!changes(change, matrices[i].name))
      all[count++] = matrices[i];
  for (; change && change->key && count < COUNT_OF(all); change++)
    if (change->what == ADD_VECTOR)
      all[count++] = (struct matrix){change->key, 1, {(int64_t)change->number, 0}};
    else if (change->what == ADD_MATRIX)
      all[count++] = (struct matrix){change->key, 2, {(int64_t)change->number, HIDDEN}};
  for (size_t i = 0; i < count; i++) {
    bool down = strcmp(all[i].name, "blk.0.ffn_down.weight") == 0, half = all[i].shape[0] == INNER;
    gguf_writer_tensor(w, all[i].name, down ? GGML_Q8_0 : half ? GGML_F16 : GGML_F32, all[i].rank, all[i].shape);
  }
  for (size_t i = 0; i < count; i++)
    put_matrix(w, &all[i]);
  if (gguf_writer_finish(w, NULL, NULL, &err))
    fail_msg("%s", err.text);
}

static void put_text(const char *path, const char *text) {
  assert_int_equal(file_put(path, text, strlen(text), NULL), STATUS_OK);
}

static void write_folder(const char *folder) {
  static const float a[] = {1, 2, 3, 4};
  static const uint16_t half[] = {0x3C00, 0xC000}, brain[] = {0x3F80, 0xC040};
  static const int64_t ids[] = {0, 1};
  const struct st_tensor tensors[] = {{"a", ST_F32, 2, {2, 2}, (const unsigned char *)a, sizeof a},
                                      {"half", ST_F16, 1, {2}, (const unsigned char *)half, sizeof half},
                                      {"brain", ST_BF16, 1, {2}, (const unsigned char *)brain, sizeof brain},
                                      {"ids", ST_I64, 1, {2}, (const unsigned char *)ids, sizeof ids}};
  char path[300];
  struct error err = {0};
  assert_int_equal(file_mkdirs(folder, &err), STATUS_OK);
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  assert_int_equal(safetensors_write(path, tensors, 4, NULL, NULL, NULL, &err), STATUS_OK);
  snprintf(path, sizeof path, "%s/config.json", folder);
  put_text(path, "{\"model_type\": \"llama\", \"hidden_size\": 8}");
}

static void open_ok(struct checkpoint *out, const char *path) {
  struct error err = {0};
  if (checkpoint_open(out, path, &err))
    fail_msg("%s", err.text);
}

static void open_fails(const char *path, enum status want, const char *says) {
  struct checkpoint c;
  struct error err = {0};
  enum status status = checkpoint_open(&c, path, &err);
  if (status != want || !strstr(err.text, says))
    fail_msg("status %d, \"%s\" should say \"%s\"", (int)status, err.text, says);
  assert_null(c.config);
  assert_int_equal(checkpoint_count(&c), 0);
  checkpoint_close(&c);
}

static void refuses(const char *architecture, const struct change *change, const char *says) {
  const char *path = at("bad.gguf");
  write_gguf(path, architecture, change);
  open_fails(path, STATUS_MODEL_INVALID, says);
}

static int64_t member(const struct checkpoint *c, const char *key) {
  const json_t *value = json_object_get(c->config, key);
  if (!json_is_integer(value))
    fail_msg("the config has no integer %s", key);
  return json_integer_value(value);
}

static const char *text_member(const struct checkpoint *c, const char *key) {
  return json_string_value(json_object_get(c->config, key));
}

/* --- Hugging Face ---------------------------------------------------------------------------------- */

static void reads_a_folder(void **state) {
  struct checkpoint c;
  struct checkpoint_tensor tensor;
  struct error err;
  struct weight weight;
  float out[4];
  (void)state;
  write_folder(at("hf"));
  write_gguf(at("hf/beside.gguf"), "llama", NULL); /* the safetensors win */
  open_ok(&c, at("hf"));
  assert_false(c.is_gguf);
  assert_string_equal(c.weights_path, at("hf/model.safetensors"));
  assert_int_equal(member(&c, "hidden_size"), 8);
  assert_int_equal(checkpoint_count(&c), 4);
  assert_string_equal(checkpoint_at(&c, 1).name, "brain");
  assert_true(checkpoint_find(&tensor, &c, "a"));
  assert_true(tensor.rank == 2 && tensor.shape[0] == 2 && tensor.shape[1] == 2);
  assert_false(checkpoint_find(&tensor, &c, "b"));
  assert_true(checkpoint_mapped(&weight, &c, "a"));
  assert_true(weight.rows == 2 && weight.cols == 2 && weight_part(&weight, 1, 1, 1, NULL)[0] == 4);
  assert_true(checkpoint_mapped(&weight, &c, "half"));
  assert_true(weight.type == GGML_F16 && weight_rows(&weight, 0, weight.rows, out)[1] == -2);
  assert_false(checkpoint_mapped(&weight, &c, "none"));
  assert_int_equal(checkpoint_read(out, &c, "half", &err), STATUS_OK);
  assert_true(out[0] == 1 && out[1] == -2);
  assert_int_equal(checkpoint_read(out, &c, "brain", &err), STATUS_OK);
  assert_true(out[0] == 1 && out[1] == -3);
  assert_int_equal(checkpoint_read(out, &c, "ids", &err), STATUS_MODEL_INVALID);
  assert_int_equal(checkpoint_read(out, &c, "none", &err), STATUS_MODEL_INVALID);
  assert_non_null(strstr(err.text, "hf/model.safetensors has no tensor none"));
  checkpoint_close(&c);
}

static void refuses_what_is_no_model(void **state) {
  (void)state;
  open_fails(at("absent"), STATUS_IO, "cannot open");
  assert_int_equal(file_mkdirs(at("empty"), NULL), STATUS_OK);
  open_fails(at("empty"), STATUS_MODEL_INVALID,
             "has no model.safetensors, pytorch_model.bin, index of either's shards or .gguf file");
  put_text(at("text"), "not a model");
  open_fails(at("text"), STATUS_MODEL_INVALID, "text: is no GGUF file");
  write_folder(at("broken"));
  put_text(at("broken/config.json"), "{\"model_type\": }");
  open_fails(at("broken"), STATUS_MODEL_INVALID, "broken/config.json: line 1");
  put_text(at("broken/config.json"), "[]");
  open_fails(at("broken"), STATUS_MODEL_INVALID, "broken/config.json: must be an object, not an array");
  assert_int_equal(unlink(at("broken/config.json")), 0);
  open_fails(at("broken"), STATUS_MODEL_INVALID, "broken/config.json");
}

static void says_what_there_is_instead(void **state) {
  static const char *const names[][2] = {
      {"model.onnx", "; model.onnx cannot be trained"},
      {"model.bin", "; model.bin is not read; AutoModel's save_pretrained"},
      {"weights.safetensors", "; weights.safetensors is not named model.safetensors"},
      {"consolidated.00.safetensors", "; consolidated.00.safetensors has Mistral's own names"},
      {"pytorch_model-00001-of-00002.bin", "is a shard: pytorch_model.bin.index.json is missing"},
      {"model-00002-of-00002.safetensors", "is a shard: model.safetensors.index.json is missing"},
      {"adapter_model.safetensors", "; adapter_model.safetensors is an adapter"},
  };
  char path[100];
  (void)state;
  assert_int_equal(file_mkdirs(at("instead"), NULL), STATUS_OK);
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    snprintf(path, sizeof path, "instead/%s", names[i][0]);
    put_text(at(path), "x");
    open_fails(at("instead"), STATUS_MODEL_INVALID, names[i][1]); /* each is likelier than those before it */
  }
  write_folder(at("made"));
  put_text(at("made/config.json"), "");
  open_fails(at("made"), STATUS_MODEL_INVALID, "made/config.json: is empty");
  put_text(at("made/config.json"), "version https://git-lfs.github.com/spec/v1\noid sha256:abc\n");
  open_fails(at("made"), STATUS_MODEL_INVALID, "made/config.json: is a Git LFS pointer");
  put_text(at("made/config.json"), "{\"quantization_config\": {\"quant_method\": \"gptq\"}}");
  open_fails(at("made"), STATUS_MODEL_INVALID, "weights quantized by gptq are not read");
  put_text(at("made/config.json"), "{\"quantization_config\": {\"load_in_4bit\": true}}");
  open_fails(at("made"), STATUS_MODEL_INVALID, "weights quantized by bitsandbytes are not read");
}

static void a_folder_has_one_gguf(void **state) {
  struct checkpoint c;
  (void)state;
  assert_int_equal(file_mkdirs(at("two"), NULL), STATUS_OK);
  write_gguf(at("two/b.gguf"), "llama", NULL);
  put_text(at("two/.hidden.gguf"), "");
  put_text(at("two/config.json"), "{\"model_type\": \"other\"}"); /* without safetensors it says nothing */
  open_ok(&c, at("two"));
  assert_true(c.is_gguf);
  assert_string_equal(text_member(&c, "model_type"), "llama");
  assert_string_equal(c.weights_path, at("two/b.gguf"));
  checkpoint_close(&c);
  write_gguf(at("two/a.gguf"), "llama", NULL);
  open_fails(at("two"), STATUS_MODEL_INVALID, "has 2 .gguf files (a.gguf, b.gguf); exactly one is a model");
}

/* --- GGUF ------------------------------------------------------------------------------------------ */

static void translates_the_configuration(void **state) {
  struct checkpoint c;
  (void)state;
  write_gguf(at("m.gguf"), "llama", NULL);
  open_ok(&c, at("m.gguf"));
  assert_string_equal(text_member(&c, "model_type"), "llama");
  assert_string_equal(json_string_value(json_array_get(json_object_get(c.config, "architectures"), 0)),
                      "LlamaForCausalLM");
  assert_int_equal(member(&c, "hidden_size"), HIDDEN);
  assert_int_equal(member(&c, "intermediate_size"), INNER);
  assert_int_equal(member(&c, "num_hidden_layers"), 1);
  assert_int_equal(member(&c, "num_attention_heads"), HEADS);
  assert_int_equal(member(&c, "num_key_value_heads"), KV_HEADS);
  assert_int_equal(member(&c, "head_dim"), HEAD);
  assert_int_equal(member(&c, "max_position_embeddings"), 128);
  assert_int_equal(member(&c, "vocab_size"), VOCABULARY);
  assert_int_equal(member(&c, "eos_token_id"), 2);
  assert_null(json_object_get(c.config, "bos_token_id"));
  assert_null(json_object_get(c.config, "rope_scaling"));
  assert_null(json_object_get(c.config, "sliding_window"));
  assert_true(json_real_value(json_object_get(c.config, "rms_norm_eps")) == 1e-5);
  assert_true(json_real_value(json_object_get(c.config, "rope_theta")) == 10000);
  assert_true(json_is_true(json_object_get(c.config, "tie_word_embeddings")));
  assert_true(json_is_true(json_object_get(c.config, "attention_bias")));
  assert_true(json_is_false(json_object_get(c.config, "mlp_bias")));
  checkpoint_close(&c);
}

static void open_changed(struct checkpoint *c, const char *architecture, const struct change *change) {
  const char *path = at("changed.gguf");
  write_gguf(path, architecture, change);
  open_ok(c, path);
}

static void translates_rope(void **state) {
  struct checkpoint c;
  (void)state;
  open_changed(
      &c, "llama",
      CHANGES({"llama.rope.freq_base", SET_F32, 500000, NULL}, {"rope_freqs.weight", ADD_VECTOR, HEAD / 2, NULL}));
  assert_true(json_real_value(json_object_get(c.config, "rope_theta")) == 500000);
  const json_t *factors = json_object_get(c.config, "rope_freqs");
  assert_int_equal(json_array_size(factors), 2);
  assert_true(json_real_value(json_array_get(factors, 0)) == 1 && json_real_value(json_array_get(factors, 1)) == 2);
  assert_int_equal(checkpoint_count(&c), COUNT_OF(matrices)); /* it is no tensor of Hugging Face's */
  checkpoint_close(&c);
  open_changed(
      &c, "llama",
      CHANGES({"llama.rope.scaling.type", SET_TEXT, 0, "linear"}, {"llama.rope.scaling.factor", SET_F32, 4, NULL}));
  const json_t *scaling = json_object_get(c.config, "rope_scaling");
  assert_string_equal(json_string_value(json_object_get(scaling, "rope_type")), "linear");
  assert_true(json_real_value(json_object_get(scaling, "factor")) == 4);
  checkpoint_close(&c);
  open_changed(&c, "llama", CHANGES({"llama.rope.scale_linear", SET_F32, 2, NULL}));
  assert_true(json_real_value(json_object_get(json_object_get(c.config, "rope_scaling"), "factor")) == 2);
  checkpoint_close(&c);
  open_changed(&c, "llama", CHANGES({"llama.rope.scaling.type", SET_TEXT, 0, "none"}));
  assert_null(json_object_get(c.config, "rope_scaling"));
  checkpoint_close(&c);
}

static void translates_other_architectures(void **state) {
  struct checkpoint c;
  (void)state;
  open_changed(
      &c, "llama",
      CHANGES({"output.weight", ADD_MATRIX, VOCABULARY, NULL}, {"llama.attention.sliding_window", SET_U32, 16, NULL}));
  assert_true(json_is_false(json_object_get(c.config, "tie_word_embeddings")));
  assert_string_equal(text_member(&c, "model_type"), "mistral");
  assert_int_equal(member(&c, "sliding_window"), 16);
  checkpoint_close(&c);
  open_changed(&c, "qwen2",
               CHANGES({"qwen2.attention.sliding_window", SET_U32, 16, NULL},
                       {"tokenizer.ggml.bos_token_id", SET_U32, 5, NULL}));
  assert_string_equal(text_member(&c, "model_type"), "qwen2");
  assert_true(json_is_true(json_object_get(c.config, "use_sliding_window")));
  assert_null(json_object_get(c.config, "attention_bias"));
  assert_int_equal(member(&c, "bos_token_id"), 5);
  checkpoint_close(&c);
  open_changed(&c, "qwen3",
               CHANGES({"qwen3.attention.key_length", SET_U32, 6, NULL},
                       {"qwen3.attention.value_length", SET_U32, 6, NULL},
                       {"blk.0.attn_q_norm.weight", ADD_VECTOR, 6, NULL}));
  struct checkpoint_tensor tensor;
  assert_int_equal(member(&c, "head_dim"), 6);
  assert_true(checkpoint_find(&tensor, &c, "model.layers.0.self_attn.q_norm.weight"));
  assert_true(json_is_true(json_object_get(c.config, "attention_bias")));
  checkpoint_close(&c);
}

/* Row r of a head of 4 in the file: 0, 1, 2, 3 are rows 0, 2, 1, 3 of Hugging Face's. */
/* What is decoded row by row where it lies is what is read as a whole. */
static void equals_where_it_lies(const struct checkpoint *c, const char *name) {
  float all[INNER * HIDDEN], scratch[INNER * HIDDEN];
  struct weight weight;
  struct error err;
  assert_int_equal(checkpoint_read(all, c, name, &err), STATUS_OK);
  assert_true(checkpoint_mapped(&weight, c, name));
  assert_true(weight.rows * weight.cols <= COUNT_OF(all));
  size_t block = weight_block(&weight);
  for (size_t row = 0; row < weight.rows; row++)
    for (size_t first = 0; first < weight.cols; first += block) {
      const float *part = weight_part(&weight, row, first, block, scratch);
      assert_memory_equal(part, all + row * weight.cols + first, block * sizeof *part);
    }
  assert_memory_equal(weight_rows(&weight, 0, weight.rows, scratch), all, weight.rows * weight.cols * sizeof *all);
}

static void puts_rows_of_q_and_k_into_order(void **state) {
  static const int from[HEADS * HEAD] = {0, 2, 1, 3, 4, 6, 5, 7};
  float out[INNER * HIDDEN];
  struct checkpoint c;
  struct error err;
  (void)state;
  for (int qwen = 0; qwen < 2; qwen++) {
    open_changed(&c, qwen ? "qwen2" : "llama", NULL);
    assert_int_equal(checkpoint_read(out, &c, "model.layers.0.self_attn.q_proj.weight", &err), STATUS_OK);
    for (int row = 0; row < HEADS * HEAD; row++)
      for (int column = 0; column < HIDDEN; column++)
        assert_true(out[row * HIDDEN + column] == 10 * (float)(qwen ? row : from[row]) + (float)column / 8);
    assert_int_equal(checkpoint_read(out, &c, "model.layers.0.self_attn.k_proj.weight", &err), STATUS_OK);
    assert_true(out[HIDDEN] == (qwen ? 10 : 20) && out[3 * HIDDEN] == 30);
    assert_int_equal(checkpoint_read(out, &c, "model.layers.0.self_attn.q_proj.bias", &err), STATUS_OK);
    for (int row = 0; row < HEADS * HEAD; row++)
      assert_true(out[row] == (float)(qwen ? row : from[row]) + 1);
    assert_int_equal(checkpoint_read(out, &c, "model.layers.0.self_attn.v_proj.weight", &err), STATUS_OK);
    assert_true(out[HIDDEN] == 10 && out[2 * HIDDEN] == 20);
    equals_where_it_lies(&c, "model.layers.0.self_attn.q_proj.weight");
    equals_where_it_lies(&c, "model.layers.0.self_attn.k_proj.weight");
    checkpoint_close(&c);
  }
}

static void reads_tensors_of_a_gguf(void **state) {
  float out[INNER * HIDDEN];
  struct checkpoint c;
  struct weight weight;
  struct checkpoint_tensor tensor;
  struct error err;
  (void)state;
  open_changed(&c, "llama", NULL);
  assert_int_equal(checkpoint_count(&c), COUNT_OF(matrices));
  for (size_t i = 0; i < checkpoint_count(&c); i++) {
    assert_true(i == 0 || strcmp(checkpoint_at(&c, i - 1).name, checkpoint_at(&c, i).name) < 0);
    assert_true(checkpoint_find(&tensor, &c, checkpoint_at(&c, i).name));
  }
  assert_string_equal(checkpoint_at(&c, 0).name, "model.embed_tokens.weight");
  assert_true(checkpoint_find(&tensor, &c, "model.layers.0.mlp.gate_proj.weight")); /* F16 */
  assert_true(tensor.rank == 2 && tensor.shape[0] == INNER && tensor.shape[1] == HIDDEN);
  assert_int_equal(checkpoint_read(out, &c, "model.layers.0.mlp.gate_proj.weight", &err), STATUS_OK);
  assert_true(out[3 * HIDDEN + 7] == 30.875f && out[31 * HIDDEN] == 310);
  equals_where_it_lies(&c, "model.layers.0.mlp.gate_proj.weight");
  assert_int_equal(checkpoint_read(out, &c, "model.layers.0.mlp.down_proj.weight", &err), STATUS_OK); /* Q8_0 */
  assert_true(fabsf(out[7 * INNER + 31] - 73.875f) < 0.1f);
  equals_where_it_lies(&c, "model.layers.0.mlp.down_proj.weight");
  assert_true(checkpoint_mapped(&weight, &c, "model.norm.weight"));
  assert_true(weight.rows == 1 && weight_part(&weight, 0, 7, 1, NULL)[0] == 8);
  assert_false(checkpoint_find(&tensor, &c, "lm_head.weight"));
  assert_false(checkpoint_find(&tensor, &c, "output_norm.weight"));
  checkpoint_close(&c);
}

static void refuses_models_it_could_not_compute(void **state) {
  static const struct {
    struct change change;
    const char *says;
  } cases[] = {
      {{"general.architecture", SET_TEXT, 0, "gemma2"}, "key general.architecture: \"gemma2\" is not supported"},
      {{"general.architecture", DROP, 0, NULL}, "has no key general.architecture"},
      {{"general.architecture", SET_U32, 1, NULL}, "key general.architecture: must be a string"},
      {{"llama.block_count", DROP, 0, NULL}, "has no key llama.block_count"},
      {{"llama.block_count", SET_U32, 0, NULL}, "key llama.block_count: 0 must lie in 1..2^31-1"},
      {{"llama.embedding_length", SET_F32, 8, NULL}, "key llama.embedding_length: must be an integer"},
      {{"llama.attention.head_count_kv", SET_U32, 3, NULL}, "2 heads cannot share 3 heads of keys"},
      {{"llama.attention.head_count", SET_U32, 3, NULL}, "8 channels cannot be split into 3 heads"},
      {{"llama.attention.key_length", SET_U32, 5, NULL}, "heads of 5 elements: RoPE needs an even number"},
      {{"llama.attention.key_length", SET_U32, 2, NULL}, "tensor blk.0.attn_"},
      {{"llama.attention.value_length", SET_U32, 2, NULL}, "key llama.attention.value_length: 2 differs from the 4"},
      {{"llama.rope.dimension_count", SET_U32, 2, NULL}, "key llama.rope.dimension_count: 2 differs from the 4"},
      {{"llama.attention.layer_norm_rms_epsilon", DROP, 0, NULL}, "has no key llama.attention.layer_norm_rms_epsilon"},
      {{"llama.attention.layer_norm_rms_epsilon", SET_F32, (double)NAN, NULL}, "must be a positive number"},
      {{"llama.rope.freq_base", SET_F32, -1, NULL}, "key llama.rope.freq_base: -1 must be a positive number"},
      {{"llama.rope.scaling.type", SET_TEXT, 0, "yarn"}, "\"yarn\" is not supported; none and linear are"},
      {{"llama.rope.scaling.type", SET_TEXT, 0, "linear"}, "has no key llama.rope.scaling.factor"},
      {{"rope_freqs.weight", ADD_VECTOR, 3, NULL}, "tensor rope_freqs.weight: must have 2 numbers"},
      {{"llama.expert_count", SET_U32, 8, NULL}, "key llama.expert_count: mixtures of experts are not supported"},
      {{"llama.attention.causal", SET_FALSE, 0, NULL}, "key llama.attention.causal: only causal attention"},
      {{"split.count", SET_U32, 3, NULL}, "key split.count: this is one of 3 parts"},
      {{"tokenizer.ggml.eos_token_id", SET_U32, 6, NULL}, "key tokenizer.ggml.eos_token_id: 6 is none of 6 tokens"},
      {{"token_embd.weight", DROP, 0, NULL}, "has no matrix token_embd.weight"},
      {{"blk.0.ffn_gate_inp.weight", ADD_VECTOR, 8, NULL}, "tensor blk.0.ffn_gate_inp.weight: no model of this"},
      {{"surprise", ADD_VECTOR, 8, NULL}, "tensor surprise: no model of this architecture has one"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    refuses("llama", CHANGES(cases[i].change), cases[i].says);
}

/* The products of a model's sizes are compared with the tensors that are there, never trusted. */
static void cve_2026_43629_sizes_that_multiply(void **state) {
  (void)state;
  refuses("llama",
          CHANGES({"llama.attention.head_count", SET_U32, 2147483647, NULL},
                  {"llama.attention.head_count_kv", SET_U32, 2147483647, NULL},
                  {"llama.attention.key_length", SET_U32, 2147483646, NULL}),
          "heads need 4611686011984936962");
  refuses("llama",
          CHANGES({"llama.attention.head_count", SET_U32, 1073741824, NULL},
                  {"llama.attention.head_count_kv", SET_U32, 1073741824, NULL},
                  {"llama.attention.key_length", SET_U32, 4, NULL}),
          "heads need 4294967296");
  refuses("llama", CHANGES({"llama.attention.head_count", SET_U32, 4294967295, NULL}),
          "key llama.attention.head_count: 4294967295 must lie in 1..2^31-1");
}

static void names_in_gguf(void **state) {
  static const char *const pairs[][2] = {
      {"model.embed_tokens.weight", "token_embd.weight"},
      {"model.norm.weight", "output_norm.weight"},
      {"lm_head.weight", "output.weight"},
      {"model.layers.3.self_attn.q_proj.weight", "blk.3.attn_q.weight"},
      {"model.layers.0.self_attn.k_proj.bias", "blk.0.attn_k.bias"},
      {"model.layers.12.self_attn.v_proj.weight", "blk.12.attn_v.weight"},
      {"model.layers.1.self_attn.o_proj.weight", "blk.1.attn_output.weight"},
      {"model.layers.1.self_attn.q_norm.weight", "blk.1.attn_q_norm.weight"},
      {"model.layers.1.self_attn.k_norm.weight", "blk.1.attn_k_norm.weight"},
      {"model.layers.9999.input_layernorm.weight", "blk.9999.attn_norm.weight"},
      {"model.layers.1.post_attention_layernorm.weight", "blk.1.ffn_norm.weight"},
      {"model.layers.1.mlp.gate_proj.weight", "blk.1.ffn_gate.weight"},
      {"model.layers.1.mlp.up_proj.bias", "blk.1.ffn_up.bias"},
      {"model.layers.1.mlp.down_proj.weight", "blk.1.ffn_down.weight"},
  };
  static const char *const none[] = {
      "",
      ".",
      "weight",
      ".weight",
      "score.weight",
      "model.layers.weight",
      "model.layers.1.weight",
      "model.layers.01.mlp.up_proj.weight",
      "model.layers.10000.mlp.up_proj.weight",
      "model.layers..mlp.up_proj.weight",
      "model.layers.1.mlp.up_proj",
      "model.layers.1.mlp.up_proj.scale",
      "model.layers.1.mlp.up_proj.weight.weight",
      "model.layers.-1.mlp.up_proj.weight",
      "model.layers.1.model.norm.weight",
      "layers.1.mlp.up_proj.weight",
  };
  char out[128];
  (void)state;
  for (size_t i = 0; i < COUNT_OF(pairs); i++) {
    assert_true(checkpoint_gguf_name(out, pairs[i][0]));
    assert_string_equal(out, pairs[i][1]);
  }
  for (size_t i = 0; i < COUNT_OF(none); i++)
    if (checkpoint_gguf_name(out, none[i]))
      fail_msg("\"%s\" became %s", none[i], out);
}

/* The same files give the same; a flipped bit of the numbers, or of the config's last digit, gives another. */
static void tells_models_apart(void **state) {
  (void)state;
  static const char *const changed[] = {NULL, NULL, "apart/model.safetensors", "apart/config.json"};
  char prints[COUNT_OF(changed)][HASH_HEX], *bytes;
  size_t length;
  write_folder(at("apart"));
  for (size_t i = 0; i < COUNT_OF(changed); i++) {
    struct checkpoint c;
    if (changed[i]) {
      assert_int_equal(file_read(&bytes, &length, at(changed[i]), 1 << 20, NULL), STATUS_OK);
      bytes[length - 2] ^= 1;
      assert_int_equal(file_put(at(changed[i]), bytes, length, NULL), STATUS_OK);
      free(bytes);
    }
    open_ok(&c, at("apart"));
    checkpoint_fingerprint(prints[i], &c);
    checkpoint_close(&c);
  }
  assert_string_equal(prints[0], prints[1]);
  assert_string_not_equal(prints[1], prints[2]);
  assert_string_not_equal(prints[2], prints[3]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_a_folder),
      cmocka_unit_test(refuses_what_is_no_model),
      cmocka_unit_test(says_what_there_is_instead),
      cmocka_unit_test(a_folder_has_one_gguf),
      cmocka_unit_test(translates_the_configuration),
      cmocka_unit_test(translates_rope),
      cmocka_unit_test(translates_other_architectures),
      cmocka_unit_test(puts_rows_of_q_and_k_into_order),
      cmocka_unit_test(reads_tensors_of_a_gguf),
      cmocka_unit_test(refuses_models_it_could_not_compute),
      cmocka_unit_test(cve_2026_43629_sizes_that_multiply),
      cmocka_unit_test(names_in_gguf),
      cmocka_unit_test(tells_models_apart),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
