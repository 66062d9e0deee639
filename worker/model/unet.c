#include "worker/model/unet.h"

#include <math.h>

#include "worker/model/conditioning_embedding.h"
#include "worker/model/transformer_2d.h"

/* A block of the way down or up: layers of a ResnetBlock2D, perhaps followed by a Transformer2DModel. */
struct level {
  size_t layers;
  struct resnet_block *resnets;
  struct transformer_2d *attentions; /* NULL: none */
  struct linear sampler;             /* between this level and the next; name NULL: the last has none */
};

struct unet {
  size_t in_channels, out_channels, cross_attention_dim, groups, layers, transformer_layers;
  size_t channels[DIFFUSERS_BLOCKS_MAX], heads[DIFFUSERS_BLOCKS_MAX], count;
  size_t down_types[DIFFUSERS_BLOCKS_MAX], up_types[DIFFUSERS_BLOCKS_MAX];
  bool flip_sin_to_cos, linear_projection;
  double freq_shift, epsilon;
  struct linear conv_in, conv_out, time_1, time_2;
  struct norm conv_norm_out;
  struct level down[DIFFUSERS_BLOCKS_MAX], up[DIFFUSERS_BLOCKS_MAX];
  struct resnet_block middle[2];
  struct transformer_2d middle_attention;
  struct conditioning_embedding embedding;
  size_t hint_scale; /* 0: there is no embedding */
};

enum { PLAIN, CROSS, TYPES };
static const char *const down_names[TYPES] = {"DownBlock2D", "CrossAttnDownBlock2D"};
static const char *const up_names[TYPES] = {"UpBlock2D", "CrossAttnUpBlock2D"};

/* --- config --------------------------------------------------------------------------------------- */

static const struct diffusers_fixed fixed[] = {
    {.key = "act_fn", .kind = FIXED_TEXT, .text = "silu"},
    {.key = "addition_embed_type", .kind = FIXED_NULL},
    {.key = "attention_type", .kind = FIXED_TEXT, .text = "default"},
    {.key = "center_input_sample", .kind = FIXED_FALSE},
    {.key = "class_embed_type", .kind = FIXED_NULL},
    {.key = "conv_in_kernel", .kind = FIXED_NUMBER, .number = 3},
    {.key = "conv_out_kernel", .kind = FIXED_NUMBER, .number = 3},
    {.key = "cross_attention_norm", .kind = FIXED_NULL},
    {.key = "downsample_padding", .kind = FIXED_NUMBER, .number = 1},
    {.key = "dropout", .kind = FIXED_NUMBER, .number = 0},
    {.key = "dual_cross_attention", .kind = FIXED_FALSE},
    {.key = "encoder_hid_dim", .kind = FIXED_NULL},
    {.key = "encoder_hid_dim_type", .kind = FIXED_NULL},
    {.key = "mid_block_only_cross_attention", .kind = FIXED_FALSE},
    {.key = "mid_block_scale_factor", .kind = FIXED_NUMBER, .number = 1},
    {.key = "mid_block_type", .kind = FIXED_TEXT, .text = "UNetMidBlock2DCrossAttn"},
    {.key = "num_attention_heads", .kind = FIXED_NULL},
    {.key = "num_class_embeds", .kind = FIXED_NULL},
    {.key = "only_cross_attention", .kind = FIXED_FALSE},
    {.key = "resnet_out_scale_factor", .kind = FIXED_NUMBER, .number = 1},
    {.key = "resnet_skip_time_act", .kind = FIXED_FALSE},
    {.key = "resnet_time_scale_shift", .kind = FIXED_TEXT, .text = "default"},
    {.key = "reverse_transformer_layers_per_block", .kind = FIXED_NULL},
    {.key = "time_cond_proj_dim", .kind = FIXED_NULL},
    {.key = "time_embedding_act_fn", .kind = FIXED_NULL},
    {.key = "time_embedding_dim", .kind = FIXED_NULL},
    {.key = "time_embedding_type", .kind = FIXED_TEXT, .text = "positional"},
    {.key = "timestep_post_act", .kind = FIXED_NULL},
};

