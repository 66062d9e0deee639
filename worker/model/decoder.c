#include "worker/model/decoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

static const char PREFIX[] = "model.";

struct layer {
  struct linear q, k, v, o, gate, up, down;
  struct mixture mixture;                       /* instead of gate, up and down, where it has experts */
  struct linear qkv, gate_up;                   /* fused: instead of q, k, v; of gate and up */
  struct norm attention_norm, mlp_norm;         /* before them */
  struct norm attention_out_norm, mlp_out_norm; /* after them */
  struct norm q_norm, k_norm;
  size_t window; /* 0: none */
  bool rope;
};

/* Layers whose rotary positions differ: of models where the windowed ones have their own. */
enum { GLOBAL, LOCAL, KINDS };
static const struct rotary_kind kinds[KINDS] = {
    {"full_attention", "rope_theta", 1000000, ROTARY_SCALING_TAKEN},
    {"sliding_attention", "rope_local_base_freq", 10000, ROTARY_SCALING_IGNORED},
};

struct decoder {
  const struct decoder_family *family;
  size_t hidden, heads, kv_heads, head_size, intermediate, layer_count;
  double epsilon, attention_dropout, residual_dropout;
  double score_scale, embedding_scale, residual_scale, logits_scale;
  double attention_softcap, logits_softcap; /* 0: none */
  enum load_bias qkv_bias, o_bias, mlp_bias;
  struct mixture_config mixture;
  struct weight token_embedding;
  struct layer *layers;
  struct norm norm;
  struct linear head;                        /* lm_head or score */
  struct rotary_config rotary_config[KINDS]; /* LOCAL: where it differs */
  struct rotary rotary[KINDS];
  size_t reserved; /* rows of the rotary tables */
};

/* --- config --------------------------------------------------------------------------------------- */

static enum status read_sizes(struct decoder *d, struct model *m, struct error *err) {
  const struct decoder_family *f = d->family;
  enum status s = load_size(&d->hidden, m, "hidden_size", 4096, 1 << 16, err);
  s = s ? s : load_size(&d->heads, m, "num_attention_heads", 32, 1 << 10, err);
  if (s)
    return s;
  /* null means as many as heads, absent the class's number */
  bool shared = f->initial.kv_heads && !json_object_get(m->checkpoint.config, "num_key_value_heads");
  size_t share = d->heads > d->hidden ? 1 : d->hidden / d->heads;
  s = load_size(&d->kv_heads, m, "num_key_value_heads", shared ? f->initial.kv_heads : d->heads, 1 << 10, err);
  s = s ? s
        : load_size(&d->head_size, m, "head_dim", f->initial.head_size ? f->initial.head_size : share, 1 << 12, err);
  s = s ? s : load_size(&d->intermediate, m, "intermediate_size", f->initial.intermediate, 1 << 20, err);
  s = s ? s : load_size(&d->layer_count, m, "num_hidden_layers", 32, 1000, err);
  s = s ? s : load_size(&m->vocabulary, m, "vocab_size", f->initial.vocabulary, 1 << 24, err);
  s = s ? s : load_size(&m->positions, m, "max_position_embeddings", f->initial.positions, 1 << 24, err);
  if (s)
    return s;
  if (d->heads % d->kv_heads != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: num_attention_heads %zu is no multiple of num_key_value_heads %zu%s", d->heads,
                     d->kv_heads, shared ? " (the default, since it is absent)" : "");
  if (d->head_size % 2 != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: head_dim %zu is odd: rotary positions turn pairs", d->head_size);
  return STATUS_OK;
}

static enum status read_numbers(struct decoder *d, struct model *m, struct error *err) {
  double epsilon = d->family->initial.epsilon;
  enum status s = load_number(&d->epsilon, m, "rms_norm_eps", epsilon > 0 ? epsilon : 1e-6, err);
  s = s ? s : load_share(&d->attention_dropout, m, "attention_dropout", 0, err);
  return s || !d->family->residual_dropout ? s : load_share(&d->residual_dropout, m, "resid_pdrop", 0, err);
}

/* What scores, embeddings, residual branches and logits are multiplied with. */
static enum status read_scales(struct decoder *d, struct model *m, struct error *err) {
  const struct decoder_family *f = d->family;
  double scalar = (double)d->head_size, divisor = 1;
  d->embedding_scale = f->scaled_embeddings ? sqrt((double)d->hidden) : 1;
  d->residual_scale = d->logits_scale = 1;
  enum status s = f->attention_scalar ? load_number(&scalar, m, "query_pre_attn_scalar", 256, err) : STATUS_OK;
  d->score_scale = 1 / sqrt(scalar);
  if (!s && f->multipliers) {
    s = load_number(&d->embedding_scale, m, "embedding_multiplier", 1, err);
    s = s ? s : load_number(&d->score_scale, m, "attention_multiplier", 1, err);
    s = s ? s : load_number(&d->residual_scale, m, "residual_multiplier", 1, err);
    s = s ? s : load_number(&divisor, m, "logits_scaling", 1, err);
    d->logits_scale = 1 / divisor;
  }
  if (!s && !(scalar > 0 && divisor > 0))
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s must be positive",
                     scalar > 0 ? "logits_scaling" : "query_pre_attn_scalar");
  return s;
}

