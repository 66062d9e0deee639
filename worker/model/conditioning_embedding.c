#include "worker/model/conditioning_embedding.h"

#include <math.h>
#include <stdio.h>

#include "base/rng.h"

const char conditioning_embedding_file[] = "conditioning_embedding.safetensors";

static const size_t channels[CONDITIONING_PAIRS_MAX + 1] = {16, 32, 96, 256};

static struct parameter *add(struct model *m, const char *name, const char *suffix, int rank, const int64_t *shape) {
  const char *key = arena_format(&m->arena, "%s.%s", name, suffix);
  struct parameter *p = key ? parameter_add_shaped(&m->parameters, key, rank, shape) : NULL;
  if (p) {
    p->file = conditioning_embedding_file;
    p->decay = rank > 1;
  }
  return p;
}

/* torch's Conv2d: weight and bias uniform, up to 1 / sqrt(fan in) on both sides. */
static void start(struct parameter *p, size_t fan_in, struct rng *rng) {
  const float bound = 1 / sqrtf((float)fan_in);
  for (size_t i = 0; i < p->count; i++)
    p->data[i] = (2 * rng_uniform(rng) - 1) * bound;
}

/* rng NULL: zeros. */
static enum status make(struct linear *l, struct model *m, const char *name, size_t in, size_t out, size_t stride,
                        struct rng *rng, struct error *err) {
  struct convolution *c = arena_alloc(&m->arena, sizeof *c);
  const int64_t shape[] = {(int64_t)out, (int64_t)in, 3, 3};
  const char *path = arena_format(&m->arena, "controlnet_cond_embedding.%s", name);
  if (!c || !path)
    return error_no_memory(err, "the model");
  *c = (struct convolution){in, {3, 3}, {stride, stride}, {1, 1}, {1, 1}};
  *l = (struct linear){.name = path, .in = 9 * in, .out = out, .convolution = c};
  l->trained_weight = add(m, path, "weight", 4, shape);
  l->trained_bias = l->trained_weight ? add(m, path, "bias", 1, shape) : NULL;
  if (!l->trained_bias)
    return error_no_memory(err, "the model");
  l->weight = weight_of(l->trained_weight->data, l->out, l->in);
  l->weight.place = l->trained_weight->at;
  l->bias = l->trained_bias->at;
  if (rng) {
    start(l->trained_weight, l->in, rng);
    start(l->trained_bias, l->in, rng);
  }
  return STATUS_OK;
}

enum status conditioning_embedding_make(struct conditioning_embedding *e, struct model *m, size_t out, size_t scale,
                                        uint64_t seed, struct error *err) {
  struct rng rng;
  size_t pairs = 0;
  while (pairs < CONDITIONING_PAIRS_MAX && (size_t)1 << pairs < scale)
    pairs++;
  if ((size_t)1 << pairs != scale)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "model",
                     "the VAE's pictures are %zu times as high and wide as its latents; hints are read for 1, 2, 4 and "
                     "8 times",
                     scale);
  *e = (struct conditioning_embedding){.count = 2 * pairs};
  rng_init(&rng, seed, RNG_CONDITIONING);
  enum status status = make(&e->conv_in, m, "conv_in", CONDITIONING_CHANNELS, channels[0], 1, &rng, err);
  for (size_t i = 0; !status && i < e->count; i++) {
    char name[40];
    snprintf(name, sizeof name, "blocks.%zu", i);
    status = make(&e->blocks[i], m, name, channels[i / 2], channels[(i + 1) / 2], i % 2 + 1, &rng, err);
  }
  return status ? status : make(&e->conv_out, m, "conv_out", channels[pairs], out, 1, NULL, err);
}

struct tensor *conditioning_embedding_forward(struct tape *tape, const struct conditioning_embedding *e,
                                              struct tensor *hint, const struct images *images) {
  struct images size = *images;
  struct tensor *x = op_silu(tape, op_conv2d(tape, hint, &size, &e->conv_in));
  for (size_t i = 0; i < e->count; i++)
    x = op_silu(tape, op_conv2d(tape, x, &size, &e->blocks[i]));
  return op_conv2d(tape, x, &size, &e->conv_out);
}
