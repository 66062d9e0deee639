/* CLIP's text encoder (Radford et al., 2021), as diffusion models are conditioned on it: a causal transformer with
   norms before its halves; what it gives is the last layer's rows of all tokens, padding too, after the final norm. */
#include "worker/model/clip_text.h"

#include <math.h>
#include <stdio.h>

#include "worker/model/load.h"

struct layer {
  struct norm norm1, norm2;
  struct linear query, key, value, out, fc1, fc2;
};

struct clip_text {
  size_t hidden, heads, intermediate, layer_count;
  double epsilon;
  load_activation_op *activation;
  struct weight token_embedding;
  struct place position_embedding;
  struct layer *layers;
  struct norm final_norm;
  struct linear projection; /* out 0: there is none */
};

enum { WIDTH_MAX = 1 << 16, LAYERS_MAX = 1000, VOCABULARY_MAX = 1 << 24, POSITIONS_MAX = 1 << 16 };
#define PREFIX "text_model."

static enum status read_config(struct model *m, struct clip_text *c, struct error *err) {
  enum status s = load_size(&c->hidden, m, "hidden_size", 512, WIDTH_MAX, err);
  s = s ? s : load_size(&c->heads, m, "num_attention_heads", 8, WIDTH_MAX, err);
  s = s ? s : load_size(&c->intermediate, m, "intermediate_size", 2048, WIDTH_MAX, err);
  s = s ? s : load_size(&c->layer_count, m, "num_hidden_layers", 12, LAYERS_MAX, err);
  s = s ? s : load_size(&m->vocabulary, m, "vocab_size", 49408, VOCABULARY_MAX, err);
  s = s ? s : load_size(&m->positions, m, "max_position_embeddings", 77, POSITIONS_MAX, err);
  s = s ? s : load_number(&c->epsilon, m, "layer_norm_eps", 1e-5, err);
  s = s ? s : load_activation(&c->activation, m, "hidden_act", "quick_gelu", err);
  if (!s && c->hidden % c->heads)
    s = error_set(err, STATUS_MODEL_INVALID, "model",
                  "config.json: hidden_size %zu is no multiple of num_attention_heads %zu", c->hidden, c->heads);
  return s;
}

static enum status load_layer(struct model *m, const struct clip_text *c, struct layer *l, size_t i,
                              struct error *err) {
  size_t C = c->hidden, F = c->intermediate;
  const struct {
    struct linear *linear;
    const char *name;
    size_t in, out;
  } rows[] = {
      {&l->query, "self_attn.q_proj", C, C}, {&l->key, "self_attn.k_proj", C, C}, {&l->value, "self_attn.v_proj", C, C},
      {&l->out, "self_attn.out_proj", C, C}, {&l->fc1, "mlp.fc1", C, F},          {&l->fc2, "mlp.fc2", F, C}};
  char path[100];
  enum status s = STATUS_OK;
  for (size_t r = 0; !s && r < COUNT_OF(rows); r++) {
    snprintf(path, sizeof path, "encoder.layers.%zu.%s", i, rows[r].name);
    s = load_linear(m, rows[r].linear, PREFIX, path, rows[r].in, rows[r].out, LOAD_BIAS, err);
  }
  snprintf(path, sizeof path, "encoder.layers.%zu.layer_norm1", i);
  s = s ? s : load_norm(m, &l->norm1, PREFIX, path, C, c->epsilon, true, err);
  snprintf(path, sizeof path, "encoder.layers.%zu.layer_norm2", i);
  return s ? s : load_norm(m, &l->norm2, PREFIX, path, C, c->epsilon, true, err);
}

static const char *q_v_names[] = {"q_proj", "v_proj"};
static const struct string_list q_v = {COUNT_OF(q_v_names), q_v_names};

static enum status clip_text_load(struct model *m, uint64_t seed, struct error *err) {
  (void)seed;
  struct clip_text *c = m->state = arena_alloc(&m->arena, sizeof *c);
  enum status s = c ? read_config(m, c, err) : error_no_memory(err, "the model");
  if (s)
    return s;
  m->default_targets = &q_v;
  c->layers = arena_array(&m->arena, c->layer_count, sizeof *c->layers);
  s = c->layers ? STATUS_OK : error_no_memory(err, "the model");
  s = s ? s
        : load_matrix(&c->token_embedding, m, PREFIX, "embeddings.token_embedding.weight", m->vocabulary, c->hidden,
                      err);
  s = s ? s
        : load_floats(&c->position_embedding, m, PREFIX, "embeddings.position_embedding.weight", m->positions,
                      c->hidden, err);
  for (size_t i = 0; !s && i < c->layer_count; i++)
    s = load_layer(m, c, &c->layers[i], i, err);
  s = s ? s : load_norm(m, &c->final_norm, PREFIX, "final_layer_norm", c->hidden, c->epsilon, true, err);
  return s ? s : load_embedding_projection(m, &c->projection, "text_projection", c->hidden, err);
}

static struct tensor *clip_text_forward(struct tape *tape, const struct model *m, const struct sequences *sequences) {
  const struct clip_text *c = m->state;
  struct attention how = {
      .heads = c->heads, .kv_heads = c->heads, .scale = 1 / sqrtf((float)(c->hidden / c->heads)), .causal = true};
  struct tensor *x = op_embeddings(tape, sequences, &c->token_embedding, c->position_embedding, (struct place){0});
  for (size_t i = 0; i < c->layer_count; i++) {
    const struct layer *l = &c->layers[i];
    struct tensor *h = op_layernorm(tape, x, &l->norm1);
    struct tensor *q = op_linear(tape, h, &l->query), *k = op_linear(tape, h, &l->key);
    h = op_attention(tape, q, k, op_linear(tape, h, &l->value), sequences, &how);
    x = op_add(tape, x, op_linear(tape, h, &l->out));
    h = op_linear(tape, op_layernorm(tape, x, &l->norm2), &l->fc1);
    x = op_add(tape, x, op_linear(tape, c->activation(tape, h), &l->fc2));
  }
  return op_layernorm(tape, x, &c->final_norm);
}

size_t clip_text_cols(const struct model *m) {
  const struct clip_text *c = m->state;
  return c->projection.out;
}

struct tensor *clip_text_embed(struct tape *tape, const struct model *m, const struct sequences *sequences) {
  const struct clip_text *c = m->state;
  struct tensor *x = op_pooling(tape, clip_text_forward(tape, m, sequences), sequences, POOLING_LAST);
  return op_unit_rows(tape, op_linear(tape, x, &c->projection));
}

const struct model_ops model_clip_text = {.model_type = "clip_text_model",
                                          .class_prefix = "CLIPText",
                                          .part = "text_config",
                                          .prefix = PREFIX,
                                          .load = clip_text_load,
                                          .forward = clip_text_forward};
