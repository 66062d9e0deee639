#include "worker/adapter/peft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/job_fields.h"
#include "base/json.h"

static const char PEFT_VERSION[] = "0.21.2";

/* adapter_config.json carries members that say nothing about training. */
static json_t *trainable_part(const json_t *config, const struct method *method) {
  json_t *part = json_object();
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)config, key,
                      value) if (job_adapter_has(method, key) || strcmp(key, "peft_type") == 0)
      json_object_set(part, key, value);
  /* PEFT runs one butterfly factor on a CPU and keeps what the config said; the tensors tell. */
  if (strcmp(method->name, "boft") == 0 && json_object_get(part, "boft_n_butterfly_factor"))
    json_object_set_new(part, "boft_n_butterfly_factor", json_integer(1));
  return part;
}

enum status peft_read_config(struct adapter_spec *out, const char *folder, struct arena *arena, struct error *err) {
  char path[1024];
  AUTO(json_release) json_t *config = NULL;
  snprintf(path, sizeof path, "%s/adapter_config.json", folder);
  enum status status = json_parse_file(&config, path, NULL, err);
  if (status)
    return status;
  const char *type = json_string_value(json_object_get(config, "peft_type"));
  enum peft_type peft_type = type ? method_parse(type) : PEFT_COUNT;
  if (peft_type == PEFT_COUNT)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "peft_type", "%s: peft_type %s is not supported", path,
                     type ? type : "is absent and");
  AUTO(json_release) json_t *part = trainable_part(config, method_of(peft_type));
  struct fault_list faults = {0};
  job_adapter_parse(out, part, "adapter", arena, &faults);
  if (faults.count == 0)
    return STATUS_OK;
  *err = faults.item[0];
  return error_prefix(err, "%s", path);
}

static bool same_shape(const struct st_tensor *t, const struct parameter *p) {
  bool same = t->rank == p->rank;
  for (int i = 0; same && i < p->rank; i++)
    same = t->shape[i] == p->shape[i];
  return same;
}

enum status peft_load(struct model *model, const char *folder, struct error *err) {
  char path[1024];
  struct safetensors file;
  snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
  enum status status = safetensors_open(&file, path, err);
  if (status)
    return status;
  const struct parameter_list *list = &model->parameters;
  for (size_t i = 0; !status && i < list->count; i++) {
    const struct parameter *p = list->item[i];
    const struct st_tensor *t = safetensors_find(&file, p->key);
    if (!t)
      status = error_set(err, STATUS_MODEL_INVALID, "adapter", "%s has no tensor %s", path, p->key);
    else if (!same_shape(t, p))
      status = error_set(err, STATUS_MODEL_INVALID, "adapter", "%s: tensor %s has the wrong shape", path, p->key);
    else
      status = st_to_f32(p->data, t, err);
  }
  if (!status && file.count != list->count)
    status = error_set(err, STATUS_MODEL_INVALID, "adapter",
                       "%s has %zu tensors; this model and configuration have %zu", path, file.count, list->count);
  safetensors_close(&file);
  return status;
}

enum status peft_num_labels(size_t *out, const char *folder, struct error *err) {
  static const char *const heads[] = {"base_model.model.classifier.weight", "base_model.model.score.weight"};
  char path[1024];
  struct safetensors file;
  snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
  *out = 0;
  enum status status = safetensors_open(&file, path, err);
  for (size_t i = 0; !status && i < COUNT_OF(heads); i++) {
    const struct st_tensor *t = safetensors_find(&file, heads[i]);
    if (t && t->rank == 2)
      *out = (size_t)t->shape[0];
  }
  safetensors_close(&file);
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
