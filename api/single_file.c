#include "api/single_file.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char ENDING[] = ".safetensors";

const char *const single_file_parts[SINGLE_FILE_PARTS] = {"tokenizer", "text_encoder/config.json", "unet/config.json",
                                                          "vae/config.json", "scheduler/scheduler_config.json"};

bool single_file_named(const char *path) {
  size_t length = strlen(path), tail = sizeof ENDING - 1;
  return length > tail && strcmp(path + length - tail, ENDING) == 0;
}

static bool entry_stat(char path[PATH_MAX], struct stat *info, const char *folder, const char *name) {
  int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);
  return length < PATH_MAX && stat(path, info) == 0;
}

/* The only file of that kind in the folder. */
static bool only_one(char out[PATH_MAX], const char *folder) {
  char other[PATH_MAX];
  struct stat info;
  size_t count = 0;
  DIR *dir = opendir(folder);
  const struct dirent *entry;
  while (dir && count < 2 && (entry = readdir(dir)))
    if (entry->d_name[0] != '.' && single_file_named(entry->d_name) &&
        entry_stat(other, &info, folder, entry->d_name) && S_ISREG(info.st_mode) && ++count == 1)
      memcpy(out, other, strlen(other) + 1);
  if (dir)
    closedir(dir);
  return count == 1;
}

bool single_file_find(struct single_file *out, const char *path) {
  char other[PATH_MAX];
  struct stat info;
  const char *slash = strrchr(path, '/');
  if (strlen(path) >= PATH_MAX || stat(path, &info) != 0)
    return false;
  if (S_ISREG(info.st_mode)) {
    snprintf(out->path, PATH_MAX, "%s", path);
    snprintf(out->folder, PATH_MAX, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return single_file_named(path);
  }
  snprintf(out->folder, PATH_MAX, "%s", path);
  return entry_stat(other, &info, path, single_file_parts[0]) && S_ISDIR(info.st_mode) &&
         !entry_stat(other, &info, path, "config.json") && !entry_stat(other, &info, path, "model_index.json") &&
         only_one(out->path, path);
}