/* null is none */
static enum status read_softcap(double *out, struct model *m, const char *member, double initial, struct error *err) {
  const json_t *value = json_object_get(m->checkpoint.config, member);
  *out = 0;
  if (value ? json_is_null(value) : initial == 0)
    return STATUS_OK;
  enum status s = load_number(out, m, member, initial, err);
  if (!s && !(*out > 0))
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s must be positive or null", member);
  return s;
}

static enum status read_softcaps(struct decoder *d, struct model *m, struct error *err) {
  const struct decoder_family *f = d->family;
  if (!f->softcaps)
    return STATUS_OK;
  enum status s = read_softcap(&d->attention_softcap, m, "attn_logit_softcapping", f->initial.attention_softcap, err);
  return s ? s : read_softcap(&d->logits_softcap, m, "final_logit_softcapping", f->initial.logits_softcap, err);
}

/* Whether config.json asks for the biases of a family. Where Transformers has none in the class, the model would not be
   the one that it runs. A GGUF file is read as llama.cpp does, which takes the biases that are there. */
static enum status read_bias(bool *out, const struct model *m, const char *member, enum decoder_bias bias,
                             struct error *err) {
  enum status s = load_bool(out, m, member, false, err);
  if (s || !*out || bias != BIAS_NEVER || m->checkpoint.is_gguf)
    return s;
  return error_set(err, STATUS_MODEL_INVALID, "model",
                   "config.json: %s is true, but a %s model has no such biases; set it to false, or name the "
                   "model_type whose biases these are",
                   member, m->ops->model_type);
}

/* Gemma's first files say "gelu" and mean the approximation. */
static enum status read_activation(struct decoder *d, struct model *m, struct error *err) {
  static const char *const names[][2] = {{"silu", "swish"}, {"gelu_pytorch_tanh", "gelu"}};
  const char *member = d->family->activation ? d->family->activation : "hidden_act";
  const char *const *known = names[d->family->gelu], *act = NULL;
  if (json_get_string(&act, m->checkpoint.config, member, known[0], err))
    return err->status = STATUS_MODEL_INVALID;
  if (strcmp(act, known[0]) != 0 && strcmp(act, known[1]) != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s \"%.40s\" is not supported, %s is", member,
                     act, known[0]);
  return STATUS_OK;
}

/* What changes what a model computes and is not built, for the family or at all. */
static enum status refuse_unbuilt(const struct decoder *d, const struct model *m, struct error *err) {
  static const char *const members[] = {"use_bidirectional_attention", "attn_logit_softcapping",
                                        "final_logit_softcapping"};
  for (size_t i = 0; i < (d->family->softcaps ? 1 : COUNT_OF(members)); i++) {
    const json_t *value = json_object_get(m->checkpoint.config, members[i]);
    if (value && !json_is_null(value) && !json_is_false(value))
      return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s is not supported: it must be null",
                       members[i]);
  }
  return STATUS_OK;
}

