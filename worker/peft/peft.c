#include "worker/peft/peft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "worker/adapter/target.h"
#include "worker/model/conditioning_embedding.h"

enum status peft_read_config(struct adapter_spec *out, const char *path, struct arena *arena, struct error *err) {
  struct peft_source source;
  enum status status = peft_source_open(&source, path, err);
  status = status ? status : peft_source_spec(out, &source, arena, err);
  peft_source_close(&source);
  return status ? error_prefix(err, "%s", path) : STATUS_OK;
}

static bool same_shape(const struct st_tensor *t, const struct parameter *p) {
  bool same = t->rank == p->rank;
  for (int i = 0; same && i < p->rank; i++)
    same = t->shape[i] == p->shape[i];
  return same;
}

/* Does a bias of a module in modules_to_save stand there again under PEFT's inner names? With bias "all" PEFT also
   writes the trained copy's (which must then be equal) and the frozen original's (which nothing reads). */
static bool repeats(const struct st_tensor *t, const struct peft_source *source, const struct parameter_list *list) {
  static const char *const inner[] = {".original_module.", ".modules_to_save."};
  char key[ST_NAME_MAX + 1];
  for (size_t k = 0; k < COUNT_OF(inner); k++) {
    const char *at = strstr(t->name, inner[k]);
    if (!at)
      continue;
    snprintf(key, sizeof key, "%.*s.%s", (int)(at - t->name), t->name, at + strlen(inner[k]));
    const struct st_tensor *own = peft_source_tensor(source, key);
    bool trained = false;
    for (size_t i = 0; i < list->count && own && !trained; i++)
      trained = peft_source_tensor(source, list->item[i]->key) == own;
    bool same = trained && own->dtype == t->dtype && own->length == t->length;
    return same && (k == 0 || memcmp(own->bytes, t->bytes, t->length) == 0);
  }
  return false;
}

/* Is it a tensor of the base, as PEFT saves embeddings beside an adapter? */
static bool is_bases(const struct st_tensor *t, const struct model *model) {
  static const char prefix[] = "base_model.model.";
  const char *name = strncmp(t->name, prefix, sizeof prefix - 1) == 0 ? t->name + sizeof prefix - 1 : t->name;
  const char *bare =
      strncmp(name, model->ops->prefix, strlen(model->ops->prefix)) == 0 ? name + strlen(model->ops->prefix) : name;
  char prefixed[ST_NAME_MAX + 64];
  struct checkpoint_tensor own;
  struct error ignored;
  snprintf(prefixed, sizeof prefixed, "%s%s", model->ops->prefix, bare);
  if (!checkpoint_find(&own, &model->checkpoint, name) && !checkpoint_find(&own, &model->checkpoint, bare) &&
      !checkpoint_find(&own, &model->checkpoint, prefixed))
    return false;
  size_t count = (size_t)st_elements(t), want = 1;
  for (int i = 0; i < own.rank; i++)
    want *= (size_t)own.shape[i];
  if (count != want || own.rank != t->rank || own.shape[0] != t->shape[0])
    return false;
  float *a = malloc(count * sizeof *a), *b = malloc(count * sizeof *b);
  bool same = a && b && !st_to_f32(a, t, &ignored) && !checkpoint_read(b, &model->checkpoint, own.name, &ignored) &&
              memcmp(a, b, count * sizeof *a) == 0;
  free(a);
  free(b);
  return same;
}

/* The first tensor that is no parameter's, repeats none and is not the base's. NULL: there is none. */
static const struct st_tensor *stranger(const struct model *model, const struct peft_source *source) {
  const struct parameter_list *list = &model->parameters;
  for (size_t t = 0; t < source->tensors.count; t++) {
    const struct st_tensor *tensor = &source->tensors.tensors[t];
    bool known = false;
    for (size_t i = 0; i < list->count && !known; i++)
      known = peft_source_tensor(source, list->item[i]->key) == tensor;
    if (!known && !repeats(tensor, source, list) && !is_bases(tensor, model))
      return tensor;
  }
  return NULL;
}

static enum status no_tensor(const struct model *model, const struct peft_source *source, const char *key,
                             struct error *err) {
  const struct st_tensor *other = stranger(model, source);
  return error_set(err, STATUS_MODEL_INVALID, "adapter", "the adapter has no tensor %s%s%.160s%s", key,
                   other ? "; it has " : "", other ? other->name : "",
                   other ? ", which is no name of PEFT's here" : "");
}

static enum status refuse_stranger(const struct model *model, const struct peft_source *source, struct error *err) {
  const struct st_tensor *other = stranger(model, source);
  if (!other)
    return STATUS_OK;
  return error_set(
      err, STATUS_MODEL_INVALID, "adapter",
      "the adapter's tensor %.200s is none of the %zu that this model has with the adapter's configuration: "
      "it would be lost",
      other->name, model->parameters.count);
}

