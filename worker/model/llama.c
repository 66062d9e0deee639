/* The LLaMA family (Touvron et al., 2023): pre-norm decoder with RMSNorm, rotary positions, shared key and
   value heads, SwiGLU. LLaMA 1 to 3 and SmolLM2; Mistral (a window); Qwen2 and 2.5 (biases on q, k, v); Qwen3
   (norms on q's and k's heads). As a language model, or as a classifier with the head `score` on the last
   token. Module and tensor names are Transformers'. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "worker/model/load.h"
#include "worker/model/rotary.h"

static const char PREFIX[] = "model.";

struct layer {
  struct linear q, k, v, o, gate, up, down;
  struct norm input_norm, post_norm, q_norm, k_norm;
  size_t window; /* 0: none */
};

struct llama {
  size_t hidden, heads, kv_heads, head_size, intermediate, layer_count;
  double epsilon, attention_dropout;
  enum load_bias qkv_bias, o_bias, mlp_bias;
  bool head_norms;
  struct weight token_embedding;
  struct layer *layers;
  struct norm norm;
  struct linear head; /* lm_head or score */
  struct rotary_config rotary_config;
  struct rotary rotary;
  size_t reserved; /* rows of the rotary tables */
};

/* --- loading -------------------------------------------------------------------------------------- */

/* What Transformers takes where config.json lacks a member: each class has defaults of its own. */
static const struct defaults {
  const struct model_ops *ops;
  size_t intermediate, kv_heads, head_size, vocabulary, positions, window; /* 0: of the heads; of the others; none */
} defaults[] = {
    {&model_llama, 11008, 0, 0, 32000, 2048, 0},
    {&model_mistral, 14336, 8, 0, 32000, 131072, 4096},
    {&model_qwen2, 22016, 32, 0, 151936, 32768, 4096},
    {&model_qwen3, 22016, 32, 128, 151936, 32768, 4096},
};

static const struct defaults *defaults_of(const struct model *m) {
  size_t i = 0;
  while (defaults[i].ops != m->ops)
    i++;
  return &defaults[i];
}

static enum status read_sizes(struct llama *l, struct model *m, struct error *err) {
  const struct defaults *d = defaults_of(m);
  enum status s = load_size(&l->hidden, m, "hidden_size", 4096, 1 << 16, err);
  s = s ? s : load_size(&l->heads, m, "num_attention_heads", 32, 1 << 10, err);
  if (s)
    return s;
  /* null means as many as heads, absent the class's number */
  bool shared = d->kv_heads && !json_object_get(m->checkpoint.config, "num_key_value_heads");
  size_t share = l->heads > l->hidden ? 1 : l->hidden / l->heads;
  s = load_size(&l->kv_heads, m, "num_key_value_heads", shared ? d->kv_heads : l->heads, 1 << 10, err);
  s = s ? s : load_size(&l->head_size, m, "head_dim", d->head_size ? d->head_size : share, 1 << 12, err);
  s = s ? s : load_size(&l->intermediate, m, "intermediate_size", d->intermediate, 1 << 20, err);
  s = s ? s : load_size(&l->layer_count, m, "num_hidden_layers", 32, 1000, err);
  s = s ? s : load_size(&m->vocabulary, m, "vocab_size", d->vocabulary, 1 << 24, err);
  s = s ? s : load_size(&m->positions, m, "max_position_embeddings", d->positions, 1 << 24, err);
  s = s ? s : load_number(&l->epsilon, m, "rms_norm_eps", 1e-6, err);
  s = s ? s : load_share(&l->attention_dropout, m, "attention_dropout", 0, err);
  if (s)
    return s;
  if (l->heads % l->kv_heads != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: num_attention_heads %zu is no multiple of num_key_value_heads %zu%s", l->heads,
                     l->kv_heads, shared ? " (the default, since it is absent)" : "");
  if (l->head_size % 2 != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: head_dim %zu is odd: rotary positions turn pairs", l->head_size);
  return STATUS_OK;
}

/* Transformers has no such biases in the class; with them the model would not be the one that it runs. A GGUF file
   is read as llama.cpp does, which takes the biases that are there. */
static enum status refuse_bias(const struct model *m, const char *member, struct error *err) {
  return error_set(err, STATUS_MODEL_INVALID, "model",
                   "config.json: %s is true, but a %s model has no such biases; set it to false, or name the "
                   "model_type whose biases these are",
                   member, m->ops->model_type);
}

static enum status read_kind(struct llama *l, struct model *m, struct error *err) {
  bool attention = false, mlp = false, qwen2 = m->ops == &model_qwen2, file = !m->checkpoint.is_gguf;
  const char *act = "silu";
  enum status s = load_bool(&attention, m, "attention_bias", false, err);
  s = s ? s : load_bool(&mlp, m, "mlp_bias", false, err);
  if (s)
    return s;
  if (json_get_string(&act, m->checkpoint.config, "hidden_act", "silu", err) ||
      (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0))
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: hidden_act \"%.40s\" is not supported, silu is",
                     act);
  if (attention && file && m->ops == &model_mistral)
    return refuse_bias(m, "attention_bias", err);
  if (mlp && file && m->ops != &model_llama)
    return refuse_bias(m, "mlp_bias", err);
  l->qkv_bias = attention || qwen2 ? LOAD_BIAS : LOAD_NO_BIAS;
  l->o_bias = attention && !qwen2 ? LOAD_BIAS : LOAD_NO_BIAS;
  l->mlp_bias = mlp ? LOAD_BIAS : LOAD_NO_BIAS;
  l->head_norms = m->ops == &model_qwen3;
  return STATUS_OK;
}

