#include "worker/compare.h"

#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/grow.h"
#include "worker/file/archive.h"
#include "worker/image/canny.h"
#include "worker/image/image_decode.h"
#include "worker/image/image_png.h"
#include "worker/image/landmarks.h"
#include "worker/image/map_metrics.h"

enum { NAMES_BYTES_MAX = 64 << 20 };

/* --- what the folders have ------------------------------------------------------------------------ */

struct folder {
  const char *path;
  struct arena arena; /* of the names */
  size_t count, size;
  const char **names;
};

/* Without the extension: a.png is the map of a.jpg. */
static size_t stem_length(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot && dot != name ? (size_t)(dot - name) : strlen(name);
}

static int compare_stems(const char *a, const char *b) {
  const size_t of_a = stem_length(a), of_b = stem_length(b);
  const int order = memcmp(a, b, of_a < of_b ? of_a : of_b);
  return order ? order : (of_a > of_b) - (of_a < of_b);
}

static int compare_names(const void *a, const void *b) {
  return compare_stems(*(const char *const *)a, *(const char *const *)b);
}

static enum status add_name(struct folder *f, const char *name, struct error *err) {
  char path[PATH_MAX];
  struct stat info;
  snprintf(path, sizeof path, "%s/%s", f->path, name);
  if (stat(path, &info) != 0)
    return error_set_errno(err, STATUS_IO, NULL, "%s", path);
  if (!S_ISREG(info.st_mode))
    return error_set(err, STATUS_DATASET_INVALID, NULL, "%s is no file: maps lie side by side in their folder", path);
  const char **names = grow(f->names, &f->size, f->count + 1, sizeof *names);
  f->names = names ? names : f->names;
  const char *copy = names ? arena_string(&f->arena, name) : NULL;
  if (!copy)
    return error_no_memory(err, "the names of maps");
  f->names[f->count++] = copy;
  return STATUS_OK;
}

static enum status sort_names(struct folder *f, struct error *err) {
  if (f->count == 0)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "%s has no file", f->path);
  qsort(f->names, f->count, sizeof *f->names, compare_names);
  for (size_t i = 1; i < f->count; i++)
    if (compare_stems(f->names[i - 1], f->names[i]) == 0)
      return error_set(err, STATUS_DATASET_INVALID, NULL, "%s has both %.200s and %.200s: which is the map?", f->path,
                       f->names[i - 1], f->names[i]);
  return STATUS_OK;
}

static enum status list(struct folder *out, const char *path, struct error *err) {
  enum status status = STATUS_OK;
  *out = (struct folder){.path = path};
  arena_init(&out->arena, NAMES_BYTES_MAX);
  DIR *dir = opendir(path);
  if (!dir)
    return error_set_errno(err, STATUS_IO, NULL, "%s", path);
  for (struct dirent *entry; !status && (entry = readdir(dir));)
    if (!archive_litter(entry->d_name))
      status = add_name(out, entry->d_name, err);
  closedir(dir);
  return status ? status : sort_names(out, err);
}

static void folder_done(struct folder *folder) {
  free(folder->names);
  arena_done(&folder->arena);
}

/* How many names of a folder the other one lacks, and the first of them. */
static size_t count_lacking(const char **first, const struct folder *f, const struct folder *other) {
  size_t count = 0;
  for (size_t i = 0, k = 0; i < f->count; i++) {
    while (k < other->count && compare_stems(other->names[k], f->names[i]) < 0)
      k++;
    if (k < other->count && compare_stems(other->names[k], f->names[i]) == 0)
      continue;
    if (!count++)
      *first = f->names[i];
  }
  return count;
}

static enum status check_partners(const struct folder *truth, const struct folder *maps, struct error *err) {
  const struct folder *const folders[] = {truth, maps};
  for (size_t i = 0; i < 2; i++) {
    const struct folder *f = folders[i], *other = folders[1 - i];
    const char *first = "";
    const size_t count = count_lacking(&first, f, other);
    if (count)
      return error_set(err, STATUS_DATASET_INVALID, NULL,
                       "%zu of the %zu files of %s have no partner of that name in %s; the first is %.200s", count,
                       f->count, f->path, other->path, first);
  }
  return STATUS_OK;
}

/* --- a pair of files ------------------------------------------------------------------------------ */

struct file {
  char path[PATH_MAX];
  char *bytes;
  size_t length;
};

struct comparison {
  const struct task_maps *task;
  struct map_classes classes;
  struct canny_likeness edges; /* sums */
  double distance;             /* sum */
  size_t images, compared;     /* pairs; those that had landmarks */
  size_t no_truth, no_map;     /* where nothing was detected */
};