/* attention_head_dim is the number of heads, of all blocks or of each: a name that diffusers keeps for its files. */
static enum status read_heads(struct model *m, struct unet *u, struct error *err) {
  size_t one, count;
  if (json_is_array(json_object_get(m->checkpoint.config, "attention_head_dim"))) {
    enum status status = diffusers_sizes(u->heads, &count, m, "attention_head_dim", err);
    return status || count == u->count
               ? status
               : error_set(err, STATUS_MODEL_INVALID, "model",
                           "config.json: attention_head_dim has %zu numbers for %zu blocks", count, u->count);
  }
  enum status status = load_size(&one, m, "attention_head_dim", 8, DIFFUSERS_CHANNELS_MAX, err);
  for (size_t i = 0; !status && i < u->count; i++)
    u->heads[i] = one;
  return status;
}

static enum status read_config(struct model *m, struct unet *u, struct error *err) {
  enum status s = diffusers_fixed(m, fixed, COUNT_OF(fixed), err);
  s = s ? s : diffusers_sizes(u->channels, &u->count, m, "block_out_channels", err);
  s = s ? s : diffusers_names(u->down_types, u->count, m, "down_block_types", down_names, TYPES, err);
  s = s ? s : diffusers_names(u->up_types, u->count, m, "up_block_types", up_names, TYPES, err);
  s = s ? s : read_heads(m, u, err);
  s = s ? s : load_size(&u->in_channels, m, "in_channels", 4, DIFFUSERS_CHANNELS_MAX, err);
  s = s ? s : load_size(&u->out_channels, m, "out_channels", 4, DIFFUSERS_CHANNELS_MAX, err);
  s = s ? s : load_size(&u->cross_attention_dim, m, "cross_attention_dim", 1280, DIFFUSERS_CHANNELS_MAX, err);
  s = s ? s : load_size(&u->groups, m, "norm_num_groups", 32, DIFFUSERS_CHANNELS_MAX, err);
  s = s ? s : load_size(&u->layers, m, "layers_per_block", 2, DIFFUSERS_LAYERS_MAX, err);
  s = s ? s : load_size(&u->transformer_layers, m, "transformer_layers_per_block", 1, DIFFUSERS_LAYERS_MAX, err);
  s = s ? s : load_number(&u->epsilon, m, "norm_eps", 1e-5, err);
  s = s ? s : load_number(&u->freq_shift, m, "freq_shift", 0, err);
  s = s ? s : load_bool(&u->flip_sin_to_cos, m, "flip_sin_to_cos", true, err);
  s = s ? s : load_bool(&u->linear_projection, m, "use_linear_projection", false, err);
  if (!s && (u->channels[0] % 2 || u->freq_shift >= (double)(u->channels[0] / 2)))
    s = error_set(err, STATUS_MODEL_INVALID, "model",
                  "config.json: block_out_channels[0] is %zu: the time embedding needs an even number beyond twice "
                  "freq_shift",
                  u->channels[0]);
  return s;
}

/* --- segments ------------------------------------------------------------------------------------- */

/* Kinds of checkpoint segments: what frees most memory for the least work comes first, in a kind those with the most
   pixels. */
enum segment_kind { SEGMENT_FEED_FORWARD, SEGMENT_ATTENTION, SEGMENT_RESNET, SEGMENT_KINDS };

/* Layers of one size of images, on the way down and up. */
static size_t layers_of_size(const struct unet *u) {
  return 2 * u->layers + 1;
}

/* The middle has one more. */
static size_t segment_places(const struct unet *u) {
  return u->count * layers_of_size(u) + 1;
}

static size_t segment_priority(const struct unet *u, enum segment_kind kind, size_t place) {
  return kind * segment_places(u) + place;
}

/* --- loading -------------------------------------------------------------------------------------- */

static struct resnet_shape resnet_shape(const struct unet *u, size_t in, size_t out) {
  return (struct resnet_shape){in, out, u->groups, 4 * u->channels[0], u->epsilon};
}

