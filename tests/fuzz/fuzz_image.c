/* sources: base worker/image */
/* Any bytes as a picture, as a map of classes and as landmarks: refused with a word, or numbers that are all set. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/image/image_decode.h"
#include "worker/image/image_png.h"
#include "worker/image/landmarks.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void look(struct image *image, enum status status, const struct error *err) {
  volatile unsigned sum = 0;
  CHECK(status == STATUS_OK || err->text[0]);
  CHECK((status == STATUS_OK) == (image->pixels != NULL));
  for (size_t i = 0; !status && i < 3 * image->width * image->height; i++)
    sum += image->pixels[i];
  image_done(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  struct image image;
  struct landmarks landmarks;
  struct error err = {0};
  look(&image, image_decode(&image, bytes, size, &err), &err);
  err.text[0] = '\0';
  look(&image, image_png_labels(&image, bytes, size, &err), &err);
  err.text[0] = '\0';
  enum status status = landmarks_read(&landmarks, (const char *)bytes, size, &err);
  CHECK(status == STATUS_OK || err.text[0]);
  CHECK((landmarks.count == 0) == (landmarks.points == NULL));
  CHECK(landmarks.count == 0 || isfinite(landmarks_distance(&landmarks, &landmarks, 1)));
  landmarks_done(&landmarks);
  return 0;
}
