/* Proves, on the tiny golden models with a member or a tensor changed: that broken model folders are refused by the
   name of what is wrong, and that config.json means what it means to Transformers. */
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
#include "worker/model/model.h"

static struct st_tensor *named(struct st_tensor *tensors, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(tensors[i].name, name) == 0)
      return &tensors[i];
  fail_msg("no %s", name);
  return NULL;
}

/* A golden model with members of its config.json changed ("(absent)" drops one): opens it for as
   many labels; the error's text, or "" when it loads, with its model in *out. */
static const char *open_changed(struct model *out, const char *golden, size_t num_labels, const char *changes,
                                void (*change)(struct st_tensor *tensors, size_t *count)) {
  static struct error err;
  static struct backend backend;
  char path[] = "/tmp/reflectd-test-XXXXXX", name[300];
  struct st_tensor tensors[128];
  struct safetensors file;
  const char *key;
  json_t *config, *more = json_loads(changes, 0, NULL), *value;
  err = (struct error){0};
  assert_non_null(mkdtemp(path));
  snprintf(name, sizeof name, "tests/golden/cases/%s/model/config.json", golden);
  assert_int_equal(json_parse_file(&config, name, NULL, &err), STATUS_OK);
  assert_non_null(more);
  json_object_foreach(more, key, value) {
    if (json_is_string(value) && strcmp(json_string_value(value), "(absent)") == 0)
      json_object_del(config, key);
    else
      json_object_set(config, key, value);
  }
  char *text = json_dumps(config, 0);
  snprintf(name, sizeof name, "%s/config.json", path);
  assert_int_equal(file_put(name, text, strlen(text), &err), STATUS_OK);
  free(text);
  json_decref(config);
  json_decref(more);
  snprintf(name, sizeof name, "tests/golden/cases/%s/model/model.safetensors", golden);
  assert_int_equal(safetensors_open(&file, name, &err), STATUS_OK);
  size_t count = file.count;
  assert_true(count + 2 <= COUNT_OF(tensors));
  memcpy(tensors, file.tensors, count * sizeof *tensors);
  if (change)
    change(tensors, &count);
  snprintf(name, sizeof name, "%s/model.safetensors", path);
  assert_int_equal(safetensors_write(name, tensors, count, NULL, NULL, NULL, &err), STATUS_OK);
  safetensors_close(&file);
  assert_int_equal(cpu_open(&backend, 1, NULL, &err), STATUS_OK);
  enum status status = model_open(out, path, num_labels ? OUTPUT_CLASS : OUTPUT_TEXT, num_labels, 0, &backend, &err);
  if (status)
    assert_int_equal(status, STATUS_MODEL_INVALID);
  backend_close(&backend); /* what a test looks at afterwards needs none */
  assert_int_equal(file_remove_tree(path, NULL), STATUS_OK);
  return status ? err.text : "";
}

static void loads(const char *golden, const char *changes) {
  struct model model;
  const char *text = open_changed(
      &model, golden, strstr(golden, "bert") || strstr(golden, "electra") || strstr(golden, "mpnet") ? 3 : 0, changes,
      NULL);
  if (*text)
    fail_msg("%s with %s: %s", golden, changes, text);
  model_close(&model);
}

static void refuses(const char *golden, const char *changes, const char *says) {
  struct model model;
  const char *text = open_changed(
      &model, golden, strstr(golden, "bert") || strstr(golden, "electra") || strstr(golden, "mpnet") ? 3 : 0, changes,
      NULL);
  if (!strstr(text, says))
    fail_msg("%s with %s: \"%s\" should say \"%s\"", golden, changes, text, says);
  if (!*text)
    model_close(&model);
}

static void broken_models_are_named(void **state) {
  (void)state;
  refuses("bert-hra", "{\"model_type\":\"gpt9\"}", "\"gpt9\" is not supported");
  refuses("bert-hra", "{\"hidden_size\":-1}", "hidden_size");
  refuses("bert-hra", "{\"num_attention_heads\":5}", "multiple");
  refuses("bert-hra", "{\"vocab_size\":100}", "word_embeddings.weight");
  refuses("distilbert-hra", "{\"n_heads\":5}", "config.json: dim 48 is no multiple of n_heads 5");
  refuses("electra-hra", "{\"embedding_size\":null}", "word_embeddings.weight");
  refuses("roberta-hra", "{\"pad_token_id\":39}", "pad_token_id");
  refuses("roberta-hra", "{\"is_decoder\":true}", "Roberta is supported as an encoder only");
  refuses("bert-hra", "{\"num_hidden_layers\":3}", "no tensor bert.encoder.layer.2.attention.self.query.weight");
}

