/* BERT (Devlin et al., 2019) for sequence classification and regression: post-norm encoder, pooler on
   the first token, one linear head. Module and tensor names are Transformers'. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "worker/model/model.h"

static const char PREFIX[] = "bert.";

struct layer {
  struct linear query, key, value, attention_output, intermediate, output;
  struct norm attention_norm, output_norm;
};

struct bert {
  size_t hidden, heads, intermediate, layer_count;
  double hidden_dropout, attention_dropout, classifier_dropout;
  const float *words, *positions, *types;
  struct norm embedding_norm;
  struct layer *layers;
  struct linear pooler, classifier;
};

static enum status load_linear(struct model *m, struct linear *l, size_t in, size_t out, struct error *err,
                               const char *format, ...) PRINTF(6, 7);

/* A linear module by its path without the prefix; it joins the model's list. */
static enum status load_linear(struct model *m, struct linear *l, size_t in, size_t out, struct error *err,
                               const char *format, ...) {
  char path[256], name[300];
  va_list args;
  va_start(args, format);
  vsnprintf(path, sizeof path, format, args);
  va_end(args);
  *l = (struct linear){.name = arena_format(&m->arena, "%s%s", PREFIX, path), .in = in, .out = out};
  if (!l->name)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the model");
  snprintf(name, sizeof name, "%s.weight", path);
  enum status status = model_weight(&l->weight, m, PREFIX, name, out, in, err);
  snprintf(name, sizeof name, "%s.bias", path);
  if (!status)
    status = model_weight(&l->bias, m, PREFIX, name, out, 0, err);
  return status ? status : model_add_linear(m, l, err);
}

static enum status load_norm(struct model *m, struct norm *n, double epsilon, const char *path, struct error *err) {
  struct bert *b = m->state;
  char name[300];
  n->epsilon = (float)epsilon;
  snprintf(name, sizeof name, "%s.weight", path);
  enum status status = model_weight(&n->weight, m, PREFIX, name, b->hidden, 0, err);
  snprintf(name, sizeof name, "%s.bias", path);
  if (!status)
    status = model_weight(&n->bias, m, PREFIX, name, b->hidden, 0, err);
  const char *full = arena_format(&m->arena, "%s%s", PREFIX, path);
  if (!status && !full)
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the model");
  return status ? status : model_add_norm(m, full, n, err);
}

static enum status load_layer(struct model *m, size_t i, double epsilon, struct error *err) {
  struct bert *b = m->state;
  struct layer *l = &b->layers[i];
  size_t C = b->hidden, F = b->intermediate;
  char path[128];
  enum status s = load_linear(m, &l->query, C, C, err, "encoder.layer.%zu.attention.self.query", i);
  s = s ? s : load_linear(m, &l->key, C, C, err, "encoder.layer.%zu.attention.self.key", i);
  s = s ? s : load_linear(m, &l->value, C, C, err, "encoder.layer.%zu.attention.self.value", i);
  s = s ? s : load_linear(m, &l->attention_output, C, C, err, "encoder.layer.%zu.attention.output.dense", i);
  snprintf(path, sizeof path, "encoder.layer.%zu.attention.output.LayerNorm", i);
  s = s ? s : load_norm(m, &l->attention_norm, epsilon, path, err);
  s = s ? s : load_linear(m, &l->intermediate, C, F, err, "encoder.layer.%zu.intermediate.dense", i);
  s = s ? s : load_linear(m, &l->output, F, C, err, "encoder.layer.%zu.output.dense", i);
  snprintf(path, sizeof path, "encoder.layer.%zu.output.LayerNorm", i);
  return s ? s : load_norm(m, &l->output_norm, epsilon, path, err);
}

/* A module that the file may lack (pooler, classifier): then it starts at random, must be trained and
   must be saved with the adapter. */
