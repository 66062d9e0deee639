/* WebP (RFC 9649), read by libwebp. */
#ifndef WORKER_IMAGE_IMAGE_WEBP_H
#define WORKER_IMAGE_IMAGE_WEBP_H

#include <stdbool.h>

#include "worker/image/image.h"

bool image_webp_is(const unsigned char *bytes, size_t length);
/* Alpha is left out. *orientation: EXIF's. STATUS_DATASET_INVALID says what is wrong: damaged, truncated, too large,
   animated. */
NODISCARD enum status image_webp_decode(struct image *out, int *orientation, const unsigned char *bytes, size_t length,
                                        struct error *err);

#endif
