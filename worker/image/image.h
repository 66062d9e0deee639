/* A picture in memory: RGB, 8 bits a channel, rows from the top, no padding. */
#ifndef WORKER_IMAGE_IMAGE_H
#define WORKER_IMAGE_IMAGE_H

#include <stddef.h>

#include "base/error.h"

/* What is larger is refused before its pixels have memory: a file of a few bytes can claim any size. */
enum { IMAGE_SIDE_MAX = 16384, IMAGE_PIXELS_MAX = 64 << 20, IMAGE_BYTES_MAX = 64 << 20 };

struct image {
  size_t width, height;
  unsigned char *pixels; /* [height][width][3]; NULL: none */
};

/* Pixels that are not set yet. STATUS_DATASET_INVALID for a size of 0 or beyond the limits; *out is empty then. */
NODISCARD enum status image_alloc(struct image *out, size_t width, size_t height, struct error *err);
void image_done(struct image *image);

/* Turns the picture as EXIF's orientation (1 to 8; 1: it stays) says how to show it. */
NODISCARD enum status image_turn(struct image *image, int orientation, struct error *err);

/* Numbers from -1 to 1 and back, channels last, as diffusers' VAE has them: pixel / 255 * 2 - 1. What is beyond is
   clamped, halves are rounded to the even number. `count`: 3 * width * height. */
void image_floats(float *out, const struct image *image);
/* Likewise from 0 to 1, as diffusers has hints: pixel / 255. */
void image_unit_floats(float *out, const struct image *image);
void image_from_floats(struct image *image, const float *numbers);

#endif