static enum status fill(struct model *model, const struct peft_source *source, struct error *err) {
  const struct parameter_list *list = &model->parameters;
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < list->count; i++) {
    const struct parameter *p = list->item[i];
    const struct st_tensor *t = p->file ? NULL : peft_source_tensor(source, p->key);
    if (p->file) /* another one's */
      continue;
    if (!t)
      status = no_tensor(model, source, p->key, err);
    else if (!same_shape(t, p))
      status = error_set(err, STATUS_MODEL_INVALID, "adapter",
                         "tensor %s of the adapter has another shape than this model's", p->key);
    else
      status = st_to_f32(p->data, t, err);
  }
  return status ? status : refuse_stranger(model, source, err);
}

enum status peft_load(struct model *model, const char *path, struct error *err) {
  struct peft_source source;
  enum status status = peft_source_open(&source, path, err);
  status = status ? status : fill(model, &source, err);
  peft_source_close(&source);
  return status;
}

enum status peft_start(struct model *model, const struct adapter_spec *spec, const char *path, struct error *err) {
  struct peft_source source;
  enum status status = peft_source_open(&source, path, err);
  status = status ? status : peft_source_compare(&source, spec, err);
  status = status ? status : fill(model, &source, err);
  peft_source_close(&source);
  return status ? error_prefix(err, "from_checkpoint") : STATUS_OK;
}

enum status peft_read_head(struct peft_head *out, const char *path, struct arena *arena, struct error *err) {
  struct peft_source source;
  enum status status = peft_source_open(&source, path, err);
  status = status ? status : peft_source_head(out, &source, arena, err);
  peft_source_close(&source);
  return status;
}

enum status peft_read_base(const char **out, const char *path, struct arena *arena, struct error *err) {
  struct peft_source source;
  enum status status = peft_source_open(&source, path, err);
  const char *base = status ? NULL : json_string_value(json_object_get(source.config, "base_model_name_or_path"));
  *out = base ? arena_string(arena, base) : NULL;
  if (base && !*out)
    status = error_no_memory(err, "the name of an adapter's base model");
  peft_source_close(&source);
  return status;
}

/* Of the listed names (the model's own, where none are) those that an adapter is on. */
static json_t *adapted_names(const struct model *model, const struct adapter_spec *spec) {
  const struct string_list *names = &spec->target_modules.names;
  json_t *list = json_array();
  names = names->count ? names : model->default_targets;
  for (size_t n = 0; n < names->count; n++) {
    bool found = false;
    for (size_t i = 0; i < model->adapter_count && !found; i++)
      found = target_suffix(model->adapters[i]->linear->name, names->item[n]);
    if (found)
      json_array_append_new(list, json_string(names->item[n]));
  }
  return list;
}

/* "all-linear" is written out, as PEFT does: of a classifier's head it means another part there. */
static json_t *adapted_paths(const struct model *model) {
  json_t *list = json_array();
  for (size_t i = 0; i < model->adapter_count; i++)
    json_array_append_new(list, json_string(model->adapters[i]->linear->name));
  return list;
}

