#include "worker/data/image_folder.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/grow.h"
#include "base/json.h"
#include "worker/file/archive.h"
#include "worker/image/image_decode.h"

enum { NAMES_BYTES_MAX = 64 << 20, METADATA_BYTES_MAX = 64 << 20, LINE_BYTES_MAX = 1 << 16, TEXT_BYTES_MAX = 8 << 10 };
static const uint64_t ARCHIVE_BYTES_MAX = (uint64_t)8 << 30;
static const char METADATA[] = "metadata.jsonl";

static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* --- what there is -------------------------------------------------------------------------------- */

struct listing {
  struct image_folder *folder;
  bool no_memory;
  char *directory; /* of metadata.jsonl, with the slash at its end; NULL: there is none */
  char *metadata;
  size_t length;
};

static bool list_path(void *with, const char *path) {
  struct listing *l = with;
  struct image_folder *f = l->folder;
  if (strcmp(name_of(path), METADATA) == 0)
    return true;
  if (!image_decode_named(path))
    return false;
  struct image_item *items = grow(f->items, &f->size, f->count + 1, sizeof *items);
  const char *copy = items ? arena_string(&f->arena, path) : NULL;
  l->no_memory |= !copy;
  f->items = items ? items : f->items;
  if (copy)
    f->items[f->count++] = (struct image_item){.path = copy};
  return false;
}

static enum status list_metadata(void *with, const char *path, const unsigned char *bytes, size_t length,
                                 struct error *err) {
  struct listing *l = with;
  if (l->metadata)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "the archive has %s twice: %.100s%s and %.100s", METADATA,
                     l->directory, METADATA, path);
  l->directory = strndup(path, (size_t)(name_of(path) - path));
  l->metadata = malloc(length + 1);
  if (!l->directory || !l->metadata)
    return error_no_memory(err, METADATA);
  memcpy(l->metadata, bytes, length);
  l->metadata[length] = '\0';
  l->length = length;
  return STATUS_OK;
}

static int compare_paths(const void *a, const void *b) {
  return strcmp((*(struct image_item *const *)a)->path, (*(struct image_item *const *)b)->path);
}

/* The items by their path, for metadata's lines; a picture that is there twice is a fault. */
static enum status sort_paths(struct image_item ***out, const struct image_folder *f, struct error *err) {
  struct image_item **sorted = malloc((f->count + 1) * sizeof *sorted);
  if (!sorted)
    return error_no_memory(err, "an archive of images");
  for (size_t i = 0; i < f->count; i++)
    sorted[i] = &f->items[i];
  qsort(sorted, f->count, sizeof *sorted, compare_paths);
  for (size_t i = 1; i < f->count; i++)
    if (strcmp(sorted[i - 1]->path, sorted[i]->path) == 0) {
      enum status status =
          error_set(err, STATUS_DATASET_INVALID, NULL, "the archive has %.200s twice", sorted[i]->path);
      free(sorted);
      return status;
    }
  *out = sorted;
  return STATUS_OK;
}

/* The picture that member `key` of a line names; *out NULL: it names none. A picture has one line at most. */
static enum status read_path(struct image_item **out, const struct listing *l, struct image_item *const *sorted,
                             const json_t *line, const char *key, size_t number, struct error *err) {
  const char *file;
  char path[4096];
  struct error why;
  *out = NULL;
  if (json_get_string(&file, line, key, NULL, &why))
    return error_set(err, STATUS_DATASET_INVALID, NULL, "%s", why.text);
  if (!file)
    return STATUS_OK;
  snprintf(path, sizeof path, "%s%s", l->directory, file);
  const struct image_item wanted = {.path = path}, *at = &wanted;
  struct image_item *const *found = bsearch(&at, sorted, l->folder->count, sizeof *sorted, compare_paths);
  if (!found)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "the archive has no image %.200s", path);
  if ((*found)->line)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "%.200s has been given in line %zu", path, (*found)->line);
  (*found)->line = number;
  *out = *found;
  return STATUS_OK;
}

/* One line: a picture's, with its text and its hint. */
static enum status read_line(struct listing *l, struct image_item *const *sorted, const json_t *line, size_t number,
                             struct error *err) {
  struct image_folder *f = l->folder;
  struct image_item *item, *hint;
  const char *text;
  struct error why;
  if (!json_is_object(line))
    return error_set(err, STATUS_DATASET_INVALID, NULL, "it must be an object, not %s", json_kind(line));
  enum status status = read_path(&item, l, sorted, line, "file_name", number, err);
  if (!status && !item)
    status = error_set(err, STATUS_DATASET_INVALID, NULL, "it has no file_name");
  status = status ? status : read_path(&hint, l, sorted, line, "conditioning_image", number, err);
  if (status)
    return status;
  item->hint = hint;
  if (hint)
    hint->of = item;
  if (json_get_string(&text, line, "text", NULL, &why))
    return error_set(err, STATUS_DATASET_INVALID, NULL, "%s", why.text);
  if (text && strlen(text) > TEXT_BYTES_MAX)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "text has more than %d bytes", TEXT_BYTES_MAX);
  item->text = text ? arena_string(&f->arena, text) : NULL;
  return text && !item->text ? error_no_memory(err, METADATA) : STATUS_OK;
}

