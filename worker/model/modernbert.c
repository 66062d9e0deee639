/* ModernBERT (Warner et al., 2024): a pre-norm encoder with rotary positions, GeGLU, and attention that in most
   layers sees a window on both sides of a token alone; the two kinds of layers turn at rates of their own. As a
   classifier, for tags, or for embeddings. Module and tensor names are Transformers'. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "worker/model/load.h"
#include "worker/model/rotary.h"

static const char PREFIX[] = "model.";

enum kind { GLOBAL, LOCAL, KINDS };

/* layer_types' names; theta's member, and what it is where config.json does not say. */
static const struct rotary_kind kinds[KINDS] = {
    {"full_attention", "global_rope_theta", 160000, ROTARY_SCALING_REFUSED},
    {"sliding_attention", "local_rope_theta", 10000, ROTARY_SCALING_REFUSED},
};

struct layer {
  enum kind kind;
  struct norm attention_norm, mlp_norm; /* the first layer has no attention_norm */
  struct linear qkv, attention_output;  /* q, k and v in turn, each with all its heads */
  struct linear wide, narrow;           /* what is gated, and its gate; back to hidden_size */
};

struct modernbert {
  size_t hidden, heads, intermediate, layer_count;
  size_t window; /* of local layers */
  double epsilon, embedding_dropout, attention_dropout, mlp_dropout, classifier_dropout;
  bool norm_bias;
  enum load_bias attention_bias, mlp_bias;
  enum pooling pooling; /* the classifier's */
  load_activation_op *head_activation;
  struct weight token_embedding;
  struct norm embedding_norm, final_norm, head_norm;
  struct layer *layers;
  struct linear dense, classifier;
  struct rotary_config rotary_config[KINDS];
  struct rotary rotary[KINDS];
  size_t reserved; /* rows of the rotary tables */
};

/* --- config --------------------------------------------------------------------------------------- */