static enum status read_file(struct file *out, const struct folder *folder, const char *name, size_t bytes_max,
                             struct error *err) {
  snprintf(out->path, sizeof out->path, "%s/%s", folder->path, name);
  return file_read(&out->bytes, &out->length, out->path, bytes_max, err);
}

typedef enum status decode_image(struct image *out, const unsigned char *bytes, size_t length, struct error *err);

/* Both pictures of a pair, of one size. They are the caller's to end whatever comes of it. */
static enum status decode_pair(struct image images[2], const struct file files[2], decode_image *decode,
                               struct error *err) {
  for (size_t i = 0; i < 2; i++)
    if (decode(&images[i], (const unsigned char *)files[i].bytes, files[i].length, err))
      return error_prefix(err, "%s", files[i].path);
  if (images[0].width == images[1].width && images[0].height == images[1].height)
    return STATUS_OK;
  return error_set(err, STATUS_DATASET_INVALID, NULL, "%s is %zu x %zu pixels, and %s %zu x %zu", files[1].path,
                   images[1].width, images[1].height, files[0].path, images[0].width, images[0].height);
}

static enum status add_classes(struct comparison *c, const struct file files[2], struct error *err) {
  struct image images[2] = {{0}, {0}};
  enum status status = decode_pair(images, files, image_png_labels, err);
  if (!status && map_classes_add(&c->classes, &images[0], &images[1], err))
    status = error_prefix(err, "%s", files[1].path);
  image_done(&images[0]);
  image_done(&images[1]);
  return status;
}

static enum status find_edges(unsigned char *edges, const struct comparison *c, const struct image *image,
                              struct error *err) {
  return c->task->kind == MAPS_EDGES ? map_edges(edges, image, err)
                                     : canny_edges(edges, image, CANNY_LOW, CANNY_HIGH, err);
}

static enum status compare_edges(struct comparison *c, const struct image images[2], const struct file files[2],
                                 struct error *err) {
  const size_t pixels = images[0].width * images[0].height;
  unsigned char *edges = malloc(2 * pixels);
  enum status status = edges ? STATUS_OK : error_no_memory(err, "the edges of an image");
  for (size_t i = 0; !status && i < 2; i++) {
    status = find_edges(edges + i * pixels, c, &images[i], err);
    if (status)
      error_prefix(err, "%s", files[i].path);
  }
  if (!status) {
    const struct canny_likeness likeness = canny_compare(edges, edges + pixels, pixels);
    c->edges.iou += likeness.iou;
    c->edges.f1 += likeness.f1;
  }
  free(edges);
  return status;
}

static enum status add_edges(struct comparison *c, const struct file files[2], struct error *err) {
  struct image images[2] = {{0}, {0}};
  enum status status = decode_pair(images, files, image_decode, err);
  status = status ? status : compare_edges(c, images, files, err);
  image_done(&images[0]);
  image_done(&images[1]);
  return status;
}

static enum status compare_landmarks(struct comparison *c, const struct landmarks points[2], const struct file files[2],
                                     struct error *err) {
  c->no_truth += points[0].count == 0;
  c->no_map += points[1].count == 0;
  if (points[0].count == 0 || points[1].count == 0)
    return STATUS_OK;
  if (points[0].count != points[1].count)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "%s has %zu point%s, and %s %zu", files[1].path,
                     points[1].count, points[1].count == 1 ? "" : "s", files[0].path, points[0].count);
  c->distance += landmarks_distance(&points[0], &points[1], c->task->scale);
  c->compared++;
  return STATUS_OK;
}

static enum status add_landmarks(struct comparison *c, const struct file files[2], struct error *err) {
  struct landmarks points[2] = {{0}, {0}};
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < 2; i++) {
    status = landmarks_read(&points[i], files[i].bytes, files[i].length, err);
    if (status)
      error_prefix(err, "%s", files[i].path);
  }
  status = status ? status : compare_landmarks(c, points, files, err);
  landmarks_done(&points[0]);
  landmarks_done(&points[1]);
  return status;
}

/* --- what comes of it ----------------------------------------------------------------------------- */

static json_t *number(double value) {
  return isfinite(value) ? json_real(value) : json_null();
}

/* A grey value as it stands in a file, or a colour. */
static json_t *class_name(uint32_t colour) {
  const uint32_t grey = colour & 0xff;
  return colour == grey * 0x010101 ? json_integer(grey) : json_sprintf("#%06x", (unsigned)colour);
}

