/* Pictures brought to the size that a model is trained at: resized, then cropped. */
#ifndef WORKER_IMAGE_RESIZE_H
#define WORKER_IMAGE_RESIZE_H

#include "base/rng.h"
#include "worker/image/image.h"

/* Antialiased: the filter grows with the scale, so that every pixel counts. Across, then down, each rounded to 8 bits
   in PIL's fixed-point arithmetic: the pixels are those of Image.resize. (Pillow 13 begins with the direction that
   shrinks more; where that is down, values may differ a little.) */
enum resize_filter { RESIZE_BILINEAR, RESIZE_BICUBIC };
NODISCARD enum status resize_to(struct image *out, const struct image *image, size_t width, size_t height,
                                enum resize_filter filter, struct error *err);
/* As torchvision's Resize(side): the shorter side becomes `side`, the longer one keeps the shape, without the fraction
   of a pixel. */
NODISCARD enum status resize_shorter_side(struct image *out, const struct image *image, size_t side,
                                          enum resize_filter filter, struct error *err);

/* A square of the picture, which both sides have room for. `rng` NULL: from the middle, as torchvision's CenterCrop
   (a half is rounded to the even number); else anywhere, two numbers of it. */
NODISCARD enum status resize_crop(struct image *out, const struct image *image, size_t side, struct rng *rng,
                                  struct error *err);
/* From the middle, as Transformers' image processors have it: a half is rounded down. */
NODISCARD enum status resize_crop_middle(struct image *out, const struct image *image, size_t side, struct error *err);

#endif
