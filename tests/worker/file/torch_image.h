/* A file of torch.save in memory, made by hand: a zip of stored files, and pickles. */
#ifndef TESTS_WORKER_FILE_TORCH_IMAGE_H
#define TESTS_WORKER_FILE_TORCH_IMAGE_H

#include <stdint.h>
#include <string.h>

struct torch_image {
  unsigned char bytes[1 << 15];
  size_t length;
  unsigned char directory[1 << 13]; /* goes to the end */
  size_t directory_length, count;
};

static inline void torch_image_put(unsigned char *to, size_t *length, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    to[(*length)++] = i < 8 ? (unsigned char)(value >> (8 * i)) : 0;
}

static inline void torch_image_copy(unsigned char *to, size_t *length, const void *from, size_t bytes) {
  memcpy(to + *length, from, bytes);
  *length += bytes;
}

/* `method` 0: stored. */
static inline void torch_image_add(struct torch_image *z, const char *name, unsigned method, const void *bytes,
                                   size_t length) {
  size_t at = z->length, name_length = strlen(name);
  torch_image_copy(z->bytes, &z->length, "PK\3\4", 4);
  torch_image_put(z->bytes, &z->length, 0, 4); /* version, flags */
  torch_image_put(z->bytes, &z->length, method, 2);
  torch_image_put(z->bytes, &z->length, 0, 8); /* time, sum */
  torch_image_put(z->bytes, &z->length, length, 4);
  torch_image_put(z->bytes, &z->length, length, 4);
  torch_image_put(z->bytes, &z->length, name_length, 2);
  torch_image_put(z->bytes, &z->length, 0, 2);
  torch_image_copy(z->bytes, &z->length, name, name_length);
  torch_image_copy(z->bytes, &z->length, bytes, length);
  torch_image_copy(z->directory, &z->directory_length, "PK\1\2", 4);
  torch_image_put(z->directory, &z->directory_length, 0, 6); /* versions, flags */
  torch_image_put(z->directory, &z->directory_length, method, 2);
  torch_image_put(z->directory, &z->directory_length, 0, 8);
  torch_image_put(z->directory, &z->directory_length, length, 4);
  torch_image_put(z->directory, &z->directory_length, length, 4);
  torch_image_put(z->directory, &z->directory_length, name_length, 2);
  torch_image_put(z->directory, &z->directory_length, 0, 12); /* extra, comment, disk, attributes */
  torch_image_put(z->directory, &z->directory_length, at, 4);
  torch_image_copy(z->directory, &z->directory_length, name, name_length);
  z->count++;
}

static inline void torch_image_finish(struct torch_image *z) {
  size_t at = z->length;
  torch_image_copy(z->bytes, &z->length, z->directory, z->directory_length);
  torch_image_copy(z->bytes, &z->length, "PK\5\6", 4);
  torch_image_put(z->bytes, &z->length, 0, 4);
  torch_image_put(z->bytes, &z->length, z->count, 2);
  torch_image_put(z->bytes, &z->length, z->count, 2);
  torch_image_put(z->bytes, &z->length, z->directory_length, 4);
  torch_image_put(z->bytes, &z->length, at, 4);
  torch_image_put(z->bytes, &z->length, 0, 2);
}

#endif