static struct transformer_shape transformer_shape(const struct unet *u, size_t block) {
  return (struct transformer_shape){u->channels[block],    u->heads[block],        u->groups,
                                    u->transformer_layers, u->cross_attention_dim, u->linear_projection};
}

/* Layer j of `level` reads in[j] channels. `block`: whose channels and heads it has. */
static enum status load_level(struct model *m, const struct unet *u, struct level *level, const char *path,
                              const size_t *in, size_t layers, size_t block, bool attends, struct error *err) {
  char name[DIFFUSERS_PATH];
  level->layers = layers;
  level->resnets = arena_array(&m->arena, layers, sizeof *level->resnets);
  level->attentions = attends ? arena_array(&m->arena, layers, sizeof *level->attentions) : NULL;
  enum status status =
      level->resnets && (!attends || level->attentions) ? STATUS_OK : error_no_memory(err, "the model");
  for (size_t j = 0; !status && j < layers; j++) {
    diffusers_path(name, "%s.resnets.%zu", path, j);
    status = resnet_block_load(m, &level->resnets[j], name, resnet_shape(u, in[j], u->channels[block]), err);
    diffusers_path(name, "%s.attentions.%zu", path, j);
    if (!status && attends)
      status = transformer_2d_load(m, &level->attentions[j], name, transformer_shape(u, block), err);
  }
  return status;
}

static enum status load_down(struct model *m, struct unet *u, size_t i, struct error *err) {
  size_t in[DIFFUSERS_LAYERS_MAX], C = u->channels[i];
  char path[DIFFUSERS_PATH];
  for (size_t j = 0; j < u->layers; j++)
    in[j] = j > 0 ? C : u->channels[i ? i - 1 : 0];
  diffusers_path(path, "down_blocks.%zu", i);
  enum status status = load_level(m, u, &u->down[i], path, in, u->layers, i, u->down_types[i] == CROSS, err);
  diffusers_path(path, "down_blocks.%zu.downsamplers.0.conv", i);
  return status || i + 1 == u->count
             ? status
             : diffusers_conv(m, &u->down[i].sampler, path, (struct diffusers_conv){C, C, 3, 2, 1, 1}, err);
}

/* Layer j reads what is beneath and what the way down left: of its own level, the last one of the level before. */
static enum status load_up(struct model *m, struct unet *u, size_t i, struct error *err) {
  size_t in[DIFFUSERS_LAYERS_MAX + 1], block = u->count - 1 - i, C = u->channels[block];
  size_t beneath = u->channels[i ? block + 1 : block], above = u->channels[block ? block - 1 : 0];
  char path[DIFFUSERS_PATH];
  for (size_t j = 0; j <= u->layers; j++)
    in[j] = (j == 0 ? beneath : C) + (j == u->layers ? above : C);
  diffusers_path(path, "up_blocks.%zu", i);
  enum status status = load_level(m, u, &u->up[i], path, in, u->layers + 1, block, u->up_types[i] == CROSS, err);
  diffusers_path(path, "up_blocks.%zu.upsamplers.0.conv", i);
  return status || i + 1 == u->count ? status : diffusers_conv3(m, &u->up[i].sampler, path, C, C, err);
}

static enum status load_middle(struct model *m, struct unet *u, struct error *err) {
  size_t last = u->count - 1;
  struct resnet_shape shape = resnet_shape(u, u->channels[last], u->channels[last]);
  enum status status = resnet_block_load(m, &u->middle[0], "mid_block.resnets.0", shape, err);
  status =
      status ? status
             : transformer_2d_load(m, &u->middle_attention, "mid_block.attentions.0", transformer_shape(u, last), err);
  return status ? status : resnet_block_load(m, &u->middle[1], "mid_block.resnets.1", shape, err);
}

/* The modules that DreamBooth's adapters are put on. */
static const char *attention_modules[] = {"to_q", "to_k", "to_v", "to_out.0"};
static const struct string_list of_attention = {COUNT_OF(attention_modules), attention_modules};

