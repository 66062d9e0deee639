#include "worker/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/generation.h"
#include "base/json.h"
#include "worker/adapter/target.h"
#include "worker/chat/probe.h"
#include "worker/device.h"
#include "worker/diffusion/diffusion_pipeline.h"
#include "worker/model/model.h"
#include "worker/text/tokenizer.h"
#include "worker/train/image_metrics.h"

struct inspect {
  const char *path;
  struct data_tasks tasks;
  struct backend backend;
  struct model model;
  struct tokenizer *tokenizer;
};

static enum status open_all(struct inspect *i, struct error *err) {
  enum { NUM_LABELS = 2 }; /* of a classifier that is none yet */
  enum status status = model_tasks(&i->tasks, i->path, err);
  if (!status)
    status = device_open(&i->backend, NULL, 1, err);
  if (!status)
    status = i->tasks.language ? model_open(&i->model, i->path, OUTPUT_TEXT, 0, 0, &i->backend, err)
                               : model_open(&i->model, i->path, OUTPUT_CLASS, NUM_LABELS, 0, &i->backend, err);
  if (status)
    return status;
  const struct checkpoint *checkpoint = &i->model.checkpoint;
  return checkpoint->is_gguf ? tokenizer_from_gguf(&i->tokenizer, &checkpoint->gguf, err)
                             : tokenizer_open(&i->tokenizer, i->path, err);
}

static json_t *tasks(const struct inspect *i) {
  json_t *list = json_array();
  if (i->tasks.language)
    json_array_append_new(list, json_string("CAUSAL_LM"));
  if (i->tasks.classifier)
    json_array_append_new(list, json_string("SEQ_CLS"));
  if (i->tasks.embeds)
    json_array_append_new(list, json_string("FEATURE_EXTRACTION"));
  if (i->tasks.tags)
    json_array_append_new(list, json_string("TOKEN_CLS"));
  return list;
}

static const char *last_part(const char *path) {
  const char *dot = strrchr(path, '.');
  return dot ? dot + 1 : path;
}

/* The last parts of the modules' names, each once: what target_modules lists. */
static json_t *target_modules(const struct model *model) {
  json_t *list = json_array();
  for (size_t i = 0; i < model->linear_count; i++) {
    const char *name = last_part(model->linears[i]->name);
    if (model->linears[i] != model->head && !json_list_has(list, name))
      json_array_append_new(list, json_string(name));
  }
  return list;
}

/* Adds the names along a path which are not there yet; numbers of layers are none. */
static void add_others(json_t *list, const json_t *targets, const char *path) {
  char name[128];
  for (size_t length; *path; path += length + (path[length] == '.')) {
    length = strcspn(path, ".");
    snprintf(name, sizeof name, "%.*s", (int)length, path);
    if (strspn(path, "0123456789") != length && !json_list_has(targets, name) && !json_list_has(list, name))
      json_array_append_new(list, json_string(name));
  }
}

/* Names of modules that no adapter can be put on: containers, norms, embeddings, a language model's head. */
static json_t *other_modules(const struct model *model) {
  AUTO(json_release) json_t *targets = target_modules(model);
  json_t *list = json_array();
  for (size_t i = 0; i < model->owner_count; i++)
    add_others(list, targets, model->owners[i]);
  if (model->language)
    add_others(list, targets, model->head->name);
  return list;
}

/* What a job adapts that names none. */
static json_t *default_targets(const struct model *model) {
  json_t *list = json_array();
  for (size_t i = 0; model->default_targets && i < model->default_targets->count; i++)
    json_array_append_new(list, json_string(model->default_targets->item[i]));
  return list;
}

/* As torch and Transformers call its class. */
static const char *type_of(const struct linear *linear) {
  return linear->convolution ? "Conv2d" : linear->conv1d ? "Conv1D" : "Linear";
}

static bool counts(json_t *group, const char *name, const struct linear *linear) {
  json_t *count = json_object_get(group, "count");
  bool same = strcmp(json_string_value(json_object_get(group, "type")), type_of(linear)) == 0 &&
              strcmp(json_string_value(json_object_get(group, "name")), name) == 0 &&
              json_integer_value(json_object_get(group, "inputs")) == (json_int_t)linear->in &&
              json_integer_value(json_object_get(group, "outputs")) == (json_int_t)linear->out;
  if (same)
    json_integer_set(count, json_integer_value(count) + 1);
  return same;
}

/* How many modules there are of each name, type and shape: an adapter's parameters follow from it. */
static json_t *modules(const struct model *model) {
  json_t *list = json_array(), *group;
  for (size_t i = 0; i < model->linear_count; i++) {
    const struct linear *linear = model->linears[i];
    const char *name = last_part(linear->name);
    bool counted = linear == model->head;
    size_t at;
    json_array_foreach(list, at, group) counted = counted || counts(group, name, linear);
    if (!counted)
      json_array_append_new(list,
                            json_pack("{s:s, s:s, s:I, s:I, s:i}", "name", name, "type", type_of(linear), "inputs",
                                      (json_int_t)linear->in, "outputs", (json_int_t)linear->out, "count", 1));
  }
  return list;
}