static json_t *describe_classes(const struct map_classes *classes) {
  json_t *list = json_array();
  for (size_t i = 0; i < classes->count; i++) {
    const struct map_class *one = &classes->item[i];
    json_t *row = json_pack("{s:o, s:o, s:o, s:I, s:I}", "class", class_name(one->colour), "IoU",
                            number(map_class_iou(one)), "Acc", number(map_class_accuracy(one)), "truth_pixels",
                            (json_int_t)one->truth, "map_pixels", (json_int_t)one->maps);
    if (json_array_append_new(list, row)) {
      json_decref(list);
      return NULL;
    }
  }
  return list;
}

static enum status report_classes(json_t **out, struct comparison *c, struct error *err) {
  if (!c->classes.counted)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "%s: every pixel has the class that is left out",
                     c->task->truth_dir);
  map_classes_sort(&c->classes);
  const struct map_scores scores = map_scores_of(&c->classes);
  *out = json_pack("{s:o, s:o, s:o, s:I, s:o}", "mIoU", number(scores.miou), "mAcc", number(scores.macc), "aAcc",
                   number(scores.aacc), "ignored_pixels", (json_int_t)c->classes.ignored, "classes",
                   describe_classes(&c->classes));
  return STATUS_OK;
}

static enum status report_landmarks(json_t **out, struct comparison *c, struct error *err) {
  if (!c->compared)
    return error_set(err, STATUS_DATASET_INVALID, NULL,
                     "no image has landmarks in both folders: of %zu, %zu have none in %s and %zu none in %s",
                     c->images, c->no_truth, c->task->truth_dir, c->no_map, c->task->maps_dir);
  *out = json_pack("{s:o, s:I, s:{s:I, s:I}}", "distance", number(c->distance / (double)c->compared), "compared",
                   (json_int_t)c->compared, "not_detected", "truth", (json_int_t)c->no_truth, "maps",
                   (json_int_t)c->no_map);
  return STATUS_OK;
}

static enum status report_edges(json_t **out, struct comparison *c, struct error *err) {
  (void)err;
  *out = json_pack("{s:o, s:o}", "IoU", number(c->edges.iou / (double)c->images), "F1",
                   number(c->edges.f1 / (double)c->images));
  return STATUS_OK;
}

static const struct kind {
  size_t bytes_max; /* of a file */
  enum status (*add)(struct comparison *c, const struct file files[2], struct error *err);
  enum status (*report)(json_t **out, struct comparison *c, struct error *err); /* *out NULL: no memory */
} kinds[MAP_KIND_COUNT] = {
    [MAPS_SEGMENTATION] = {IMAGE_BYTES_MAX, add_classes, report_classes},
    [MAPS_LANDMARK] = {LANDMARKS_BYTES_MAX, add_landmarks, report_landmarks},
    [MAPS_CANNY] = {IMAGE_BYTES_MAX, add_edges, report_edges},
    [MAPS_EDGES] = {IMAGE_BYTES_MAX, add_edges, report_edges},
};

static enum status compare_all(struct comparison *c, const struct folder *truth, const struct folder *maps,
                               struct error *err) {
  const struct kind *kind = &kinds[c->task->kind];
  enum status status = check_partners(truth, maps, err);
  for (size_t i = 0; !status && i < truth->count; i++) {
    struct file files[2] = {{.bytes = NULL}, {.bytes = NULL}};
    status = read_file(&files[0], truth, truth->names[i], kind->bytes_max, err);
    status = status ? status : read_file(&files[1], maps, maps->names[i], kind->bytes_max, err);
    status = status ? status : kind->add(c, files, err);
    c->images++;
    free(files[0].bytes);
    free(files[1].bytes);
  }
  return status;
}

static enum status describe(json_t **report, struct comparison *c, struct error *err) {
  json_t *found = NULL;
  enum status status = kinds[c->task->kind].report(&found, c, err);
  if (status)
    return status;
  *report = json_pack("{s:s, s:I}", "kind", map_kind_names[c->task->kind], "images", (json_int_t)c->images);
  const bool whole = *report && found && json_object_update(*report, found) == 0;
  json_decref(found);
  if (whole)
    return STATUS_OK;
  json_decref(*report);
  *report = NULL;
  return error_no_memory(err, "the report of maps");
}

enum status compare_maps(json_t **report, const struct task_maps *task, struct error *err) {
  struct comparison c = {.task = task};
  struct folder truth = {0}, maps = {0};
  *report = NULL;
  enum status status = list(&truth, task->truth_dir, err);
  status = status ? status : list(&maps, task->maps_dir, err);
  if (!status && task->kind == MAPS_SEGMENTATION)
    status = map_classes_init(&c.classes, task->ignore, err);
  status = status ? status : compare_all(&c, &truth, &maps, err);
  status = status ? status : describe(report, &c, err);
  map_classes_done(&c.classes);
  folder_done(&truth);
  folder_done(&maps);
  return status;
}