static void relative_positions_are_read(void **state) {
  (void)state;
  loads("deberta-hra", "{\"pos_att_type\":\" C2P | p2c\"}");
  loads("deberta-hra", "{\"pos_att_type\":[]}");
  loads("deberta-hra", "{\"pos_att_type\":null,\"relative_attention\":false}");
  loads("deberta-hra", "{\"norm_rel_ebd\":\"none\"}");
  refuses("deberta-hra", "{\"pos_att_type\":\"c2p|p2p\"}", "pos_att_type \"p2p\" is not supported; c2p and p2c are");
  refuses("deberta-hra", "{\"pos_att_type\":[\"c2p\",7]}", "pos_att_type \"\" is not supported");
  refuses("deberta-hra", "{\"pos_att_type\":3}", "pos_att_type must be a list or a string");
  refuses("deberta-hra", "{\"relative_attention\":false}", "pos_att_type is there, but relative_attention is not true");
  refuses("deberta-hra", "{\"norm_rel_ebd\":\"batch_norm\"}", "norm_rel_ebd \"batch_norm\" is not supported");
  refuses("deberta-hra", "{\"share_att_key\":false}", "no tensor deberta.encoder.layer.0.attention.self.pos_key_proj");
  refuses("deberta-hra", "{\"position_buckets\":9}", "config.json asks for [18, 48]");
  refuses("deberta-hra", "{\"position_buckets\":1}", "must be at least 2");
  refuses("deberta-hra", "{\"max_relative_positions\":5}", "larger than half of it");
  refuses("deberta-hra", "{\"position_biased_input\":true}", "position_embeddings.weight");
  refuses("deberta-hra", "{\"pooler_hidden_size\":47}", "pooler_hidden_size 47 is not supported");
  refuses("deberta-hra", "{\"attention_head_size\":8}", "attention_head_size 8 is not supported");
  refuses("deberta-hra", "{\"pooler_hidden_act\":\"mish\"}", "pooler_hidden_act \"mish\" is not supported");
  loads("mpnet-hra", "{}");
  refuses("mpnet-hra", "{\"relative_attention_num_buckets\":16}", "relative_attention_num_buckets 16 is not supported");
  refuses("mpnet-hra", "{\"pad_token_id\":0}", "pad_token_id 0 is not supported");
}

static void a_convolution_is_read(void **state) {
  (void)state;
  loads("deberta-conv-hra", "{\"conv_act\":\"relu\",\"conv_groups\":1}");
  loads("deberta-conv-hra", "{\"conv_kernel_size\":0,\"conv_groups\":2}");
  refuses("deberta-conv-hra", "{\"conv_kernel_size\":5}", "shape [48, 48, 3]; config.json asks for [48, 48, 5]");
  refuses("deberta-conv-hra", "{\"conv_kernel_size\":4}", "conv_kernel_size 4 is not supported, odd ones are");
  refuses("deberta-conv-hra", "{\"conv_kernel_size\":65}", "conv_kernel_size is 65; it must lie in 0..63");
  refuses("deberta-conv-hra", "{\"conv_groups\":2}", "conv_groups 2 is not supported, 1 is");
  refuses("deberta-conv-hra", "{\"conv_act\":\"mish\"}", "conv_act \"mish\" is not supported");
  refuses("deberta-hra", "{\"conv_kernel_size\":3}", "no tensor deberta.encoder.conv.conv.weight");
}

static void drop_head(struct st_tensor *tensors, size_t *count) {
  size_t kept = 0;
  for (size_t i = 0; i < *count; i++)
    if (strncmp(tensors[i].name, "head.", 5) != 0)
      tensors[kept++] = tensors[i];
  *count = kept;
}

