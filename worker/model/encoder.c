#include "worker/model/encoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "worker/model/conv_layer.h"

struct layer {
  struct linear query, key, value, attention_output, intermediate, output;
  struct norm attention_norm, output_norm;
  struct linear position_key, position_query; /* no name: none */
};

struct encoder {
  const struct encoder_family *family;
  size_t hidden, heads, intermediate;
  size_t depth;         /* layers that a token passes */
  size_t groups, inner; /* lists of layers in the file, and layers in each: else depth and 1 */
  size_t embedding;     /* width of the embeddings */
  double hidden_dropout, attention_dropout, classifier_dropout, head_dropout, epsilon;
  load_activation_op *activation, *head_activation;
  bool positions;            /* has a table of them */
  struct relative *relative; /* NULL: none */
  struct weight token_embedding;
  struct place position_embedding, token_type_embedding;
  struct norm embedding_norm;
  struct linear projection; /* no name: none */
  struct conv_layer *conv;  /* NULL: none */
  struct layer *layers;     /* [groups * inner] */
  struct linear dense, classifier;
};

/* --- config --------------------------------------------------------------------------------------- */

/* Relative positions are gone from Transformers 5, which reads such a file as if its positions were absolute: another
   model. */
static enum status read_kind(const struct model *m, struct error *err) {
  const char *kind = "absolute";
  bool decoder = false, cross = false;
  enum status s = load_bool(&decoder, m, "is_decoder", false, err);
  s = s ? s : load_bool(&cross, m, "add_cross_attention", false, err);
  s = s ? s : json_get_string(&kind, m->checkpoint.config, "position_embedding_type", "absolute", err);
  if (s)
    return err->status = STATUS_MODEL_INVALID;
  if (strcmp(kind, "absolute") != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: position_embedding_type \"%.40s\" is not supported, absolute is", kind);
  if (decoder || cross)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: %s is true: %s is supported as an encoder only, in which each token sees all others",
                     decoder ? "is_decoder" : "add_cross_attention", m->ops->class_prefix);
  return STATUS_OK;
}

static enum status read_dropouts(struct encoder *e, struct model *m, struct error *err) {
  const struct encoder_family *f = e->family;
  enum status s = load_share(&e->hidden_dropout, m, f->config.hidden_dropout, f->initial.dropout, err);
  s = s ? s : load_share(&e->attention_dropout, m, f->config.attention_dropout, f->initial.dropout, err);
  double initial = f->initial.classifier_dropout < 0 ? e->hidden_dropout : f->initial.classifier_dropout;
  s = s ? s : load_share(&e->classifier_dropout, m, f->config.classifier_dropout, initial, err);
  if (!s && m->output == OUTPUT_TAGS && f->hidden_tag_dropout)
    e->classifier_dropout = e->hidden_dropout;
  e->head_dropout = e->classifier_dropout;
  return s || !f->config.head_dropout ? s : load_share(&e->head_dropout, m, f->config.head_dropout, 0, err);
}

static enum status read_activations(struct encoder *e, struct model *m, struct error *err) {
  const struct encoder_family *f = e->family;
  const char *initial = f->initial.activation ? f->initial.activation : "gelu";
  e->head_activation = f->head.activation;
  enum status s = load_activation(&e->activation, m, f->config.activation, initial, err);
  return s || e->head_activation ? s : load_activation(&e->head_activation, m, f->config.head_activation, "gelu", err);
}

/* Sizes and kinds of the embeddings. */
static enum status read_embeddings(struct encoder *e, struct model *m, struct error *err) {
  const struct encoder_family *f = e->family;
  int64_t types = 0;
  enum status s = load_size(&m->vocabulary, m, "vocab_size", f->initial.vocabulary, 1 << 24, err);
  s = s ? s : load_size(&m->positions, m, "max_position_embeddings", f->initial.positions, 1 << 20, err);
  e->embedding = e->hidden;
  e->positions = true;
  if (!s && f->projection) {
    size_t initial = f->initial.embedding ? f->initial.embedding : e->hidden;
    s = load_size(&e->embedding, m, "embedding_size", initial, 1 << 16, err);
  }
  if (!s && f->token_types)
    s = load_count(&types, m, "type_vocab_size", (int64_t)f->initial.token_types, 0, 256, err);
  m->token_types = (size_t)types;
  return s || !f->config.positions ? s : load_bool(&e->positions, m, f->config.positions, true, err);
}

