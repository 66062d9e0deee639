#include "worker/model/autoencoder_kl.h"

#include <math.h>

#include "worker/model/diffusers.h"

struct level {
  size_t layers;
  struct resnet_block *resnets;
  struct linear sampler; /* name NULL: the last has none */
};

/* Resnet, attention of one head, resnet. */
struct middle {
  struct resnet_block resnets[2];
  struct norm group_norm;
  struct linear query, key, value, out;
};

struct coder {
  struct linear conv_in, conv_out, quant; /* quant: after the encoder, before the decoder; name NULL: none */
  struct level levels[DIFFUSERS_BLOCKS_MAX];
  struct middle middle;
  struct norm norm_out;
};

struct autoencoder_kl {
  size_t image_channels, latent_channels, groups, layers;
  size_t channels[DIFFUSERS_BLOCKS_MAX], count;
  struct coder encoder, decoder;
};

static const double NORM_EPSILON = 1e-6;

/* --- config --------------------------------------------------------------------------------------- */

static const struct diffusers_fixed fixed[] = {
    {.key = "act_fn", .kind = FIXED_TEXT, .text = "silu"},
    {.key = "norm_type", .kind = FIXED_TEXT, .text = "group"},
};

static enum status read_config(struct model *m, struct autoencoder_kl *a, struct error *err) {
  static const char *const down[] = {"DownEncoderBlock2D"}, *const up[] = {"UpDecoderBlock2D"};
  size_t types[DIFFUSERS_BLOCKS_MAX], out_channels = 3;
  enum status s = diffusers_fixed(m, fixed, COUNT_OF(fixed), err);
  s = s ? s : diffusers_sizes(a->channels, &a->count, m, "block_out_channels", err);
  s = s ? s : diffusers_names(types, a->count, m, "down_block_types", down, 1, err);
  s = s ? s : diffusers_names(types, a->count, m, "up_block_types", up, 1, err);
  s = s ? s : load_size(&a->image_channels, m, "in_channels", 3, DIFFUSERS_CHANNELS_MAX, err);
  s = s ? s : load_size(&out_channels, m, "out_channels", 3, DIFFUSERS_CHANNELS_MAX, err);
  s = s ? s : load_size(&a->latent_channels, m, "latent_channels", 4, DIFFUSERS_CHANNELS_MAX, err);
  s = s ? s : load_size(&a->groups, m, "norm_num_groups", 32, DIFFUSERS_CHANNELS_MAX, err);
  s = s ? s : load_size(&a->layers, m, "layers_per_block", 1, DIFFUSERS_LAYERS_MAX, err);
  if (!s && out_channels != a->image_channels)
    s = error_set(err, STATUS_MODEL_INVALID, "model", "config.json: out_channels %zu is not in_channels %zu",
                  out_channels, a->image_channels);
  return s;
}

/* --- loading -------------------------------------------------------------------------------------- */

/* Older files have other names for the attention's layers, and convolutions of one pixel. */
static enum status load_attention(struct model *m, struct middle *mid, const char *path, size_t C, struct error *err) {
  static const char *const names[][2] = {
      {"to_q", "query"}, {"to_k", "key"}, {"to_v", "value"}, {"to_out.0", "proj_attn"}};
  struct linear *linears[] = {&mid->query, &mid->key, &mid->value, &mid->out};
  char name[DIFFUSERS_PATH];
  diffusers_path(name, "%s.to_q.weight", path);
  size_t older = !load_has(m, "", name);
  diffusers_path(name, "%s.group_norm", path);
  enum status status = load_norm(m, &mid->group_norm, "", name, C, NORM_EPSILON, true, err);
  for (size_t i = 0; !status && i < COUNT_OF(linears); i++) {
    diffusers_path(name, "%s.%s", path, names[i][older]);
    status = load_linear(m, linears[i], "", name, C, C, LOAD_BIAS, err);
  }
  return status;
}

