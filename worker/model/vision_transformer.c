#include "worker/model/vision_transformer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/preview_encoder.h"
#include "worker/model/load.h"

/* Names as Transformers has them. */
struct family {
  const char *prefix, *class_token, *position, *patch, *patch_bias, *layers, *query, *key, *value, *out, *norm1, *norm2,
      *fc1, *fc2;
  const char *first_norm; /* before the layers; NULL: none */
  const char *final_norm, *projection;
  const char *bias; /* the member that says whether query, key and value have one; NULL: they have */
  const char *activation;
  double epsilon;
  size_t patch_size, image_size; /* these where config.json does not say */
  const char *scale1, *scale2;   /* what attention's output and the MLP's are times (LayerScale); NULL: nothing */
  bool mlp_ratio;                /* config.json has the MLP's width as a multiple of hidden_size */
  bool interpolated;             /* position embeddings, for pictures of another size */
};

static const struct family clip = {.prefix = "vision_model.",
                                   .class_token = "embeddings.class_embedding",
                                   .position = "embeddings.position_embedding.weight",
                                   .patch = "embeddings.patch_embedding",
                                   .layers = "encoder.layers",
                                   .query = "self_attn.q_proj",
                                   .key = "self_attn.k_proj",
                                   .value = "self_attn.v_proj",
                                   .out = "self_attn.out_proj",
                                   .norm1 = "layer_norm1",
                                   .norm2 = "layer_norm2",
                                   .fc1 = "mlp.fc1",
                                   .fc2 = "mlp.fc2",
                                   .first_norm = "pre_layrnorm",
                                   .final_norm = "post_layernorm",
                                   .projection = "visual_projection",
                                   .activation = "quick_gelu",
                                   .epsilon = 1e-5,
                                   .patch_size = 32,
                                   .image_size = 224};

static const struct family vit = {.prefix = "vit.",
                                  .class_token = "embeddings.cls_token",
                                  .position = "embeddings.position_embeddings",
                                  .patch = "embeddings.patch_embeddings.projection",
                                  .patch_bias = "embeddings.patch_embeddings.projection.bias",
                                  .layers = "encoder.layer",
                                  .query = "attention.attention.query",
                                  .key = "attention.attention.key",
                                  .value = "attention.attention.value",
                                  .out = "attention.output.dense",
                                  .norm1 = "layernorm_before",
                                  .norm2 = "layernorm_after",
                                  .fc1 = "intermediate.dense",
                                  .fc2 = "output.dense",
                                  .final_norm = "layernorm",
                                  .bias = "qkv_bias",
                                  .activation = "gelu",
                                  .epsilon = 1e-12,
                                  .patch_size = 16,
                                  .image_size = 224};

static const struct family dinov2 = {.prefix = "dinov2.",
                                     .class_token = "embeddings.cls_token",
                                     .position = "embeddings.position_embeddings",
                                     .patch = "embeddings.patch_embeddings.projection",
                                     .patch_bias = "embeddings.patch_embeddings.projection.bias",
                                     .layers = "encoder.layer",
                                     .query = "attention.attention.query",
                                     .key = "attention.attention.key",
                                     .value = "attention.attention.value",
                                     .out = "attention.output.dense",
                                     .norm1 = "norm1",
                                     .norm2 = "norm2",
                                     .fc1 = "mlp.fc1",
                                     .fc2 = "mlp.fc2",
                                     .scale1 = "layer_scale1.lambda1",
                                     .scale2 = "layer_scale2.lambda1",
                                     .final_norm = "layernorm",
                                     .bias = "qkv_bias",
                                     .activation = "gelu",
                                     .epsilon = 1e-6,
                                     .patch_size = 14,
                                     .image_size = 224,
                                     .mlp_ratio = true,
                                     .interpolated = true};

/* LayerScale (Touvron et al., 2021): factors of channels. */
struct layer_scale {
  struct output_scale factors;
  struct linear linear; /* nothing but them */
};

struct layer {
  struct norm norm1, norm2;
  struct linear query, key, value, out, fc1, fc2;
  struct layer_scale scale1, scale2;
};

