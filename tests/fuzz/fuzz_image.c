/* sources: base worker/image */
/* Any bytes as a picture: refused with a word, or pixels that are all set. */
#include <stddef.h>
#include <stdint.h>

#include "worker/image/image_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  struct image image;
  struct error err = {0};
  volatile unsigned sum = 0;
  enum status status = image_decode(&image, bytes, size, &err);
  CHECK(status == STATUS_OK || err.text[0]);
  CHECK((status == STATUS_OK) == (image.pixels != NULL));
  for (size_t i = 0; !status && i < 3 * image.width * image.height; i++)
    sum += image.pixels[i];
  image_done(&image);
  return 0;
}