static enum status read_kind(struct decoder *d, struct model *m, struct error *err) {
  bool attention = false, mlp = false, always = d->family->attention_bias == BIAS_ALWAYS_QKV;
  enum status s = read_bias(&attention, m, "attention_bias", d->family->attention_bias, err);
  s = s ? s : read_bias(&mlp, m, "mlp_bias", d->family->mlp_bias, err);
  if (s)
    return s;
  d->qkv_bias = attention || always ? LOAD_BIAS : LOAD_NO_BIAS;
  d->o_bias = attention && !always ? LOAD_BIAS : LOAD_NO_BIAS;
  d->mlp_bias = mlp ? LOAD_BIAS : LOAD_NO_BIAS;
  return STATUS_OK;
}

/* Which layers have rotary positions: no_rope_layers says 1 for each that has, else every n-th has none. */
static enum status read_rope_layers(struct decoder *d, struct model *m, struct error *err) {
  static const char member[] = "no_rope_layers";
  const json_t *said = json_object_get(m->checkpoint.config, member);
  size_t every = 4;
  if (!d->family->no_rope_layers || json_is_null(said))
    said = NULL;
  if (said && (!json_is_array(said) || json_array_size(said) < d->layer_count))
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: %s must have one entry for each of num_hidden_layers", member);
  enum status s = d->family->no_rope_layers && !said
                      ? load_size(&every, m, "no_rope_layer_interval", every, 1 << 16, err)
                      : STATUS_OK;
  for (size_t i = 0; !s && i < d->layer_count; i++) {
    const json_t *one = json_array_get(said, i);
    if (said && !json_is_integer(one) && !json_is_boolean(one))
      return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s: entry %zu is neither 0 nor 1", member, i);
    d->layers[i].rope = said                        ? json_is_true(one) || json_integer_value(one) != 0
                        : d->family->no_rope_layers ? (i + 1) % every != 0
                                                    : true;
  }
  return s;
}

static enum status bad_types(struct error *err, const char *what) {
  return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: layer_types: %s", what);
}

/* The layers, one by one, as layer_types says, else by the family's rule: from `first` on, all but every `first`-th, or
   those without rotary positions. `size` 0: switched off. */
static enum status read_layer_types(struct decoder *d, const json_t *types, size_t first, size_t size,
                                    struct error *err) {
  bool said = types && !json_is_null(types);
  enum decoder_windows how = d->family->windows;
  bool pattern = how == WINDOWS_PATTERN || how == WINDOWS_EVERY_SECOND;
  if (said && json_array_size(types) != d->layer_count)
    return bad_types(err, "it must have one entry for each of num_hidden_layers");
  for (size_t i = 0; i < d->layer_count; i++) {
    const char *type = json_string_value(json_array_get(types, i));
    bool usual = how == WINDOWS_NO_ROPE ? !d->layers[i].rope : pattern ? (i + 1) % first != 0 : i >= first;
    bool windowed = said ? type && strcmp(type, "sliding_attention") == 0 : usual;
    if (said && !windowed && !(type && strcmp(type, "full_attention") == 0))
      return bad_types(err, "an entry is neither \"full_attention\" nor \"sliding_attention\"");
    if (said && windowed && !size)
      return bad_types(err, "it has \"sliding_attention\", but use_sliding_window and sliding_window give no window");
    d->layers[i].window = windowed ? size : 0;
  }
  return STATUS_OK;
}