static enum status unet_load(struct model *m, uint64_t seed, struct error *err) {
  (void)seed;
  struct unet *u = m->state = arena_alloc(&m->arena, sizeof *u);
  if (!u)
    return error_no_memory(err, "the model");
  *u = (struct unet){0};
  enum status s = read_config(m, u, err);
  if (s)
    return s;
  m->default_targets = &of_attention;
  m->blocks = SEGMENT_KINDS * segment_places(u);
  size_t C = u->channels[0];
  s = diffusers_conv3(m, &u->conv_in, "conv_in", u->in_channels, C, err);
  s = s ? s : load_linear(m, &u->time_1, "", "time_embedding.linear_1", C, 4 * C, LOAD_BIAS, err);
  s = s ? s : load_linear(m, &u->time_2, "", "time_embedding.linear_2", 4 * C, 4 * C, LOAD_BIAS, err);
  for (size_t i = 0; !s && i < u->count; i++)
    s = load_down(m, u, i, err);
  s = s ? s : load_middle(m, u, err);
  for (size_t i = 0; !s && i < u->count; i++)
    s = load_up(m, u, i, err);
  s = s ? s : load_norm(m, &u->conv_norm_out, "", "conv_norm_out", C, u->epsilon, true, err);
  return s ? s : diffusers_conv3(m, &u->conv_out, "conv_out", C, u->out_channels, err);
}

enum status unet_condition(struct model *m, size_t scale, uint64_t seed, struct error *err) {
  struct unet *u = m->state;
  CHECK(!u->hint_scale);
  enum status status = conditioning_embedding_make(&u->embedding, m, u->channels[0], scale, seed, err);
  if (!status)
    u->hint_scale = scale;
  return status;
}

size_t unet_hint_scale(const struct model *m) {
  const struct unet *u = m->state;
  return u->hint_scale;
}

/* --- forward -------------------------------------------------------------------------------------- */

/* Of a step: what every layer reads. */
struct pass {
  struct tape *tape;
  const struct unet *unet;
  struct images images;
  struct tensor *time; /* silu of its embedding */
  struct tensor *text;
  const struct sequences *texts;
};

/* Sines and cosines of the time step (Vaswani et al., 2017), then two layers. */
static struct tensor *embed_time(struct tape *tape, const struct unet *u, const struct unet_input *input) {
  size_t C = u->channels[0], half = C / 2, count = input->images.count;
  float *waves = tape_attributes(tape, count * C * sizeof *waves);
  for (size_t i = 0; input->timesteps && i < count; i++)
    for (size_t k = 0; k < half; k++) {
      double angle = (double)input->timesteps[i] * exp(-log(10000) * (double)k / ((double)half - u->freq_shift));
      waves[i * C + k] = (float)(u->flip_sin_to_cos ? cos(angle) : sin(angle));
      waves[i * C + half + k] = (float)(u->flip_sin_to_cos ? sin(angle) : cos(angle));
    }
  struct tensor *x = op_linear(tape, op_input(tape, waves, count, C), &u->time_1);
  return op_silu(tape, op_linear(tape, op_silu(tape, x), &u->time_2));
}

/* A residual block that reads x, and behind it `skip` where that is not NULL; `place`: among the segments. */
static struct tensor *resnet(struct pass *p, const struct resnet_block *b, size_t place, struct tensor *x,
                             struct tensor *skip) {
  tape_segment_begin(p->tape, segment_priority(p->unet, SEGMENT_RESNET, place));
  x = resnet_block_forward(p->tape, b, skip ? op_concat(p->tape, x, skip) : x, &p->images, p->time);
  tape_segment_end(p->tape);
  return x;
}

static struct tensor *transformer(struct pass *p, const struct transformer_2d *t, size_t place, struct tensor *x) {
  return transformer_2d_forward(p->tape, t, x, &p->images, p->text, p->texts,
                                (struct transformer_segments){segment_priority(p->unet, SEGMENT_FEED_FORWARD, place),
                                                              segment_priority(p->unet, SEGMENT_ATTENTION, place)});
}