/* The table of positions has so many rows before the first that is read. */
static enum status read_padding(size_t *rows, const struct encoder *e, struct model *m, struct error *err) {
  int64_t padding = 1;
  *rows = 0;
  if (!e->family->positions_after_padding)
    return STATUS_OK;
  enum status status =
      json_get_int(&padding, m->checkpoint.config, "pad_token_id", 1, 0, (int64_t)m->positions - 2, err);
  if (status) {
    error_prefix(err, "config.json");
    return err->status = STATUS_MODEL_INVALID;
  }
  *rows = (size_t)padding + 1;
  return STATUS_OK;
}

static enum status read_config(struct encoder *e, struct model *m, struct error *err) {
  const struct encoder_family *f = e->family;
  enum status s = load_size(&e->hidden, m, f->config.hidden, f->initial.hidden, 1 << 16, err);
  s = s ? s : load_size(&e->heads, m, f->config.heads, f->initial.heads, 1 << 10, err);
  s = s ? s : load_size(&e->intermediate, m, f->config.intermediate, f->initial.intermediate, 1 << 20, err);
  s = s ? s : load_size(&e->depth, m, f->config.layers, f->initial.layers, 500, err);
  s = s ? s : read_embeddings(e, m, err);
  s = s ? s : read_dropouts(e, m, err);
  s = s ? s : load_number(&e->epsilon, m, "layer_norm_eps", f->initial.epsilon > 0 ? f->initial.epsilon : 1e-12, err);
  e->groups = e->depth;
  e->inner = 1;
  if (!s && f->group) {
    s = load_size(&e->groups, m, "num_hidden_groups", 1, e->depth, err);
    s = s ? s : load_size(&e->inner, m, "inner_group_num", 1, 64, err);
  }
  if (s)
    return s;
  if (e->hidden % e->heads != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s %zu is no multiple of %s %zu",
                     f->config.hidden, e->hidden, f->config.heads, e->heads);
  s = read_activations(e, m, err);
  s = s ? s : read_kind(m, err);
  return s || !f->check ? s : f->check(m, err);
}

/* --- weights -------------------------------------------------------------------------------------- */

/* The path of a module in the i-th layer of the file. */
static void layer_path(char *path, size_t size, const struct encoder *e, size_t i, const char *name) {
  if (e->family->group)
    snprintf(path, size, "%s.%zu.%s.%zu.%s", e->family->layers, i / e->inner, e->family->group, i % e->inner, name);
  else
    snprintf(path, size, "%s.%zu.%s", e->family->layers, i, name);
}

static enum status layer_linear(struct model *m, struct linear *l, size_t layer, const char *name, size_t in,
                                size_t out, struct error *err) {
  char path[128];
  layer_path(path, sizeof path, m->state, layer, name);
  return load_linear(m, l, m->ops->prefix, path, in, out, LOAD_BIAS, err);
}

static enum status layer_norm(struct model *m, struct norm *n, size_t layer, const char *name, struct error *err) {
  const struct encoder *e = m->state;
  char path[128];
  layer_path(path, sizeof path, e, layer, name);
  return load_norm(m, n, m->ops->prefix, path, e->hidden, e->epsilon, true, err);
}

static enum status load_layer(struct model *m, size_t i, struct error *err) {
  struct encoder *e = m->state;
  const struct encoder_family *f = e->family;
  struct layer *l = &e->layers[i];
  size_t C = e->hidden, F = e->intermediate;
  enum status s = layer_linear(m, &l->query, i, f->module.query, C, C, err);
  s = s ? s : layer_linear(m, &l->key, i, f->module.key, C, C, err);
  s = s ? s : layer_linear(m, &l->value, i, f->module.value, C, C, err);
  s = s ? s : layer_linear(m, &l->attention_output, i, f->module.attention_output, C, C, err);
  s = s ? s : layer_norm(m, &l->attention_norm, i, f->module.attention_norm, err);
  s = s ? s : layer_linear(m, &l->intermediate, i, f->module.intermediate, C, F, err);
  s = s ? s : layer_linear(m, &l->output, i, f->module.output, F, C, err);
  if (!s && e->relative && e->relative->keys && !e->relative->shared)
    s = layer_linear(m, &l->position_key, i, f->module.position_key, C, C, err);
  if (!s && e->relative && e->relative->queries && !e->relative->shared)
    s = layer_linear(m, &l->position_query, i, f->module.position_query, C, C, err);
  return s ? s : layer_norm(m, &l->output_norm, i, f->module.output_norm, err);
}

