/* A GGUF reads as the Hugging Face model that it was made of: its configuration, the order of rows, names of tensors.
   What the engine could not compute is refused by name. */
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/worker/file/split_gguf.h"
#include "tests/worker/model/checkpoint_files.h"

static void refuses(const char *architecture, const struct change *change, const char *says) {
  const char *path = at("bad.gguf");
  write_gguf(path, architecture, change);
  open_fails(path, STATUS_MODEL_INVALID, says);
}

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
  open_changed(&c, "llama",
               CHANGES({"llama.rope.scaling.type", SET_TEXT, 0, "yarn"},
                       {"llama.rope.scaling.factor", SET_F32, 4, NULL},
                       {"llama.rope.scaling.original_context_length", SET_U32, 16, NULL},
                       {"llama.rope.scaling.yarn_beta_fast", SET_F32, 8, NULL}));
  scaling = json_object_get(c.config, "rope_scaling");
  assert_string_equal(json_string_value(json_object_get(scaling, "rope_type")), "yarn");
  assert_true(json_real_value(json_object_get(scaling, "factor")) == 4);
  assert_true(json_real_value(json_object_get(scaling, "beta_fast")) == 8);
  assert_true(json_real_value(json_object_get(scaling, "beta_slow")) == 1);
  assert_int_equal(json_integer_value(json_object_get(scaling, "original_max_position_embeddings")), 16);
  checkpoint_close(&c);
  refuses("llama",
          CHANGES({"llama.rope.scaling.type", SET_TEXT, 0, "yarn"}, {"llama.rope.scaling.factor", SET_F32, 4, NULL},
                  {"llama.rope.scaling.attn_factor", SET_F32, 1.5, NULL}),
          "key llama.rope.scaling.attn_factor is not supported");
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

