#include "worker/image/image.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum status image_alloc(struct image *out, size_t width, size_t height, struct error *err) {
  *out = (struct image){0};
  if (width == 0 || height == 0)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "the image is %zu x %zu pixels", width, height);
  if (width > IMAGE_SIDE_MAX || height > IMAGE_SIDE_MAX || width * height > IMAGE_PIXELS_MAX)
    return error_set(err, STATUS_DATASET_INVALID, NULL,
                     "the image is %zu x %zu pixels; at most %d a side and %d in all are read", width, height,
                     IMAGE_SIDE_MAX, IMAGE_PIXELS_MAX);
  unsigned char *pixels = malloc(3 * width * height);
  if (!pixels)
    return error_no_memory(err, "an image");
  *out = (struct image){width, height, pixels};
  return STATUS_OK;
}

void image_done(struct image *image) {
  free(image->pixels);
  *image = (struct image){0};
}

enum status image_turn(struct image *image, int orientation, struct error *err) {
  struct image turned;
  if (orientation <= 1 || orientation > 8)
    return STATUS_OK;
  /* Orientations 5 to 8 swap the sides; each then mirrors in one or both directions. */
  bool swapped = orientation >= 5;
  bool right_left = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  bool bottom_top = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  size_t width = swapped ? image->height : image->width, height = swapped ? image->width : image->height;
  enum status status = image_alloc(&turned, width, height, err);
  if (status)
    return status;
  for (size_t y = 0; y < height; y++)
    for (size_t x = 0; x < width; x++) {
      size_t column = right_left ? width - 1 - x : x, row = bottom_top ? height - 1 - y : y;
      size_t from = swapped ? column * image->width + row : row * image->width + column;
      memcpy(turned.pixels + 3 * (y * width + x), image->pixels + 3 * from, 3);
    }
  image_done(image);
  *image = turned;
  return STATUS_OK;
}

void image_floats(float *out, const struct image *image) {
  size_t count = 3 * image->width * image->height;
  for (size_t i = 0; i < count; i++)
    out[i] = ((float)image->pixels[i] / 255.0f - 0.5f) / 0.5f;
}

void image_unit_floats(float *out, const struct image *image) {
  size_t count = 3 * image->width * image->height;
  for (size_t i = 0; i < count; i++)
    out[i] = (float)image->pixels[i] / 255.0f;
}

void image_from_floats(struct image *image, const float *numbers) {
  size_t count = 3 * image->width * image->height;
  for (size_t i = 0; i < count; i++) {
    float value = numbers[i] / 2 + 0.5f;
    value = value > 0 ? value < 1 ? value : 1 : 0; /* not a number: 0 */
    image->pixels[i] = (unsigned char)rintf(value * 255);
  }
}
