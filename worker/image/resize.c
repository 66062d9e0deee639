#include "worker/image/resize.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Bits behind the point: 8 are the pixel's, 2 are left so that sums of weights a little above 1 do not overflow. */
enum { FRACTION_BITS = 32 - 8 - 2 };

/* What each pixel of a line of `to` is made of: `count` pixels from `first` on. */
struct taps {
  size_t to, most;
  struct tap {
    size_t first, count;
  } * taps;         /* [to] */
  int32_t *weights; /* [to][most] */
};

static void taps_done(struct taps *t) {
  free(t->taps);
  free(t->weights);
}

static double triangle(double x) {
  return fabs(x) < 1 ? 1 - fabs(x) : 0;
}

/* Cubic convolution (Keys, 1981) with a = -1/2. */
static double cubic(double x) {
  const double a = -0.5;
  x = fabs(x);
  return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static const struct kernel {
  double (*weight)(double x);
  double support;
} kernels[] = {[RESIZE_BILINEAR] = {triangle, 1}, [RESIZE_BICUBIC] = {cubic, 2}};

static enum status taps_init(struct taps *t, size_t from, size_t to, const struct kernel *kernel, struct error *err) {
  double scale = (double)from / (double)to, stretch = scale > 1 ? scale : 1, support = kernel->support * stretch;
  *t = (struct taps){.to = to, .most = (size_t)ceil(support) * 2 + 1};
  double *weights = malloc(t->most * sizeof *weights);
  t->taps = calloc(to, sizeof *t->taps);
  t->weights = calloc(to * t->most, sizeof *t->weights);
  if (!weights || !t->taps || !t->weights) {
    free(weights);
    taps_done(t);
    return error_no_memory(err, "an image");
  }
  for (size_t i = 0; i < to; i++) {
    double centre = ((double)i + 0.5) * scale, sum = 0;
    double low = floor(centre - support + 0.5), high = floor(centre + support + 0.5);
    size_t first = low > 0 ? (size_t)low : 0, end = high < (double)from ? (size_t)high : from;
    for (size_t k = 0; k < end - first; k++)
      sum += weights[k] = kernel->weight(((double)(k + first) - centre + 0.5) / stretch);
    for (size_t k = 0; k < end - first; k++)
      t->weights[i * t->most + k] = (int32_t)(weights[k] / sum * (1 << FRACTION_BITS) + (weights[k] < 0 ? -0.5 : 0.5));
    t->taps[i] = (struct tap){first, end - first};
  }
  free(weights);
  return STATUS_OK;
}

/* One pixel: sums along a line whose pixels are `stride` bytes apart. */
static void gather(unsigned char *out, const unsigned char *line, size_t stride, const struct taps *t, size_t at) {
  const struct tap *tap = &t->taps[at];
  const int32_t *weights = t->weights + at * t->most;
  for (size_t c = 0; c < 3; c++) {
    int32_t sum = 1 << (FRACTION_BITS - 1);
    for (size_t k = 0; k < tap->count; k++)
      sum += line[(tap->first + k) * stride + c] * weights[k];
    sum >>= FRACTION_BITS;
    out[c] = (unsigned char)(sum > 255 ? 255 : sum < 0 ? 0 : sum);
  }
}

/* The lines in one direction: rows (across), or columns. */
static enum status resample(struct image *image, size_t to, bool across, const struct kernel *kernel,
                            struct error *err) {
  struct taps t;
  struct image out;
  if (to == (across ? image->width : image->height))
    return STATUS_OK;
  enum status status = image_alloc(&out, across ? to : image->width, across ? image->height : to, err);
  if (status)
    return status;
  status = taps_init(&t, across ? image->width : image->height, to, kernel, err);
  if (status) {
    image_done(&out);
    return status;
  }
  size_t pitch = 3 * image->width;
  for (size_t y = 0; y < out.height; y++)
    for (size_t x = 0; x < out.width; x++)
      gather(out.pixels + 3 * (y * out.width + x), image->pixels + (across ? y * pitch : 3 * x), across ? 3 : pitch, &t,
             across ? x : y);
  taps_done(&t);
  image_done(image);
  *image = out;
  return STATUS_OK;
}

static enum status copy(struct image *out, const struct image *image, size_t left, size_t top, size_t width,
                        size_t height, struct error *err) {
  enum status status = image_alloc(out, width, height, err);
  for (size_t y = 0; !status && y < height; y++)
    memcpy(out->pixels + 3 * width * y, image->pixels + 3 * (image->width * (top + y) + left), 3 * width);
  return status;
}

enum status resize_to(struct image *out, const struct image *image, size_t width, size_t height,
                      enum resize_filter filter, struct error *err) {
  enum status status = copy(out, image, 0, 0, image->width, image->height, err);
  status = status ? status : resample(out, width, true, &kernels[filter], err);
  status = status ? status : resample(out, height, false, &kernels[filter], err);
  if (status)
    image_done(out);
  return status;
}

enum status resize_shorter_side(struct image *out, const struct image *image, size_t side, enum resize_filter filter,
                                struct error *err) {
  size_t width = image->width, height = image->height;
  if (width <= height)
    return resize_to(out, image, side, side * height / width, filter, err);
  return resize_to(out, image, side * width / height, side, filter, err);
}

enum status resize_crop(struct image *out, const struct image *image, size_t side, struct rng *rng, struct error *err) {
  CHECK(side <= image->width && side <= image->height);
  size_t across = image->width - side, down = image->height - side;
  size_t top = rng ? rng_below(rng, down + 1) : (size_t)rint((double)down / 2);
  size_t left = rng ? rng_below(rng, across + 1) : (size_t)rint((double)across / 2);
  return copy(out, image, left, top, side, side, err);
}

enum status resize_crop_middle(struct image *out, const struct image *image, size_t side, struct error *err) {
  CHECK(side <= image->width && side <= image->height);
  return copy(out, image, (image->width - side) / 2, (image->height - side) / 2, side, side, err);
}
