/* Transformer2DModel of diffusers: the pixels of an image attend to each other, then to the rows of a text. */
#ifndef WORKER_MODEL_TRANSFORMER_2D_H
#define WORKER_MODEL_TRANSFORMER_2D_H

#include "worker/model/diffusers.h"

struct transformer_2d {
  size_t heads, groups, layers;
  struct norm norm;
  struct linear proj_in, proj_out; /* Conv2d of one pixel, or linear */
  struct transformer_block *blocks;
};

struct transformer_shape {
  size_t channels, heads, groups, layers, cross_attention_dim;
  bool linear_projection;
};
NODISCARD enum status transformer_2d_load(struct model *model, struct transformer_2d *transformer, const char *path,
                                          struct transformer_shape shape, struct error *err);
/* Recompute priorities of its segments (tape_segment_begin). */
struct transformer_segments {
  size_t feed_forward, attention;
};
/* text: rows of all images' texts, which `texts` tells apart. */
struct tensor *transformer_2d_forward(struct tape *tape, const struct transformer_2d *transformer, struct tensor *x,
                                      const struct images *images, struct tensor *text, const struct sequences *texts,
                                      struct transformer_segments segments);

#endif
