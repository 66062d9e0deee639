/* BERT (Devlin et al., 2019) for sequence classification and regression: post-norm encoder, pooler on
   the first token, one linear head. Module and tensor names are Transformers'. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "worker/model/load.h"

static const char PREFIX[] = "bert.";

struct layer {
  struct linear query, key, value, attention_output, intermediate, output;
  struct norm attention_norm, output_norm;
};

struct bert {
  size_t hidden, heads, intermediate, layer_count;
  double hidden_dropout, attention_dropout, classifier_dropout, epsilon;
  struct weight token_embedding;
  struct place position_embedding, token_type_embedding;
  struct norm embedding_norm;
  struct layer *layers;
  struct linear pooler, classifier;
};

static enum status layer_linear(struct model *m, struct linear *l, size_t layer, const char *name, size_t in,
                                size_t out, struct error *err) {
  char path[128];
  snprintf(path, sizeof path, "encoder.layer.%zu.%s", layer, name);
  return load_linear(m, l, PREFIX, path, in, out, LOAD_BIAS, err);
}

static enum status layer_norm(struct model *m, struct norm *n, size_t layer, const char *name, struct error *err) {
  const struct bert *b = m->state;
  char path[128];
  snprintf(path, sizeof path, "encoder.layer.%zu.%s", layer, name);
  return load_norm(m, n, PREFIX, path, b->hidden, b->epsilon, true, err);
}

static enum status load_layer(struct model *m, size_t i, struct error *err) {
  struct bert *b = m->state;
  struct layer *l = &b->layers[i];
  size_t C = b->hidden, F = b->intermediate;
  enum status s = layer_linear(m, &l->query, i, "attention.self.query", C, C, err);
  s = s ? s : layer_linear(m, &l->key, i, "attention.self.key", C, C, err);
  s = s ? s : layer_linear(m, &l->value, i, "attention.self.value", C, C, err);
  s = s ? s : layer_linear(m, &l->attention_output, i, "attention.output.dense", C, C, err);
  s = s ? s : layer_norm(m, &l->attention_norm, i, "attention.output.LayerNorm", err);
  s = s ? s : layer_linear(m, &l->intermediate, i, "intermediate.dense", C, F, err);
  s = s ? s : layer_linear(m, &l->output, i, "output.dense", F, C, err);
  return s ? s : layer_norm(m, &l->output_norm, i, "output.LayerNorm", err);
}

/* gelu_python is gelu written out. Relative positions are gone from Transformers 5, which reads such a file as if its
   positions were absolute: another model. */
static enum status read_kind(const struct model *m, struct error *err) {
  const char *act = "gelu", *kind = "absolute";
  bool decoder = false, cross = false;
  enum status s = load_bool(&decoder, m, "is_decoder", false, err);
  s = s ? s : load_bool(&cross, m, "add_cross_attention", false, err);
  s = s ? s : json_get_string(&act, m->checkpoint.config, "hidden_act", "gelu", err);
  s = s ? s : json_get_string(&kind, m->checkpoint.config, "position_embedding_type", "absolute", err);
  if (s)
    return err->status = STATUS_MODEL_INVALID;
  if (strcmp(act, "gelu") != 0 && strcmp(act, "gelu_python") != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: hidden_act \"%.40s\" is not supported, gelu is",
                     act);
  if (strcmp(kind, "absolute") != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: position_embedding_type \"%.40s\" is not supported, absolute is", kind);
  if (decoder || cross)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: %s is true: BERT is supported as an encoder only, in which each token sees all "
                     "others",
                     decoder ? "is_decoder" : "add_cross_attention");
  return STATUS_OK;
}

