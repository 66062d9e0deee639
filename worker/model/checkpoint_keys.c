/* The config.json that a GGUF file's keys amount to. A key that changes what the model computes and has
   no counterpart here is refused: a model that loads must be the model in the file. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/checkpoint_gguf.h"

static const struct architecture {
  const char *name; /* general.architecture */
  const char *model_type, *class;
  bool interleaved;    /* rows of q and k */
  bool bias_is_member; /* config.json says whether there are attention biases; else the architecture does */
} architectures[] = {
    {"llama", "llama", "LlamaForCausalLM", true, true},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", false, false},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", false, true},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", false, true},
};

/* What the functions below fill. */
struct translation {
  const struct gguf *gguf;
  const struct architecture *architecture;
  json_t *config;
  bool failed; /* no memory for a member */
};

static void set(struct translation *t, const char *member, json_t *value) {
  if (json_object_set_new(t->config, member, value) != 0)
    t->failed = true;
}

static void set_integer(struct translation *t, const char *member, uint64_t value) {
  set(t, member, json_integer((json_int_t)value));
}

static int64_t integer(const struct translation *t, const char *member) {
  return json_integer_value(json_object_get(t->config, member));
}

/* Numbers in the file are 32-bit; the decimal that a person wrote is the short one (1e-05, not
   9.9999997473787516e-06). */
static double shortest(double value) {
  char text[32];
  snprintf(text, sizeof text, "%.7g", value);
  double decimal = strtod(text, NULL);
  return (float)decimal == (float)value ? decimal : value;
}

static void key_of(char out[128], const struct translation *t, const char *suffix) {
  snprintf(out, 128, "%s.%s", t->architecture->name, suffix);
}

/* --- numbers -------------------------------------------------------------------------------------- */

/* An integer in 1..2^31-1 under ARCHITECTURE.suffix; 0 when it is absent. */
static enum status get_count(uint64_t *out, const struct translation *t, const char *suffix, struct error *err) {
  char key[128];
  key_of(key, t, suffix);
  *out = 0;
  if (!gguf_find(t->gguf, key))
    return STATUS_OK;
  enum status status = gguf_get_u64(out, t->gguf, key, 0, err);
  if (!status && (*out == 0 || *out > INT32_MAX))
    status = error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: %" PRIu64 " must lie in 1..2^31-1", key, *out);
  return status;
}

/* The count under a key that must be there becomes a member of the config. */
static enum status need_count(struct translation *t, const char *member, const char *suffix, struct error *err) {
  uint64_t value;
  enum status status = get_count(&value, t, suffix, err);
  if (!status && value == 0)
    status = error_set(err, STATUS_MODEL_INVALID, NULL, "has no key %s.%s", t->architecture->name, suffix);
  if (!status)
    set_integer(t, member, value);
  return status;
}

static enum status need_counts(struct translation *t, struct error *err) {
  static const char *const rows[][2] = {
      {"hidden_size", "embedding_length"},           {"intermediate_size", "feed_forward_length"},
      {"num_hidden_layers", "block_count"},          {"num_attention_heads", "attention.head_count"},
      {"max_position_embeddings", "context_length"},
  };
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(rows); i++)
    status = need_count(t, rows[i][0], rows[i][1], err);
  return status;
}

/* A finite number above 0; `fallback` when it is absent, and a fault when there is none (0). */
static enum status get_positive(double *out, const struct translation *t, const char *suffix, double fallback,
                                struct error *err) {
  char key[128];
  key_of(key, t, suffix);
  enum status status = gguf_get_f64(out, t->gguf, key, fallback, err);
  if (status)
    return status;
  if (!gguf_find(t->gguf, key) && fallback == 0)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "has no key %s", key);
  if (!isfinite(*out) || *out <= 0)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: %g must be a positive number", key, *out);
  *out = shortest(*out);
  return STATUS_OK;
}

/* --- attention ------------------------------------------------------------------------------------ */

