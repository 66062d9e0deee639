/* A file system of its own in a file (ext4 on a loop device), so that a copy of the file, taken while it is mounted, is
   what a power cut would leave. */
#ifndef TESTS_FAULT_IMAGE_H
#define TESTS_FAULT_IMAGE_H

#include <stdbool.h>

/* Makes the file system in `image` and mounts it at `folder`, which is made. False: this machine refuses. */
bool image_make(const char *image, const char *folder);
bool image_mount(const char *image, const char *folder);
void image_unmount(const char *folder);
/* All its bytes as they are now. */
void image_copy(const char *from, const char *to);

#endif