static enum status read_metadata(struct listing *l, struct image_item *const *sorted, struct error *err) {
  static const struct json_limits limits = {.bytes_max = LINE_BYTES_MAX, .values_max = 1000};
  const char *at = l->metadata, *end = at + l->length;
  for (size_t number = 1; at < end; number++) {
    const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
    json_t *line = NULL;
    if (strspn(at, " \t\r") < (size_t)(stop - at)) {
      struct error why;
      enum status status = json_parse(&line, at, (size_t)(stop - at), &limits, &why);
      if (status)
        error_set(err, status == STATUS_OUT_OF_MEMORY ? status : STATUS_DATASET_INVALID, NULL, "%s", why.text);
      status = status == STATUS_OK || status == STATUS_OUT_OF_MEMORY ? status : STATUS_DATASET_INVALID;
      status = status ? status : read_line(l, sorted, line, number, err);
      json_decref(line);
      if (status)
        return error_prefix(err, "%s%s, line %zu", l->directory, METADATA, number);
    }
    at = stop + 1;
  }
  for (size_t i = 0; i < l->folder->count; i++)
    if (!l->folder->items[i].line)
      return error_set(err, STATUS_DATASET_INVALID, NULL, "%s%s has no line for the image %.200s", l->directory,
                       METADATA, l->folder->items[i].path);
  return STATUS_OK;
}

static enum status list(struct listing *l, const char *path, struct error *err) {
  const struct archive_walk walk = {.wanted = list_path,
                                    .take = list_metadata,
                                    .with = l,
                                    .member_bytes_max = METADATA_BYTES_MAX,
                                    .bytes_max = ARCHIVE_BYTES_MAX};
  struct image_item **sorted = NULL;
  enum status status = archive_walk(path, &walk, err);
  if (!status && l->no_memory)
    status = error_no_memory(err, "an archive of images");
  if (!status && l->folder->count == 0)
    status = error_set(err, STATUS_DATASET_INVALID, NULL, "the archive has no image: no .png, .jpg, .jpeg or .webp");
  status = status ? status : sort_paths(&sorted, l->folder, err);
  if (!status && l->metadata)
    status = read_metadata(l, sorted, err);
  for (size_t i = 0; !status && i < l->folder->count; i++)
    l->folder->items[i].example = l->folder->items[i].of ? SIZE_MAX : l->folder->examples++;
  free(sorted);
  return status;
}

enum status image_folder_open(struct image_folder *out, const char *path, struct error *err) {
  struct listing listing = {.folder = out};
  *out = (struct image_folder){0};
  arena_init(&out->arena, NAMES_BYTES_MAX);
  enum status status = list(&listing, path, err);
  free(listing.directory);
  free(listing.metadata);
  if (status)
    image_folder_close(out);
  return status;
}

void image_folder_close(struct image_folder *folder) {
  arena_done(&folder->arena);
  free(folder->items);
  *folder = (struct image_folder){0};
}

static bool see_image(void *with, const char *path) {
  bool *seen = with;
  *seen |= image_decode_named(path);
  return false;
}

bool image_folder_is(const char *path) {
  bool seen = false;
  const struct archive_walk walk = {.wanted = see_image, .with = &seen};
  struct error ignored;
  return archive_walk(path, &walk, &ignored) == STATUS_OK && seen;
}

/* --- pictures ------------------------------------------------------------------------------------- */

struct decoding {
  struct image_folder *folder;
  bool hints; /* those, or the others */
  size_t next;
  image_folder_take *take;
  void *with;
};

static void find_next(struct decoding *d) {
  while (d->next < d->folder->count && (d->folder->items[d->next].of != NULL) != d->hints)
    d->next++;
}

static bool is_next(void *with, const char *path) {
  const struct decoding *d = with;
  return d->next < d->folder->count && strcmp(d->folder->items[d->next].path, path) == 0;
}

static enum status check_hint(const struct image_item *hint, struct error *err) {
  const struct image_item *of = hint->of;
  return hint->width == of->width && hint->height == of->height
             ? STATUS_OK
             : error_set(
                   err, STATUS_DATASET_INVALID, NULL,
                   "line %zu of %s: the conditioning_image %.200s is %zu x %zu pixels, its image %.200s %zu x %zu",
                   hint->line, METADATA, hint->path, hint->width, hint->height, of->path, of->width, of->height);
}

