/* How like two maps are: of classes, by mIoU, mAcc and aAcc as mmsegmentation has them, and of edges. */
#ifndef WORKER_IMAGE_MAP_METRICS_H
#define WORKER_IMAGE_MAP_METRICS_H

#include <stdint.h>

#include "worker/image/image.h"

/* Classes of a set of maps. A map that was resized smoothly, or that was a JPEG once, has many more. */
enum { MAP_CLASSES_MAX = 256 };

/* A class is a colour; that of a grey value has it in all channels. Pixels over all maps. */
struct map_class {
  uint32_t colour; /* 0xrrggbb */
  uint64_t truth;  /* that have it in the truth */
  uint64_t maps;   /* that have it in the maps that are measured, where the truth counts */
  uint64_t both;
};

struct map_classes {
  int64_t ignore; /* the colour that does not count in the truth, and is no class; -1: none */
  uint64_t counted, ignored;
  size_t count;
  struct map_class item[MAP_CLASSES_MAX];
  uint16_t *places; /* of a colour: 1 + its index among the items; 0: it has none yet */
};

NODISCARD enum status map_classes_init(struct map_classes *out, int64_t ignore, struct error *err);
void map_classes_done(struct map_classes *classes);
/* Counts the pixels of two maps of one size. STATUS_DATASET_INVALID: one class too many. */
NODISCARD enum status map_classes_add(struct map_classes *classes, const struct image *truth, const struct image *map,
                                      struct error *err);
/* By their colours. Nothing can be added then. */
void map_classes_sort(struct map_classes *classes);

/* Intersection over union. */
double map_class_iou(const struct map_class *one);
/* What part of the class was found; NaN where the truth has none of it. */
double map_class_accuracy(const struct map_class *one);

/* mIoU and mAcc are means over the classes that have one, aAcc is the part of all pixels that have their class; NaN
   where no pixel counted. */
struct map_scores {
  double miou, macc, aacc;
};
struct map_scores map_scores_of(const struct map_classes *classes);

/* edges [height][width]: 1 where a map of edges is white. STATUS_DATASET_INVALID where a pixel is neither white nor
   black: then it is none. */
NODISCARD enum status map_edges(unsigned char *edges, const struct image *map, struct error *err);

#endif