struct vision_transformer {
  size_t hidden, heads, intermediate, layer_count, side, patch_size;
  size_t patch_count; /* of a picture, beside the class token's */
  double epsilon;
  bool bias; /* of query, key and value */
  load_activation_op *activation;
  struct linear patch, projection; /* projection.out 0: there is none */
  /* What does not depend on the pixels: position embeddings, with the class token in the first row and the patches'
     bias in the others. */
  struct weight table;
  const float *positions;    /* as the file has them, [1 + file_across * file_across][hidden] */
  size_t file_across;        /* patches */
  const float *beside;       /* the class token, the patches' bias */
  struct sequences sequence; /* the rows of one picture */
  struct norm first_norm, final_norm;
  struct layer *layers;
};

enum { WIDTH_MAX = 1 << 16, LAYERS_MAX = 1000, SIDE_MAX = 1 << 12, CHANNELS = 3 };

static enum status check_sizes(const struct vision_transformer *v, struct error *err) {
  if (v->hidden % v->heads)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: hidden_size %zu is no multiple of num_attention_heads %zu", v->hidden, v->heads);
  if (v->side % v->patch_size)
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: image_size %zu is no multiple of patch_size %zu",
                     v->side, v->patch_size);
  return STATUS_OK;
}

/* The MLP's. */
static enum status read_width(struct model *m, struct vision_transformer *v, struct error *err) {
  const struct family *f = m->ops->family;
  double ratio;
  if (!f->mlp_ratio)
    return load_size(&v->intermediate, m, "intermediate_size", 3072, WIDTH_MAX, err);
  enum status s = load_number(&ratio, m, "mlp_ratio", 4, err);
  double width = s ? 0 : (double)v->hidden * ratio;
  if (!s && !(width >= 1 && width <= WIDTH_MAX))
    s = error_set(err, STATUS_MODEL_INVALID, "model", "config.json: mlp_ratio %g times hidden_size %zu is not 1 to %d",
                  ratio, v->hidden, WIDTH_MAX);
  v->intermediate = s ? 0 : (size_t)width;
  return s;
}

static enum status read_config(struct model *m, struct vision_transformer *v, struct error *err) {
  const struct family *f = m->ops->family;
  int64_t channels;
  bool swiglu = false;
  enum status s = load_size(&v->hidden, m, "hidden_size", 768, WIDTH_MAX, err);
  s = s ? s : load_size(&v->heads, m, "num_attention_heads", 12, WIDTH_MAX, err);
  s = s ? s : read_width(m, v, err);
  s = s ? s : load_size(&v->layer_count, m, "num_hidden_layers", 12, LAYERS_MAX, err);
  s = s ? s : load_size(&v->side, m, "image_size", f->image_size, SIDE_MAX, err);
  s = s ? s : load_size(&v->patch_size, m, "patch_size", f->patch_size, SIDE_MAX, err);
  s = s ? s : load_count(&channels, m, "num_channels", CHANNELS, CHANNELS, CHANNELS, err);
  s = s ? s : load_number(&v->epsilon, m, "layer_norm_eps", f->epsilon, err);
  s = s ? s : load_activation(&v->activation, m, "hidden_act", f->activation, err);
  if (!s && f->mlp_ratio)
    s = load_bool(&swiglu, m, "use_swiglu_ffn", false, err);
  if (!s && swiglu)
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: use_swiglu_ffn true is not supported");
  v->bias = true;
  if (!s && f->bias)
    s = load_bool(&v->bias, m, f->bias, true, err);
  s = s ? s : check_sizes(v, err);
  return s;
}

/* The numbers of a tensor, of whatever rank, into out[count]. */
static enum status read_numbers(float *out, struct model *m, const char *name, size_t count, struct error *err) {
  const struct family *f = m->ops->family;
  struct checkpoint_tensor t;
  char with[200];
  size_t have = 1;
  snprintf(with, sizeof with, "%s%s", f->prefix, name);
  if (!checkpoint_find(&t, &m->checkpoint, with) && !checkpoint_find(&t, &m->checkpoint, name))
    return error_set(err, STATUS_MODEL_INVALID, "model", "the model's files have no tensor %s", with);
  for (int i = 0; i < t.rank; i++)
    have *= (size_t)t.shape[i];
  if (have != count)
    return error_set(err, STATUS_MODEL_INVALID, "model", "tensor %s has %zu numbers; config.json asks for %zu", t.name,
                     have, count);
  m->weight_bytes += count * sizeof *out;
  return checkpoint_read(out, &m->checkpoint, t.name, err);
}