static void modernbert_is_read_as_its_config_says(void **state) {
  struct model model;
  (void)state;
  loads("modernbert-hra", "{\"layer_types\":null,\"global_attn_every_n_layers\":2,\"rope_parameters\":null}");
  loads("modernbert-hra", "{\"local_attention\":1,\"head_dim\":16,\"classifier_activation\":\"relu\"}");
  refuses("modernbert-hra", "{\"layer_types\":[\"full_attention\"]}", "one entry for each of num_hidden_layers");
  refuses("modernbert-hra",
          "{\"layer_types\":[\"full_attention\",\"full_attention\",\"chunked_attention\",\"full_attention\"]}",
          "layer_types: entry 2 is neither");
  refuses("modernbert-hra", "{\"layer_types\":null,\"global_attn_every_n_layers\":0}", "global_attn_every_n_layers");
  refuses("modernbert-hra", "{\"local_attention\":0}", "local_attention");
  refuses("modernbert-hra", "{\"hidden_activation\":\"silu\"}", "hidden_activation \"silu\" is not supported, gelu is");
  refuses("modernbert-hra", "{\"classifier_activation\":\"mish\"}", "classifier_activation \"mish\" is not supported");
  refuses("modernbert-hra", "{\"classifier_pooling\":\"max\"}", "classifier_pooling \"max\" is not supported");
  refuses("modernbert-hra", "{\"num_attention_heads\":5}", "multiple");
  refuses("modernbert-hra", "{\"num_attention_heads\":16}", "heads of 3 columns are not supported");
  refuses("modernbert-hra", "{\"head_dim\":8}", "heads of 8 columns are not supported");
  refuses("modernbert-hra", "{\"norm_bias\":true}", "no tensor model.embeddings.norm.bias");
  refuses("modernbert-hra", "{\"mlp_bias\":true}", "no tensor model.layers.0.mlp.Wi.bias");
  refuses("modernbert-hra", "{\"attention_dropout\":1}", "attention_dropout");
  refuses("modernbert-hra", "{\"rope_parameters\":{\"rope_theta\":7}}", "rope_parameters: rope_theta");
  refuses("modernbert-hra", "{\"intermediate_size\":41}", "mlp.Wi.weight");
  /* without a head in the file there is a new one, which the adapter saves */
  assert_string_equal(open_changed(&model, "modernbert-hra", 3, "{}", drop_head), "");
  assert_int_equal(model.modules_to_save.count, 1);
  assert_string_equal(model.modules_to_save.item[0], "head.dense");
  model_close(&model);
}

/* Each of these would compute something else than what was trained. */
static void other_kinds_of_model_are_refused(void **state) {
  (void)state;
  refuses("bert-hra", "{\"hidden_act\":\"mish\"}", "hidden_act \"mish\" is not supported");
  refuses("distilbert-hra", "{\"activation\":\"mish\"}", "activation \"mish\" is not supported");
  loads("bert-hra", "{\"hidden_act\":\"gelu_python\"}");
  refuses("bert-hra", "{\"position_embedding_type\":\"relative_key\"}", "\"relative_key\" is not supported");
  refuses("bert-hra", "{\"is_decoder\":true}", "is_decoder is true");
  refuses("bert-hra", "{\"add_cross_attention\":true}", "add_cross_attention is true");
  refuses("bert-hra", "{\"is_decoder\":1}", "must be true or false");
  loads("llama-hra", "{\"hidden_act\":\"swish\"}");
  refuses("llama-hra", "{\"hidden_act\":\"gelu\"}", "hidden_act \"gelu\" is not supported");
  refuses("mistral-hra", "{\"attention_bias\":true}", "a mistral model has no such biases");
  refuses("qwen3-hra", "{\"mlp_bias\":true}", "a qwen3 model has no such biases");
  refuses("llama-hra", "{\"partial_rotary_factor\":0.5}", "partial_rotary_factor 0.5");
  refuses("llama-hra", "{\"rope_parameters\":{\"partial_rotary_factor\":0.5}}", "partial_rotary_factor 0.5");
}

/* The defaults are those of Transformers' classes. */
static void absent_members_have_the_class_s_defaults(void **state) {
  (void)state;
  loads("llama-hra", "{\"head_dim\":null}");
  loads("llama-hra", "{\"head_dim\":\"(absent)\"}");
  loads("qwen2-hra", "{\"head_dim\":\"(absent)\"}");
  refuses("qwen3-hra", "{\"head_dim\":\"(absent)\"}", "config.json asks for [768, 48]");   /* 6 heads of 128 */
  refuses("llama-hra", "{\"num_key_value_heads\":null}", "config.json asks for [48, 48]"); /* as many as heads */
  refuses("mistral-hra", "{\"num_key_value_heads\":null}", "config.json asks for [48, 48]");
  refuses("mistral-hra", "{\"num_key_value_heads\":\"(absent)\"}", "num_key_value_heads 8 (the default");
  refuses("qwen2-hra", "{\"vocab_size\":\"(absent)\"}", "config.json asks for [151936, 48]");
}