static enum status read_config(struct bert *b, struct model *m, struct error *err) {
  enum status s = load_size(&b->hidden, m, "hidden_size", 768, 1 << 16, err);
  s = s ? s : load_size(&b->heads, m, "num_attention_heads", 12, 1 << 10, err);
  s = s ? s : load_size(&b->intermediate, m, "intermediate_size", 3072, 1 << 20, err);
  s = s ? s : load_size(&b->layer_count, m, "num_hidden_layers", 12, 500, err);
  s = s ? s : load_size(&m->vocabulary, m, "vocab_size", 30522, 1 << 24, err);
  s = s ? s : load_size(&m->positions, m, "max_position_embeddings", 512, 1 << 20, err);
  s = s ? s : load_share(&b->hidden_dropout, m, "hidden_dropout_prob", 0.1, err);
  s = s ? s : load_share(&b->attention_dropout, m, "attention_probs_dropout_prob", 0.1, err);
  s = s ? s : load_share(&b->classifier_dropout, m, "classifier_dropout", b->hidden_dropout, err);
  s = s ? s : load_number(&b->epsilon, m, "layer_norm_eps", 1e-12, err);
  if (s)
    return s;
  if (b->hidden % b->heads != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: hidden_size %zu is no multiple of num_attention_heads %zu", b->hidden, b->heads);
  return read_kind(m, err);
}

/* The pooler of a file without one starts at random: it is trained and saved with the adapter. */
static enum status load_top(struct model *m, uint64_t seed, struct error *err) {
  struct bert *b = m->state;
  double deviation;
  bool made;
  enum status s = load_number(&deviation, m, "initializer_range", 0.02, err);
  s = s ? s
        : load_or_make(m, &b->pooler, PREFIX, "pooler.dense", b->hidden, b->hidden, true, deviation, seed, &made, err);
  if (!s && made)
    s = load_must_save(m, "pooler.dense", err);
  m->head = &b->classifier;
  return s ? s
           : load_or_make(m, &b->classifier, "", "classifier", b->hidden, m->num_labels, true, deviation, seed, &made,
                          err);
}

static enum status bert_load(struct model *m, uint64_t seed, struct error *err) {
  static const char *names[] = {"query", "value"};
  static const struct string_list targets = {2, names};
  struct bert *b = m->state = arena_alloc(&m->arena, sizeof *b);
  if (!b)
    return error_no_memory(err, "the model");
  m->default_targets = &targets;
  enum status s = read_config(b, m, err);
  if (s)
    return s;
  size_t C = b->hidden;
  s = load_size(&m->token_types, m, "type_vocab_size", 2, 256, err);
  s = s ? s : load_matrix(&b->token_embedding, m, PREFIX, "embeddings.word_embeddings.weight", m->vocabulary, C, err);
  s = s ? s
        : load_floats(&b->position_embedding, m, PREFIX, "embeddings.position_embeddings.weight", m->positions, C, err);
  s = s ? s
        : load_floats(&b->token_type_embedding, m, PREFIX, "embeddings.token_type_embeddings.weight", m->token_types, C,
                      err);
  s = s ? s : load_norm(m, &b->embedding_norm, PREFIX, "embeddings.LayerNorm", C, b->epsilon, true, err);
  b->layers = arena_array(&m->arena, b->layer_count, sizeof *b->layers);
  m->blocks = b->layer_count;
  if (!s && !b->layers)
    s = error_no_memory(err, "the model");
  for (size_t i = 0; !s && i < b->layer_count; i++)
    s = load_layer(m, i, err);
  return s ? s : load_top(m, seed, err);
}

static struct tensor *bert_forward(struct tape *tape, const struct model *m, const struct sequences *sequences) {
  const struct bert *b = m->state;
  float scale = 1.0f / sqrtf((float)(b->hidden / b->heads));
  struct dropout d = op_next_dropout(tape, b->hidden_dropout);
  struct tensor *x =
      op_embeddings(tape, sequences, &b->token_embedding, b->position_embedding, b->token_type_embedding);
  x = op_dropout(tape, op_layernorm(tape, x, &b->embedding_norm), &d);
  for (size_t i = 0; i < b->layer_count; i++) {
    const struct layer *l = &b->layers[i];
    enum pooling rows = i + 1 < b->layer_count ? POOLING_NONE : POOLING_CLS; /* the pooler reads no others */
    tape_segment_begin(tape, i);
    struct tensor *own = op_pooling(tape, x, sequences, rows);
    struct tensor *q = op_linear(tape, own, &l->query);
    struct tensor *k = op_linear(tape, x, &l->key);
    struct tensor *v = op_linear(tape, x, &l->value);
    d = op_next_dropout(tape, b->attention_dropout);
    struct attention how = {.heads = b->heads, .kv_heads = b->heads, .queries = rows, .scale = scale, .dropout = d};
    struct tensor *a = op_attention(tape, q, k, v, sequences, &how);
    d = op_next_dropout(tape, b->hidden_dropout);
    x = op_residual_layernorm(tape, op_linear(tape, a, &l->attention_output), own, &l->attention_norm, &d);
    struct tensor *h = op_gelu(tape, op_linear(tape, x, &l->intermediate));
    d = op_next_dropout(tape, b->hidden_dropout);
    x = op_residual_layernorm(tape, op_linear(tape, h, &l->output), x, &l->output_norm, &d);
    tape_segment_end(tape);
  }
  x = op_tanh(tape, op_linear(tape, x, &b->pooler));
  d = op_next_dropout(tape, b->classifier_dropout);
  return op_linear(tape, op_dropout(tape, x, &d), &b->classifier);
}

static void bert_disable_dropout(struct model *m) {
  struct bert *b = m->state;
  b->hidden_dropout = b->attention_dropout = b->classifier_dropout = 0;
}

const struct model_ops model_bert = {.disable_dropout = bert_disable_dropout,
                                     .model_type = "bert",
                                     .class_prefix = "Bert",
                                     .prefix = PREFIX,
                                     .head = "classifier",
                                     .classifier = true,
                                     .load = bert_load,
                                     .forward = bert_forward};
