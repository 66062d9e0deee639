#include "server/models.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/single_file.h"
#include "base/file.h"
#include "base/log.h"
#include "base/split_file.h"
#include "base/str.h"

enum { MODELS_MAX = 4096, ENTRIES_MAX = 1 << 17, REF_BYTES_MAX = 256, NAMED_MAX = 5, ID_BYTES = 2 * 256 };
static const char GGUF_ENDING[] = ".gguf", CACHED[] = "models--", CACHE_FOLDER[] = "hub";

/* Which of two models with one id counts: the first of these. */
enum place { PLACE_PLAIN, PLACE_CACHE, PLACE_CACHE_IN_HUB };

struct found {
  struct base_model model;
  enum place place;
};

struct search {
  struct arena *arena;
  struct found *found;
  size_t count, size;
  size_t entries; /* looked at */
  const char *id; /* of the only model looked for; NULL: all, within the bounds */
  bool is_cut;
  bool out_of_memory;
};

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length > tail && strcmp(text + length - tail, end) == 0;
}

/* Is there such an entry, and what is it? Its path does not go to the arena: many are looked at, few are models. */
static bool entry_stat(char path[PATH_MAX], struct stat *info, const char *folder, const char *name) {
  int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);
  return length < PATH_MAX && stat(path, info) == 0;
}

static bool is_file(const char *folder, const char *name, struct stat *info) {
  char path[PATH_MAX];
  return entry_stat(path, info, folder, name) && S_ISREG(info->st_mode);
}

/* Is it a .gguf file, and of several parts the first? */
static bool is_gguf(const char *folder, const char *name, struct stat *info) {
  char path[PATH_MAX];
  return ends_with(name, GGUF_ENDING) && entry_stat(path, info, folder, name) && S_ISREG(info->st_mode) &&
         !split_file_follows(path);
}

/* How many models in .gguf files lie in the folder, counted to 2; *info is of the last one seen. */
static size_t count_gguf(const char *folder, struct stat *info) {
  struct stat seen;
  size_t count = 0;
  DIR *dir = opendir(folder);
  if (!dir)
    return 0;
  for (struct dirent *entry; count < 2 && (entry = readdir(dir));)
    if (entry->d_name[0] != '.' && is_gguf(folder, entry->d_name, &seen)) {
      *info = seen;
      count++;
    }
  closedir(dir);
  return count;
}

/* The format of the model in a folder, by the rule with which the worker opens one; MODEL_FORMAT_COUNT:
   it holds none. *info is of the file that tells. */
static enum model_format look_inside(const char *folder, struct stat *info) {
  struct stat gguf, weights;
  if (is_file(folder, "model_index.json", info))
    return MODEL_DIFFUSERS;
  struct single_file single;
  if (single_file_find(&single, folder) && stat(single.path, info) == 0)
    return MODEL_SINGLE_FILE;
  bool has_config = is_file(folder, "config.json", info);
  static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                      "pytorch_model.bin.index.json"};
  for (size_t i = 0; has_config && i < COUNT_OF(names); i++)
    if (is_file(folder, names[i], &weights))
      return i < 2 ? MODEL_SAFETENSORS : MODEL_PYTORCH;
  if (count_gguf(folder, &gguf) == 1) {
    *info = gguf;
    return MODEL_GGUF;
  }
  /* Weights that are missing or of another kind are the worker's to name. */
  return has_config ? MODEL_SAFETENSORS : MODEL_FORMAT_COUNT;
}

const char *model_format_name(enum model_format format) {
  static const char *const names[MODEL_FORMAT_COUNT] = {[MODEL_SAFETENSORS] = "safetensors",
                                                        [MODEL_PYTORCH] = "pytorch",
                                                        [MODEL_GGUF] = "gguf",
                                                        [MODEL_DIFFUSERS] = "diffusers",
                                                        [MODEL_SINGLE_FILE] = "single_file"};
  CHECK(format < MODEL_FORMAT_COUNT);
  return names[format];
}

/* ---- what the entries are called ---- */

/* "models--org--name", the name of a model in the cache of the Hugging Face hub, is "org/name". False: it is no such
   name. */
