#include "worker/inspect.h"
#include "worker/device.h"

#include <string.h>

#include "base/json.h"
#include "worker/chat/probe.h"
#include "worker/model/model.h"
#include "worker/text/tokenizer.h"

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

/* The last parts of the modules' names, each once: what target_modules lists. */
static json_t *target_modules(const struct model *model) {
  json_t *list = json_array();
  for (size_t i = 0; i < model->linear_count; i++) {
    const char *path = model->linears[i]->name, *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path;
    size_t at;
    json_t *have;
    bool seen = model->linears[i] == model->head;
    json_array_foreach(list, at, have) seen |= strcmp(json_string_value(have), name) == 0;
    if (!seen)
      json_array_append_new(list, json_string(name));
  }
  return list;
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

enum status inspect_model(json_t **report, const char *path, struct error *err) {
  struct inspect i = {.path = path};
  *report = NULL;
  enum status status = open_all(&i, err);
  if (!status) {
    const struct model *m = &i.model;
    *report =
        json_pack("{s:s, s:o, s:I, s:I, s:I, s:o}", "architecture", m->ops->model_type, "tasks", tasks(&i),
                  "max_seq_length", (json_int_t)m->positions, "vocab_size", (json_int_t)m->vocabulary, "parameters",
                  (json_int_t)(m->weight_bytes / sizeof(float)), "target_modules", target_modules(m));
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