static enum status load_embeddings(struct model *m, struct error *err) {
  struct encoder *e = m->state;
  const char *prefix = m->ops->prefix;
  size_t C = e->embedding, unread;
  enum status s = read_padding(&unread, e, m, err);
  s = s ? s : load_matrix(&e->token_embedding, m, prefix, "embeddings.word_embeddings.weight", m->vocabulary, C, err);
  if (!s && e->positions)
    s = load_floats_from(&e->position_embedding, m, prefix, "embeddings.position_embeddings.weight", m->positions,
                         unread, C, err);
  if (s)
    return s;
  m->positions -= unread;
  if (m->token_types)
    s = load_floats(&e->token_type_embedding, m, prefix, "embeddings.token_type_embeddings.weight", m->token_types, C,
                    err);
  const struct encoder_family *f = e->family;
  size_t normed = f->projection_first ? e->hidden : C;
  s = s ? s : load_norm(m, &e->embedding_norm, prefix, "embeddings.LayerNorm", normed, e->epsilon, true, err);
  if (!s && (C != e->hidden || f->projection_always))
    s = load_linear(m, &e->projection, prefix, f->projection, C, e->hidden,
                    f->projection_first ? LOAD_NO_BIAS : LOAD_BIAS, err);
  return s;
}

static enum status load_relative(struct model *m, struct error *err) {
  struct encoder *e = m->state;
  bool embeddings = e->family->relative == RELATIVE_EMBEDDINGS, there = e->family->relative != RELATIVE_NONE;
  enum status s = embeddings ? load_bool(&there, m, "relative_attention", false, err) : STATUS_OK;
  if (s || !there)
    return s;
  e->relative = arena_alloc(&m->arena, sizeof *e->relative);
  if (!e->relative)
    return error_no_memory(err, "the model");
  return embeddings ? relative_load_embeddings(e->relative, m, e->hidden, e->epsilon, err)
                    : relative_load_bias(e->relative, m, e->heads, err);
}

/* A dense layer that the file lacks starts at random: it is trained and saved with the adapter. */
static enum status load_head(struct model *m, uint64_t seed, struct error *err) {
  struct encoder *e = m->state;
  const struct encoder_family *f = e->family;
  double deviation;
  bool made;
  if (m->output == OUTPUT_EMBEDDING)
    return STATUS_OK;
  enum status s = load_number(&deviation, m, "initializer_range", 0.02, err);
  bool dense = m->output != OUTPUT_TAGS;
  made = false;
  if (!s && dense)
    s = load_or_make(m, &e->dense, f->head.prefix, f->head.dense, e->hidden, e->hidden, true, deviation, seed, &made,
                     err);
  if (!s && made && !f->head.part_of_classifier)
    s = load_must_save(m, f->head.dense, err);
  m->head = &e->classifier;
  return s ? s
           : load_or_make(m, &e->classifier, "", model_head(m->ops, m->output), e->hidden, m->num_labels, true,
                          deviation, seed, &made, err);
}

enum status encoder_load(struct model *m, uint64_t seed, struct error *err) {
  struct encoder *e = m->state = arena_alloc(&m->arena, sizeof *e);
  if (!e)
    return error_no_memory(err, "the model");
  *e = (struct encoder){.family = m->ops->family};
  m->default_targets = &e->family->default_targets;
  enum status s = read_config(e, m, err);
  s = s ? s : load_embeddings(m, err);
  s = s ? s : load_relative(m, err);
  if (s)
    return s;
  e->layers = arena_array(&m->arena, e->groups * e->inner, sizeof *e->layers);
  m->blocks = e->depth * e->inner;
  if (!e->layers)
    return error_no_memory(err, "the model");
  for (size_t i = 0; !s && i < e->groups * e->inner; i++)
    s = load_layer(m, i, err);
  if (!s && e->family->conv)
    s = conv_layer_load(&e->conv, m, e->family->conv, e->hidden, e->epsilon, err);
  return s ? s : load_head(m, seed, err);
}

enum status encoder_reserve(struct model *m, size_t longest, struct error *err) {
  const struct encoder *e = m->state;
  return e->relative ? relative_reserve(e->relative, m, longest, err) : STATUS_OK;
}

/* --- forward -------------------------------------------------------------------------------------- */

static struct tensor *tag_head(struct tape *tape, const struct encoder *e, struct tensor *x) {
  struct dropout d = op_next_dropout(tape, e->classifier_dropout);
  return op_linear(tape, op_dropout(tape, x, &d), &e->classifier);
}

static struct tensor *head(struct tape *tape, const struct encoder *e, struct tensor *x) {
  const struct encoder_family *f = e->family;
  struct dropout d;
  if (f->head.dropout_before) {
    d = op_next_dropout(tape, e->head_dropout);
    x = op_dropout(tape, x, &d);
  }
  x = e->head_activation(tape, op_linear(tape, x, &e->dense));
  d = op_next_dropout(tape, e->classifier_dropout);
  return op_linear(tape, op_dropout(tape, x, &d), &e->classifier);
}

