/* Edges of a picture (Canny, "A computational approach to edge detection", 1986), as OpenCV's Canny finds them with its
   defaults: gradients by Sobel's 3 x 3 kernels, their size |dx| + |dy| in the channel where it is largest, borders
   repeated, nothing smoothed before. */
#ifndef WORKER_IMAGE_CANNY_H
#define WORKER_IMAGE_CANNY_H

#include <stdbool.h>

#include "worker/image/image.h"

/* What ControlNet and HRA's authors make hints with. */
enum { CANNY_LOW = 100, CANNY_HIGH = 200 };

/* edges [height][width]: 1 where the gradient is larger than `low`, is largest across the edge, and leads by such
   pixels to one that is larger than `high`; else 0. low <= high. */
NODISCARD enum status canny_edges(unsigned char *edges, const struct image *image, int low, int high,
                                  struct error *err);

/* How alike two maps of edges are: pixels that are edges in both over those that are in one of them (intersection over
   union), and F1 of the one as a guess of the other. Both are 1 where neither has an edge. */
struct canny_likeness {
  double iou, f1;
};
struct canny_likeness canny_compare(const unsigned char *edges, const unsigned char *other, size_t count);

#endif
