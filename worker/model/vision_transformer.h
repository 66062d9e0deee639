/* Encoders of pictures, whose embeddings are compared: vision transformers (Dosovitskiy et al., 2021) as CLIP has them
   (Radford et al., 2021; CLIPModel or CLIPVisionModelWithProjection) and as DINO trains them (Caron et al., 2021;
   ViTModel). */
#ifndef WORKER_MODEL_VISION_TRANSFORMER_H
#define WORKER_MODEL_VISION_TRANSFORMER_H

#include "worker/model/model.h"

struct vision_sizes {
  size_t side;    /* pixels of a picture's */
  size_t patches; /* floats of vision_transformer_patches */
  size_t cols;    /* of an embedding */
};
struct vision_sizes vision_transformer_sizes(const struct model *model);
/* The patches of a picture, pixels [side][side][3], one after the other; the first, the class token's, is zeros. */
void vision_transformer_patches(float *out, const struct model *model, const float *pixels);
/* The embedding of one picture, of length 1: what CLIP projects the class token to, or DINO's class token after the
   last norm. `patches` may be NULL in a dry run. -> (1, cols) */
struct tensor *vision_transformer_embed(struct tape *tape, const struct model *model, const float *patches);

#endif