static bool cached_id(char out[ID_BYTES], const char *name) {
  size_t length = strlen(CACHED);
  if (strncmp(name, CACHED, length) != 0)
    return false;
  const char *org = name + length, *between = strstr(org, "--");
  if (between)
    snprintf(out, ID_BYTES, "%.*s/%s", (int)(between - org), org, between + 2);
  else
    snprintf(out, ID_BYTES, "%s", org);
  return out[0] && out[0] != '/' && (!between || (between[2] && !strstr(between + 2, "--")));
}

static bool in_folder(const char *id, const char *folder) {
  size_t length = strlen(folder);
  return strncmp(id, folder, length) == 0 && id[length] == '/';
}

/* ---- the search ---- */

/* Text is copied into the arena. */
static void add(struct search *s, const char *id, const char *path, enum model_format format, const struct stat *info,
                enum place place) {
  struct base_model model = {.id = arena_string(s->arena, id),
                             .path = arena_string(s->arena, path),
                             .format = format,
                             .created = info->st_mtime};
  if (s->count == s->size) {
    size_t size = s->size ? s->size * 2 : 16;
    struct found *bigger = arena_array(s->arena, size, sizeof *bigger);
    if (bigger && s->count)
      memcpy(bigger, s->found, s->count * sizeof *bigger);
    s->found = bigger;
    s->size = bigger ? size : 0;
  }
  s->out_of_memory |= !model.id || !model.path || !s->found;
  if (!s->out_of_memory)
    s->found[s->count++] = (struct found){model, place};
}

/* Takes the folder as the model `id` when it is one. */
static bool take_folder(struct search *s, const char *folder, const char *id, enum place place) {
  struct stat info;
  enum model_format format = look_inside(folder, &info);
  if (format == MODEL_FORMAT_COUNT)
    return false;
  if (!s->id || strcmp(s->id, id) == 0)
    add(s, id, folder, format, &info, place);
  return true;
}

/* The next entry to look at; NULL: the end. A search for one model looks at all, a list has bounds. */
static struct dirent *next_entry(struct search *s, DIR *dir) {
  for (struct dirent *entry; !s->out_of_memory && (entry = readdir(dir));) {
    if (!s->id && (s->count >= MODELS_MAX || s->entries >= ENTRIES_MAX)) {
      s->is_cut = true;
      return NULL;
    }
    s->entries++;
    if (entry->d_name[0] != '.' && utf8_valid(entry->d_name, strlen(entry->d_name), NULL))
      return entry;
  }
  return NULL;
}

/* The snapshot that refs/main names, when it is there. */
static bool main_snapshot(char path[PATH_MAX], const char *folder, const char *snapshots) {
  char ref_path[PATH_MAX], *text;
  struct stat info;
  size_t length;
  struct error err;
  if (!entry_stat(ref_path, &info, folder, "refs/main") || !S_ISREG(info.st_mode) ||
      file_read(&text, &length, ref_path, REF_BYTES_MAX, &err))
    return false;
  text[strcspn(text, " \t\r\n")] = '\0';
  bool found = text[0] && text[0] != '.' && !strchr(text, '/') && entry_stat(path, &info, snapshots, text) &&
               S_ISDIR(info.st_mode);
  free(text);
  return found;
}

