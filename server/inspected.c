#include "server/inspected.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/single_file.h"
#include "base/log.h"
#include "base/split_file.h"
#include "server/paths.h"

struct inspected_list {
  inspected_wanted *wanted;
  void *context;
  struct inspected *first;
};

static uint64_t mix(uint64_t hash, const void *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001B3u;
  return hash;
}

static uint64_t mix_file(uint64_t hash, const char *path) {
  struct stat info;
  if (stat(path, &info) != 0)
    return mix(hash, "", 1);
  hash = mix(hash, &info.st_ino, sizeof info.st_ino);
  hash = mix(hash, &info.st_size, sizeof info.st_size);
  return mix(hash, &info.st_mtim, sizeof info.st_mtim);
}

/* Changes with the files that decide; others that are added or removed change their folder. */
static uint64_t version_of(const char *path) {
  static const char *const names[] = {
      "config.json",         "model.safetensors",     "model.safetensors.index.json", "tokenizer.json",
      "tokenizer.model",     "tokenizer_config.json", "special_tokens_map.json",      "vocab.txt",
      "chat_template.jinja", "pytorch_model.bin",     "pytorch_model.bin.index.json", "spm.model"};
  static const char *const of_pipelines[] = {"model_index.json", "scheduler/scheduler_config.json",
                                             "text_encoder",     "text_encoder/config.json",
                                             "tokenizer",        "tokenizer/tokenizer_config.json",
                                             "unet",             "unet/config.json",
                                             "vae",              "vae/config.json"};
  char file[PATH_BYTES];
  struct single_file single;
  struct split_walk walk;
  uint64_t hash = 0xCBF29CE484222325u;
  split_walk_begin(&walk, path);
  while (split_walk_next(&walk))
    hash = mix_file(hash, walk.path);
  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (!path_format(file, NULL, "%s/%s", path, names[i]))
      hash = mix_file(hash, file);
  for (size_t i = 0; i < COUNT_OF(of_pipelines); i++)
    if (!path_format(file, NULL, "%s/%s", path, of_pipelines[i]))
      hash = mix_file(hash, file);
  return single_file_find(&single, path) ? mix_file(hash, single.path) : hash;
}

static struct inspected *find(const struct inspected_list *list, const char *id) {
  struct inspected *inspected = list->first;
  while (inspected && strcmp(inspected->id, id) != 0)
    inspected = inspected->next;
  return inspected;
}

static void forget(struct inspected *inspected) {
  json_decref(inspected->report);
  free(inspected->id);
  free(inspected->path);
  free(inspected);
}

static struct inspected *add(struct inspected_list *list, const struct base_model *model) {
  struct inspected *inspected = calloc(1, sizeof *inspected);
  if (!inspected)
    return NULL;
  inspected->id = strdup(model->id);
  inspected->path = strdup(model->path);
  if (!inspected->id || !inspected->path) {
    forget(inspected);
    return NULL;
  }
  inspected->next = list->first;
  list->first = inspected;
  return inspected;
}

const struct inspected *inspected_of(struct inspected_list *list, const struct base_model *model) {
  struct inspected *inspected = find(list, model->id);
  uint64_t version = version_of(model->path);
  if (inspected && inspected->version == version && strcmp(inspected->path, model->path) == 0)
    return inspected;
  if (!inspected && !(inspected = add(list, model)))
    return NULL;
  if (strcmp(inspected->path, model->path) != 0) {
    char *path = strdup(model->path);
    if (!path)
      return NULL;
    free(inspected->path);
    inspected->path = path;
  }
  inspected->version = version;
  if (inspected->state == INSPECTED_KNOWN)
    inspected->state = INSPECTED_WANTED; /* one that runs is looked at again when it ends */
  list->wanted(list->context);
  return inspected;
}

void inspected_key(char out[INSPECTED_KEY], const struct inspected *inspected) {
  snprintf(out, INSPECTED_KEY, "model-%016llx",
           (unsigned long long)mix(0xCBF29CE484222325u, inspected->id, strlen(inspected->id)));
}

struct data_tasks inspected_tasks(const struct inspected *inspected) {
  const json_t *tasks = inspected ? json_object_get(inspected->report, "tasks") : NULL, *task;
  struct data_tasks out = {.language = !tasks,
                           .classifier = !tasks,
                           .embeds = !tasks,
                           .tags = !tasks,
                           .images = !tasks,
                           .model = inspected ? inspected->report : NULL};
  size_t i;
  json_array_foreach(tasks, i, task) {
    const char *name = json_string_value(task);
    out.language |= name && strcmp(name, "CAUSAL_LM") == 0;
    out.classifier |= name && strcmp(name, "SEQ_CLS") == 0;
    out.embeds |= name && strcmp(name, "FEATURE_EXTRACTION") == 0;
    out.tags |= name && strcmp(name, "TOKEN_CLS") == 0;
    out.images |= name && strcmp(name, "TEXT_TO_IMAGE") == 0;
  }
  return out;
}

size_t inspected_waiting(const struct inspected_list *list) {
  size_t count = 0;
  for (const struct inspected *inspected = list->first; inspected; inspected = inspected->next)
    count += inspected->state == INSPECTED_WANTED;
  return count;
}

struct inspected *inspected_next(struct inspected_list *list) {
  struct inspected *inspected = list->first;
  while (inspected && inspected->state != INSPECTED_WANTED)
    inspected = inspected->next;
  return inspected;
}

enum status inspected_new(struct inspected_list **out, const struct config *config, inspected_wanted *wanted,
                          void *context, struct error *err) {
  enum { ARENA_BYTES = 64 << 20 };
  AUTO(arena_done) struct arena arena;
  struct base_model *models;
  size_t count;
  struct inspected_list *list = calloc(1, sizeof *list);
  *out = list;
  if (!list)
    return error_set_errno(err, STATUS_OUT_OF_MEMORY, NULL, "making the list of models");
  list->wanted = wanted;
  list->context = context;
  arena_init(&arena, ARENA_BYTES);
  if (models_list(&models, &count, config->models, &arena, err)) {
    log_warn("the models are looked at later: %s", err->text);
    return STATUS_OK;
  }
  for (size_t i = 0; i < count; i++)
    (void)inspected_of(list, &models[i]);
  return STATUS_OK;
}

void inspected_free(struct inspected_list *list) {
  while (list && list->first) {
    struct inspected *inspected = list->first;
    list->first = inspected->next;
    forget(inspected);
  }
  free(list);
}
