/* Builds GGUF files byte by byte, right or wrong, for the tests, and says what became of them. Included after
   cmocka.h. */
#ifndef TESTS_WORKER_FILE_GGUF_IMAGE_H
#define TESTS_WORKER_FILE_GGUF_IMAGE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/file/gguf.h"

struct image {
  unsigned char bytes[1 << 16];
  size_t length;
};

static inline void image_number(struct image *image, uint64_t value, size_t bytes) {
  CHECK(image->length + bytes <= sizeof image->bytes);
  for (size_t i = 0; i < bytes; i++)
    image->bytes[image->length++] = (unsigned char)(value >> (8 * i));
}

static inline void image_bytes(struct image *image, const void *bytes, size_t length) {
  CHECK(image->length + length <= sizeof image->bytes);
  memcpy(image->bytes + image->length, bytes, length);
  image->length += length;
}

static inline void image_string(struct image *image, const char *text) {
  image_number(image, strlen(text), 8);
  image_bytes(image, text, strlen(text));
}

static inline void image_head(struct image *image, uint64_t tensors, uint64_t keys) {
  image->length = 0;
  image_bytes(image, "GGUF", 4);
  image_number(image, 3, 4);
  image_number(image, tensors, 8);
  image_number(image, keys, 8);
}

/* A key and the type of its value, which follows. */
static inline void image_key(struct image *image, const char *key, enum gguf_type type) {
  image_string(image, key);
  image_number(image, type, 4);
}

static inline void image_u32(struct image *image, const char *key, uint32_t value) {
  image_key(image, key, GGUF_U32);
  image_number(image, value, 4);
}

static inline void image_f32(struct image *image, const char *key, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  image_key(image, key, GGUF_F32);
  image_number(image, bits, 4);
}

static inline void image_text(struct image *image, const char *key, const char *text) {
  image_key(image, key, GGUF_STRING);
  image_string(image, text);
}

static inline void image_array(struct image *image, const char *key, uint32_t item_type, uint64_t count) {
  image_key(image, key, GGUF_ARRAY);
  image_number(image, item_type, 4);
  image_number(image, count, 8);
}

/* A matrix of `rows` rows; rows 0: a vector. */
static inline void image_tensor(struct image *image, const char *name, uint64_t rows, uint64_t columns, uint32_t type,
                                uint64_t offset) {
  image_string(image, name);
  image_number(image, rows ? 2 : 1, 4);
  image_number(image, columns, 8);
  if (rows)
    image_number(image, rows, 8);
  image_number(image, type, 4);
  image_number(image, offset, 8);
}

/* Zeros up to a multiple of `alignment`, then `data` bytes 0, 1, 2, ... */
static inline void image_data(struct image *image, size_t alignment, size_t data) {
  while (image->length % alignment)
    image_number(image, 0, 1);
  for (size_t i = 0; i < data; i++)
    image_number(image, i, 1);
}

/* Parses from a block of exactly that size, so that the address sanitizer sees any byte too many. */
static inline enum status image_parse(const struct image *image, char text[ERROR_TEXT]) {
  struct gguf gguf;
  struct error err = {0};
  unsigned char *exact = malloc(image->length ? image->length : 1);
  assert_non_null(exact);
  memcpy(exact, image->bytes, image->length);
  enum status status = gguf_parse(&gguf, exact, image->length, &err);
  if (status) {
    assert_null(gguf.values);
    assert_null(gguf.tensors);
    assert_int_equal(gguf.value_count + gguf.tensor_count, 0);
  }
  gguf_close(&gguf);
  free(exact);
  snprintf(text, ERROR_TEXT, "%s", err.text);
  return status;
}

static inline void image_refused(const struct image *image, const char *says) {
  char text[ERROR_TEXT];
  enum status status = image_parse(image, text);
  if (status != STATUS_MODEL_INVALID || !strstr(text, says))
    fail_msg("status %d, \"%s\" should say \"%s\"", (int)status, text, says);
}

static inline void image_accepted(const struct image *image) {
  char text[ERROR_TEXT];
  if (image_parse(image, text) != STATUS_OK)
    fail_msg("refused: %s", text);
}

#endif