static void windows_are_where_the_class_has_them(void **state) {
  (void)state;
  refuses("qwen2-hra", "{\"layer_types\":[\"full_attention\"]}", "one entry for each of num_hidden_layers");
  refuses("qwen2-hra", "{\"layer_types\":[\"full_attention\",\"chunked_attention\"]}", "an entry is neither");
  refuses("qwen2-hra", "{\"layer_types\":[\"full_attention\",\"sliding_attention\"]}", "give no window");
  loads("qwen2-hra", "{\"layer_types\":[\"full_attention\",\"sliding_attention\"],\"use_sliding_window\":true,"
                     "\"sliding_window\":4}");
  refuses("qwen3-hra", "{\"max_window_layers\":\"all\"}", "max_window_layers");
  refuses("mistral-hra", "{\"sliding_window\":0}", "sliding_window");
  refuses("mistral-hra", "{\"layer_types\":[\"full_attention\"]}", "one entry for each of num_hidden_layers");
  refuses("mistral-hra", "{\"layer_types\":[\"sliding_attention\",\"full_attention\"],\"sliding_window\":null}",
          "give no window");
  loads("mistral-hra", "{\"layer_types\":[\"sliding_attention\",\"full_attention\"]}");
  loads("llama-hra", "{\"sliding_window\":0}"); /* Transformers' LLaMA does not read it */
  loads("qwen3moe-lora", "{\"sliding_window\":0}");
  refuses("qwen3moe-lora", "{\"sliding_window\":0,\"use_sliding_window\":true}", "sliding_window");
}

/* --- mixtures of experts -------------------------------------------------------------------------- */

static void lose_an_expert(struct st_tensor *tensors, size_t *count) {
  named(tensors, *count, "model.layers.1.block_sparse_moe.experts.3.w3.weight")->name = "spare";
}

/* Of a stack of experts, as many numbers in another shape. */
static void turn_experts(struct st_tensor *tensors, size_t *count) {
  struct st_tensor *t = named(tensors, *count, "model.layers.1.mlp.experts.gate_up_proj");
  int64_t rows = t->shape[1];
  t->shape[1] = t->shape[2];
  t->shape[2] = rows;
}

static void refuses_changed(const char *golden, void (*change)(struct st_tensor *tensors, size_t *count),
                            const char *says) {
  struct model model;
  const char *text = open_changed(&model, golden, 0, "{}", change);
  if (!strstr(text, says))
    fail_msg("%s: \"%s\" should say \"%s\"", golden, text, says);
  if (!*text)
    model_close(&model);
}

static void mixtures_are_read_as_their_config_says(void **state) {
  (void)state;
  loads("mixtral-hra", "{\"num_local_experts\":\"(absent)\",\"num_experts\":4,\"num_experts_per_tok\":4}");
  loads("mixtral-hra", "{\"output_router_logits\":null,\"router_aux_loss_coef\":0.5}");
  refuses("mixtral-hra", "{\"num_local_experts\":\"(absent)\"}",
          "gate.weight has rank 2, shape [4, 48]; config.json asks for [8, 48]");
  refuses("mixtral-hra", "{\"num_experts_per_tok\":5}", "num_experts_per_tok 5 is more than num_local_experts 4");
  refuses("mixtral-hra", "{\"num_experts_per_tok\":0}", "num_experts_per_tok");
  refuses("mixtral-hra", "{\"intermediate_size\":41}", "experts.0.w1.weight has rank 2, shape [40, 48]");
  refuses("mixtral-hra", "{\"output_router_logits\":true}", "output_router_logits is true, which adds a loss");
  refuses("mixtral-hra", "{\"router_jitter_noise\":0.1}", "router_jitter_noise is not supported");
  refuses("mixtral-hra", "{\"attention_bias\":true}", "a mixtral model has no such biases");
  refuses("mixtral-hra", "{\"model_type\":\"mistral\"}", "no tensor model.layers.0.mlp.gate_proj.weight");
  refuses("mistral-hra", "{\"model_type\":\"mixtral\"}", "no tensor model.layers.0.mlp.gate.weight");
  refuses("qwen3moe-lora", "{\"mlp_only_layers\":null}", "no tensor model.layers.3.mlp.gate.weight");
  refuses("qwen3moe-lora", "{\"mlp_only_layers\":[1,3]}", "no tensor model.layers.1.mlp.gate_proj.weight");
  refuses("qwen3moe-lora", "{\"mlp_only_layers\":3}", "mlp_only_layers must be a list of layers' numbers");
  refuses("qwen3moe-lora", "{\"mlp_only_layers\":[\"3\"]}", "mlp_only_layers must be a list of layers' numbers");
  refuses("qwen3moe-lora", "{\"decoder_sparse_step\":0}", "decoder_sparse_step");
  refuses("qwen3moe-lora", "{\"norm_topk_prob\":\"yes\"}", "norm_topk_prob must be true or false");
  refuses_changed("mixtral-hra", lose_an_expert, "no tensor model.layers.1.block_sparse_moe.experts.3.w3.weight");
  refuses_changed("qwen3moe-normalised-oft", turn_experts,
                  "gate_up_proj has rank 3, shape [6, 48, 40]; config.json asks for [6, 40, 48]");
}

