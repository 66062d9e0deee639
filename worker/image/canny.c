#include "worker/image/canny.h"

#include <stdlib.h>

enum { NONE, EDGE, CANDIDATE };

/* Gradients of a picture; sizes have a border of zeros, so that a pixel at the margin has neighbours. */
struct gradients {
  size_t width, height, pitch;
  short *dx, *dy; /* [height][width] */
  short *size;    /* [height + 2][width + 2] */
};

/* Of the channel whose gradient is largest; the first of those that are alike. */
static void differentiate(struct gradients *g, const struct image *image, size_t x, size_t y) {
  const size_t W = image->width, H = image->height, at = y * W + x;
  const size_t left = x ? x - 1 : 0, right = x + 1 < W ? x + 1 : x;
  const unsigned char *above = image->pixels + 3 * W * (y ? y - 1 : 0), *here = image->pixels + 3 * W * y,
                      *below = image->pixels + 3 * W * (y + 1 < H ? y + 1 : y);
  int most = -1;
  for (size_t c = 0; c < 3; c++) {
    const size_t l = 3 * left + c, m = 3 * x + c, r = 3 * right + c;
    int dx = above[r] - above[l] + 2 * (here[r] - here[l]) + below[r] - below[l];
    int dy = below[l] - above[l] + 2 * (below[m] - above[m]) + below[r] - above[r];
    if (abs(dx) + abs(dy) <= most)
      continue;
    most = abs(dx) + abs(dy);
    g->dx[at] = (short)dx;
    g->dy[at] = (short)dy;
  }
  g->size[(y + 1) * g->pitch + x + 1] = (short)most;
}

/* Is the gradient larger than those before and behind it, in the one of four directions that it has? Of two that are
   alike beside each other one is. */
static bool is_peak(const struct gradients *g, size_t x, size_t y) {
  const int dx = g->dx[y * g->width + x], dy = g->dy[y * g->width + x], across = abs(dx), down = abs(dy);
  const short *size = g->size + (y + 1) * g->pitch + x + 1;
  const ptrdiff_t pitch = (ptrdiff_t)g->pitch, slope = pitch + ((dx ^ dy) < 0 ? -1 : 1);
  /* Within 22.5 degrees: down / across < sqrt(2) - 1. */
  if ((across + down) * (across + down) < 2 * across * across)
    return size[0] > size[-1] && size[0] >= size[1];
  if (down > across && (down - across) * (down - across) > 2 * across * across)
    return size[0] > size[-pitch] && size[0] >= size[pitch];
  return size[0] > size[-slope] && size[0] > size[slope];
}

/* Candidates beside an edge are edges. `stack` has room for each pixel once. */
static void follow(unsigned char *edges, size_t *stack, size_t count, size_t width, size_t height) {
  while (count) {
    const size_t at = stack[--count], x = at % width, y = at / width;
    for (size_t v = y ? y - 1 : 0; v <= y + 1 && v < height; v++)
      for (size_t u = x ? x - 1 : 0; u <= x + 1 && u < width; u++)
        if (edges[v * width + u] == CANDIDATE) {
          edges[v * width + u] = EDGE;
          stack[count++] = v * width + u;
        }
  }
}

static void find(unsigned char *edges, const struct gradients *g, size_t *stack, int low, int high) {
  size_t count = 0, pixels = g->width * g->height;
  for (size_t at = 0; at < pixels; at++) {
    const size_t x = at % g->width, y = at / g->width;
    const int size = g->size[(y + 1) * g->pitch + x + 1];
    edges[at] = size <= low || !is_peak(g, x, y) ? NONE : size > high ? EDGE : CANDIDATE;
    if (edges[at] == EDGE)
      stack[count++] = at;
  }
  follow(edges, stack, count, g->width, g->height);
  for (size_t at = 0; at < pixels; at++)
    edges[at] = edges[at] == EDGE;
}

enum status canny_edges(unsigned char *edges, const struct image *image, int low, int high, struct error *err) {
  const size_t pixels = image->width * image->height;
  struct gradients g = {.width = image->width, .height = image->height, .pitch = image->width + 2};
  enum status status = STATUS_OK;
  CHECK(low <= high);
  g.dx = malloc(2 * pixels * sizeof *g.dx);
  g.size = calloc(g.pitch * (g.height + 2), sizeof *g.size);
  size_t *stack = malloc(pixels * sizeof *stack);
  if (!g.dx || !g.size || !stack) {
    status = error_no_memory(err, "the edges of an image");
  } else {
    g.dy = g.dx + pixels;
    for (size_t at = 0; at < pixels; at++)
      differentiate(&g, image, at % g.width, at / g.width);
    find(edges, &g, stack, low, high);
  }
  free(stack);
  free(g.size);
  free(g.dx);
  return status;
}

struct canny_likeness canny_compare(const unsigned char *edges, const unsigned char *other, size_t count) {
  size_t both = 0, sum = 0;
  for (size_t i = 0; i < count; i++) {
    both += edges[i] && other[i];
    sum += (size_t)(edges[i] != 0) + (size_t)(other[i] != 0);
  }
  if (!sum)
    return (struct canny_likeness){1, 1};
  return (struct canny_likeness){(double)both / (double)(sum - both), 2 * (double)both / (double)sum};
}