static enum status same_or_absent(const struct translation *t, const char *suffix, uint64_t head_dim,
                                  struct error *err) {
  uint64_t value;
  enum status status = get_count(&value, t, suffix, err);
  if (!status && value != 0 && value != head_dim)
    status = error_set(err, STATUS_MODEL_INVALID, NULL,
                       "key %s.%s: %" PRIu64 " differs from the %" PRIu64 " elements of a head, which is not supported",
                       t->architecture->name, suffix, value, head_dim);
  return status;
}

static enum status translate_heads(struct translation *t, struct error *err) {
  uint64_t heads = (uint64_t)integer(t, "num_attention_heads"), hidden = (uint64_t)integer(t, "hidden_size");
  uint64_t kv_heads, head_dim;
  enum status status = get_count(&kv_heads, t, "attention.head_count_kv", err);
  if (!status)
    status = get_count(&head_dim, t, "attention.key_length", err);
  if (status)
    return status;
  kv_heads = kv_heads ? kv_heads : heads;
  if (heads % kv_heads)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "%" PRIu64 " heads cannot share %" PRIu64 " heads of keys", heads,
                     kv_heads);
  if (!head_dim && hidden % heads)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "%" PRIu64 " channels cannot be split into %" PRIu64 " heads",
                     hidden, heads);
  head_dim = head_dim ? head_dim : hidden / heads;
  if (head_dim % 2)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "heads of %" PRIu64 " elements: RoPE needs an even number",
                     head_dim);
  set_integer(t, "num_key_value_heads", kv_heads);
  set_integer(t, "head_dim", head_dim);
  status = same_or_absent(t, "attention.value_length", head_dim, err);
  return status ? status : same_or_absent(t, "rope.dimension_count", head_dim, err);
}

/* LLaMA-3's scaling of the frequencies comes as their divisors. */
static enum status translate_frequencies(struct translation *t, struct error *err) {
  const struct gguf_tensor *tensor = gguf_find_tensor(t->gguf, "rope_freqs.weight");
  if (!tensor)
    return STATUS_OK;
  if (tensor->rank != 1 || tensor->type != GGML_F32 || tensor->shape[0] != integer(t, "head_dim") / 2)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "tensor rope_freqs.weight: must have %" PRId64 " numbers (F32)",
                     integer(t, "head_dim") / 2);
  json_t *factors = json_array();
  set(t, "rope_freqs", factors);
  for (size_t i = 0; !t->failed && i < (size_t)tensor->shape[0]; i++) {
    float factor;
    ggml_to_f32(&factor, tensor->bytes + i * sizeof factor, GGML_F32, 1);
    if (!isfinite(factor) || factor <= 0)
      return error_set(err, STATUS_MODEL_INVALID, NULL, "tensor rope_freqs.weight: number %zu is not positive", i);
    t->failed = json_array_append_new(factors, json_real(shortest((double)factor))) != 0;
  }
  return STATUS_OK;
}

static bool says(const struct gguf_string *type, const char *name) {
  return type->text && type->length == strlen(name) && memcmp(type->text, name, type->length) == 0;
}

/* llama.cpp's yarn is Transformers' where nothing but its factor, context and betas are set. */
static enum status translate_yarn(struct translation *t, struct error *err) {
  static const char *const others[] = {"rope.scaling.attn_factor", "rope.scaling.yarn_ext_factor",
                                       "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_log_multiplier"};
  double factor, fast, slow;
  uint64_t context;
  char key[128];
  for (size_t i = 0; i < COUNT_OF(others); i++) {
    key_of(key, t, others[i]);
    if (gguf_find(t->gguf, key))
      return error_set(err, STATUS_MODEL_INVALID, NULL, "key %s is not supported", key);
  }
  enum status status = get_positive(&factor, t, "rope.scaling.factor", 0, err);
  status = status ? status : get_positive(&fast, t, "rope.scaling.yarn_beta_fast", 32, err);
  status = status ? status : get_positive(&slow, t, "rope.scaling.yarn_beta_slow", 1, err);
  key_of(key, t, "rope.scaling.original_context_length");
  status = status ? status : gguf_get_u64(&context, t->gguf, key, 0, err);
  if (status)
    return status;
  json_t *scaling = json_pack("{s:s, s:f, s:f, s:f}", "rope_type", "yarn", "factor", factor, "beta_fast", fast,
                              "beta_slow", slow);
  if (context) /* else max_position_embeddings */
    json_object_set_new(scaling, "original_max_position_embeddings", json_integer((json_int_t)context));
  set(t, "rope_scaling", scaling);
  return STATUS_OK;
}

