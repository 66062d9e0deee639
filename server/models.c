#include "server/models.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"

enum { MODELS_MAX = 4096, NAMED_MAX = 5 };
static const char GGUF_ENDING[] = ".gguf";

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length > tail && strcmp(text + length - tail, end) == 0;
}

static bool is_file(struct arena *arena, const char *folder, const char *name, struct stat *info) {
  const char *path = arena_format(arena, "%s/%s", folder, name);
  return path && stat(path, info) == 0 && S_ISREG(info->st_mode);
}

/* How many .gguf files lie in the folder, counted to 2; *info is of the last one seen. */
static size_t count_gguf(struct arena *arena, const char *folder, struct stat *info) {
  size_t count = 0;
  DIR *dir = opendir(folder);
  if (!dir)
    return 0;
  for (struct dirent *entry; count < 2 && (entry = readdir(dir));)
    if (entry->d_name[0] != '.' && ends_with(entry->d_name, GGUF_ENDING) && is_file(arena, folder, entry->d_name, info))
      count++;
  closedir(dir);
  return count;
}

/* The format of the model in a folder, by the rule with which the worker opens one; MODEL_FORMAT_COUNT:
   it holds none. *info is of the file that tells. */
static enum model_format look_inside(struct arena *arena, const char *folder, struct stat *info) {
  struct stat gguf, weights;
  bool has_config = is_file(arena, folder, "config.json", info);
  if (has_config && (is_file(arena, folder, "model.safetensors", &weights) ||
                     is_file(arena, folder, "model.safetensors.index.json", &weights)))
    return MODEL_SAFETENSORS;
  if (count_gguf(arena, folder, &gguf) == 1) {
    *info = gguf;
    return MODEL_GGUF;
  }
  /* Weights that are missing or of another kind are the worker's to name. */
  return has_config ? MODEL_SAFETENSORS : MODEL_FORMAT_COUNT;
}

/* Is this entry a model? */
static bool look(struct base_model *out, const char *folder, const char *name, struct arena *arena) {
  struct stat info;
  if (name[0] == '.' || !utf8_valid(name, strlen(name), NULL))
    return false;
  const char *path = arena_format(arena, "%s/%s", folder, name);
  if (!path || stat(path, &info) != 0)
    return false;
  enum model_format format = MODEL_FORMAT_COUNT;
  if (S_ISDIR(info.st_mode))
    format = look_inside(arena, path, &info);
  else if (S_ISREG(info.st_mode) && ends_with(name, GGUF_ENDING))
    format = MODEL_GGUF;
  *out = (struct base_model){
      .id = arena_string(arena, name), .path = path, .format = format, .created = info.st_mtime};
  return out->id != NULL && format != MODEL_FORMAT_COUNT;
}

const char *model_format_name(enum model_format format) {
  static const char *const names[MODEL_FORMAT_COUNT] = {[MODEL_SAFETENSORS] = "safetensors", [MODEL_GGUF] = "gguf"};
  CHECK(format < MODEL_FORMAT_COUNT);
  return names[format];
}

static int by_id(const void *a, const void *b) {
  return strcmp(((const struct base_model *)a)->id, ((const struct base_model *)b)->id);
}

enum status models_list(struct base_model **out, size_t *count, const char *folder, struct arena *arena,
                        struct error *err) {
  size_t size = 0;
  *count = 0;
  *out = NULL;
  DIR *dir = opendir(folder);
  if (!dir)
    return errno == ENOENT ? STATUS_OK : error_set_errno(err, STATUS_IO, "models", "cannot read the models folder");
  for (struct dirent *entry; (entry = readdir(dir)) && *count < MODELS_MAX;) {
    struct base_model model;
    if (!look(&model, folder, entry->d_name, arena))
      continue;
    if (*count == size) {
      size_t bigger_size = size ? size * 2 : 16;
      struct base_model *bigger = arena_array(arena, bigger_size, sizeof *bigger);
      if (!bigger) {
        closedir(dir);
        return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "listing the models");
      }
      if (size)
        memcpy(bigger, *out, size * sizeof *bigger);
      *out = bigger;
      size = bigger_size;
    }
    (*out)[(*count)++] = model;
  }
  closedir(dir);
  if (*count)
    qsort(*out, *count, sizeof **out, by_id);
  return STATUS_OK;
}

/* Ids near `id`, else the first few, quoted into `names`; how many. */
static size_t name_some(struct str *names, const struct base_model *models, size_t count, const char *id, bool near) {
  size_t named = 0;
  for (size_t i = 0; i < count && named < NAMED_MAX; i++)
    if (!near || str_distance(models[i].id, id, 3) <= 3 || strcasestr(models[i].id, id) || strcasestr(id, models[i].id))
      str_printf(names, "%s\"%s\"", named++ ? ", " : "", models[i].id);
  return named;
}

enum status models_find(struct base_model *out, const char *folder, const char *id, struct arena *arena,
                        struct error *err) {
  struct base_model *models;
  size_t count;
  enum status status = models_list(&models, &count, folder, arena, err);
  if (status)
    return status;
  for (size_t i = 0; i < count; i++)
    if (strcmp(models[i].id, id) == 0) {
      *out = models[i];
      return STATUS_OK;
    }
  AUTO(str_done) struct str names;
  str_init(&names, 300);
  if (name_some(&names, models, count, id, true))
    return error_set(err, STATUS_MODEL_NOT_FOUND, "model", "no model has the id \"%.64s\"; did you mean %s?", id,
                     names.text);
  if (name_some(&names, models, count, id, false))
    return error_set(err, STATUS_MODEL_NOT_FOUND, "model", "no model has the id \"%.64s\"; there %s %s%s", id,
                     count == 1 ? "is" : "are", names.text, count > NAMED_MAX ? " and others" : "");
  return error_set(err, STATUS_MODEL_NOT_FOUND, "model",
                   "no model has the id \"%.64s\": the models folder of this server is empty", id);
}