/* A null sliding_window is none. (A Mistral with layer_types is a Ministral to Transformers.) */
static enum status read_windows(struct decoder *d, struct model *m, struct error *err) {
  const struct decoder_family *f = d->family;
  const json_t *config = m->checkpoint.config, *window = json_object_get(config, "sliding_window");
  bool used = f->windows == WINDOWS_ALL || f->windows == WINDOWS_PATTERN || f->windows == WINDOWS_EVERY_SECOND;
  size_t size = 0;
  int64_t first = f->windows == WINDOWS_EVERY_SECOND ? 2 : 0;
  if (f->windows == WINDOWS_NONE)
    return STATUS_OK;
  enum status s = used ? STATUS_OK : load_bool(&used, m, "use_sliding_window", false, err);
  if (!s && used && (window ? !json_is_null(window) : f->initial.window > 0))
    s = load_size(&size, m, "sliding_window", f->initial.window, 1 << 24, err);
  if (!s && f->windows == WINDOWS_SWITCHED)
    s = load_count(&first, m, "max_window_layers", 28, 0, INT32_MAX, err);
  if (!s && f->windows == WINDOWS_PATTERN)
    s = load_count(&first, m, "sliding_window_pattern", 6, 1, INT32_MAX, err);
  return s ? s : read_layer_types(d, json_object_get(config, "layer_types"), (size_t)first, size, err);
}

static enum status read_config(struct decoder *d, struct model *m, struct error *err) {
  enum status s = read_sizes(d, m, err);
  s = s ? s : read_numbers(d, m, err);
  s = s ? s : read_scales(d, m, err);
  s = s ? s : read_kind(d, m, err);
  s = s ? s : read_activation(d, m, err);
  s = s ? s : read_softcaps(d, m, err);
  s = s ? s : refuse_unbuilt(d, m, err);
  if (!s && d->family->mixture)
    s = mixture_read(&d->mixture, m, d->family->mixture, err);
  if (s)
    return s;
  d->layers = arena_array(&m->arena, d->layer_count, sizeof *d->layers);
  if (!d->layers)
    return error_no_memory(err, "the model");
  s = read_rope_layers(d, m, err);
  s = s ? s : read_windows(d, m, err);
  if (!s && d->family->windows != WINDOWS_PATTERN)
    return rotary_read(&d->rotary_config[GLOBAL], m, d->head_size, &d->family->rotary, err);
  for (size_t kind = 0; !s && kind < KINDS; kind++)
    s = rotary_read_kind(&d->rotary_config[kind], m, d->head_size, &kinds[kind], err);
  return s;
}

/* --- weights -------------------------------------------------------------------------------------- */

static enum status layer_linear(struct model *m, struct linear *linear, size_t layer, const char *name, size_t in,
                                size_t out, enum load_bias bias, struct error *err) {
  char path[128];
  snprintf(path, sizeof path, "layers.%zu.%s", layer, name);
  return load_linear(m, linear, PREFIX, path, in, out, bias, err);
}

static enum status layer_norm(struct model *m, struct norm *norm, size_t layer, const char *name, size_t channels,
                              struct error *err) {
  const struct decoder *d = m->state;
  char path[128];
  snprintf(path, sizeof path, "layers.%zu.%s", layer, name);
  return load_rmsnorm(m, norm, PREFIX, path, channels, d->epsilon, d->family->norms_from_one, 1, err);
}

static enum status load_attention(struct model *m, size_t i, struct error *err) {
  struct decoder *d = m->state;
  struct layer *y = &d->layers[i];
  size_t C = d->hidden, Q = d->heads * d->head_size, K = d->kv_heads * d->head_size;
  bool rows = d->family->qk_norm == QK_NORM_ROWS;
  enum status s = STATUS_OK;
  if (d->family->fused) {
    s = layer_linear(m, &y->qkv, i, "self_attn.qkv_proj", C, Q + 2 * K, d->qkv_bias, err);
  } else {
    s = layer_linear(m, &y->q, i, "self_attn.q_proj", C, Q, d->qkv_bias, err);
    s = s ? s : layer_linear(m, &y->k, i, "self_attn.k_proj", C, K, d->qkv_bias, err);
    s = s ? s : layer_linear(m, &y->v, i, "self_attn.v_proj", C, K, d->qkv_bias, err);
  }
  s = s ? s : layer_linear(m, &y->o, i, "self_attn.o_proj", Q, C, d->o_bias, err);
  if (!s && d->family->qk_norm)
    s = layer_norm(m, &y->q_norm, i, "self_attn.q_norm", rows ? Q : d->head_size, err);
  if (!s && d->family->qk_norm)
    s = layer_norm(m, &y->k_norm, i, "self_attn.k_norm", rows ? K : d->head_size, err);
  return s;
}