static enum status bad_types(struct error *err, const char *what) {
  return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: layer_types: %s", what);
}

/* The layers, one by one, as layer_types says or from max_window_layers on. `size` 0: switched off. */
static enum status read_layer_types(struct llama *l, const json_t *types, size_t first, size_t size,
                                    struct error *err) {
  bool said = types && !json_is_null(types);
  if (said && json_array_size(types) != l->layer_count)
    return bad_types(err, "it must have one entry for each of num_hidden_layers");
  for (size_t i = 0; i < l->layer_count; i++) {
    const char *type = json_string_value(json_array_get(types, i));
    bool windowed = said ? type && strcmp(type, "sliding_attention") == 0 : i >= first;
    if (said && !windowed && !(type && strcmp(type, "full_attention") == 0))
      return bad_types(err, "an entry is neither \"full_attention\" nor \"sliding_attention\"");
    if (said && windowed && !size)
      return bad_types(err, "it has \"sliding_attention\", but use_sliding_window and sliding_window give no window");
    l->layers[i].window = windowed ? size : 0;
  }
  return STATUS_OK;
}

/* Which layers see a window only: LLaMA's none, whatever is written; Mistral's all, unless it has layer_types (it is
   then a Ministral to Transformers); Qwen's where it is switched on. A null window is none. */
static enum status read_windows(struct llama *l, struct model *m, struct error *err) {
  const json_t *config = m->checkpoint.config, *window = json_object_get(config, "sliding_window");
  const json_t *types = json_object_get(config, "layer_types");
  bool qwen = m->ops == &model_qwen2 || m->ops == &model_qwen3, used = m->ops == &model_mistral;
  size_t size = 0;
  int64_t first = 0;
  enum status s = qwen ? load_bool(&used, m, "use_sliding_window", false, err) : STATUS_OK;
  if (!s && used && !json_is_null(window))
    s = load_size(&size, m, "sliding_window", defaults_of(m)->window, 1 << 24, err);
  if (!s && qwen && json_get_int(&first, config, "max_window_layers", 28, 0, INT32_MAX, err)) {
    error_prefix(err, "config.json");
    s = err->status = STATUS_MODEL_INVALID;
  }
  if (!s && m->ops != &model_llama)
    return read_layer_types(l, types, (size_t)first, size, err);
  return s;
}

static enum status layer_linear(struct model *m, struct linear *linear, size_t layer, const char *name, size_t in,
                                size_t out, enum load_bias bias, struct error *err) {
  char path[128];
  snprintf(path, sizeof path, "layers.%zu.%s", layer, name);
  return load_linear(m, linear, PREFIX, path, in, out, bias, err);
}

