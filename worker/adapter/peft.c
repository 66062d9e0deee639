#include "worker/adapter/peft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "worker/adapter/peft_source.h"

static const char PEFT_VERSION[] = "0.21.2";

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

/* The first tensor that no parameter has asked for. */
static const char *stranger(const struct safetensors *file, const struct parameter_list *list) {
  for (size_t t = 0; t < file->count; t++) {
    bool known = false;
    for (size_t i = 0; i < list->count && !known; i++)
      known = strcmp(list->item[i]->key, file->tensors[t].name) == 0;
    if (!known)
      return file->tensors[t].name;
  }
  return "";
}

static enum status fill(struct model *model, const struct peft_source *source, struct error *err) {
  const struct parameter_list *list = &model->parameters;
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < list->count; i++) {
    const struct parameter *p = list->item[i];
    const struct st_tensor *t = safetensors_find(&source->tensors, p->key);
    if (!t)
      status = error_set(err, STATUS_MODEL_INVALID, "adapter", "the adapter has no tensor %s", p->key);
    else if (!same_shape(t, p))
      status = error_set(err, STATUS_MODEL_INVALID, "adapter",
                         "tensor %s of the adapter has another shape than this model's", p->key);
    else
      status = st_to_f32(p->data, t, err);
  }
  if (!status && source->tensors.count != list->count)
    status = error_set(err, STATUS_MODEL_INVALID, "adapter",
                       "the adapter has %zu tensors, this model and configuration have %zu; %s is not among them",
                       source->tensors.count, list->count, stranger(&source->tensors, list));
  return status;
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

enum status peft_num_labels(size_t *out, const char *path, struct error *err) {
  static const char *const heads[] = {"base_model.model.classifier.weight", "base_model.model.score.weight"};
  struct peft_source source;
  *out = 0;
  enum status status = peft_source_open(&source, path, err);
  for (size_t i = 0; !status && i < COUNT_OF(heads); i++) {
    const struct st_tensor *t = safetensors_find(&source.tensors, heads[i]);
    if (t && t->rank == 2)
      *out = (size_t)t->shape[0];
  }
  peft_source_close(&source);
  return status;
}

static enum status save_config(const struct model *model, const struct adapter_spec *spec, const char *folder,
                               const char *base, struct error *err) {
  char path[1024];
  AUTO(json_release) json_t *config = job_spec_peft_config(spec);
  json_t *saved = json_array();
  for (size_t i = 0; i < model->modules_to_save.count; i++)
    json_array_append_new(saved, json_string(model->modules_to_save.item[i]));
  json_object_set_new(config, "modules_to_save", json_array_size(saved) ? json_incref(saved) : json_null());
  json_decref(saved);
  json_object_set_new(config, "task_type", json_string(model->language ? "CAUSAL_LM" : "SEQ_CLS"));
  json_object_set_new(config, "base_model_name_or_path", json_string(base));
  json_object_set_new(config, "inference_mode", json_true());
  json_object_set_new(config, "peft_version", json_string(PEFT_VERSION));
  json_object_set_new(config, "auto_mapping", json_null());
  json_object_set_new(config, "revision", json_null());
  /* In our order, not sorted as PEFT's: of the keys of LoRA's patterns the first that matches counts. */
  char *text = json_dumps(config, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
  if (!text)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for adapter_config.json");
  snprintf(path, sizeof path, "%s/adapter_config.json", folder);
  enum status status = file_put(path, text, strlen(text), err);
  free(text);
  return status;
}

static enum status save_card(const struct model *model, const struct adapter_spec *spec, const char *folder,
                             const char *base, struct error *err) {
  char path[1024];
  struct str card;
  const char *class = model->language ? "AutoModelForCausalLM" : "AutoModelForSequenceClassification";
  char labels[64] = "";
  if (!model->language)
    snprintf(labels, sizeof labels, ", num_labels=%zu", model->num_labels);
  str_init(&card, 1 << 16);
  str_printf(&card,
             "---\nbase_model: %s\nlibrary_name: peft\n%stags:\n- base_model:adapter:%s\n- transformers\n---\n\n"
             "# %s adapter of %s\n\nTrained by reflectd. %zu adapted modules, %zu trainable parameters.\n\n"
             "```python\nfrom transformers import %s\nfrom peft import PeftModel\n\n"
             "base = %s.from_pretrained(\"%s\"%s)\n"
             "model = PeftModel.from_pretrained(base, \"path/to/this/folder\")\n```\n\n"
             "### Framework versions\n\n- PEFT %s\n",
             base, model->language ? "pipeline_tag: text-generation\n" : "", base,
             method_of(spec->peft_type)->peft_type, base, model->adapter_count, parameter_elements(&model->parameters),
             class, class, base, labels, PEFT_VERSION);
  snprintf(path, sizeof path, "%s/README.md", folder);
  enum status status = card.failed ? error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for README.md")
                                   : file_put(path, card.text, card.length, err);
  str_done(&card);
  return status;
}

enum status peft_save_about(const struct model *model, const struct adapter_spec *spec, const char *folder,
                            const char *base, struct error *err) {
  enum status status = save_config(model, spec, folder, base, err);
  return status ? status : save_card(model, spec, folder, base, err);
}

enum status peft_save(const struct model *model, const struct adapter_spec *spec, const char *folder, const char *base,
                      struct error *err) {
  const struct parameter_list *list = &model->parameters;
  char path[1024];
  struct st_tensor *tensors = calloc(list->count, sizeof *tensors);
  if (!tensors)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to write the adapter");
  for (size_t i = 0; i < list->count; i++) {
    const struct parameter *p = list->item[i];
    tensors[i] = (struct st_tensor){.name = p->key,
                                    .dtype = ST_F32,
                                    .rank = p->rank,
                                    .shape = {p->shape[0], p->shape[1], p->shape[2], p->shape[3]},
                                    .bytes = (const unsigned char *)p->data,
                                    .length = p->count * sizeof(float)};
  }
  snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
  enum status status = safetensors_write(path, tensors, list->count, NULL, NULL, NULL, err);
  free(tensors);
  return status ? status : peft_save_about(model, spec, folder, base, err);
}