/* Beside layers with experts, whose matrices have the same names to PEFT: it would take a target for those. */
static enum status load_frozen_mlp(struct model *m, size_t i, struct error *err) {
  static const char *const names[] = {"gate_proj", "up_proj", "down_proj"};
  struct decoder *d = m->state;
  struct layer *y = &d->layers[i];
  struct linear *const linears[] = {&y->gate, &y->up, &y->down};
  size_t C = d->hidden, F = d->intermediate;
  enum status s = STATUS_OK;
  for (size_t n = 0; !s && n < COUNT_OF(names); n++) {
    char path[128];
    bool down = linears[n] == &y->down;
    snprintf(path, sizeof path, "layers.%zu.mlp.%s", i, names[n]);
    s = load_frozen_linear(m, linears[n], PREFIX, path, down ? F : C, down ? C : F, d->mlp_bias, err);
  }
  return s;
}

static enum status load_mlp(struct model *m, size_t i, struct error *err) {
  struct decoder *d = m->state;
  struct layer *y = &d->layers[i];
  size_t C = d->hidden, F = d->intermediate;
  enum status s = STATUS_OK;
  if (d->family->mixture)
    return mixture_has_layer(&d->mixture, i) ? mixture_load(&y->mixture, m, &d->mixture, PREFIX, i, C, err)
                                             : load_frozen_mlp(m, i, err);
  if (d->family->fused) {
    s = layer_linear(m, &y->gate_up, i, "mlp.gate_up_proj", C, 2 * F, d->mlp_bias, err);
  } else {
    s = layer_linear(m, &y->gate, i, "mlp.gate_proj", C, F, d->mlp_bias, err);
    s = s ? s : layer_linear(m, &y->up, i, "mlp.up_proj", C, F, d->mlp_bias, err);
  }
  return s ? s : layer_linear(m, &y->down, i, "mlp.down_proj", F, C, d->mlp_bias, err);
}

static enum status load_layer(struct model *m, size_t i, struct error *err) {
  /* before attention, after it, before the feed-forward layer, after it */
  static const char *const names[NORMS_COUNT][4] = {
      [NORMS_BEFORE] = {"input_layernorm", NULL, "post_attention_layernorm", NULL},
      [NORMS_AFTER] = {NULL, "post_attention_layernorm", NULL, "post_feedforward_layernorm"},
      [NORMS_AROUND] = {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                        "post_feedforward_layernorm"},
  };
  struct decoder *d = m->state;
  struct layer *y = &d->layers[i];
  struct norm *const norms[4] = {&y->attention_norm, &y->attention_out_norm, &y->mlp_norm, &y->mlp_out_norm};
  const char *const *name = names[d->family->norms];
  enum status s = STATUS_OK;
  for (size_t n = 0; !s && n < COUNT_OF(norms); n++) {
    if (name[n])
      s = layer_norm(m, norms[n], i, name[n], d->hidden, err);
    if (!s && n == 1)
      s = load_attention(m, i, err);
  }
  return s ? s : load_mlp(m, i, err);
}

/* The token embedding, which a tied model's file may have under lm_head's name alone. */
static enum status load_token_embedding(struct model *m, struct error *err) {
  struct decoder *d = m->state;
  bool tied;
  enum status s = load_bool(&tied, m, "tie_word_embeddings", d->family->initial.tied, err);
  bool other = m->language && tied && !load_has(m, PREFIX, "embed_tokens.weight") && load_has(m, "", "lm_head.weight");
  return s ? s
           : load_matrix(&d->token_embedding, m, other ? "" : PREFIX, other ? "lm_head.weight" : "embed_tokens.weight",
                         m->vocabulary, d->hidden, err);
}