static void experts_are_no_targets(void **state) {
  static const char *const cases[][2] = {
      {"mixtral-hra", "w1"},
      {"mixtral-hra", "gate"},
      {"mixtral-hra", "experts"},
      {"mixtral-hra", "gate_up_proj"},
      {"mixtral-hra", "experts.down_proj"},
      {"qwen3moe-lora", "down_proj"},
      {"qwen3moe-lora", "up_proj"},
      {"qwen3moe-normalised-oft", "gate_up_proj"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct model model;
    struct error err;
    const char *names[] = {"q_proj", cases[i][1]};
    struct adapter_spec spec = {.peft_type = PEFT_HRA, .target_modules = {.names = {COUNT_OF(names), names}}};
    assert_string_equal(open_changed(&model, cases[i][0], 0, "{}", NULL), "");
    assert_int_equal(model_adapt(&model, &spec, 0, &err), STATUS_UNSUPPORTED_TARGET);
    assert_string_equal(err.param, "adapter.target_modules");
    if (!strstr(err.text, cases[i][1]) || !strstr(err.text, "experts and routers as parameters"))
      fail_msg("%s in %s: %s", cases[i][1], cases[i][0], err.text);
    model_close(&model);
  }
}

/* lm_head of its own: other numbers than the table of words. */
static void add_a_head(struct st_tensor *tensors, size_t *count) {
  static float numbers[99 * 48];
  for (size_t i = 0; i < COUNT_OF(numbers); i++)
    numbers[i] = (float)i;
  tensors[*count] = *named(tensors, *count, "model.embed_tokens.weight");
  tensors[*count].name = "lm_head.weight";
  tensors[*count].bytes = (const unsigned char *)numbers;
  ++*count;
}

static void call_it_a_head(struct st_tensor *tensors, size_t *count) {
  named(tensors, *count, "model.embed_tokens.weight")->name = "lm_head.weight";
}

static float head_at(const char *changes, void (*change)(struct st_tensor *tensors, size_t *count)) {
  struct model model;
  float scratch[48];
  const char *text = open_changed(&model, "llama-hra", 0, changes, change);
  if (*text)
    fail_msg("%s: %s", changes, text);
  float number = weight_rows(&model.head->weight, 2, 1, scratch)[1];
  model_close(&model);
  return number;
}

static void a_head_of_its_own_is_used(void **state) {
  (void)state;
  float word = head_at("{}", NULL);
  assert_true(word != 97 && fabsf(word) < 10);
  assert_true(head_at("{\"tie_word_embeddings\":true}", add_a_head) == 97); /* not equal: not tied */
  assert_true(head_at("{\"tie_word_embeddings\":false}", add_a_head) == 97);
  assert_true(head_at("{\"tie_word_embeddings\":\"(absent)\"}", add_a_head) == 97);
  assert_true(head_at("{\"tie_word_embeddings\":true}", call_it_a_head) == word);
  refuses("llama-hra", "{\"tie_word_embeddings\":false}", "no tensor lm_head.weight");
  refuses("llama-hra", "{\"tie_word_embeddings\":\"(absent)\"}", "no tensor lm_head.weight");
  refuses("llama-hra", "{\"tie_word_embeddings\":\"yes\"}", "tie_word_embeddings must be true or false");
}

static void layers_without_rotary_positions_are_read(void **state) {
  (void)state;
  loads("smollm3-hra", "{\"no_rope_layers\":null}");
  loads("smollm3-hra", "{\"no_rope_layers\":[true,false,1],\"layer_types\":null}");
  refuses("smollm3-hra", "{\"no_rope_layers\":[1]}", "no_rope_layers must have one entry for each");
  refuses("smollm3-hra", "{\"no_rope_layers\":[1,\"none\"]}", "no_rope_layers: entry 1 is neither 0 nor 1");
  refuses("smollm3-hra", "{\"no_rope_layers\":null,\"no_rope_layer_interval\":0}", "no_rope_layer_interval");
  refuses("smollm3-hra", "{\"layer_types\":null,\"use_sliding_window\":\"yes\"}", "use_sliding_window");
}

static void families_are_held_to_their_classes(void **state) {
  (void)state;
  refuses("phi3-hra", "{\"attention_bias\":true}", "a phi3 model has no such biases");
  refuses("phi3-hra", "{\"num_key_value_heads\":6}", "qkv_proj.weight");
  refuses("phi3-hra", "{\"resid_pdrop\":1.5}", "resid_pdrop");
  refuses("phi3-hra", "{\"model_type\":\"llama\"}", "no tensor model.layers.0.self_attn.q_proj.weight");
  refuses("olmo2-hra", "{\"model_type\":\"llama\"}", "no tensor model.layers.0.input_layernorm.weight");
  refuses("olmo2-hra", "{\"mlp_bias\":true}", "olmo2 model has no such biases");
  refuses("granite-hra", "{\"logits_scaling\":0}", "logits_scaling must be positive");
  refuses("granite-hra", "{\"residual_multiplier\":\"half\"}", "residual_multiplier");
  loads("gpt2-lora", "{\"n_inner\":80,\"scale_attn_weights\":false}");
  refuses("gpt2-lora", "{\"n_inner\":null}", "transformer.h.0.mlp.c_fc.weight has rank 2, shape [48, 80]");
  refuses("gpt2-lora", "{\"add_cross_attention\":true}", "add_cross_attention is not supported");
  refuses("gpt2-lora", "{\"n_head\":7}", "n_embd 48 is no multiple of n_head 7");
  loads("gemma-hra", "{\"hidden_act\":\"gelu\"}");
  refuses("gemma-hra", "{\"hidden_act\":\"silu\"}", "hidden_act \"silu\" is not supported, gelu_pytorch_tanh is");
  refuses("gemma-hra", "{\"use_bidirectional_attention\":true}", "use_bidirectional_attention is not supported");
  refuses("gemma3-hra", "{\"hidden_activation\":\"relu\"}", "hidden_activation \"relu\"");
  refuses("gemma3-hra", "{\"query_pre_attn_scalar\":0}", "query_pre_attn_scalar must be positive");
  refuses("gemma-hra", "{\"final_logit_softcapping\":30.0}", "final_logit_softcapping is not supported");
  loads("gemma3-hra", "{\"final_logit_softcapping\":30.0}");
  loads("gemma2-hra", "{\"final_logit_softcapping\":null,\"attn_logit_softcapping\":\"(absent)\"}");
  refuses("gemma2-hra", "{\"attn_logit_softcapping\":0}", "attn_logit_softcapping must be positive or null");
  refuses("gemma2-hra", "{\"final_logit_softcapping\":\"30\"}", "final_logit_softcapping");
  refuses("gemma2-hra", "{\"use_bidirectional_attention\":true}", "use_bidirectional_attention is not supported");
  refuses("gemma3-hra", "{\"layer_types\":null,\"sliding_window_pattern\":0}", "sliding_window_pattern");
  loads("gemma3-hra", "{\"layer_types\":null,\"sliding_window_pattern\":2,\"rope_parameters\":null,\"rope_scaling\":"
                      "{\"rope_type\":\"linear\",\"factor\":8.0}}");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(layers_without_rotary_positions_are_read),
      cmocka_unit_test(families_are_held_to_their_classes),
      cmocka_unit_test(broken_models_are_named),
      cmocka_unit_test(relative_positions_are_read),
      cmocka_unit_test(a_convolution_is_read),
      cmocka_unit_test(modernbert_is_read_as_its_config_says),
      cmocka_unit_test(other_kinds_of_model_are_refused),
      cmocka_unit_test(absent_members_have_the_class_s_defaults),
      cmocka_unit_test(windows_are_where_the_class_has_them),
      cmocka_unit_test(a_head_of_its_own_is_used),
      cmocka_unit_test(mixtures_are_read_as_their_config_says),
      cmocka_unit_test(experts_are_no_targets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