static enum status load_layer_scale(struct model *m, struct layer_scale *scale, size_t channels, size_t i,
                                    const char *name, struct error *err) {
  const struct family *f = m->ops->family;
  char path[100];
  *scale = (struct layer_scale){0};
  if (!name)
    return STATUS_OK;
  snprintf(path, sizeof path, "%s.%zu.%s", f->layers, i, name);
  float *factors = arena_array(&m->arena, channels, sizeof *factors);
  enum status s = factors ? read_numbers(factors, m, path, channels, err) : error_no_memory(err, "the model");
  scale->linear = (struct linear){.name = name, .in = channels, .out = channels, .scale = &scale->factors};
  return s ? s : buffers_import(&m->buffers, &scale->factors.scale, factors, channels * sizeof *factors, err);
}

static enum status load_layer(struct model *m, const struct vision_transformer *v, struct layer *l, size_t i,
                              struct error *err) {
  const struct family *f = m->ops->family;
  const size_t C = v->hidden, F = v->intermediate;
  const enum load_bias bias = v->bias ? LOAD_BIAS : LOAD_NO_BIAS;
  const struct {
    struct linear *linear;
    const char *name;
    size_t in, out;
    enum load_bias bias;
  } rows[] = {{&l->query, f->query, C, C, bias},  {&l->key, f->key, C, C, bias},
              {&l->value, f->value, C, C, bias},  {&l->out, f->out, C, C, LOAD_BIAS},
              {&l->fc1, f->fc1, C, F, LOAD_BIAS}, {&l->fc2, f->fc2, F, C, LOAD_BIAS}};
  char path[100];
  enum status s = STATUS_OK;
  for (size_t r = 0; !s && r < COUNT_OF(rows); r++) {
    snprintf(path, sizeof path, "%s.%zu.%s", f->layers, i, rows[r].name);
    s = load_linear(m, rows[r].linear, f->prefix, path, rows[r].in, rows[r].out, rows[r].bias, err);
  }
  snprintf(path, sizeof path, "%s.%zu.%s", f->layers, i, f->norm1);
  s = s ? s : load_norm(m, &l->norm1, f->prefix, path, C, v->epsilon, true, err);
  snprintf(path, sizeof path, "%s.%zu.%s", f->layers, i, f->norm2);
  s = s ? s : load_norm(m, &l->norm2, f->prefix, path, C, v->epsilon, true, err);
  s = s ? s : load_layer_scale(m, &l->scale1, C, i, f->scale1, err);
  return s ? s : load_layer_scale(m, &l->scale2, C, i, f->scale2, err);
}

/* --- the table ------------------------------------------------------------------------------------ */

/* Weights of the four numbers about a place that is `t` beyond the second of them: cubic convolution with a = -0.75
   (Keys, 1981), as torch's interpolate has it. */
static void cubic(double weights[4], double t) {
  const double a = -0.75;
  for (int i = 0; i < 4; i++) {
    double d = fabs(t + 1 - i);
    weights[i] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  }
}

/* Where the four numbers lie that place `at` of `to` is made of, among `from`. */
static void taps(size_t index[4], double weights[4], size_t at, size_t from, size_t to) {
  double place = ((double)at + 0.5) * (double)from / (double)to - 0.5, first = floor(place);
  cubic(weights, place - first);
  for (int i = 0; i < 4; i++)
    index[i] = (size_t)fmin(fmax(first - 1 + i, 0), (double)from - 1);
}

/* Adds the position embedding of a patch of `across` to a row of the table. */
static void add_position(float *row, const struct vision_transformer *v, size_t patch, size_t across) {
  size_t y[4], x[4];
  double down[4], right[4];
  taps(y, down, patch / across, v->file_across, across);
  taps(x, right, patch % across, v->file_across, across);
  for (size_t c = 0; c < v->hidden; c++) {
    double sum = 0;
    for (int i = 0; i < 4; i++)
      for (int k = 0; k < 4; k++)
        sum += down[i] * right[k] * (double)v->positions[(1 + y[i] * v->file_across + x[k]) * v->hidden + c];
    row[c] += (float)sum;
  }
}