enum status decoder_load(struct model *m, uint64_t seed, struct error *err) {
  struct decoder *d = m->state = arena_alloc(&m->arena, sizeof *d);
  if (!d)
    return error_no_memory(err, "the model");
  *d = (struct decoder){.family = m->ops->family};
  m->default_targets = &d->family->default_targets;
  if (d->family->mixture)
    m->not_adapted =
        "cannot be adapted here: attention's linear modules can, but containers, embeddings, norms and "
        "lm_head cannot, nor can feed-forward layers of a mixture: Transformers has experts and routers as "
        "parameters, which PEFT's target_modules does not reach";
  enum status s = read_config(d, m, err);
  m->blocks = 2 * d->layer_count;
  m->kv_layers = d->layer_count;
  m->kv_cols = d->kv_heads * d->head_size;
  m->cache_most = s ? 0 : d->rotary_config[GLOBAL].short_most;
  s = s ? s : load_token_embedding(m, err);
  for (size_t i = 0; !s && i < d->layer_count; i++)
    s = load_layer(m, i, err);
  s = s ? s
        : load_rmsnorm(m, &d->norm, PREFIX, "norm", d->hidden, d->epsilon, d->family->norms_from_one,
                       (float)d->logits_scale, err);
  s = s ? s
        : load_decoder_head(m, &d->head, "model.embed_tokens", &d->token_embedding, d->family->initial.tied, seed, err);
  if (m->language)
    d->head.softcap = (float)d->logits_softcap;
  return s;
}

void decoder_shape(struct decoder_shape *out, const struct model *m) {
  const struct decoder *d = m->state;
  *out = (struct decoder_shape){.hidden = d->hidden,
                                .heads = d->heads,
                                .kv_heads = d->kv_heads,
                                .head_size = d->head_size,
                                .intermediate = d->intermediate,
                                .layer_count = d->layer_count,
                                .epsilon = d->epsilon,
                                .window = d->layers[0].window,
                                .same_windows = true,
                                .mixture = d->family->mixture != NULL,
                                .rotary = &d->rotary_config[GLOBAL]};
  for (size_t i = 1; i < d->layer_count; i++)
    out->same_windows = out->same_windows && d->layers[i].window == out->window;
}

enum status decoder_reserve(struct model *m, size_t longest, struct error *err) {
  struct decoder *d = m->state;
  enum status s = STATUS_OK;
  for (size_t kind = 0; !s && longest > d->reserved && kind < KINDS; kind++)
    if (d->rotary_config[kind].frequencies)
      s = rotary_make(&d->rotary[kind], m, &d->rotary_config[kind], longest, err);
  if (!s && longest > d->reserved)
    d->reserved = longest;
  return s;
}

/* --- forward -------------------------------------------------------------------------------------- */

static struct tensor *drop(struct tape *tape, struct tensor *x, double p) {
  struct dropout dropout = op_next_dropout(tape, p);
  return op_dropout(tape, x, &dropout);
}