static enum status translate_rope(struct translation *t, struct error *err) {
  struct gguf_string type;
  char key[128];
  double theta, factor = 1;
  key_of(key, t, "rope.scaling.type");
  enum status status = get_positive(&theta, t, "rope.freq_base", 10000, err);
  if (!status)
    status = gguf_get_string(&type, t->gguf, key, NULL, err);
  if (status)
    return status;
  set(t, "rope_theta", json_real(theta));
  bool linear = says(&type, "linear"), yarn = says(&type, "yarn");
  if (type.text && !linear && !yarn && !says(&type, "none"))
    return error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: \"%.*s\" is not supported; none, linear and yarn are",
                     key, (int)(type.length < 40 ? type.length : 40), type.text);
  if (yarn)
    status = translate_yarn(t, err);
  else if (linear)
    status = get_positive(&factor, t, "rope.scaling.factor", 0, err);
  else if (!type.text) /* how older files say "linear" */
    status = get_positive(&factor, t, "rope.scale_linear", 1, err);
  if (!status && factor != 1)
    set(t, "rope_scaling", json_pack("{s:s, s:f}", "rope_type", "linear", "factor", factor));
  return status ? status : translate_frequencies(t, err);
}

/* --- the rest ------------------------------------------------------------------------------------- */

/* Mistral's files call themselves llama; only the window tells. */
static enum status translate_window(struct translation *t, struct error *err) {
  uint64_t window;
  enum status status = get_count(&window, t, "attention.sliding_window", err);
  if (status || !window)
    return status;
  set_integer(t, "sliding_window", window);
  if (strcmp(t->architecture->name, "llama") == 0) {
    set(t, "model_type", json_string("mistral"));
    set(t, "architectures", json_pack("[s]", "MistralForCausalLM"));
  } else {
    set(t, "use_sliding_window", json_true());
  }
  return STATUS_OK;
}

/* What other architectures with experts have. llama.cpp brings the weights of these two's to a sum of 1. */
static enum status refuse_other_experts(const struct translation *t, struct error *err) {
  static const char *const others[] = {"expert_gating_func", "expert_group_count", "expert_shared_count",
                                       "expert_weights_scale"};
  char key[128];
  bool normalised;
  for (size_t i = 0; i < COUNT_OF(others); i++) {
    key_of(key, t, others[i]);
    if (gguf_find(t->gguf, key))
      return error_set(err, STATUS_MODEL_INVALID, NULL, "key %s is not supported", key);
  }
  key_of(key, t, "expert_weights_norm");
  enum status status = gguf_get_bool(&normalised, t->gguf, key, true, err);
  return status || normalised ? status : error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: must be true", key);
}

/* Mixtral's files call themselves llama too. */
static enum status translate_experts(struct translation *t, struct error *err) {
  uint64_t experts;
  char key[128];
  bool qwen = strcmp(t->architecture->model_type, "qwen3_moe") == 0;
  key_of(key, t, "expert_count");
  enum status status = gguf_get_u64(&experts, t->gguf, key, 0, err);
  if (status || (!experts && !qwen))
    return status;
  if (!qwen && strcmp(t->architecture->name, "llama") != 0)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: a %s model has no experts", key, t->architecture->name);
  status = refuse_other_experts(t, err);
  status = status ? status : need_count(t, "num_local_experts", "expert_count", err);
  status = status ? status : need_count(t, "num_experts_per_tok", "expert_used_count", err);
  if (qwen) {
    set(t, "norm_topk_prob", json_true());
    return status ? status : need_count(t, "moe_intermediate_size", "expert_feed_forward_length", err);
  }
  set(t, "model_type", json_string("mixtral"));
  set(t, "architectures", json_pack("[s]", "MixtralForCausalLM"));
  return status;
}

