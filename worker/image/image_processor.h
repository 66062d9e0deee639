/* How an encoder wants its pictures: what a preprocessor_config.json of Transformers' CLIPImageProcessor,
   ViTImageProcessor or BitImageProcessor says. */
#ifndef WORKER_IMAGE_IMAGE_PROCESSOR_H
#define WORKER_IMAGE_IMAGE_PROCESSOR_H

#include <jansson.h>

#include "worker/image/image.h"
#include "worker/image/resize.h"

struct image_processor {
  size_t resized; /* the shorter side, or with `square` both */
  bool square;
  enum resize_filter filter;
  size_t side;                 /* of what comes of it, cropped from the middle where that is less */
  float scale;                 /* of pixels, before the mean is subtracted */
  float mean[3], deviation[3]; /* of channels */
};

/* STATUS_MODEL_INVALID names the member that is missing or not supported. */
NODISCARD enum status image_processor_read(struct image_processor *out, const json_t *config, struct error *err);
/* out: [side][side][3], channels last. */
NODISCARD enum status image_processor_apply(float *out, const struct image_processor *processor,
                                            const struct image *image, struct error *err);

#endif
