/* Landmarks of a picture, as the user's detector found them: a JSON list of [x, y]. */
#ifndef WORKER_IMAGE_LANDMARKS_H
#define WORKER_IMAGE_LANDMARKS_H

#include "worker/image/image.h"

enum { LANDMARKS_BYTES_MAX = 1 << 20, LANDMARKS_COORDINATE_MAX = 1000000 };

struct landmarks {
  size_t count;   /* 0: nothing was detected */
  double *points; /* [count][2] */
};

/* null and an empty list are what a detector says that found nothing. STATUS_DATASET_INVALID names the point that is
   none, or whose coordinates no picture has; STATUS_INVALID_JSON and STATUS_TOO_LARGE are json_parse's. Empty after an
   error. */
NODISCARD enum status landmarks_read(struct landmarks *out, const char *text, size_t length, struct error *err);
void landmarks_done(struct landmarks *landmarks);

/* Mean Euclidean distance of the points of two pictures, as many of both and at least one, with the truth's coordinates
   times `scale`. */
double landmarks_distance(const struct landmarks *truth, const struct landmarks *found, double scale);

#endif