/* For pictures of v->side. */
static enum status make_table(struct model *m, struct vision_transformer *v, struct error *err) {
  const size_t C = v->hidden, across = v->side / v->patch_size;
  v->patch_count = across * across;
  const size_t rows = v->patch_count + 1;
  float *table = arena_array(&m->arena, rows * C, sizeof *table);
  int32_t *ids = arena_array(&m->arena, rows, sizeof *ids);
  uint32_t *ends = arena_array(&m->arena, 2, sizeof *ends);
  if (!table || !ids || !ends)
    return error_no_memory(err, "the model");
  for (size_t i = 0; i < rows; i++) {
    const float *beside = v->beside + (i ? C : 0), *position = v->positions + i * C;
    bool as_they_are = i == 0 || across == v->file_across;
    for (size_t c = 0; c < C; c++)
      table[i * C + c] = beside[c] + (as_they_are ? position[c] : 0);
    if (!as_they_are)
      add_position(table + i * C, v, i - 1, across);
    ids[i] = (int32_t)i;
  }
  ends[0] = 0;
  ends[1] = (uint32_t)rows;
  v->sequence = sequences_host(1, rows, rows, ends, ids, NULL);
  v->table = weight_of(table, rows, C);
  return buffers_import(&m->buffers, &v->table.place, v->table.bytes, weight_bytes(&v->table), err);
}

static enum status load_table(struct model *m, struct vision_transformer *v, struct error *err) {
  const struct family *f = m->ops->family;
  const size_t C = v->hidden, across = v->side / v->patch_size, count = (1 + across * across) * C;
  float *positions = arena_array(&m->arena, count, sizeof *positions);
  float *beside = arena_array(&m->arena, 2 * C, sizeof *beside);
  if (!positions || !beside)
    return error_no_memory(err, "the model");
  memset(beside, 0, 2 * C * sizeof *beside);
  enum status s = read_numbers(beside, m, f->class_token, C, err);
  if (!s && f->patch_bias)
    s = read_numbers(beside + C, m, f->patch_bias, C, err);
  s = s ? s : read_numbers(positions, m, f->position, count, err);
  v->positions = positions;
  v->file_across = across;
  v->beside = beside;
  return s ? s : make_table(m, v, err);
}

enum status vision_transformer_resize(struct model *m, size_t side, struct error *err) {
  const struct family *f = m->ops->family;
  struct vision_transformer *v = m->state;
  if (side == v->side)
    return STATUS_OK;
  if (!f->interpolated)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "preprocessor_config.json makes pictures of %zu pixels a side, config.json's image_size is %zu",
                     side, v->side);
  if (side == 0 || side % v->patch_size)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "preprocessor_config.json makes pictures of %zu pixels a side, no multiple of config.json's "
                     "patch_size %zu",
                     side, v->patch_size);
  v->side = side;
  return make_table(m, v, err);
}

static enum status vision_transformer_load(struct model *m, uint64_t seed, struct error *err) {
  (void)seed;
  const struct family *f = m->ops->family;
  struct vision_transformer *v = m->state = arena_alloc(&m->arena, sizeof *v);
  enum status s = v ? read_config(m, v, err) : error_no_memory(err, "the model");
  if (s)
    return s;
  const size_t P = v->patch_size;
  const struct convolution patch = {CHANNELS, {P, P}, {P, P}, {0, 0}, {0, 0}};
  v->layers = arena_array(&m->arena, v->layer_count, sizeof *v->layers);
  s = v->layers ? load_table(m, v, err) : error_no_memory(err, "the model");
  s = s ? s : load_conv(m, &v->patch, f->prefix, f->patch, &patch, v->hidden, LOAD_NO_BIAS, err);
  if (!s && f->first_norm)
    s = load_norm(m, &v->first_norm, f->prefix, f->first_norm, v->hidden, v->epsilon, true, err);
  for (size_t i = 0; !s && i < v->layer_count; i++)
    s = load_layer(m, v, &v->layers[i], i, err);
  s = s ? s : load_norm(m, &v->final_norm, f->prefix, f->final_norm, v->hidden, v->epsilon, true, err);
  return s || !f->projection ? s : load_embedding_projection(m, &v->projection, f->projection, v->hidden, err);
}

