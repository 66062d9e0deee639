/* CLIP's embedding of a text, which is compared with those of pictures (vision_transformer.h). */
#ifndef WORKER_MODEL_CLIP_TEXT_H
#define WORKER_MODEL_CLIP_TEXT_H

#include "worker/model/model.h"

/* Numbers of one; 0: the files have no text_projection. */
size_t clip_text_cols(const struct model *model);
/* Of length 1. The sequences end with the token that ends a text: it has seen all of it. -> (B, cols) */
struct tensor *clip_text_embed(struct tape *tape, const struct model *model, const struct sequences *sequences);

#endif