static struct tensor *attend(struct tape *tape, const struct decoder *d, const struct layer *y, struct tensor *x,
                             const struct sequences *sequences, enum pooling rows) {
  size_t Q = d->heads * d->head_size, K = d->kv_heads * d->head_size;
  struct tensor *qkv = d->family->fused ? op_linear(tape, x, &y->qkv) : NULL;
  struct tensor *q = qkv ? op_columns(tape, qkv, 0, Q) : op_linear(tape, x, &y->q);
  struct tensor *k = qkv ? op_columns(tape, qkv, Q, K) : op_linear(tape, x, &y->k);
  struct tensor *v = qkv ? op_columns(tape, qkv, Q + K, K) : op_linear(tape, x, &y->v);
  if (d->family->qk_norm) {
    q = op_rmsnorm(tape, q, &y->q_norm);
    k = op_rmsnorm(tape, k, &y->k_norm);
  }
  if (y->rope) {
    const struct rotary *rotary = &d->rotary[d->family->windows == WINDOWS_PATTERN && y->window ? LOCAL : GLOBAL];
    q = op_rope(tape, q, sequences, rotary);
    k = op_rope(tape, k, sequences, rotary);
  }
  struct attention how = {.heads = d->heads,
                          .kv_heads = d->kv_heads,
                          .queries = rows,
                          .scale = (float)d->score_scale,
                          .softcap = (float)d->attention_softcap,
                          .causal = true,
                          .layer = (size_t)(y - d->layers),
                          .window = y->window,
                          .dropout = op_next_dropout(tape, d->attention_dropout)};
  q = op_pooling(tape, q, sequences, rows);
  return op_linear(tape, op_attention(tape, q, k, v, sequences, &how), &y->o);
}

static struct tensor *feed_forward(struct tape *tape, const struct decoder *d, const struct layer *y,
                                   struct tensor *x) {
  size_t F = d->intermediate;
  if (y->mixture.experts.count)
    return mixture_forward(tape, x, &y->mixture);
  struct tensor *both = d->family->fused ? op_linear(tape, x, &y->gate_up) : NULL;
  struct tensor *gate = both ? op_columns(tape, both, 0, F) : op_linear(tape, x, &y->gate);
  struct tensor *up = both ? op_columns(tape, both, F, F) : op_linear(tape, x, &y->up);
  struct tensor *h = d->family->gelu ? op_geglu_tanh(tape, gate, up) : op_swiglu(tape, gate, up);
  return op_linear(tape, h, &y->down);
}

static struct tensor *times(struct tape *tape, struct tensor *x, double factor) {
  return factor == 1 ? x : op_multiply(tape, x, (float)factor);
}

/* The RMSNorm where the family has one there. */
static struct tensor *normalised(struct tape *tape, struct tensor *x, const struct norm *norm) {
  return norm->channels ? op_rmsnorm(tape, x, norm) : x;
}

/* x + the branch h */
static struct tensor *residual(struct tape *tape, const struct decoder *d, struct tensor *x, struct tensor *h,
                               const struct norm *norm) {
  h = drop(tape, normalised(tape, h, norm), d->residual_dropout);
  return op_add(tape, x, times(tape, h, d->residual_scale));
}

struct tensor *decoder_forward(struct tape *tape, const struct model *m, const struct sequences *sequences) {
  const struct decoder *d = m->state;
  struct tensor *x = op_embeddings(tape, sequences, &d->token_embedding, (struct place){0}, (struct place){0}), *h;
  x = times(tape, op_token_rows(tape, x, sequences, m->token_rows), d->embedding_scale);
  for (size_t i = 0; i < d->layer_count; i++) {
    const struct layer *y = &d->layers[i];
    bool scored = !m->language && i + 1 == d->layer_count; /* a classifier's head reads the last row alone */
    enum pooling rows = scored ? POOLING_LAST : POOLING_NONE;
    tape_segment_begin(tape, d->layer_count + i);
    h = attend(tape, d, y, normalised(tape, x, &y->attention_norm), sequences, rows);
    x = residual(tape, d, op_pooling(tape, x, sequences, rows), h, &y->attention_out_norm);
    tape_segment_end(tape);
    tape_segment_begin(tape, i); /* the wide half first: two products give back more than half of the layer's memory */
    h = feed_forward(tape, d, y, normalised(tape, x, &y->mlp_norm));
    x = residual(tape, d, x, h, &y->mlp_out_norm);
    tape_segment_end(tape);
  }
  x = op_rmsnorm(tape, x, &d->norm);
  return m->language ? x : op_linear(tape, x, &d->head);
}

void decoder_disable_dropout(struct model *m) {
  struct decoder *d = m->state;
  d->attention_dropout = d->residual_dropout = 0;
}
