/* JPEG (ITU-T T.81, T.871), read by libjpeg-turbo. */
#ifndef WORKER_IMAGE_IMAGE_JPEG_H
#define WORKER_IMAGE_IMAGE_JPEG_H

#include <stdbool.h>

#include "worker/image/image.h"

bool image_jpeg_is(const unsigned char *bytes, size_t length);
/* Greyscale, YCbCr and RGB become RGB; so do CMYK and YCCK, which have their values inverted, as all programs write
   them. *orientation: EXIF's. STATUS_DATASET_INVALID says what is wrong: damaged, truncated, too large. */
NODISCARD enum status image_jpeg_decode(struct image *out, int *orientation, const unsigned char *bytes, size_t length,
                                        struct error *err);

#endif
