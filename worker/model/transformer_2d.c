#include "worker/model/transformer_2d.h"

#include <math.h>

struct attention_module {
  struct linear to_q, to_k, to_v, to_out;
};

/* BasicTransformerBlock */
struct transformer_block {
  struct norm norm1, norm2, norm3;
  struct attention_module attn1, attn2; /* the image's own rows; the text's */
  struct linear wide, out;              /* GEGLU and the way back */
};

enum { EXPANSION = 4 };
static const double NORM_EPSILON = 1e-5, GROUP_NORM_EPSILON = 1e-6;

/* `context`: columns of what keys and values are made of. */
static enum status load_attention(struct model *m, struct attention_module *a, const char *path, size_t channels,
                                  size_t context, struct error *err) {
  const struct {
    struct linear *linear;
    const char *name;
    size_t in;
    enum load_bias bias;
  } rows[] = {{&a->to_q, "to_q", channels, LOAD_BIAS_IF_THERE},
              {&a->to_k, "to_k", context, LOAD_BIAS_IF_THERE},
              {&a->to_v, "to_v", context, LOAD_BIAS_IF_THERE},
              {&a->to_out, "to_out.0", channels, LOAD_BIAS}};
  char name[DIFFUSERS_PATH];
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(rows); i++) {
    diffusers_path(name, "%s.%s", path, rows[i].name);
    status = load_linear(m, rows[i].linear, "", name, rows[i].in, channels, rows[i].bias, err);
  }
  return status;
}

static enum status load_block(struct model *m, struct transformer_block *b, const char *path, size_t channels,
                              size_t context, struct error *err) {
  char name[DIFFUSERS_PATH];
  diffusers_path(name, "%s.norm1", path);
  enum status status = load_norm(m, &b->norm1, "", name, channels, NORM_EPSILON, true, err);
  diffusers_path(name, "%s.attn1", path);
  status = status ? status : load_attention(m, &b->attn1, name, channels, channels, err);
  diffusers_path(name, "%s.norm2", path);
  status = status ? status : load_norm(m, &b->norm2, "", name, channels, NORM_EPSILON, true, err);
  diffusers_path(name, "%s.attn2", path);
  status = status ? status : load_attention(m, &b->attn2, name, channels, context, err);
  diffusers_path(name, "%s.norm3", path);
  status = status ? status : load_norm(m, &b->norm3, "", name, channels, NORM_EPSILON, true, err);
  diffusers_path(name, "%s.ff.net.0.proj", path);
  status = status ? status : load_linear(m, &b->wide, "", name, channels, 2 * EXPANSION * channels, LOAD_BIAS, err);
  diffusers_path(name, "%s.ff.net.2", path);
  return status ? status : load_linear(m, &b->out, "", name, EXPANSION * channels, channels, LOAD_BIAS, err);
}

static enum status load_projection(struct model *m, struct linear *l, const char *path, struct transformer_shape s,
                                   struct error *err) {
  return s.linear_projection
             ? load_linear(m, l, "", path, s.channels, s.channels, LOAD_BIAS, err)
             : diffusers_conv(m, l, path, (struct diffusers_conv){s.channels, s.channels, 1, 1, 0, 0}, err);
}

enum status transformer_2d_load(struct model *m, struct transformer_2d *t, const char *path, struct transformer_shape s,
                                struct error *err) {
  char name[DIFFUSERS_PATH];
  *t = (struct transformer_2d){.heads = s.heads, .groups = s.groups, .layers = s.layers};
  if (s.channels % s.heads || s.channels % s.groups)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: %s has %zu channels: no multiple of %zu heads, or of norm_num_groups %zu", path,
                     s.channels, s.heads, s.groups);
  t->blocks = arena_array(&m->arena, s.layers, sizeof *t->blocks);
  enum status status = t->blocks ? STATUS_OK : error_no_memory(err, "the model");
  diffusers_path(name, "%s.norm", path);
  status = status ? status : load_norm(m, &t->norm, "", name, s.channels, GROUP_NORM_EPSILON, true, err);
  diffusers_path(name, "%s.proj_in", path);
  status = status ? status : load_projection(m, &t->proj_in, name, s, err);
  for (size_t i = 0; !status && i < s.layers; i++) {
    diffusers_path(name, "%s.transformer_blocks.%zu", path, i);
    status = load_block(m, &t->blocks[i], name, s.channels, s.cross_attention_dim, err);
  }
  diffusers_path(name, "%s.proj_out", path);
  return status ? status : load_projection(m, &t->proj_out, name, s, err);
}

static struct tensor *attend(struct tape *tape, const struct transformer_block *b, struct tensor *x,
                             const struct sequences *pixels, struct tensor *text, const struct sequences *texts,
                             const struct attention *how) {
  struct tensor *h = op_layernorm(tape, x, &b->norm1);
  struct tensor *q = op_linear(tape, h, &b->attn1.to_q), *k = op_linear(tape, h, &b->attn1.to_k);
  h = op_attention(tape, q, k, op_linear(tape, h, &b->attn1.to_v), pixels, how);
  x = op_add(tape, op_linear(tape, h, &b->attn1.to_out), x);
  q = op_linear(tape, op_layernorm(tape, x, &b->norm2), &b->attn2.to_q);
  k = op_linear(tape, text, &b->attn2.to_k);
  h = op_cross_attention(tape, q, k, op_linear(tape, text, &b->attn2.to_v), pixels, texts, how);
  return op_add(tape, op_linear(tape, h, &b->attn2.to_out), x);
}

static struct tensor *feed_forward(struct tape *tape, const struct transformer_block *b, struct tensor *x) {
  struct tensor *h = op_geglu_gate_last(tape, op_linear(tape, op_layernorm(tape, x, &b->norm3), &b->wide));
  return op_add(tape, op_linear(tape, h, &b->out), x);
}

struct tensor *transformer_2d_forward(struct tape *tape, const struct transformer_2d *t, struct tensor *x,
                                      const struct images *images, struct tensor *text, const struct sequences *texts,
                                      struct transformer_segments segments) {
  const struct attention how = {
      .heads = t->heads, .kv_heads = t->heads, .scale = 1 / sqrtf((float)(x->cols / t->heads))};
  const struct sequences *pixels = diffusers_sequences(tape, images->count, images->height * images->width);
  tape_segment_begin(tape, segments.attention);
  struct tensor *h = op_group_norm(tape, x, images, &t->norm, t->groups, false);
  h = op_linear(tape, h, &t->proj_in); /* one pixel: the same, whether it is a convolution or linear */
  tape_segment_end(tape);
  for (size_t i = 0; i < t->layers; i++) {
    tape_segment_begin(tape, segments.attention);
    h = attend(tape, &t->blocks[i], h, pixels, text, texts, &how);
    tape_segment_end(tape);
    tape_segment_begin(tape, segments.feed_forward);
    h = feed_forward(tape, &t->blocks[i], h);
    tape_segment_end(tape);
  }
  return op_add(tape, op_linear(tape, h, &t->proj_out), x);
}
