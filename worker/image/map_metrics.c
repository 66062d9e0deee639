#include "worker/image/map_metrics.h"

#include <math.h>
#include <stdlib.h>

enum { COLOURS = 1 << 24, WHITE = 0xffffff };

static uint32_t colour_at(const struct image *image, size_t pixel) {
  const unsigned char *p = image->pixels + 3 * pixel;
  return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

/* --- classes -------------------------------------------------------------------------------------- */

enum status map_classes_init(struct map_classes *out, int64_t ignore, struct error *err) {
  *out = (struct map_classes){.ignore = ignore};
  out->places = calloc(COLOURS, sizeof *out->places);
  return out->places ? STATUS_OK : error_no_memory(err, "the classes of maps");
}

void map_classes_done(struct map_classes *classes) {
  free(classes->places);
  *classes = (struct map_classes){0};
}

/* The class of that colour; NULL: there is no room for one more. */
static struct map_class *find(struct map_classes *c, uint32_t colour) {
  uint16_t *place = &c->places[colour];
  if (!*place && c->count == MAP_CLASSES_MAX)
    return NULL;
  if (!*place) {
    c->item[c->count++] = (struct map_class){.colour = colour};
    *place = (uint16_t)c->count;
  }
  return &c->item[*place - 1];
}

enum status map_classes_add(struct map_classes *c, const struct image *truth, const struct image *map,
                            struct error *err) {
  CHECK(truth->width == map->width && truth->height == map->height);
  for (size_t i = 0; i < truth->width * truth->height; i++) {
    const uint32_t wanted = colour_at(truth, i), found = colour_at(map, i);
    if (wanted == c->ignore) {
      c->ignored++;
      continue;
    }
    struct map_class *of_truth = find(c, wanted), *of_map = found == c->ignore ? of_truth : find(c, found);
    if (!of_truth || !of_map)
      return error_set(err, STATUS_DATASET_INVALID, NULL,
                       "the maps have more than %d classes: was one resized smoothly, or a JPEG once?",
                       MAP_CLASSES_MAX);
    c->counted++;
    of_truth->truth++;
    of_truth->both += wanted == found;
    of_map->maps += found != c->ignore;
  }
  return STATUS_OK;
}

static int compare_colours(const void *a, const void *b) {
  const uint32_t one = ((const struct map_class *)a)->colour, other = ((const struct map_class *)b)->colour;
  return (one > other) - (one < other);
}

void map_classes_sort(struct map_classes *classes) {
  qsort(classes->item, classes->count, sizeof *classes->item, compare_colours);
}

double map_class_iou(const struct map_class *one) {
  const uint64_t either = one->truth + one->maps - one->both;
  return either ? (double)one->both / (double)either : (double)NAN;
}

double map_class_accuracy(const struct map_class *one) {
  return one->truth ? (double)one->both / (double)one->truth : (double)NAN;
}

struct map_scores map_scores_of(const struct map_classes *c) {
  double iou = 0, accuracy = 0;
  uint64_t both = 0;
  size_t in_truth = 0;
  for (size_t i = 0; i < c->count; i++) {
    iou += map_class_iou(&c->item[i]); /* each has a pixel somewhere */
    both += c->item[i].both;
    if (c->item[i].truth) {
      accuracy += map_class_accuracy(&c->item[i]);
      in_truth++;
    }
  }
  if (!c->counted)
    return (struct map_scores){(double)NAN, (double)NAN, (double)NAN};
  return (struct map_scores){iou / (double)c->count, accuracy / (double)in_truth, (double)both / (double)c->counted};
}

/* --- edges ---------------------------------------------------------------------------------------- */

enum status map_edges(unsigned char *edges, const struct image *map, struct error *err) {
  for (size_t i = 0; i < map->width * map->height; i++) {
    const uint32_t colour = colour_at(map, i);
    if (colour != 0 && colour != WHITE)
      return error_set(err, STATUS_DATASET_INVALID, NULL,
                       "it is no map of edges: the pixel in column %zu of row %zu is #%06x, neither black nor white",
                       i % map->width + 1, i / map->width + 1, (unsigned)colour);
    edges[i] = colour == WHITE;
  }
  return STATUS_OK;
}