static struct tensor *layer(struct pass *p, const struct level *level, size_t j, size_t place, struct tensor *x,
                            struct tensor *skip) {
  x = resnet(p, &level->resnets[j], place, x, skip);
  return level->attentions ? transformer(p, &level->attentions[j], place, x) : x;
}

struct skips {
  struct tensor *item[DIFFUSERS_BLOCKS_MAX * (DIFFUSERS_LAYERS_MAX + 1) + 1];
  size_t count;
};

static struct tensor *go_down(struct pass *p, struct skips *skips, struct tensor *x) {
  skips->item[skips->count++] = x;
  for (size_t i = 0; i < p->unet->count; i++) {
    const struct level *level = &p->unet->down[i];
    for (size_t j = 0; j < level->layers; j++)
      x = skips->item[skips->count++] = layer(p, level, j, i * layers_of_size(p->unet) + j, x, NULL);
    if (level->sampler.name)
      x = skips->item[skips->count++] = op_conv2d(p->tape, x, &p->images, &level->sampler);
  }
  return x;
}

static struct tensor *go_up(struct pass *p, struct skips *skips, struct tensor *x) {
  for (size_t i = 0; i < p->unet->count; i++) {
    const struct level *level = &p->unet->up[i];
    size_t place = (p->unet->count - 1 - i) * layers_of_size(p->unet) + p->unet->layers;
    for (size_t j = 0; j < level->layers; j++)
      x = layer(p, level, j, place + j, x, skips->item[--skips->count]);
    if (level->sampler.name) {
      x = op_upsample(p->tape, x, &p->images);
      x = op_conv2d(p->tape, x, &p->images, &level->sampler);
    }
  }
  return x;
}

/* What the hints say, added to what conv_in makes of the latents. */
static struct tensor *add_hints(struct pass *p, const struct unet_input *input, struct tensor *x) {
  const size_t scale = p->unet->hint_scale;
  if (!scale)
    return x;
  const struct images size = {input->images.count, scale * input->images.height, scale * input->images.width};
  struct tensor *hints = op_input(p->tape, input->hints, images_rows(&size), CONDITIONING_CHANNELS);
  return op_add(p->tape, x, conditioning_embedding_forward(p->tape, &p->unet->embedding, hints, &size));
}

struct unet_sizes unet_sizes(const struct model *m) {
  const struct unet *u = m->state;
  return (struct unet_sizes){u->in_channels, u->out_channels, u->cross_attention_dim, (size_t)1 << (u->count - 1)};
}

struct tensor *unet_forward(struct tape *tape, const struct model *m, const struct unet_input *input) {
  const struct unet *u = m->state;
  size_t multiple = unet_sizes(m).multiple, count = input->images.count;
  CHECK(input->images.height % multiple == 0 && input->images.width % multiple == 0);
  struct skips skips = {.count = 0};
  struct pass p = {.tape = tape, .unet = u, .images = input->images};
  p.time = embed_time(tape, u, input);
  p.text = op_input(tape, input->encoder_states, count * input->text_tokens, u->cross_attention_dim);
  p.texts = diffusers_sequences(tape, count, input->text_tokens);
  struct tensor *x = op_input(tape, input->sample, images_rows(&input->images), u->in_channels);
  x = add_hints(&p, input, op_conv2d(tape, x, &p.images, &u->conv_in));
  x = go_down(&p, &skips, x);
  size_t middle = segment_places(u) - 1;
  x = resnet(&p, &u->middle[0], middle, x, NULL);
  x = resnet(&p, &u->middle[1], middle, transformer(&p, &u->middle_attention, middle, x), NULL);
  x = go_up(&p, &skips, x);
  x = op_group_norm(tape, x, &p.images, &u->conv_norm_out, u->groups, true);
  return op_conv2d(tape, x, &p.images, &u->conv_out);
}

const struct model_ops model_unet_2d_condition = {
    .model_type = "UNet2DConditionModel", .class_prefix = "", .prefix = "", .load = unet_load};
