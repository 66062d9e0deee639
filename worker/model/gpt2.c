/* GPT-2 (Radford et al., 2019): learnt positions, LayerNorm before attention and feed-forward layer, modules of
   Transformers' Conv1D. Numbers and names are those of Transformers' class. */
#include <math.h>
#include <stdio.h>

#include "worker/model/load.h"

static const char PREFIX[] = "transformer.";

struct layer {
  struct norm attention_norm, mlp_norm;
  struct linear qkv, attention_output, wide, narrow;
};

struct gpt2 {
  size_t hidden, heads, intermediate, layer_count;
  double epsilon, embedding_dropout, attention_dropout, residual_dropout;
  bool scaled, scaled_by_layer; /* scores: by 1 / sqrt(head size), and by 1 / (layer + 1) */
  load_activation_op *activation;
  struct weight token_embedding;
  struct place position_embedding;
  struct layer *layers;
  struct norm norm;
  struct linear head; /* lm_head or score */
};

/* --- config --------------------------------------------------------------------------------------- */

static enum status read_config(struct gpt2 *g, struct model *m, struct error *err) {
  bool cross = false;
  enum status s = load_size(&g->hidden, m, "n_embd", 768, 1 << 16, err);
  s = s ? s : load_size(&g->heads, m, "n_head", 12, 1 << 10, err);
  s = s ? s : load_size(&g->layer_count, m, "n_layer", 12, 1000, err);
  s = s ? s : load_size(&g->intermediate, m, "n_inner", 4 * g->hidden, 1 << 20, err);
  s = s ? s : load_size(&m->vocabulary, m, "vocab_size", 50257, 1 << 24, err);
  s = s ? s : load_size(&m->positions, m, "n_positions", 1024, 1 << 24, err);
  s = s ? s : load_number(&g->epsilon, m, "layer_norm_epsilon", 1e-5, err);
  s = s ? s : load_share(&g->embedding_dropout, m, "embd_pdrop", 0.1, err);
  s = s ? s : load_share(&g->attention_dropout, m, "attn_pdrop", 0.1, err);
  s = s ? s : load_share(&g->residual_dropout, m, "resid_pdrop", 0.1, err);
  s = s ? s : load_bool(&g->scaled, m, "scale_attn_weights", true, err);
  s = s ? s : load_bool(&g->scaled_by_layer, m, "scale_attn_by_inverse_layer_idx", false, err);
  s = s ? s : load_bool(&cross, m, "add_cross_attention", false, err);
  s = s ? s : load_activation(&g->activation, m, "activation_function", "gelu_new", err);
  if (!s && cross)
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: add_cross_attention is not supported");
  if (!s && g->hidden % g->heads != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: n_embd %zu is no multiple of n_head %zu",
                     g->hidden, g->heads);
  return s;
}

/* --- weights -------------------------------------------------------------------------------------- */

static enum status layer_conv1d(struct model *m, struct linear *l, size_t layer, const char *name, size_t in,
                                size_t out, struct error *err) {
  char path[128];
  snprintf(path, sizeof path, "h.%zu.%s", layer, name);
  return load_conv1d(m, l, PREFIX, path, in, out, err);
}

static enum status layer_norm(struct model *m, struct norm *n, size_t layer, const char *name, struct error *err) {
  const struct gpt2 *g = m->state;
  char path[128];
  snprintf(path, sizeof path, "h.%zu.%s", layer, name);
  return load_norm(m, n, PREFIX, path, g->hidden, g->epsilon, true, err);
}

static enum status load_layer(struct model *m, size_t i, struct error *err) {
  const struct gpt2 *g = m->state;
  struct layer *l = &g->layers[i];
  size_t C = g->hidden, F = g->intermediate;
  enum status s = layer_norm(m, &l->attention_norm, i, "ln_1", err);
  s = s ? s : layer_conv1d(m, &l->qkv, i, "attn.c_attn", C, 3 * C, err);
  s = s ? s : layer_conv1d(m, &l->attention_output, i, "attn.c_proj", C, C, err);
  s = s ? s : layer_norm(m, &l->mlp_norm, i, "ln_2", err);
  s = s ? s : layer_conv1d(m, &l->wide, i, "mlp.c_fc", C, F, err);
  return s ? s : layer_conv1d(m, &l->narrow, i, "mlp.c_proj", F, C, err);
}