static enum status decode(void *with, const char *path, const unsigned char *bytes, size_t length, struct error *err) {
  struct decoding *d = with;
  struct image_item *item = &d->folder->items[d->next];
  struct image image;
  enum status status = image_decode(&image, bytes, length, err);
  if (status)
    return error_prefix(err, "%.200s", path);
  item->width = image.width;
  item->height = image.height;
  status = item->of ? check_hint(item, err) : STATUS_OK;
  if (status) {
    image_done(&image);
    return status;
  }
  status = d->take(d->with, item, &image, err);
  d->next++;
  find_next(d);
  return status;
}

static enum status walk(struct decoding *d, const char *path, struct error *err) {
  const struct archive_walk walk = {.wanted = is_next,
                                    .take = decode,
                                    .with = d,
                                    .member_bytes_max = IMAGE_BYTES_MAX,
                                    .bytes_max = ARCHIVE_BYTES_MAX};
  find_next(d);
  if (d->next == d->folder->count)
    return STATUS_OK;
  enum status status = archive_walk(path, &walk, err);
  if (!status && d->next < d->folder->count)
    status =
        error_set(err, STATUS_DATASET_INVALID, NULL, "%.200s cannot be found again", d->folder->items[d->next].path);
  return status;
}

enum status image_folder_each(struct image_folder *folder, const char *path, image_folder_take *take, void *with,
                              struct error *err) {
  return walk(&(struct decoding){.folder = folder, .take = take, .with = with}, path, err);
}

enum status image_folder_each_hint(struct image_folder *folder, const char *path, image_folder_take *take, void *with,
                                   struct error *err) {
  return walk(&(struct decoding){.folder = folder, .hints = true, .take = take, .with = with}, path, err);
}

/* --- the check ------------------------------------------------------------------------------------ */

struct sizes {
  size_t width_min, width_max, height_min, height_max;
  image_folder_beat *beat;
  void *with;
};

static void widen(size_t *min, size_t *max, size_t value, bool first) {
  *min = first || value < *min ? value : *min;
  *max = first || value > *max ? value : *max;
}

static enum status measure(void *with, const struct image_item *item, struct image *image, struct error *err) {
  struct sizes *s = with;
  if (!item->of) {
    widen(&s->width_min, &s->width_max, image->width, item->example == 0);
    widen(&s->height_min, &s->height_max, image->height, item->example == 0);
  }
  image_done(image);
  return s->beat ? s->beat(s->with, err) : STATUS_OK;
}

static void warn_of_lacking(json_t *warnings, const char *what, size_t have, size_t examples) {
  if (have && have < examples)
    json_array_append_new(warnings, json_sprintf("%zu of %zu images have no %s", examples - have, examples, what));
}

static json_t *describe(const struct image_folder *f, const struct sizes *s, const char *filename, json_int_t bytes) {
  size_t texts = 0, hints = f->count - f->examples, length = strlen(filename);
  for (size_t i = 0; i < f->count; i++)
    texts += f->items[i].text != NULL;
  json_t *columns = json_pack("[s]", "image"), *warnings = json_array();
  if (texts)
    json_array_append_new(columns, json_string("text"));
  if (hints)
    json_array_append_new(columns, json_string("conditioning_image"));
  warn_of_lacking(warnings, "text", texts, f->examples);
  warn_of_lacking(warnings, "conditioning_image", hints, f->examples);
  json_t *images = json_pack("{s:I, s:I, s:I, s:{s:I, s:I}, s:{s:I, s:I}}", "count", (json_int_t)f->examples,
                             "with_text", (json_int_t)texts, "with_conditioning_image", (json_int_t)hints, "width",
                             "min", (json_int_t)s->width_min, "max", (json_int_t)s->width_max, "height", "min",
                             (json_int_t)s->height_min, "max", (json_int_t)s->height_max);
  bool zip = length > 4 && strcasecmp(filename + length - 4, ".zip") == 0;
  return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "format", zip ? "zip" : "tar", "kind", "images", "examples",
                   (json_int_t)f->examples, "bytes", bytes, "columns", columns, "images", images, "warnings", warnings);
}

enum status image_folder_check(json_t **report, const char *path, const char *filename, image_folder_beat *beat,
                               void *with, struct error *err) {
  struct image_folder folder;
  struct sizes sizes = {.beat = beat, .with = with};
  struct stat info;
  *report = NULL;
  if (stat(path, &info) != 0)
    return error_set_errno(err, STATUS_IO, NULL, "reading %s", filename);
  enum status status = image_folder_open(&folder, path, err);
  if (status)
    return status;
  status = image_folder_each(&folder, path, measure, &sizes, err);
  status = status ? status : image_folder_each_hint(&folder, path, measure, &sizes, err);
  if (!status && !(*report = describe(&folder, &sizes, filename, (json_int_t)info.st_size)))
    status = error_no_memory(err, "the report of a file");
  image_folder_close(&folder);
  return status;
}
