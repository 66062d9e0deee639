/* An archive of pictures, as Hugging Face's imagefolder has it: PNG, JPEG and WebP in any directories of a zip or tar,
   and perhaps one metadata.jsonl, which says more of each: {"file_name": its path from there, "text": its prompt,
   "conditioning_image": the path of another picture of the same size, its hint}. */
#ifndef WORKER_DATA_IMAGE_FOLDER_H
#define WORKER_DATA_IMAGE_FOLDER_H

#include <jansson.h>

#include "base/arena.h"
#include "worker/image/image.h"

struct image_item {
  const char *path;        /* in the archive */
  const char *text;        /* NULL: metadata.jsonl gives none */
  size_t line;             /* of metadata.jsonl; 0: there is none */
  struct image_item *hint; /* its conditioning image; NULL: there is none */
  struct image_item *of;   /* the picture whose hint it is; NULL: it is none */
  size_t example;          /* its number among those that are no hints */
  size_t width, height;    /* since it was decoded */
};

struct image_folder {
  struct arena arena;       /* of the names and texts */
  size_t count;             /* of pictures, hints among them */
  size_t examples;          /* without hints */
  struct image_item *items; /* [count], in the archive's order */
  size_t size;              /* allocated */
};

/* Has the archive pictures in it? False also of what is no archive. */
bool image_folder_is(const char *path);
/* Which pictures there are; none is decoded. STATUS_DATASET_INVALID names the line of metadata.jsonl, or the picture,
   that is at fault: one that is not there, that no line names, or that two do. Empty after a failure. */
NODISCARD enum status image_folder_open(struct image_folder *out, const char *path, struct error *err);
void image_folder_close(struct image_folder *folder);

/* Decodes one example after the other, and gives each to `take`, to keep or to end (image_done); anything but STATUS_OK
   ends it with that status. STATUS_DATASET_INVALID names the picture that cannot be used, and why. */
typedef enum status image_folder_take(void *with, const struct image_item *item, struct image *image,
                                      struct error *err);
NODISCARD enum status image_folder_each(struct image_folder *folder, const char *path, image_folder_take *take,
                                        void *with, struct error *err);
/* Likewise the hints, after the examples: one that has another size than its picture is at fault, by its line. */
NODISCARD enum status image_folder_each_hint(struct image_folder *folder, const char *path, image_folder_take *take,
                                             void *with, struct error *err);

/* The check of an upload: decodes all of it, and calls `beat` after each picture (NULL: nobody waits), which may end
   it. A new object: {format "zip" | "tar", kind "images", examples, bytes, columns ["image", perhaps "text" and
   "conditioning_image"], images {count, with_text, with_conditioning_image, width {min, max}, height {min, max}},
   warnings}. */
typedef enum status image_folder_beat(void *with, struct error *err);
NODISCARD enum status image_folder_check(json_t **report, const char *path, const char *filename,
                                         image_folder_beat *beat, void *with, struct error *err);

#endif