static enum status gpt2_load(struct model *m, uint64_t seed, struct error *err) {
  static const char *names[] = {"c_attn"};
  static const struct string_list targets = {1, names};
  struct gpt2 *g = m->state = arena_alloc(&m->arena, sizeof *g);
  if (!g)
    return error_no_memory(err, "the model");
  *g = (struct gpt2){0};
  m->default_targets = &targets;
  enum status s = read_config(g, m, err);
  if (s)
    return s;
  g->layers = arena_array(&m->arena, g->layer_count, sizeof *g->layers);
  if (!g->layers)
    return error_no_memory(err, "the model");
  m->blocks = 2 * g->layer_count;
  m->kv_layers = g->layer_count;
  m->kv_cols = g->hidden;
  s = load_matrix(&g->token_embedding, m, PREFIX, "wte.weight", m->vocabulary, g->hidden, err);
  s = s ? s : load_floats(&g->position_embedding, m, PREFIX, "wpe.weight", m->positions, g->hidden, err);
  for (size_t i = 0; !s && i < g->layer_count; i++)
    s = load_layer(m, i, err);
  s = s ? s : load_norm(m, &g->norm, PREFIX, "ln_f", g->hidden, g->epsilon, true, err);
  return s ? s : load_decoder_head(m, &g->head, "transformer.wte", &g->token_embedding, true, seed, err);
}

/* --- forward -------------------------------------------------------------------------------------- */

static struct tensor *drop(struct tape *tape, struct tensor *x, double p) {
  struct dropout d = op_next_dropout(tape, p);
  return op_dropout(tape, x, &d);
}

static struct tensor *attend(struct tape *tape, const struct gpt2 *g, size_t layer, struct tensor *x,
                             const struct sequences *sequences, enum pooling rows) {
  const struct layer *l = &g->layers[layer];
  size_t C = g->hidden;
  struct tensor *qkv = op_linear(tape, x, &l->qkv);
  struct tensor *q = op_columns(tape, qkv, 0, C), *k = op_columns(tape, qkv, C, C);
  struct tensor *v = op_columns(tape, qkv, 2 * C, C);
  float scale = g->scaled ? 1.0f / sqrtf((float)(C / g->heads)) : 1.0f;
  struct attention how = {.heads = g->heads,
                          .kv_heads = g->heads,
                          .queries = rows,
                          .scale = g->scaled_by_layer ? scale / (float)(layer + 1) : scale,
                          .causal = true,
                          .layer = layer,
                          .dropout = op_next_dropout(tape, g->attention_dropout)};
  x = op_attention(tape, op_pooling(tape, q, sequences, rows), k, v, sequences, &how);
  return drop(tape, op_linear(tape, x, &l->attention_output), g->residual_dropout);
}

static struct tensor *gpt2_forward(struct tape *tape, const struct model *m, const struct sequences *sequences) {
  const struct gpt2 *g = m->state;
  struct tensor *x = op_embeddings(tape, sequences, &g->token_embedding, g->position_embedding, (struct place){0}), *h;
  x = drop(tape, op_token_rows(tape, x, sequences, m->token_rows), g->embedding_dropout);
  for (size_t i = 0; i < g->layer_count; i++) {
    const struct layer *l = &g->layers[i];
    bool scored = !m->language && i + 1 == g->layer_count; /* a classifier's head reads the last row alone */
    enum pooling rows = scored ? POOLING_LAST : POOLING_NONE;
    tape_segment_begin(tape, g->layer_count + i);
    h = attend(tape, g, i, op_layernorm(tape, x, &l->attention_norm), sequences, rows);
    x = op_add(tape, op_pooling(tape, x, sequences, rows), h);
    tape_segment_end(tape);
    tape_segment_begin(tape, i); /* the wide half first, as in decoder.c */
    h = g->activation(tape, op_linear(tape, op_layernorm(tape, x, &l->mlp_norm), &l->wide));
    x = op_add(tape, x, drop(tape, op_linear(tape, h, &l->narrow), g->residual_dropout));
    tape_segment_end(tape);
  }
  x = op_layernorm(tape, x, &g->norm);
  return m->language ? x : op_linear(tape, x, &g->head);
}

static void gpt2_disable_dropout(struct model *m) {
  struct gpt2 *g = m->state;
  g->embedding_dropout = g->attention_dropout = g->residual_dropout = 0;
}

const struct model_ops model_gpt2 = {.model_type = "gpt2",
                                     .class_prefix = "GPT2",
                                     .prefix = PREFIX,
                                     .head = "score",
                                     .language = true,
                                     .classifier = true,
                                     .load = gpt2_load,
                                     .forward = gpt2_forward,
                                     .disable_dropout = gpt2_disable_dropout};