static enum status read_sizes(struct modernbert *b, struct model *m, struct error *err) {
  size_t local = 0;
  enum status s = load_size(&b->hidden, m, "hidden_size", 768, 1 << 16, err);
  s = s ? s : load_size(&b->heads, m, "num_attention_heads", 12, 1 << 10, err);
  s = s ? s : load_size(&b->intermediate, m, "intermediate_size", 1152, 1 << 20, err);
  s = s ? s : load_size(&b->layer_count, m, "num_hidden_layers", 22, 500, err);
  s = s ? s : load_size(&m->vocabulary, m, "vocab_size", 50368, 1 << 24, err);
  s = s ? s : load_size(&m->positions, m, "max_position_embeddings", 8192, 1 << 20, err);
  s = s ? s : load_size(&local, m, "local_attention", 128, 1 << 24, err);
  if (s)
    return s;
  b->window = local / 2 + 1; /* half of it on each side, and the token itself */
  if (b->hidden % b->heads != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: hidden_size %zu is no multiple of num_attention_heads %zu", b->hidden, b->heads);
  size_t head_size = 0, share = b->hidden / b->heads;
  s = load_size(&head_size, m, "head_dim", share, 1 << 16, err);
  if (!s && (head_size != share || share % 2 != 0))
    return error_set(
        err, STATUS_MODEL_INVALID, "model",
        "config.json: heads of %zu columns are not supported: they must be an even number, and hidden_size "
        "/ num_attention_heads",
        head_size);
  return s;
}

static enum status read_numbers(struct modernbert *b, struct model *m, struct error *err) {
  enum status s = load_number(&b->epsilon, m, "norm_eps", 1e-5, err);
  s = s ? s : load_share(&b->embedding_dropout, m, "embedding_dropout", 0, err);
  s = s ? s : load_share(&b->attention_dropout, m, "attention_dropout", 0, err);
  s = s ? s : load_share(&b->mlp_dropout, m, "mlp_dropout", 0, err);
  return s ? s : load_share(&b->classifier_dropout, m, "classifier_dropout", 0, err);
}

static enum status read_kind(struct modernbert *b, struct model *m, struct error *err) {
  bool attention = false, mlp = false;
  const char *activation = "gelu", *pooling = "cls";
  enum status s = load_bool(&attention, m, "attention_bias", false, err);
  s = s ? s : load_bool(&mlp, m, "mlp_bias", false, err);
  s = s ? s : load_bool(&b->norm_bias, m, "norm_bias", false, err);
  s = s ? s : load_activation(&b->head_activation, m, "classifier_activation", "gelu", err);
  if (s)
    return s;
  b->attention_bias = attention ? LOAD_BIAS : LOAD_NO_BIAS;
  b->mlp_bias = mlp ? LOAD_BIAS : LOAD_NO_BIAS;
  if (json_get_string(&activation, m->checkpoint.config, "hidden_activation", "gelu", err) ||
      json_get_string(&pooling, m->checkpoint.config, "classifier_pooling", "cls", err))
    return err->status = STATUS_MODEL_INVALID;
  if (strcmp(activation, "gelu") != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: hidden_activation \"%.40s\" is not supported, gelu is", activation);
  if (strcmp(pooling, "cls") != 0 && strcmp(pooling, "mean") != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: classifier_pooling \"%.40s\" is not supported; cls and mean are", pooling);
  b->pooling = strcmp(pooling, "cls") == 0 ? POOLING_CLS : POOLING_MEAN;
  return STATUS_OK;
}

/* layer_types, or every n-th layer from the first on is global. */
static enum status read_layer_types(struct modernbert *b, struct model *m, struct error *err) {
  const json_t *types = json_object_get(m->checkpoint.config, "layer_types");
  bool said = types && !json_is_null(types);
  size_t every = 3;
  if (said && json_array_size(types) != b->layer_count)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: layer_types must have one entry for each of num_hidden_layers");
  enum status s = said ? STATUS_OK : load_size(&every, m, "global_attn_every_n_layers", 3, 1 << 16, err);
  for (size_t i = 0; !s && i < b->layer_count; i++) {
    const char *type = said ? json_string_value(json_array_get(types, i)) : kinds[i % every ? LOCAL : GLOBAL].name;
    size_t kind = 0;
    while (type && kind < KINDS && strcmp(kinds[kind].name, type) != 0)
      kind++;
    if (!type || kind == KINDS)
      return error_set(err, STATUS_MODEL_INVALID, "model",
                       "config.json: layer_types: entry %zu is neither \"%s\" nor \"%s\"", i, kinds[GLOBAL].name,
                       kinds[LOCAL].name);
    b->layers[i].kind = (enum kind)kind;
  }
  return s;
}

static enum status read_config(struct modernbert *b, struct model *m, struct error *err) {
  enum status s = read_sizes(b, m, err);
  s = s ? s : read_numbers(b, m, err);
  s = s ? s : read_kind(b, m, err);
  if (s)
    return s;
  b->layers = arena_array(&m->arena, b->layer_count, sizeof *b->layers);
  if (!b->layers)
    return error_no_memory(err, "the model");
  s = read_layer_types(b, m, err);
  for (size_t kind = 0; !s && kind < KINDS; kind++)
    s = rotary_read_kind(&b->rotary_config[kind], m, b->hidden / b->heads, &kinds[kind], err);
  return s;
}

/* --- weights -------------------------------------------------------------------------------------- */

static enum status layer_linear(struct model *m, struct linear *l, size_t layer, const char *name, size_t in,
                                size_t out, enum load_bias bias, struct error *err) {
  char path[128];
  snprintf(path, sizeof path, "layers.%zu.%s", layer, name);
  return load_linear(m, l, PREFIX, path, in, out, bias, err);
}

static enum status load_own_norm(struct model *m, struct norm *n, const char *path, struct error *err) {
  const struct modernbert *b = m->state;
  return load_norm(m, n, PREFIX, path, b->hidden, b->epsilon, b->norm_bias, err);
}

static enum status layer_norm(struct model *m, struct norm *n, size_t layer, const char *name, struct error *err) {
  char path[128];
  snprintf(path, sizeof path, "layers.%zu.%s", layer, name);
  return load_own_norm(m, n, path, err);
}

static enum status load_layer(struct model *m, size_t i, struct error *err) {
  const struct modernbert *b = m->state;
  struct layer *l = &b->layers[i];
  size_t C = b->hidden, F = b->intermediate;
  enum status s = i ? layer_norm(m, &l->attention_norm, i, "attn_norm", err) : STATUS_OK;
  s = s ? s : layer_linear(m, &l->qkv, i, "attn.Wqkv", C, 3 * C, b->attention_bias, err);
  s = s ? s : layer_linear(m, &l->attention_output, i, "attn.Wo", C, C, b->attention_bias, err);
  s = s ? s : layer_norm(m, &l->mlp_norm, i, "mlp_norm", err);
  s = s ? s : layer_linear(m, &l->wide, i, "mlp.Wi", C, 2 * F, b->mlp_bias, err);
  return s ? s : layer_linear(m, &l->narrow, i, "mlp.Wo", F, C, b->mlp_bias, err);
}

/* The dense layer and its norm are those of the masked language model, where the file has them. */
static enum status load_head(struct model *m, uint64_t seed, struct error *err) {
  struct modernbert *b = m->state;
  double deviation;
  bool bias, made;
  if (m->output == OUTPUT_EMBEDDING)
    return STATUS_OK;
  enum status s = load_number(&deviation, m, "initializer_range", 0.02, err);
  s = s ? s : load_bool(&bias, m, "classifier_bias", false, err);
  s = s ? s : load_or_make(m, &b->dense, "", "head.dense", b->hidden, b->hidden, bias, deviation, seed, &made, err);
  if (!s && made)
    s = load_must_save(m, "head.dense", err);
  s = s ? s : load_or_make_norm(m, &b->head_norm, "", "head.norm", b->hidden, b->epsilon, b->norm_bias, err);
  m->head = &b->classifier;
  return s ? s
           : load_or_make(m, &b->classifier, "", m->ops->head, b->hidden, m->num_labels, true, deviation, seed, &made,
                          err);
}

static enum status modernbert_load(struct model *m, uint64_t seed, struct error *err) {
  static const char *names[] = {"Wqkv"};
  static const struct string_list targets = {1, names};
  struct modernbert *b = m->state = arena_alloc(&m->arena, sizeof *b);
  if (!b)
    return error_no_memory(err, "the model");
  *b = (struct modernbert){0};
  m->default_targets = &targets;
  enum status s = read_config(b, m, err);
  m->blocks = 2 * b->layer_count;
  s = s ? s
        : load_matrix(&b->token_embedding, m, PREFIX, "embeddings.tok_embeddings.weight", m->vocabulary, b->hidden,
                      err);
  s = s ? s : load_own_norm(m, &b->embedding_norm, "embeddings.norm", err);
  for (size_t i = 0; !s && i < b->layer_count; i++)
    s = load_layer(m, i, err);
  s = s ? s : load_own_norm(m, &b->final_norm, "final_norm", err);
  return s ? s : load_head(m, seed, err);
}

static enum status modernbert_reserve(struct model *m, size_t longest, struct error *err) {
  struct modernbert *b = m->state;
  enum status s = STATUS_OK;
  for (size_t kind = 0; !s && longest > b->reserved && kind < KINDS; kind++)
    s = rotary_make(&b->rotary[kind], m, &b->rotary_config[kind], longest, err);
  if (!s && longest > b->reserved)
    b->reserved = longest;
  return s;
}

/* --- forward -------------------------------------------------------------------------------------- */

static struct tensor *drop(struct tape *tape, struct tensor *x, double p) {
  struct dropout d = op_next_dropout(tape, p);
  return op_dropout(tape, x, &d);
}

static struct tensor *attend(struct tape *tape, const struct modernbert *b, const struct layer *l, struct tensor *x,
                             const struct sequences *sequences, enum pooling rows) {
  const struct rotary *rotary = &b->rotary[l->kind];
  size_t C = b->hidden;
  struct tensor *qkv = op_linear(tape, x, &l->qkv);
  struct tensor *q = op_rope(tape, op_columns(tape, qkv, 0, C), sequences, rotary);
  struct tensor *k = op_rope(tape, op_columns(tape, qkv, C, C), sequences, rotary);
  struct tensor *v = op_columns(tape, qkv, 2 * C, C);
  struct attention how = {.heads = b->heads,
                          .kv_heads = b->heads,
                          .queries = rows,
                          .scale = 1.0f / sqrtf((float)(C / b->heads)),
                          .window = l->kind == LOCAL ? b->window : 0,
                          .dropout = op_next_dropout(tape, b->attention_dropout)};
  x = op_attention(tape, op_pooling(tape, q, sequences, rows), k, v, sequences, &how);
  return drop(tape, op_linear(tape, x, &l->attention_output), b->attention_dropout);
}

/* Which rows of the last layer become one; of tags, none do: the head reads each token that has one. */
static enum pooling pooling_of(const struct model *m) {
  const struct modernbert *b = m->state;
  return m->output == OUTPUT_TAGS ? POOLING_ROWS : m->output == OUTPUT_EMBEDDING ? m->pooling : b->pooling;
}

static struct tensor *modernbert_forward(struct tape *tape, const struct model *m, const struct sequences *sequences) {
  const struct modernbert *b = m->state;
  enum pooling pooling = pooling_of(m);
  struct tensor *x = op_embeddings(tape, sequences, &b->token_embedding, (struct place){0}, (struct place){0});
  x = drop(tape, op_layernorm(tape, x, &b->embedding_norm), b->embedding_dropout);
  for (size_t i = 0; i < b->layer_count; i++) {
    const struct layer *l = &b->layers[i];
    bool first_row = pooling == POOLING_CLS && i + 1 == b->layer_count; /* all that is read of the last layer */
    enum pooling rows = first_row ? POOLING_CLS : POOLING_NONE;
    tape_segment_begin(tape, b->layer_count + i);
    struct tensor *own = op_pooling(tape, x, sequences, rows);
    struct tensor *h = i ? op_layernorm(tape, x, &l->attention_norm) : x;
    x = op_add(tape, own, attend(tape, b, l, h, sequences, rows));
    tape_segment_end(tape);
    tape_segment_begin(tape, i); /* the wide half first, as in llama.c */
    h = op_geglu(tape, op_linear(tape, op_layernorm(tape, x, &l->mlp_norm), &l->wide));
    x = op_add(tape, x, op_linear(tape, drop(tape, h, b->mlp_dropout), &l->narrow));
    tape_segment_end(tape);
  }
  x = op_layernorm(tape, x, &b->final_norm);
  if (pooling != POOLING_CLS)
    x = op_pooling(tape, x, sequences, pooling);
  if (m->output == OUTPUT_EMBEDDING)
    return x;
  x = op_layernorm(tape, b->head_activation(tape, op_linear(tape, x, &b->dense)), &b->head_norm);
  return op_linear(tape, drop(tape, x, b->classifier_dropout), &b->classifier);
}

static void modernbert_disable_dropout(struct model *m) {
  struct modernbert *b = m->state;
  b->embedding_dropout = b->attention_dropout = b->mlp_dropout = b->classifier_dropout = 0;
}

const struct model_ops model_modernbert = {.model_type = "modernbert",
                                           .class_prefix = "ModernBert",
                                           .prefix = PREFIX,
                                           .head = "classifier",
                                           .load = modernbert_load,
                                           .classifier = true,
                                           .embeds = true,
                                           .tags = true,
                                           .forward = modernbert_forward,
                                           .reserve = modernbert_reserve,
                                           .disable_dropout = modernbert_disable_dropout};