static bool newer(struct timespec a, struct timespec b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

static bool newest_snapshot(struct search *s, char path[PATH_MAX], const char *snapshots) {
  char each[PATH_MAX];
  struct stat info;
  struct timespec newest = {0};
  bool found = false;
  DIR *dir = opendir(snapshots);
  if (!dir)
    return false;
  for (struct dirent *entry; (entry = next_entry(s, dir));) {
    if (!entry_stat(each, &info, snapshots, entry->d_name) || !S_ISDIR(info.st_mode) ||
        (found && !newer(info.st_mtim, newest)))
      continue;
    memcpy(path, each, strlen(each) + 1);
    newest = info.st_mtim;
    found = true;
  }
  closedir(dir);
  return found;
}

/* A folder models--org--name of the cache: refs/main says which of its snapshots counts, else the newest does. */
static void take_cached(struct search *s, const char *folder, const char *id, enum place place) {
  char snapshots[PATH_MAX], snapshot[PATH_MAX];
  struct stat info;
  if ((!s->id || strcmp(s->id, id) == 0) && entry_stat(snapshots, &info, folder, "snapshots") &&
      (main_snapshot(snapshot, folder, snapshots) || newest_snapshot(s, snapshot, snapshots)))
    take_folder(s, snapshot, id, place);
}

/* The models of one organisation, or those of a cache that lies one folder deeper. */
static void search_inside(struct search *s, const char *folder, const char *name) {
  char path[PATH_MAX], id[ID_BYTES];
  bool is_hub = strcmp(name, CACHE_FOLDER) == 0;
  struct stat info;
  DIR *dir = opendir(folder);
  if (!dir)
    return;
  for (struct dirent *entry; (entry = next_entry(s, dir));) {
    bool is_cached = is_hub && cached_id(id, entry->d_name);
    if (!is_cached)
      snprintf(id, sizeof id, "%s/%s", name, entry->d_name);
    if ((s->id && strcmp(s->id, id) != 0) || !entry_stat(path, &info, folder, entry->d_name) || !S_ISDIR(info.st_mode))
      continue;
    if (is_cached)
      take_cached(s, path, id, PLACE_CACHE_IN_HUB);
    else
      take_folder(s, path, id, PLACE_PLAIN);
  }
  closedir(dir);
}

/* One entry of the models folder: a model, a model of the cache, or a folder of models. */
static void search_entry(struct search *s, const char *folder, const char *name) {
  char path[PATH_MAX], id[ID_BYTES];
  struct stat info;
  if (!entry_stat(path, &info, folder, name))
    return;
  if ((!s->id || strcmp(s->id, name) == 0) && is_gguf(folder, name, &info))
    add(s, name, path, MODEL_GGUF, &info, PLACE_PLAIN);
  if (!S_ISDIR(info.st_mode) || take_folder(s, path, name, PLACE_PLAIN))
    return;
  if (cached_id(id, name))
    take_cached(s, path, id, PLACE_CACHE);
  else
    search_inside(s, path, name);
}

/* Can this entry of the models folder lead to the id? Told by names alone: a search for one model looks into few. */
static bool leads_to(const char *id, const char *name) {
  char cached[ID_BYTES];
  return strcmp(id, name) == 0 || in_folder(id, name) || strcmp(name, CACHE_FOLDER) == 0 ||
         (cached_id(cached, name) && strcmp(id, cached) == 0);
}

static int by_id(const void *a, const void *b) {
  const struct found *x = a, *y = b;
  int order = strcmp(x->model.id, y->model.id);
  return order ? order : (int)x->place - (int)y->place;
}

/* Sorts them; of two with one id the one that counts stays. */
static void settle(struct search *s) {
  size_t kept = 0;
  if (s->count)
    qsort(s->found, s->count, sizeof *s->found, by_id);
  for (size_t i = 0; i < s->count; i++) {
    if (kept && strcmp(s->found[kept - 1].model.id, s->found[i].model.id) == 0)
      log_warn("two models have the id \"%s\": %s is used, not %s", s->found[i].model.id, s->found[kept - 1].model.path,
               s->found[i].model.path);
    else
      s->found[kept++] = s->found[i];
  }
  s->count = kept;
  if (s->is_cut)
    log_warn("the models folder holds more than can be listed: the list ends after %zu models and %zu entries; the"
             " others can be used by their ids",
             s->count, s->entries);
}

static enum status search(struct search *s, const char *folder, struct error *err) {
  DIR *dir = opendir(folder);
  if (!dir)
    return errno == ENOENT ? STATUS_OK : error_set_errno(err, STATUS_IO, "models", "cannot read the models folder");
  for (struct dirent *entry; (entry = next_entry(s, dir));)
    if (!s->id || leads_to(s->id, entry->d_name))
      search_entry(s, folder, entry->d_name);
  closedir(dir);
  if (s->out_of_memory)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "looking for models");
  settle(s);
  return STATUS_OK;
}

enum status models_list(struct base_model **out, size_t *count, const char *folder, struct arena *arena,
                        struct error *err) {
  struct search s = {.arena = arena};
  *count = 0;
  *out = NULL;
  enum status status = search(&s, folder, err);
  if (status || !s.count)
    return status;
  *out = arena_array(arena, s.count, sizeof **out);
  if (!*out)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "looking for models");
  for (size_t i = 0; i < s.count; i++)
    (*out)[i] = s.found[i].model;
  *count = s.count;
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
  struct search s = {.arena = arena, .id = id};
  struct base_model *models;
  size_t count;
  enum status status = search(&s, folder, err);
  if (!status && s.count) {
    *out = s.found[0].model;
    return STATUS_OK;
  }
  if (!status)
    status = models_list(&models, &count, folder, arena, err);
  if (status)
    return status;
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