static enum status save_config(const struct model *model, const struct adapter_spec *spec, const char *folder,
                               const char *base, struct error *err) {
  char path[1024];
  AUTO(arena_done) struct arena arena;
  struct adapter_spec plain;
  arena_init(&arena, (size_t)16 << 20);
  if (!adapter_spec_saved(&plain, spec, &arena))
    return error_no_memory(err, "adapter_config.json");
  AUTO(json_release) json_t *config = job_spec_peft_config(&plain);
  json_t *saved = json_array();
  for (size_t i = 0; i < model->modules_to_save.count; i++)
    json_array_append_new(saved, json_string(model->modules_to_save.item[i]));
  json_object_set_new(config, "modules_to_save", json_array_size(saved) ? json_incref(saved) : json_null());
  json_decref(saved);
  const char *pattern = spec->target_modules.pattern;
  if (!pattern || strcmp(pattern, "all-linear") == 0)
    json_object_set_new(config, "target_modules", pattern ? adapted_paths(model) : adapted_names(model, spec));
  for (size_t i = 0; i < model->adapter_count; i++)
    if (model->adapters[i]->linear->conv1d)
      json_object_set_new(config, "fan_in_fan_out", json_true());
  json_object_set_new(config, "task_type",
                      model->component ? json_null() : json_string(job_output_of(model->output)->peft_task_type));
  json_object_set_new(config, "base_model_name_or_path", json_string(base));
  json_object_set_new(config, "inference_mode", json_true());
  json_object_set_new(config, "peft_version", json_string(PEFT_VERSION));
  json_object_set_new(config, "auto_mapping", json_null());
  json_object_set_new(config, "revision", json_null());
  /* In our order, not sorted as PEFT's: of the keys of LoRA's patterns the first that matches counts. */
  char *text = json_dumps(config, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
  if (!text)
    return error_no_memory(err, "adapter_config.json");
  snprintf(path, sizeof path, "%s/adapter_config.json", folder);
  enum status status = file_put(path, text, strlen(text), err);
  free(text);
  return status;
}

/* What a classifier's outputs are, as a machine reads it. (Under the name config.json Transformers would take the
   folder for a whole model.) */
static enum status save_labels(const struct model *model, const char *folder, struct error *err) {
  char path[1024];
  const struct classes classes = model_classes(model);
  AUTO(json_release) json_t *labels = classes_config(&classes, model->output);
  char *text = labels ? json_dumps(labels, JSON_INDENT(2)) : NULL;
  if (!text)
    return error_no_memory(err, "labels.json");
  snprintf(path, sizeof path, "%s/labels.json", folder);
  enum status status = file_put(path, text, strlen(text), err);
  free(text);
  return status;
}

enum status peft_save_about(const struct model *model, const struct adapter_spec *spec, const char *folder,
                            const char *base, const struct peft_card *card, struct error *err) {
  enum status status = save_config(model, spec, folder, base, err);
  status = status || !model->num_labels ? status : save_labels(model, folder, err);
  return status ? status : peft_card_save(model, spec, folder, base, card, err);
}

/* PEFT's HRA takes a kernel's height for its width too, so an adapter of another kernel is not what it reads. */
static enum status check_kernels(const struct model *model, const struct adapter_spec *spec, struct error *err) {
  for (size_t i = 0; spec->peft_type == PEFT_HRA && i < model->adapter_count; i++) {
    const struct linear *l = model->adapters[i]->linear;
    if (l->convolution && l->convolution->kernel[0] != l->convolution->kernel[1])
      return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports",
                       "PEFT cannot hold the HRA adapter of %.200s: its kernel has %zu x %zu pixels, and PEFT's HRA "
                       "reads square ones alone; \"lora\" and \"merged\" are exact",
                       l->name, l->convolution->kernel[0], l->convolution->kernel[1]);
  }
  return STATUS_OK;
}

/* A parameter and its tail as one tensor; its numbers are `joined`'s where there is a tail. */
static struct st_tensor tensor_of(const struct parameter *p, float *joined) {
  struct st_tensor t = {.name = p->key,
                        .dtype = ST_F32,
                        .rank = p->rank,
                        .shape = {p->shape[0], p->shape[1], p->shape[2], p->shape[3]},
                        .bytes = (const unsigned char *)p->data,
                        .length = p->count * sizeof(float)};
  if (!p->tail)
    return t;
  size_t rows = 1; /* each of a part's numbers and then of the tail's */
  for (int i = 0; i < p->tail_dimension; i++)
    rows *= (size_t)p->shape[i];
  size_t own = p->count / rows, more = p->tail->count / rows;
  t.bytes = (const unsigned char *)joined;
  for (size_t i = 0; i < rows; i++, joined += own + more) {
    memcpy(joined, p->data + i * own, own * sizeof *joined);
    memcpy(joined + own, p->tail->data + i * more, more * sizeof *joined);
  }
  t.shape[p->tail_dimension] += p->tail->shape[p->tail_dimension];
  t.length += p->tail->count * sizeof(float);
  return t;
}

/* The parameters that belong in `file` (NULL: PEFT's); where there are none, there is no file. */
static enum status write_parameters(const struct model *model, const char *file, const char *folder,
                                    struct error *err) {
  const struct parameter_list *list = &model->parameters;
  char path[1024];
  size_t count = 0;
  struct st_tensor *tensors = calloc(list->count + 1, sizeof *tensors);
  float *joined = malloc((parameter_elements(list) + 1) * sizeof *joined), *at = joined;
  enum status status = tensors && joined ? STATUS_OK : error_no_memory(err, "the adapter's file");
  for (size_t i = 0; !status && i < list->count; i++) {
    const struct parameter *p = list->item[i];
    if (p->file != file || p->tail_of)
      continue;
    tensors[count++] = tensor_of(p, at);
    at += p->tail ? p->count + p->tail->count : 0;
  }
  snprintf(path, sizeof path, "%s/%s", folder, file ? file : "adapter_model.safetensors");
  if (!status && !(file && !count))
    status = safetensors_write(path, tensors, count, NULL, NULL, NULL, err);
  free(tensors);
  free(joined);
  return status;
}

enum status peft_save(const struct model *model, const struct adapter_spec *spec, const char *folder, const char *base,
                      const struct peft_card *card, struct error *err) {
  enum status status = check_kernels(model, spec, err);
  status = status ? status : parameter_download(&model->parameters, err);
  status = status ? status : write_parameters(model, NULL, folder, err);
  status = status ? status : write_parameters(model, conditioning_embedding_file, folder, err);
  return status ? status : peft_save_about(model, spec, folder, base, card, err);
}