static enum status layer_norm(struct model *m, struct norm *norm, size_t layer, const char *name, size_t channels,
                              struct error *err) {
  const struct llama *l = m->state;
  char path[128];
  snprintf(path, sizeof path, "layers.%zu.%s", layer, name);
  return load_norm(m, norm, PREFIX, path, channels, l->epsilon, false, err);
}

static enum status load_layer(struct model *m, size_t i, struct error *err) {
  struct llama *l = m->state;
  struct layer *y = &l->layers[i];
  size_t C = l->hidden, F = l->intermediate, Q = l->heads * l->head_size, K = l->kv_heads * l->head_size;
  enum status s = layer_norm(m, &y->input_norm, i, "input_layernorm", C, err);
  s = s ? s : layer_linear(m, &y->q, i, "self_attn.q_proj", C, Q, l->qkv_bias, err);
  s = s ? s : layer_linear(m, &y->k, i, "self_attn.k_proj", C, K, l->qkv_bias, err);
  s = s ? s : layer_linear(m, &y->v, i, "self_attn.v_proj", C, K, l->qkv_bias, err);
  s = s ? s : layer_linear(m, &y->o, i, "self_attn.o_proj", Q, C, l->o_bias, err);
  if (!s && l->head_norms)
    s = layer_norm(m, &y->q_norm, i, "self_attn.q_norm", l->head_size, err);
  if (!s && l->head_norms)
    s = layer_norm(m, &y->k_norm, i, "self_attn.k_norm", l->head_size, err);
  s = s ? s : layer_norm(m, &y->post_norm, i, "post_attention_layernorm", C, err);
  s = s ? s : layer_linear(m, &y->gate, i, "mlp.gate_proj", C, F, l->mlp_bias, err);
  s = s ? s : layer_linear(m, &y->up, i, "mlp.up_proj", C, F, l->mlp_bias, err);
  return s ? s : layer_linear(m, &y->down, i, "mlp.down_proj", F, C, l->mlp_bias, err);
}

/* The token embedding, which a tied model's file may have under lm_head's name alone. */
static enum status load_token_embedding(struct model *m, struct error *err) {
  struct llama *l = m->state;
  bool tied;
  enum status s = load_bool(&tied, m, "tie_word_embeddings", false, err);
  bool other = m->language && tied && !load_has(m, PREFIX, "embed_tokens.weight") && load_has(m, "", "lm_head.weight");
  return s ? s
           : load_matrix(&l->token_embedding, m, other ? "" : PREFIX, other ? "lm_head.weight" : "embed_tokens.weight",
                         m->vocabulary, l->hidden, err);
}

/* lm_head is the file's own where it has one, even if the two are said to be tied: Transformers ties them only when
   they are equal. An untied model without one would have random numbers there. */
static enum status load_head(struct model *m, uint64_t seed, struct error *err) {
  struct llama *l = m->state;
  m->head = &l->head;
  if (m->language) {
    bool tied, own = load_has(m, "", "lm_head.weight");
    l->head = (struct linear){.name = "lm_head", .in = l->hidden, .out = m->vocabulary, .weight = l->token_embedding};
    enum status s = load_bool(&tied, m, "tie_word_embeddings", false, err);
    if (!s && !own && !tied)
      s = error_set(err, STATUS_MODEL_INVALID, "model",
                    "the model's files have no tensor lm_head.weight, and config.json does not set tie_word_embeddings "
                    "to true; set it if embed_tokens is meant to be both");
    return s || !own ? s : load_operand(&l->head.weight, m, "", "lm_head.weight", m->vocabulary, l->hidden, err);
  }
  double deviation;
  bool made;
  enum status s = load_number(&deviation, m, "initializer_range", 0.02, err);
  return s ? s : load_or_make(m, &l->head, "", "score", l->hidden, m->num_labels, false, deviation, seed, &made, err);
}

