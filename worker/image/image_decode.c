#include "worker/image/image_decode.h"

#include <string.h>
#include <strings.h>

#include "worker/image/image_jpeg.h"
#include "worker/image/image_png.h"
#include "worker/image/image_webp.h"

static const struct format {
  const char *const ends[2];
  bool (*is)(const unsigned char *bytes, size_t length);
  enum status (*decode)(struct image *out, int *orientation, const unsigned char *bytes, size_t length,
                        struct error *err);
} formats[] = {
    {{".png"}, image_png_is, image_png_decode},
    {{".jpg", ".jpeg"}, image_jpeg_is, image_jpeg_decode},
    {{".webp"}, image_webp_is, image_webp_decode},
};

enum status image_decode(struct image *out, const unsigned char *bytes, size_t length, struct error *err) {
  int orientation = 1;
  *out = (struct image){0};
  if (length > IMAGE_BYTES_MAX)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "the image has %zu bytes; at most %d are read", length,
                     IMAGE_BYTES_MAX);
  for (size_t i = 0; i < COUNT_OF(formats); i++)
    if (formats[i].is(bytes, length)) {
      enum status status = formats[i].decode(out, &orientation, bytes, length, err);
      status = status ? status : image_turn(out, orientation, err);
      if (status)
        image_done(out);
      return status;
    }
  return error_set(err, STATUS_DATASET_INVALID, NULL, "the file does not begin as a PNG, a JPEG or a WebP does");
}

bool image_decode_named(const char *filename) {
  size_t length = strlen(filename);
  for (size_t i = 0; i < COUNT_OF(formats); i++)
    for (size_t e = 0; e < COUNT_OF(formats[i].ends) && formats[i].ends[e]; e++) {
      size_t end = strlen(formats[i].ends[e]);
      if (length > end && strcasecmp(filename + length - end, formats[i].ends[e]) == 0)
        return true;
    }
  return false;
}