static enum status load_or_make(struct model *m, struct linear *l, const char *path, const char *saved_as, size_t in,
                                size_t out, double deviation, uint64_t seed, bool prefixed, struct error *err) {
  char name[300];
  l->in = in;
  l->out = out;
  l->name = arena_format(&m->arena, "%s%s", prefixed ? PREFIX : "", path);
  snprintf(name, sizeof name, "%s.weight", path);
  const struct st_tensor *there = safetensors_find(&m->weights, name);
  bool fits = there && there->rank == 2 && there->shape[0] == (int64_t)out;
  enum status status;
  if (prefixed ? model_has_weight(m, PREFIX, name) : fits) {
    status = model_weight(&l->weight, m, prefixed ? PREFIX : "", name, out, in, err);
    snprintf(name, sizeof name, "%s.bias", path);
    status = status ? status : model_weight(&l->bias, m, prefixed ? PREFIX : "", name, out, 0, err);
  } else {
    status = model_random(&l->weight, m, path, out, in, deviation, seed, err);
    l->bias = arena_array(&m->arena, out, sizeof(float));
    const char **item = arena_array(&m->arena, 1, sizeof *item);
    if (!status && (!l->bias || !item))
      status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the model");
    if (!status && prefixed) {
      item[0] = saved_as;
      m->modules_to_save = (struct string_list){1, item};
    }
  }
  return status ? status : model_add_linear(m, l, err);
}

static enum status read_size(size_t *out, const json_t *config, const char *key, int64_t fallback, int64_t max,
                             struct error *err) {
  int64_t value;
  enum status status = json_get_int(&value, config, key, fallback, 1, max, err);
  if (status) {
    error_prefix(err, "config.json");
    err->status = STATUS_MODEL_INVALID;
    return STATUS_MODEL_INVALID;
  }
  *out = (size_t)value;
  return STATUS_OK;
}

static enum status read_dropout(double *out, const json_t *config, const char *key, double fallback,
                                struct error *err) {
  enum status status = json_get_number(out, config, key, fallback, err);
  if (!status && !(*out >= 0 && *out < 1))
    status = error_set(err, STATUS_INVALID_VALUE, key, "%s is %g; it must lie in [0, 1)", key, *out);
  if (status) {
    error_prefix(err, "config.json");
    err->status = status = STATUS_MODEL_INVALID;
  }
  return status;
}