static enum status llama_load(struct model *m, uint64_t seed, struct error *err) {
  static const char *names[] = {"q_proj", "v_proj"};
  static const struct string_list targets = {2, names};
  struct llama *l = m->state = arena_alloc(&m->arena, sizeof *l);
  if (!l)
    return error_no_memory(err, "the model");
  m->default_targets = &targets;
  enum status s = read_sizes(l, m, err);
  s = s ? s : read_kind(l, m, err);
  if (s)
    return s;
  l->layers = arena_array(&m->arena, l->layer_count, sizeof *l->layers);
  if (!l->layers)
    return error_no_memory(err, "the model");
  m->blocks = 2 * l->layer_count;
  s = read_windows(l, m, err);
  s = s ? s : rotary_read(&l->rotary_config, m, l->head_size, err);
  s = s ? s : load_token_embedding(m, err);
  for (size_t i = 0; !s && i < l->layer_count; i++)
    s = load_layer(m, i, err);
  s = s ? s : load_norm(m, &l->norm, PREFIX, "norm", l->hidden, l->epsilon, false, err);
  return s ? s : load_head(m, seed, err);
}

static enum status llama_reserve(struct model *m, size_t longest, struct error *err) {
  struct llama *l = m->state;
  if (longest <= l->reserved)
    return STATUS_OK;
  l->reserved = longest;
  return rotary_make(&l->rotary, m, &l->rotary_config, longest, err);
}

/* --- forward -------------------------------------------------------------------------------------- */

static struct tensor *attend(struct tape *tape, const struct llama *l, const struct layer *y, struct tensor *x,
                             const struct sequences *sequences, enum pooling rows) {
  struct tensor *q = op_linear(tape, x, &y->q), *k = op_linear(tape, x, &y->k), *v = op_linear(tape, x, &y->v);
  if (l->head_norms) {
    q = op_rmsnorm(tape, q, &y->q_norm);
    k = op_rmsnorm(tape, k, &y->k_norm);
  }
  q = op_pooling(tape, op_rope(tape, q, sequences, &l->rotary), sequences, rows);
  k = op_rope(tape, k, sequences, &l->rotary);
  struct attention how = {.heads = l->heads,
                          .kv_heads = l->kv_heads,
                          .queries = rows,
                          .scale = 1.0f / sqrtf((float)l->head_size),
                          .causal = true,
                          .window = y->window,
                          .dropout = op_next_dropout(tape, l->attention_dropout)};
  return op_linear(tape, op_attention(tape, q, k, v, sequences, &how), &y->o);
}

static struct tensor *llama_forward(struct tape *tape, const struct model *m, const struct sequences *sequences) {
  const struct llama *l = m->state;
  struct tensor *x = op_embeddings(tape, sequences, &l->token_embedding, (struct place){0}, (struct place){0});
  for (size_t i = 0; i < l->layer_count; i++) {
    const struct layer *y = &l->layers[i];
    bool scored = !m->language && i + 1 == l->layer_count; /* a classifier's head reads the last row alone */
    enum pooling rows = scored ? POOLING_LAST : POOLING_NONE;
    tape_segment_begin(tape, l->layer_count + i);
    struct tensor *own = op_pooling(tape, x, sequences, rows);
    x = op_add(tape, own, attend(tape, l, y, op_rmsnorm(tape, x, &y->input_norm), sequences, rows));
    tape_segment_end(tape);
    tape_segment_begin(tape, i); /* the wide half first: two products give back more than half of the layer's memory */
    struct tensor *h = op_rmsnorm(tape, x, &y->post_norm);
    h = op_swiglu(tape, op_linear(tape, h, &y->gate), op_linear(tape, h, &y->up));
    x = op_add(tape, x, op_linear(tape, h, &y->down));
    tape_segment_end(tape);
  }
  x = op_rmsnorm(tape, x, &l->norm);
  return m->language ? x : op_linear(tape, x, &l->head);
}

static void llama_disable_dropout(struct model *m) {
  struct llama *l = m->state;
  l->attention_dropout = 0;
}

#define ROW(name, class)                                                                                               \
  const struct model_ops model_##name = {.model_type = #name,                                                          \
                                         .class_prefix = class,                                                        \
                                         .prefix = PREFIX,                                                             \
                                         .head = "score",                                                              \
                                         .load = llama_load,                                                           \
                                         .language = true,                                                             \
                                         .classifier = true,                                                           \
                                         .forward = llama_forward,                                                     \
                                         .reserve = llama_reserve,                                                     \
                                         .disable_dropout = llama_disable_dropout}
ROW(llama, "Llama");
ROW(mistral, "Mistral");
ROW(qwen2, "Qwen2");
ROW(qwen3, "Qwen3");
