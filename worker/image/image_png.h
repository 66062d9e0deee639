/* PNG (ISO/IEC 15948), read and written by libpng. */
#ifndef WORKER_IMAGE_IMAGE_PNG_H
#define WORKER_IMAGE_IMAGE_PNG_H

#include <stdbool.h>

#include "worker/image/image.h"

bool image_png_is(const unsigned char *bytes, size_t length);
/* Any colour type and depth becomes RGB as PIL's convert("RGB") makes it: 16 bits lose the lower 8, alpha is left out.
 *orientation: EXIF's. STATUS_DATASET_INVALID says what is wrong: damaged, truncated, too large, animated. */
NODISCARD enum status image_png_decode(struct image *out, int *orientation, const unsigned char *bytes, size_t length,
                                       struct error *err);
/* A map of classes, each pixel what stands in the file: a grey value or a number of a palette, in all three channels,
   or else the colour; alpha is left out. STATUS_DATASET_INVALID also for 16 bits a channel, and for what is no PNG. */
NODISCARD enum status image_png_labels(struct image *out, const unsigned char *bytes, size_t length, struct error *err);
/* The same picture gives the same bytes. The caller frees *out. */
NODISCARD enum status image_png_encode(unsigned char **out, size_t *length, const struct image *image,
                                       struct error *err);

#endif
