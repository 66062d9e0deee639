/* The one thing of EXIF that changes what a picture shows (Exif 2.32, section 4.6.4: Orientation). */
#ifndef WORKER_IMAGE_EXIF_H
#define WORKER_IMAGE_EXIF_H

#include <stddef.h>

/* `bytes`: a TIFF header with its directories, or "Exif\0\0" before it. 1 where nothing is said, or nothing that can be
   read: cameras write much that is damaged, and a picture is no worse for it. */
int exif_orientation(const unsigned char *bytes, size_t length);

#endif
