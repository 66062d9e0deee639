/* Maps that a detector made of generated pictures, compared with those of the originals: how well a controllable model
   does what its hints say. */
#ifndef WORKER_COMPARE_H
#define WORKER_COMPARE_H

#include <jansson.h>

#include "api/task.h"

/* The files of two folders, by their names without extension; hidden ones are left out. A new object in *report:
     kind and images, those of which both have a file;
     segmentation (PNG; worker/image/map_metrics.h): mIoU, mAcc, aAcc, ignored_pixels, and classes [{class: a grey
     value or "#rrggbb", IoU, Acc (null: the truth has none), truth_pixels, map_pixels}];
     landmark (JSON; worker/image/landmarks.h): distance, the mean of the pictures' mean distances; compared, of how
     many, since those do not count in which nothing was detected: not_detected {truth, maps};
     canny (pictures, whose edges are found as jobs find them) and edges (maps of edges): IoU and F1, means over the
     pictures.
   STATUS_DATASET_INVALID and the like name the file that cannot be used and why: without a partner in the other folder,
   damaged, of another size, with another number of points. */
NODISCARD enum status compare_maps(json_t **report, const struct task_maps *task, struct error *err);

#endif