static enum status load_middle(struct model *m, const struct autoencoder_kl *a, struct middle *mid, const char *coder,
                               struct error *err) {
  size_t C = a->channels[a->count - 1];
  struct resnet_shape shape = {C, C, a->groups, 0, NORM_EPSILON};
  char path[DIFFUSERS_PATH];
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < 2; i++) {
    diffusers_path(path, "%s.mid_block.resnets.%zu", coder, i);
    status = resnet_block_load(m, &mid->resnets[i], path, shape, err);
  }
  diffusers_path(path, "%s.mid_block.attentions.0", coder);
  return status ? status : load_attention(m, mid, path, C, err);
}

static enum status load_level(struct model *m, const struct autoencoder_kl *a, struct level *level, const char *path,
                              size_t layers, size_t in, size_t out, struct error *err) {
  char name[DIFFUSERS_PATH];
  level->layers = layers;
  level->resnets = arena_array(&m->arena, layers, sizeof *level->resnets);
  enum status status = level->resnets ? STATUS_OK : error_no_memory(err, "the model");
  for (size_t j = 0; !status && j < layers; j++) {
    struct resnet_shape shape = {j ? out : in, out, a->groups, 0, NORM_EPSILON};
    diffusers_path(name, "%s.resnets.%zu", path, j);
    status = resnet_block_load(m, &level->resnets[j], name, shape, err);
  }
  return status;
}

static enum status load_encoder(struct model *m, struct autoencoder_kl *a, struct error *err) {
  struct coder *c = &a->encoder;
  char path[DIFFUSERS_PATH];
  size_t last = a->channels[a->count - 1], L = a->latent_channels;
  enum status s = diffusers_conv3(m, &c->conv_in, "encoder.conv_in", a->image_channels, a->channels[0], err);
  for (size_t i = 0; !s && i < a->count; i++) {
    size_t C = a->channels[i];
    diffusers_path(path, "encoder.down_blocks.%zu", i);
    s = load_level(m, a, &c->levels[i], path, a->layers, a->channels[i ? i - 1 : 0], C, err);
    diffusers_path(path, "encoder.down_blocks.%zu.downsamplers.0.conv", i);
    if (!s && i + 1 < a->count) /* a row and a column of zeros behind, none before */
      s = diffusers_conv(m, &c->levels[i].sampler, path, (struct diffusers_conv){C, C, 3, 2, 0, 1}, err);
  }
  s = s ? s : load_middle(m, a, &c->middle, "encoder", err);
  s = s ? s : load_norm(m, &c->norm_out, "", "encoder.conv_norm_out", last, NORM_EPSILON, true, err);
  s = s ? s : diffusers_conv3(m, &c->conv_out, "encoder.conv_out", last, 2 * L, err);
  if (!s && load_has(m, "", "quant_conv.weight"))
    s = diffusers_conv(m, &c->quant, "quant_conv", (struct diffusers_conv){2 * L, 2 * L, 1, 1, 0, 0}, err);
  return s;
}

static enum status load_decoder(struct model *m, struct autoencoder_kl *a, struct error *err) {
  struct coder *c = &a->decoder;
  char path[DIFFUSERS_PATH];
  size_t last = a->channels[a->count - 1], L = a->latent_channels;
  enum status s = STATUS_OK;
  if (load_has(m, "", "post_quant_conv.weight"))
    s = diffusers_conv(m, &c->quant, "post_quant_conv", (struct diffusers_conv){L, L, 1, 1, 0, 0}, err);
  s = s ? s : diffusers_conv3(m, &c->conv_in, "decoder.conv_in", L, last, err);
  s = s ? s : load_middle(m, a, &c->middle, "decoder", err);
  for (size_t i = 0; !s && i < a->count; i++) {
    size_t C = a->channels[a->count - 1 - i], beneath = a->channels[i ? a->count - i : a->count - 1];
    diffusers_path(path, "decoder.up_blocks.%zu", i);
    s = load_level(m, a, &c->levels[i], path, a->layers + 1, beneath, C, err);
    diffusers_path(path, "decoder.up_blocks.%zu.upsamplers.0.conv", i);
    if (!s && i + 1 < a->count)
      s = diffusers_conv3(m, &c->levels[i].sampler, path, C, C, err);
  }
  s = s ? s : load_norm(m, &c->norm_out, "", "decoder.conv_norm_out", a->channels[0], NORM_EPSILON, true, err);
  return s ? s : diffusers_conv3(m, &c->conv_out, "decoder.conv_out", a->channels[0], a->image_channels, err);
}