static enum status read_config(struct bert *b, struct model *m, struct error *err) {
  const json_t *c = m->config;
  enum status s = read_size(&b->hidden, c, "hidden_size", 768, 1 << 16, err);
  s = s ? s : read_size(&b->heads, c, "num_attention_heads", 12, 1 << 10, err);
  s = s ? s : read_size(&b->intermediate, c, "intermediate_size", 3072, 1 << 20, err);
  s = s ? s : read_size(&b->layer_count, c, "num_hidden_layers", 12, 500, err);
  s = s ? s : read_size(&m->vocabulary, c, "vocab_size", 30522, 1 << 24, err);
  s = s ? s : read_size(&m->positions, c, "max_position_embeddings", 512, 1 << 20, err);
  s = s ? s : read_dropout(&b->hidden_dropout, c, "hidden_dropout_prob", 0.1, err);
  s = s ? s : read_dropout(&b->attention_dropout, c, "attention_probs_dropout_prob", 0.1, err);
  s = s ? s : read_dropout(&b->classifier_dropout, c, "classifier_dropout", b->hidden_dropout, err);
  if (s)
    return s;
  if (b->hidden % b->heads != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: hidden_size %zu is no multiple of num_attention_heads %zu", b->hidden, b->heads);
  const char *act = "gelu", *kind = "absolute";
  s = json_get_string(&act, c, "hidden_act", "gelu", err);
  s = s ? s : json_get_string(&kind, c, "position_embedding_type", "absolute", err);
  if (!s && (strcmp(act, "gelu") != 0 || strcmp(kind, "absolute") != 0))
    s = error_set(
        err, STATUS_MODEL_INVALID, "model",
        "config.json: hidden_act \"%s\" with position_embedding_type \"%s\" is not supported (gelu, absolute are)", act,
        kind);
  return s;
}

static enum status load(struct model *m, uint64_t seed, struct error *err) {
  static const char *names[] = {"query", "value"};
  static const struct string_list targets = {2, names};
  struct bert *b = m->state = arena_alloc(&m->arena, sizeof *b);
  if (!b)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the model");
  m->default_targets = &targets;
  enum status s = read_config(b, m, err);
  if (s)
    return s;
  double epsilon, deviation;
  size_t types = 2, C = b->hidden;
  s = json_get_number(&epsilon, m->config, "layer_norm_eps", 1e-12, err);
  s = s ? s : json_get_number(&deviation, m->config, "initializer_range", 0.02, err);
  s = s ? s : read_size(&types, m->config, "type_vocab_size", 2, 256, err);
  s = s ? s : model_weight(&b->words, m, PREFIX, "embeddings.word_embeddings.weight", m->vocabulary, C, err);
  s = s ? s : model_weight(&b->positions, m, PREFIX, "embeddings.position_embeddings.weight", m->positions, C, err);
  s = s ? s : model_weight(&b->types, m, PREFIX, "embeddings.token_type_embeddings.weight", types, C, err);
  s = s ? s : load_norm(m, &b->embedding_norm, epsilon, "embeddings.LayerNorm", err);
  b->layers = arena_array(&m->arena, b->layer_count, sizeof *b->layers);
  if (!s && !b->layers)
    s = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for the model");
  for (size_t i = 0; !s && i < b->layer_count; i++)
    s = load_layer(m, i, epsilon, err);
  s = s ? s : load_or_make(m, &b->pooler, "pooler.dense", "pooler.dense", C, C, deviation, seed, true, err);
  return s ? s
           : load_or_make(m, &b->classifier, "classifier", "classifier", C, m->num_labels, deviation, seed, false, err);
}

static struct tensor *forward(struct tape *tape, const struct model *m, const struct sequences *sequences) {
  const struct bert *b = m->state;
  float scale = 1.0f / sqrtf((float)(b->hidden / b->heads));
  struct dropout d = op_next_dropout(tape, b->hidden_dropout);
  struct tensor *x = op_embeddings(tape, sequences, b->words, b->positions, b->types, b->hidden);
  x = op_dropout(tape, op_layernorm(tape, x, &b->embedding_norm), &d);
  for (size_t i = 0; i < b->layer_count; i++) {
    const struct layer *l = &b->layers[i];
    tape_block_begin(tape);
    struct tensor *q = op_linear(tape, x, &l->query);
    struct tensor *k = op_linear(tape, x, &l->key);
    struct tensor *v = op_linear(tape, x, &l->value);
    d = op_next_dropout(tape, b->attention_dropout);
    struct attention how = {.heads = b->heads, .kv_heads = b->heads, .scale = scale, .dropout = d};
    struct tensor *a = op_attention(tape, q, k, v, sequences, &how);
    d = op_next_dropout(tape, b->hidden_dropout);
    x = op_residual_layernorm(tape, op_linear(tape, a, &l->attention_output), x, &l->attention_norm, &d);
    struct tensor *h = op_gelu(tape, op_linear(tape, x, &l->intermediate));
    d = op_next_dropout(tape, b->hidden_dropout);
    x = op_residual_layernorm(tape, op_linear(tape, h, &l->output), x, &l->output_norm, &d);
    tape_block_end(tape);
  }
  x = op_tanh(tape, op_linear(tape, op_first_rows(tape, x, sequences), &b->pooler));
  d = op_next_dropout(tape, b->classifier_dropout);
  return op_linear(tape, op_dropout(tape, x, &d), &b->classifier);
}

static void disable_dropout(struct model *m) {
  struct bert *b = m->state;
  b->hidden_dropout = b->attention_dropout = b->classifier_dropout = 0;
}

const struct model_ops model_bert = {
    .disable_dropout = disable_dropout, .model_type = "bert", .load = load, .forward = forward};