static enum status translate_special_tokens(struct translation *t, struct error *err) {
  static const char *const rows[][2] = {
      {"bos_token_id", "tokenizer.ggml.bos_token_id"},
      {"eos_token_id", "tokenizer.ggml.eos_token_id"},
      {"pad_token_id", "tokenizer.ggml.padding_token_id"},
  };
  uint64_t vocabulary = (uint64_t)integer(t, "vocab_size");
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    uint64_t id;
    enum status status = gguf_get_u64(&id, t->gguf, rows[i][1], 0, err);
    if (status)
      return status;
    if (!gguf_find(t->gguf, rows[i][1]))
      continue;
    if (id >= vocabulary)
      return error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: %" PRIu64 " is none of %" PRIu64 " tokens", rows[i][1],
                       id, vocabulary);
    set_integer(t, rows[i][0], id);
  }
  return STATUS_OK;
}

static enum status translate_tensors(struct translation *t, struct error *err) {
  const struct gguf_tensor *embedding = gguf_find_tensor(t->gguf, "token_embd.weight");
  if (!embedding || embedding->rank != 2)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "has no matrix token_embd.weight");
  set_integer(t, "vocab_size", (uint64_t)embedding->shape[0]);
  set(t, "tie_word_embeddings", json_boolean(!gguf_find_tensor(t->gguf, "output.weight")));
  if (t->architecture->bias_is_member)
    set(t, "attention_bias", json_boolean(gguf_find_tensor(t->gguf, "blk.0.attn_q.bias") != NULL));
  if (t->architecture->interleaved)
    set(t, "mlp_bias", json_boolean(gguf_find_tensor(t->gguf, "blk.0.ffn_gate.bias") != NULL));
  return STATUS_OK;
}

/* Keys that would change the computation in ways the engine does not know. */
static enum status refuse_unknown(const struct translation *t, struct error *err) {
  char key[128];
  bool causal;
  key_of(key, t, "attention.causal");
  enum status status = gguf_get_bool(&causal, t->gguf, key, true, err);
  if (!status && !causal)
    status = error_set(err, STATUS_MODEL_INVALID, NULL, "key %s: only causal attention is supported", key);
  return status;
}

static enum status find_architecture(struct translation *t, struct error *err) {
  struct gguf_string name;
  enum status status = gguf_get_string(&name, t->gguf, "general.architecture", NULL, err);
  if (status)
    return status;
  if (!name.text)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "has no key general.architecture");
  for (size_t i = 0; i < COUNT_OF(architectures); i++)
    if (name.length == strlen(architectures[i].name) && memcmp(name.text, architectures[i].name, name.length) == 0)
      t->architecture = &architectures[i];
  if (!t->architecture)
    return error_set(err, STATUS_MODEL_INVALID, NULL,
                     "key general.architecture: \"%.*s\" is not supported; supported: llama, qwen2, qwen3, qwen3moe",
                     (int)(name.length < 60 ? name.length : 60), name.text);
  set(t, "model_type", json_string(t->architecture->model_type));
  set(t, "architectures", json_pack("[s]", t->architecture->class));
  set(t, "hidden_act", json_string("silu"));
  return STATUS_OK;
}

enum status checkpoint_gguf_config(json_t **out, bool *interleaved, const struct gguf *gguf, struct error *err) {
  static enum status (*const steps[])(struct translation * t, struct error * err) = {
      need_counts,      translate_heads,   translate_rope,           translate_tensors,
      translate_window, translate_experts, translate_special_tokens,
  };
  struct translation t = {.gguf = gguf, .config = json_object()};
  double epsilon;
  *out = NULL;
  enum status status = find_architecture(&t, err);
  if (!status)
    status = refuse_unknown(&t, err);
  for (size_t i = 0; !status && i < COUNT_OF(steps); i++)
    status = steps[i](&t, err);
  if (!status)
    status = get_positive(&epsilon, &t, "attention.layer_norm_rms_epsilon", 0, err);
  if (!status)
    set(&t, "rms_norm_eps", json_real(epsilon));
  if (!status && t.failed)
    status = error_no_memory(err, "the model's configuration");
  if (status) {
    json_decref(t.config);
    return status;
  }
  *out = t.config;
  *interleaved = t.architecture->interleaved;
  return STATUS_OK;
}