static enum status autoencoder_kl_load(struct model *m, uint64_t seed, struct error *err) {
  (void)seed;
  struct autoencoder_kl *a = m->state = arena_alloc(&m->arena, sizeof *a);
  if (!a)
    return error_no_memory(err, "the model");
  *a = (struct autoencoder_kl){0};
  static const struct string_list none = {0};
  m->default_targets = &none;
  enum status s = read_config(m, a, err);
  s = s ? s : load_encoder(m, a, err);
  return s ? s : load_decoder(m, a, err);
}

/* --- forward -------------------------------------------------------------------------------------- */

static struct tensor *middle(struct tape *tape, const struct autoencoder_kl *a, const struct middle *mid,
                             struct tensor *x, const struct images *images) {
  const struct attention how = {.heads = 1, .kv_heads = 1, .scale = 1 / sqrtf((float)x->cols)};
  const struct sequences *pixels = diffusers_sequences(tape, images->count, images->height * images->width);
  x = resnet_block_forward(tape, &mid->resnets[0], x, images, NULL);
  struct tensor *h = op_group_norm(tape, x, images, &mid->group_norm, a->groups, false);
  struct tensor *q = op_linear(tape, h, &mid->query), *k = op_linear(tape, h, &mid->key);
  h = op_attention(tape, q, k, op_linear(tape, h, &mid->value), pixels, &how);
  x = op_add(tape, op_linear(tape, h, &mid->out), x);
  return resnet_block_forward(tape, &mid->resnets[1], x, images, NULL);
}

static struct tensor *layers(struct tape *tape, const struct level *level, struct tensor *x,
                             const struct images *images) {
  for (size_t j = 0; j < level->layers; j++)
    x = resnet_block_forward(tape, &level->resnets[j], x, images, NULL);
  return x;
}

static struct tensor *end(struct tape *tape, const struct autoencoder_kl *a, const struct coder *c, struct tensor *x,
                          struct images *images) {
  x = op_group_norm(tape, x, images, &c->norm_out, a->groups, true);
  return op_conv2d(tape, x, images, &c->conv_out);
}

struct autoencoder_kl_sizes autoencoder_kl_sizes(const struct model *m) {
  const struct autoencoder_kl *a = m->state;
  return (struct autoencoder_kl_sizes){a->image_channels, a->latent_channels, (size_t)1 << (a->count - 1)};
}

struct tensor *autoencoder_kl_encode(struct tape *tape, const struct model *m, struct tensor *x,
                                     struct images *images) {
  const struct autoencoder_kl *a = m->state;
  const struct coder *c = &a->encoder;
  x = op_conv2d(tape, x, images, &c->conv_in);
  for (size_t i = 0; i < a->count; i++) {
    x = layers(tape, &c->levels[i], x, images);
    if (c->levels[i].sampler.name)
      x = op_conv2d(tape, x, images, &c->levels[i].sampler);
  }
  x = end(tape, a, c, middle(tape, a, &c->middle, x, images), images);
  return c->quant.name ? op_linear(tape, x, &c->quant) : x;
}

struct tensor *autoencoder_kl_decode(struct tape *tape, const struct model *m, struct tensor *z,
                                     struct images *images) {
  const struct autoencoder_kl *a = m->state;
  const struct coder *c = &a->decoder;
  struct tensor *x = c->quant.name ? op_linear(tape, z, &c->quant) : z;
  x = middle(tape, a, &c->middle, op_conv2d(tape, x, images, &c->conv_in), images);
  for (size_t i = 0; i < a->count; i++) {
    x = layers(tape, &c->levels[i], x, images);
    if (c->levels[i].sampler.name)
      x = op_conv2d(tape, op_upsample(tape, x, images), images, &c->levels[i].sampler);
  }
  return end(tape, a, c, x, images);
}

const struct model_ops model_autoencoder_kl = {
    .model_type = "AutoencoderKL", .class_prefix = "", .prefix = "", .load = autoencoder_kl_load};
