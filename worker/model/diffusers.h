/* What UNet2DConditionModel and AutoencoderKL are both made of, named as in diffusers: convolutions, and residual
   blocks of two (ResnetBlock2D). Feature maps are channels last (worker/op/op.h). */
#ifndef WORKER_MODEL_DIFFUSERS_H
#define WORKER_MODEL_DIFFUSERS_H

#include "worker/model/load.h"

enum { DIFFUSERS_CHANNELS_MAX = 1 << 15, DIFFUSERS_BLOCKS_MAX = 16, DIFFUSERS_LAYERS_MAX = 32, DIFFUSERS_PATH = 200 };

/* A member of config.json that changes the model's arithmetic and has one value here, which it has where it is absent
   or null. STATUS_MODEL_INVALID names it and what it is instead. */
struct diffusers_fixed {
  const char *key;
  enum { FIXED_NULL, FIXED_FALSE, FIXED_TEXT, FIXED_NUMBER } kind; /* NULL: only absent */
  const char *text;
  double number;
};
NODISCARD enum status diffusers_fixed(const struct model *model, const struct diffusers_fixed *rows, size_t count,
                                      struct error *err);
/* A list of `count` names, of those in `known` (`known_count`, with what each means), or STATUS_MODEL_INVALID naming
   the element that is not. out[i]: its place among the known ones. */
NODISCARD enum status diffusers_names(size_t *out, size_t count, const struct model *model, const char *key,
                                      const char *const *known, size_t known_count, struct error *err);
/* A list of 1 to DIFFUSERS_BLOCKS_MAX sizes. */
NODISCARD enum status diffusers_sizes(size_t out[DIFFUSERS_BLOCKS_MAX], size_t *count, const struct model *model,
                                      const char *key, struct error *err);

/* A module's path; longer ones are a mistake of ours. */
void diffusers_path(char out[DIFFUSERS_PATH], const char *format, ...) PRINTF(2, 3);

/* A convolution with a square kernel and bias; `before` and `after` as in struct convolution, on both axes. */
struct diffusers_conv {
  size_t in, out, kernel, stride, before, after;
};
NODISCARD enum status diffusers_conv(struct model *model, struct linear *linear, const char *path,
                                     struct diffusers_conv shape, struct error *err);
/* The usual one: 3 x 3, as many pixels as before. */
NODISCARD enum status diffusers_conv3(struct model *model, struct linear *linear, const char *path, size_t in,
                                      size_t out, struct error *err);

/* ResnetBlock2D: x + conv2(silu(norm2(conv1(silu(norm1(x))) + time_emb_proj(silu(time embedding))))). */
struct resnet_block {
  size_t groups;
  struct norm norm1, norm2;
  struct linear conv1, conv2;
  struct linear time_emb_proj; /* name NULL: none */
  struct linear conv_shortcut; /* likewise: as many channels out as in */
};

struct resnet_shape {
  size_t in, out, groups;
  size_t time_embedding; /* columns; 0: none */
  double epsilon;
};
NODISCARD enum status resnet_block_load(struct model *model, struct resnet_block *block, const char *path,
                                        struct resnet_shape shape, struct error *err);
/* time: silu of the time embedding, a row an image; NULL where the block has none. */
struct tensor *resnet_block_forward(struct tape *tape, const struct resnet_block *block, struct tensor *x,
                                    const struct images *images, struct tensor *time);

/* Each image's pixels as a sequence; lives as long as the step. */
const struct sequences *diffusers_sequences(struct tape *tape, size_t images, size_t tokens);

#endif