/* The modules of the i-th layer that a token passes: groups take turns of equal length. */
static const struct layer *layer_at(const struct encoder *e, size_t i) {
  size_t group = i / e->inner * e->groups / e->depth;
  return &e->layers[group * e->inner + i % e->inner];
}

/* The last layer's rows that are read. */
static enum pooling rows_read(const struct model *m) {
  return m->output == OUTPUT_TAGS || (m->output == OUTPUT_EMBEDDING && m->pooling == POOLING_MEAN) ? POOLING_NONE
                                                                                                   : POOLING_CLS;
}

static struct tensor *embed(struct tape *tape, const struct encoder *e, const struct sequences *sequences) {
  struct dropout d = op_next_dropout(tape, e->hidden_dropout);
  struct tensor *x =
      op_embeddings(tape, sequences, &e->token_embedding, e->position_embedding, e->token_type_embedding);
  bool first = e->family->projection_first;
  if (e->projection.name && first)
    x = op_linear(tape, x, &e->projection);
  x = op_dropout(tape, op_layernorm(tape, x, &e->embedding_norm), &d);
  return e->projection.name && !first ? op_linear(tape, x, &e->projection) : x;
}

/* What a layer makes of the table of relative embeddings. Each term of the scores takes part in their scale. */
static void add_distances(struct attention *how, struct tape *tape, const struct encoder *e, const struct layer *l,
                          struct tensor *table, const struct sequences *sequences) {
  how->distances = relative_distances(e->relative, sequences);
  if (!table)
    return;
  struct dropout d = op_next_dropout(tape, e->hidden_dropout);
  struct tensor *x = op_dropout(tape, table, &d);
  if (e->relative->keys)
    how->distances.keys = op_linear(tape, x, e->relative->shared ? &l->key : &l->position_key);
  if (e->relative->queries)
    how->distances.queries = op_linear(tape, x, e->relative->shared ? &l->query : &l->position_query);
}

struct tensor *encoder_forward(struct tape *tape, const struct model *m, const struct sequences *sequences) {
  const struct encoder *e = m->state;
  const struct relative *relative = e->relative;
  size_t terms = 1 + (relative && relative->keys) + (relative && relative->queries);
  float scale = 1.0f / sqrtf((float)(e->hidden / e->heads * terms));
  struct dropout d;
  struct tensor *embedded = embed(tape, e, sequences), *x = embedded;
  struct tensor *table = relative ? relative_table(tape, relative, sequences) : NULL;
  for (size_t i = 0; i < m->blocks; i++) {
    const struct layer *l = layer_at(e, i);
    enum pooling rows = i + 1 < m->blocks ? POOLING_NONE : rows_read(m);
    tape_segment_begin(tape, i);
    struct tensor *own = op_pooling(tape, x, sequences, rows);
    struct tensor *q = op_linear(tape, own, &l->query);
    struct tensor *k = op_linear(tape, x, &l->key);
    struct tensor *v = op_linear(tape, x, &l->value);
    d = op_next_dropout(tape, e->attention_dropout);
    struct attention how = {.heads = e->heads, .kv_heads = e->heads, .queries = rows, .scale = scale, .dropout = d};
    if (relative)
      add_distances(&how, tape, e, l, table, sequences);
    struct tensor *a = op_attention(tape, q, k, v, sequences, &how);
    d = op_next_dropout(tape, e->hidden_dropout);
    x = op_residual_layernorm(tape, op_linear(tape, a, &l->attention_output), own, &l->attention_norm, &d);
    struct tensor *h = e->activation(tape, op_linear(tape, x, &l->intermediate));
    d = op_next_dropout(tape, e->family->no_output_dropout ? 0 : e->hidden_dropout);
    x = op_residual_layernorm(tape, op_linear(tape, h, &l->output), x, &l->output_norm, &d);
    if (i == 0 && e->conv)
      x = conv_layer_forward(tape, e->conv, embedded, x, sequences, rows, e->hidden_dropout);
    tape_segment_end(tape);
  }
  if (m->output == OUTPUT_EMBEDDING)
    return rows_read(m) == POOLING_NONE ? op_pooling(tape, x, sequences, m->pooling) : x;
  if (m->output == OUTPUT_TAGS)
    return tag_head(tape, e, op_pooling(tape, x, sequences, POOLING_ROWS));
  return head(tape, e, x);
}

void encoder_disable_dropout(struct model *m) {
  struct encoder *e = m->state;
  e->hidden_dropout = e->attention_dropout = e->classifier_dropout = e->head_dropout = 0;
}