/* Each file counts: in the tensors, and in what tells models apart. */
static void parts_are_one_checkpoint(void **state) {
  char whole_print[HASH_HEX], print[HASH_HEX], other[HASH_HEX];
  float numbers[INNER * HIDDEN], want[INNER * HIDDEN];
  struct checkpoint whole, c;
  struct error err;
  (void)state;
  write_gguf(at("whole.gguf"), "llama", NULL);
  open_ok(&whole, at("whole.gguf"));
  assert_int_equal(mkdir(at("parts"), 0700), 0);
  assert_true(split_gguf(at("whole.gguf"), at("parts/m"), 3));
  open_ok(&c, at("parts"));
  assert_true(json_equal(c.config, whole.config));
  assert_int_equal(checkpoint_count(&c), checkpoint_count(&whole));
  for (size_t i = 0; i < checkpoint_count(&c); i++) {
    struct checkpoint_tensor tensor = checkpoint_at(&c, i), same = checkpoint_at(&whole, i);
    size_t count = (size_t)tensor.shape[0] * (tensor.rank == 2 ? (size_t)tensor.shape[1] : 1);
    assert_string_equal(tensor.name, same.name);
    assert_int_equal(checkpoint_read(numbers, &c, tensor.name, &err), STATUS_OK);
    assert_int_equal(checkpoint_read(want, &whole, tensor.name, &err), STATUS_OK);
    assert_memory_equal(numbers, want, count * sizeof *want);
  }
  checkpoint_fingerprint(whole_print, &whole);
  checkpoint_fingerprint(print, &c);
  assert_string_not_equal(print, whole_print);
  checkpoint_close(&c);
  checkpoint_close(&whole);
  FILE *last = fopen(at("parts/m-00003-of-00003.gguf"), "r+b");
  assert_non_null(last);
  assert_int_equal(fseek(last, -1, SEEK_END), 0);
  fputc(0x40, last);
  fclose(last);
  open_ok(&c, at("parts/m-00001-of-00003.gguf"));
  checkpoint_fingerprint(other, &c);
  assert_string_not_equal(print, other);
  checkpoint_close(&c);
  open_fails(at("parts/m-00002-of-00003.gguf"), STATUS_MODEL_INVALID, "is part 2 of 3; the first one");
  write_gguf(at("parts/n.gguf"), "llama", NULL);
  open_fails(at("parts"), STATUS_MODEL_INVALID, "has 2 .gguf files (m-00001-of-00003.gguf, n.gguf)");
  assert_int_equal(unlink(at("parts/n.gguf")), 0);
  assert_int_equal(unlink(at("parts/m-00001-of-00003.gguf")), 0);
  open_fails(at("parts"), STATUS_MODEL_INVALID, "the first one, m-00001-of-00003.gguf, is missing");
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
      {{"llama.rope.scaling.type", SET_TEXT, 0, "longrope"}, "\"longrope\" is not supported; none, linear and yarn"},
      {{"llama.rope.scaling.type", SET_TEXT, 0, "yarn"}, "has no key llama.rope.scaling.factor"},
      {{"llama.rope.scaling.type", SET_TEXT, 0, "linear"}, "has no key llama.rope.scaling.factor"},
      {{"rope_freqs.weight", ADD_VECTOR, 3, NULL}, "tensor rope_freqs.weight: must have 2 numbers"},
      {{"llama.expert_count", SET_U32, 8, NULL}, "has no key llama.expert_used_count"},
      {{"llama.attention.causal", SET_FALSE, 0, NULL}, "key llama.attention.causal: only causal attention"},
      {{"split.count", SET_U32, 3, NULL}, "has no key split.no, which a part must have"},
      {{"tokenizer.ggml.eos_token_id", SET_U32, 6, NULL}, "key tokenizer.ggml.eos_token_id: 6 is none of 6 tokens"},
      {{"token_embd.weight", DROP, 0, NULL}, "has no matrix token_embd.weight"},
      {{"blk.0.ffn_gate.0.weight", ADD_VECTOR, 8, NULL}, "tensor blk.0.ffn_gate.0.weight: no model of this"},
      {{"surprise", ADD_VECTOR, 8, NULL}, "tensor surprise: no model of this architecture has one"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    refuses("llama", CHANGES(cases[i].change), cases[i].says);
}

static void translates_experts(void **state) {
  struct checkpoint c;
  (void)state;
  open_changed(&c, "llama",
               CHANGES({"llama.expert_count", SET_U32, 8, NULL}, {"llama.expert_used_count", SET_U32, 2, NULL}));
  assert_string_equal(text_member(&c, "model_type"), "mixtral");
  assert_int_equal(member(&c, "num_local_experts"), 8);
  assert_int_equal(member(&c, "num_experts_per_tok"), 2);
  checkpoint_close(&c);
  open_changed(&c, "qwen3moe",
               CHANGES({"qwen3moe.expert_count", SET_U32, 8, NULL}, {"qwen3moe.expert_used_count", SET_U32, 4, NULL},
                       {"qwen3moe.expert_feed_forward_length", SET_U32, 6, NULL}));
  assert_string_equal(text_member(&c, "model_type"), "qwen3_moe");
  assert_int_equal(member(&c, "moe_intermediate_size"), 6);
  assert_true(json_is_true(json_object_get(c.config, "norm_topk_prob")));
  checkpoint_close(&c);
  refuses("qwen3moe", NULL, "has no key qwen3moe.expert_count");
  refuses("qwen3", CHANGES({"qwen3.expert_count", SET_U32, 8, NULL}), "key qwen3.expert_count: a qwen3 model has no");
  refuses("llama",
          CHANGES({"llama.expert_count", SET_U32, 8, NULL}, {"llama.expert_used_count", SET_U32, 2, NULL},
                  {"llama.expert_weights_scale", SET_F32, 2.5, NULL}),
          "key llama.expert_weights_scale is not supported");
  refuses("llama",
          CHANGES({"llama.expert_count", SET_U32, 8, NULL}, {"llama.expert_used_count", SET_U32, 2, NULL},
                  {"llama.expert_weights_norm", SET_FALSE, 0, NULL}),
          "key llama.expert_weights_norm: must be true");
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
      {"model.layers.2.mlp.gate.weight", "blk.2.ffn_gate_inp.weight"},
      {"model.layers.2.mlp.experts.down_proj.weight", "blk.2.ffn_down_exps.weight"},
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(translates_the_configuration),
      cmocka_unit_test(translates_rope),
      cmocka_unit_test(translates_other_architectures),
      cmocka_unit_test(puts_rows_of_q_and_k_into_order),
      cmocka_unit_test(reads_tensors_of_a_gguf),
      cmocka_unit_test(parts_are_one_checkpoint),
      cmocka_unit_test(refuses_models_it_could_not_compute),
      cmocka_unit_test(translates_experts),
      cmocka_unit_test(cve_2026_43629_sizes_that_multiply),
      cmocka_unit_test(names_in_gguf),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
