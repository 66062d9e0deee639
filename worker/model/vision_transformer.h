/* Encoders of pictures, whose embeddings are compared: vision transformers (Dosovitskiy et al., 2021) as CLIP has them
   (Radford et al., 2021; CLIPModel or CLIPVisionModelWithProjection), as DINO trains them (Caron et al., 2021;
   ViTModel) and as DINOv2 does (Oquab et al., 2023; Dinov2Model). */
#ifndef WORKER_MODEL_VISION_TRANSFORMER_H
#define WORKER_MODEL_VISION_TRANSFORMER_H

#include "worker/model/model.h"

struct vision_sizes {
  size_t side;    /* pixels of a picture's */
  size_t patches; /* floats of vision_transformer_patches */
  size_t cols;    /* of an embedding */
};
struct vision_sizes vision_transformer_sizes(const struct model *model);
/* Makes the model one of pictures of `side` pixels a side, before its first pass: where that is not config.json's
   image_size, DINOv2's position embeddings are interpolated, and others are STATUS_MODEL_INVALID. */
NODISCARD enum status vision_transformer_resize(struct model *model, size_t side, struct error *err);
/* The patches of a picture, pixels [side][side][3], one after the other; the first, the class token's, is zeros. */
void vision_transformer_patches(float *out, const struct model *model, const float *pixels);
/* The embedding of one picture, of length 1: what CLIP projects the class token to, or DINO's class token after the
   last norm. `patches` may be NULL in a dry run. -> (1, cols) */
struct tensor *vision_transformer_embed(struct tape *tape, const struct model *model, const float *patches);

#endif
