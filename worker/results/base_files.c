#include "worker/results/base_files.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/single_file.h"
#include "base/file.h"
#include "base/split_file.h"

static bool ends(const char *name, const char *with) {
  size_t length = strlen(name), end = strlen(with);
  return length > end && strcmp(name + length - end, with) == 0;
}

/* Forms of weights, the one that is read first. */
static const char *const weights[] = {".safetensors", ".bin", ".gguf"};

static bool is_weights(const char *name, size_t form) {
  return ends(name, weights[form]) && (form != 1 || strncmp(name, "pytorch_model", 13) == 0);
}

/* What is read beside the weights. */
static bool is_about(const char *name) {
  static const char *const names[] = {"config.json",
                                      "model_index.json",
                                      "scheduler_config.json",
                                      "tokenizer.json",
                                      "tokenizer_config.json",
                                      "special_tokens_map.json",
                                      "added_tokens.json",
                                      "vocab.txt",
                                      "vocab.json",
                                      "merges.txt",
                                      "modules.json",
                                      "chat_template.jinja",
                                      "chat_template.json",
                                      "generation_config.json",
                                      "preprocessor_config.json"};
  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (strcmp(name, names[i]) == 0)
      return true;
  return ends(name, ".model") || ends(name, ".safetensors.index.json") || ends(name, ".bin.index.json");
}

static int visible(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static enum status add(json_t *list, const char *within, const char *name, const char *path, struct error *err) {
  char sha256[HASH_HEX];
  uint64_t bytes;
  enum status status = file_hash(sha256, &bytes, path, err);
  if (!status && json_array_append_new(list, json_pack("{s:s+ s:I s:s}", "name", within, name, "bytes",
                                                       (json_int_t)bytes, "sha256", sha256)))
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "listing the base model's files");
  return status;
}

/* `within`: what names begin with, "" or "unet/". */
static enum status add_folder(json_t *list, const char *folder, const char *within, struct error *err) {
  struct dirent **entries;
  char path[1400];
  size_t form = 0;
  int count = scandir(folder, &entries, visible, alphasort);
  if (count < 0)
    return error_set_errno(err, STATUS_IO, NULL, "cannot read %s", folder);
  for (bool found = false; !found && form < COUNT_OF(weights); form += !found)
    for (int i = 0; i < count && !found; i++)
      found = is_weights(entries[i]->d_name, form);
  enum status status = STATUS_OK;
  for (int i = 0; i < count; i++) {
    const char *name = entries[i]->d_name;
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!status && ((form < COUNT_OF(weights) && is_weights(name, form)) || is_about(name)) && stat(path, &info) == 0 &&
        S_ISREG(info.st_mode))
      status = add(list, within, name, path, err);
    free(entries[i]);
  }
  free(entries);
  return status;
}

/* A model that is one file, or the parts of one, whose first `path` is. */
static enum status add_file(json_t *list, const char *path, struct error *err) {
  struct split_walk walk;
  enum status status = STATUS_OK;
  split_walk_begin(&walk, path);
  while (!status && split_walk_next(&walk)) {
    const char *slash = strrchr(walk.path, '/');
    status = add(list, "", slash ? slash + 1 : walk.path, walk.path, err);
  }
  return status;
}

/* Of a diffusion pipeline: the folders of those components that are used. */
static enum status add_components(json_t *list, const char *path, struct error *err) {
  static const char *const names[] = {"scheduler/", "text_encoder/", "tokenizer/", "unet/", "vae/"};
  char folder[1400];
  struct stat info;
  struct single_file file;
  snprintf(folder, sizeof folder, "%s/model_index.json", path);
  bool whole = stat(folder, &info) == 0, single = single_file_find(&file, path);
  enum status status = STATUS_OK;
  for (size_t i = 0; (whole || single) && !status && i < COUNT_OF(names); i++) {
    snprintf(folder, sizeof folder, "%s/%s", path, names[i]);
    if (whole || stat(folder, &info) == 0) /* beside a single file most may be missing */
      status = add_folder(list, folder, names[i], err);
  }
  return status;
}

enum status base_files(json_t **out, const char *path, struct error *err) {
  struct stat info;
  json_t *list = json_array();
  enum status status = list ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "listing the base model's files");
  *out = NULL;
  if (!status && stat(path, &info) != 0)
    status = error_set_errno(err, STATUS_IO, NULL, "cannot read %s", path);
  if (!status)
    status = S_ISDIR(info.st_mode) ? add_folder(list, path, "", err) : add_file(list, path, err);
  if (!status && S_ISDIR(info.st_mode))
    status = add_components(list, path, err);
  if (status)
    json_decref(list);
  else
    *out = list;
  return status;
}
