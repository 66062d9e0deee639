/* ControlNetConditioningEmbedding of diffusers (Zhang et al., "Adding conditional control to text-to-image diffusion
   models", 2023), by itself as HRA's authors use it for controllable generation: a few convolutions that bring a hint
   from pixels to the latents' size, whose output is added once, to that of the UNet's conv_in. It is trained beside the
   adapter:
     y = conv_out(h_n),  h_0 = silu(conv_in(hint)),  h_i = silu(blocks.i-1(h_{i-1}))
   blocks are pairs, one that keeps the size and one that halves it: for a VAE that makes pictures 8 times smaller
   3-16, 16-16, 16-32, 32-32, 32-96, 96-96, 96-256 channels; for another as many of these pairs as it takes. conv_out is
   zero in the beginning, so that the model begins as what it was. */
#ifndef WORKER_MODEL_CONDITIONING_EMBEDDING_H
#define WORKER_MODEL_CONDITIONING_EMBEDDING_H

#include "worker/model/model.h"

/* Where its parameters are saved: under the names of a ControlNetModel of diffusers. */
extern const char conditioning_embedding_file[]; /* "conditioning_embedding.safetensors" */

enum { CONDITIONING_CHANNELS = 3, CONDITIONING_PAIRS_MAX = 3 };

struct conditioning_embedding {
  size_t count; /* of blocks */
  struct linear conv_in, blocks[2 * CONDITIONING_PAIRS_MAX], conv_out;
};

/* Adds its parameters to the model's: of conv_out zeros, else as torch's Conv2d begins, by the seed. `out`: channels of
   what its output is added to. `scale`: of a hint's height and width over the latents'; STATUS_UNSUPPORTED_VALUE where
   it is not 1, 2, 4 or 8. */
NODISCARD enum status conditioning_embedding_make(struct conditioning_embedding *embedding, struct model *model,
                                                  size_t out, size_t scale, uint64_t seed, struct error *err);
/* hint: (pixels, 3), from 0 to 1. -> (pixels of the latents, out) */
struct tensor *conditioning_embedding_forward(struct tape *tape, const struct conditioning_embedding *embedding,
                                              struct tensor *hint, const struct images *images);

#endif