/* As layers_to_transform counts them: the first number in a module's path. */
static json_int_t layers(const struct model *model) {
  json_int_t count = 0;
  for (size_t i = 0; i < model->linear_count; i++) {
    const char *part = model->linears[i]->name;
    while ((part = strchr(part, '.')) && !(part[1] >= '0' && part[1] <= '9'))
      part++;
    json_int_t next = part ? strtoll(part + 1, NULL, 10) + 1 : 0;
    count = next > count ? next : count;
  }
  return count;
}

/* A job may name another template, so that a missing or broken one does not spoil the model. */
static void look_at_template(json_t *report, const struct inspect *i) {
  const struct checkpoint *checkpoint = &i->model.checkpoint;
  struct chat_template *chat;
  struct error why;
  json_t *refused = NULL;
  enum status status = chat_template_open(&chat, NULL, i->path, checkpoint->is_gguf ? &checkpoint->gguf : NULL, &why);
  if (!status) {
    status = probe_chat_template(&refused, chat, &why);
    chat_template_free(chat);
  }
  json_object_set_new(report, "chat_template", json_boolean(!status));
  if (status)
    json_object_set_new(report, "chat_template_error", json_string(why.text));
  else
    json_object_set_new(report, "chat_template_refuses", refused);
}

/* What its UNet can be adapted in, and the pictures that it makes where a request does not say how. */
static json_t *pipeline_report(const struct diffusion_pipeline *p) {
  const struct model *unet = &p->unet;
  size_t bytes = unet->weight_bytes + p->text_encoder.weight_bytes + p->vae.weight_bytes;
  char size[64];
  snprintf(size, sizeof size, "%zux%zu", p->side, p->side);
  return json_pack("{s:s, s:[s], s:I, s:I, s:I, s:o, s:o, s:o, s:s, s:o, s:{s:s, s:I, s:s}}", "architecture",
                   "StableDiffusionPipeline", "tasks", "TEXT_TO_IMAGE", "max_seq_length", (json_int_t)p->text_tokens,
                   "vocab_size", (json_int_t)p->text_encoder.vocabulary, "parameters",
                   (json_int_t)(bytes / sizeof(float)), "target_modules", target_modules(unet),
                   "default_target_modules", default_targets(unet), "other_modules", other_modules(unet), "not_adapted",
                   target_not_adapted, "modules", modules(unet), "image", "size", size, "size_multiple",
                   (json_int_t)p->side_multiple, "scheduler", image_scheduler_names[p->scheduler]);
}

static enum status inspect_pipeline(json_t **report, const char *path, struct error *err) {
  struct backend backend = {0};
  struct diffusion_pipeline pipeline = {.tokenizer = NULL};
  enum status status = device_open(&backend, NULL, 1, err);
  status = status ? status : diffusion_pipeline_open(&pipeline, path, &backend, err);
  if (!status)
    *report = pipeline_report(&pipeline);
  if (!status && !*report)
    status = error_no_memory(err, "the report of a model");
  diffusion_pipeline_close(&pipeline);
  backend_close(&backend);
  return status;
}

static enum status inspect_encoder(json_t **report, const char *path, struct error *err) {
  struct backend backend = {0};
  enum status status = device_open(&backend, NULL, 1, err);
  status = status ? status : image_encoder_inspect(report, path, &backend, err);
  backend_close(&backend);
  return status;
}

enum status inspect_model(json_t **report, const char *path, struct error *err) {
  struct inspect i = {.path = path};
  *report = NULL;
  if (diffusion_pipeline_is(path))
    return inspect_pipeline(report, path, err);
  if (image_encoder_is(path))
    return inspect_encoder(report, path, err);
  enum status status = open_all(&i, err);
  if (!status) {
    const struct model *m = &i.model;
    *report = json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:s, s:o}", "architecture", m->ops->model_type,
                        "tasks", tasks(&i), "max_seq_length", (json_int_t)m->positions, "vocab_size",
                        (json_int_t)m->vocabulary, "parameters", (json_int_t)(m->weight_bytes / sizeof(float)),
                        "layers", layers(m), "target_modules", target_modules(m), "default_target_modules",
                        default_targets(m), "other_modules", other_modules(m), "not_adapted",
                        m->not_adapted ? m->not_adapted : target_not_adapted, "modules", modules(m));
    if (!*report)
      status = error_no_memory(err, "the report of a model");
    else if (i.tasks.language)
      look_at_template(*report, &i);
  }
  tokenizer_free(i.tokenizer);
  model_close(&i.model);
  backend_close(&i.backend);
  return status;
}