/* --- the pass ------------------------------------------------------------------------------------- */

struct vision_sizes vision_transformer_sizes(const struct model *m) {
  const struct vision_transformer *v = m->state;
  return (struct vision_sizes){.side = v->side,
                               .patches = (v->patch_count + 1) * v->patch_size * v->patch_size * CHANNELS,
                               .cols = v->projection.out ? v->projection.out : v->hidden};
}

void vision_transformer_patches(float *out, const struct model *m, const float *pixels) {
  const struct vision_transformer *v = m->state;
  const size_t P = v->patch_size, across = v->side / P, line = P * CHANNELS;
  memset(out, 0, P * line * sizeof *out);
  out += P * line;
  for (size_t i = 0; i < v->patch_count; i++)
    for (size_t y = 0; y < P; y++, out += line)
      memcpy(out, pixels + ((i / across * P + y) * v->side + i % across * P) * CHANNELS, line * sizeof *out);
}

static struct tensor *scaled(struct tape *tape, struct tensor *x, const struct layer_scale *scale) {
  return scale->linear.scale ? op_scale(tape, x, &scale->linear) : x;
}

static struct tensor *attend(struct tape *tape, const struct vision_transformer *v, const struct layer *l,
                             struct tensor *x) {
  struct attention how = {.heads = v->heads, .kv_heads = v->heads, .scale = 1 / sqrtf((float)(v->hidden / v->heads))};
  struct tensor *h = op_layernorm(tape, x, &l->norm1);
  struct tensor *q = op_linear(tape, h, &l->query), *k = op_linear(tape, h, &l->key);
  h = op_attention(tape, q, k, op_linear(tape, h, &l->value), &v->sequence, &how);
  return op_add(tape, x, scaled(tape, op_linear(tape, h, &l->out), &l->scale1));
}

/* The patches are one tall picture, which the convolution gives a row for each. */
struct tensor *vision_transformer_embed(struct tape *tape, const struct model *m, const float *patches) {
  const struct vision_transformer *v = m->state;
  const struct family *f = m->ops->family;
  struct images images = {1, (v->patch_count + 1) * v->patch_size, v->patch_size};
  struct tensor *x = op_input(tape, patches, images_rows(&images), CHANNELS);
  x = op_conv2d(tape, x, &images, &v->patch);
  x = op_add(tape, x, op_embeddings(tape, &v->sequence, &v->table, (struct place){0}, (struct place){0}));
  if (f->first_norm)
    x = op_layernorm(tape, x, &v->first_norm);
  for (size_t i = 0; i < v->layer_count; i++) {
    const struct layer *l = &v->layers[i];
    x = attend(tape, v, l, x);
    struct tensor *h = op_linear(tape, op_layernorm(tape, x, &l->norm2), &l->fc1);
    x = op_add(tape, x, scaled(tape, op_linear(tape, v->activation(tape, h), &l->fc2), &l->scale2));
  }
  x = op_layernorm(tape, op_pooling(tape, x, &v->sequence, POOLING_CLS), &v->final_norm);
  return op_unit_rows(tape, v->projection.out ? op_linear(tape, x, &v->projection) : x);
}

const struct model_ops model_clip_vision = {.model_type = "clip_vision_model",
                                            .class_prefix = "CLIPVision",
                                            .part = "vision_config",
                                            .prefix = "vision_model.",
                                            .family = &clip,
                                            .load = vision_transformer_load};
const struct model_ops model_vit = {.model_type = VIT_MODEL_TYPE,
                                    .class_prefix = "ViT",
                                    .prefix = "vit.",
                                    .family = &vit,
                                    .load = vision_transformer_load};
const struct model_ops model_dinov2 = {.model_type = DINOV2_MODEL_TYPE,
                                       .class_prefix = "Dinov2",
                                       .prefix = "dinov2.",
                                       .family = &dinov2,
                                       .load = vision_transformer_load};
