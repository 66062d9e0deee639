/* A picture out of a file's bytes, whichever of the formats it is in. */
#ifndef WORKER_IMAGE_IMAGE_DECODE_H
#define WORKER_IMAGE_IMAGE_DECODE_H

#include "worker/image/image.h"

/* PNG, JPEG or WebP by its first bytes, turned as its EXIF says. STATUS_DATASET_INVALID says why it cannot be used; the
   caller knows the file's name and puts it before (error_prefix). *out is the caller's to end; empty after an error. */
NODISCARD enum status image_decode(struct image *out, const unsigned char *bytes, size_t length, struct error *err);
/* By its name alone: .png, .jpg, .jpeg, .webp. */
bool image_decode_named(const char *filename);

#endif
