/* "merged": the base model with the adapter in it, as a folder of Transformers or diffusers in one archive. One tensor
   is in memory at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/export/export_formats.h"
#include "worker/export/merged_tensors.h"
#include "worker/file/ggml.h"
#include "worker/model/sentence.h"

static const struct {
  enum st_dtype dtype;
  enum ggml_type coding;
  const char *name, *torch;
} types[] = {[EXPORT_TYPE_F32] = {ST_F32, GGML_F32, "f32", "float32"},
             [EXPORT_TYPE_F16] = {ST_F16, GGML_F16, "f16", "float16"},
             [EXPORT_TYPE_BF16] = {ST_BF16, GGML_BF16, "bf16", "bfloat16"}};

/* The file that they are written to. */
struct plan {
  const struct export *e;
  enum export_type type;
  struct merged_tensors merged;
  struct st_tensor *tensors; /* in the arena of `merged` */
};

static enum status make_plan(struct plan *p, struct error *err) {
  enum status status = merged_tensors_list(&p->merged, p->e->model, err);
  if (status)
    return status;
  p->tensors = arena_array(&p->merged.arena, p->merged.count, sizeof *p->tensors);
  if (!p->tensors)
    return error_no_memory(err, "the merged model");
  for (size_t i = 0; i < p->merged.count; i++) {
    const struct merged_tensor *t = &p->merged.item[i];
    enum st_dtype dtype = types[p->type].dtype;
    p->tensors[i] = (struct st_tensor){.name = t->name, .dtype = dtype, .rank = t->rank};
    p->tensors[i].length = merged_tensor_elements(t) * st_dtype_size(dtype);
    memcpy(p->tensors[i].shape, t->shape, sizeof t->shape);
  }
  return STATUS_OK;
}

static enum status fill(void *payload, size_t index, unsigned char *bytes, struct error *err) {
  struct plan *p = payload;
  const float *numbers;
  enum status status = merged_tensors_read(&numbers, &p->merged, index, err);
  if (!status)
    CHECK(ggml_from_f32(bytes, numbers, types[p->type].coding, merged_tensor_elements(&p->merged.item[index])));
  return status;
}

static enum status put_config(const json_t *config, const char *folder, struct error *err) {
  char path[1200], *text = json_dumps(config, JSON_INDENT(2));
  snprintf(path, sizeof path, "%s/config.json", folder);
  enum status status = text ? file_put(path, text, strlen(text), err) : error_no_memory(err, "the merged model");
  free(text);
  return status;
}

/* The base's config with what changed: of diffusers' nothing, its config has no type and no head. */
static enum status write_config(const struct plan *p, const char *folder, struct error *err) {
  const struct model *m = p->e->model;
  char class[100];
  AUTO(json_release) json_t *config = json_deep_copy(m->checkpoint.config);
  bool other = m->num_labels && m->ops->classifier_prefix;
  if (m->component)
    return put_config(config, folder, err);
  snprintf(class, sizeof class, "%s%s", other ? m->ops->classifier_prefix : m->ops->class_prefix,
           job_output_of(m->output)->class_suffix);
  json_object_set_new(config, "architectures", json_pack("[s]", class));
  json_object_set_new(config, "dtype", json_string(types[p->type].torch));
  json_object_set_new(config, "torch_dtype", json_string(types[p->type].torch));
  const struct classes classes = model_classes(m);
  AUTO(json_release) json_t *labels = m->num_labels ? classes_config(&classes, m->output) : json_object();
  if (!labels || json_object_update(config, labels) != 0)
    return error_no_memory(err, "the merged model");
  return put_config(config, folder, err);
}

static enum status copy_files(const struct export *e, const char *folder, struct error *err) {
  static const char *const names[] = {"tokenizer.json",
                                      "tokenizer_config.json",
                                      "special_tokens_map.json",
                                      "added_tokens.json",
                                      "vocab.txt",
                                      "vocab.json",
                                      "merges.txt",
                                      "spm.model",
                                      "tokenizer.model",
                                      "chat_template.jinja",
                                      "generation_config.json"};
  enum { BYTES_MAX = 128 << 20 };
  enum status status = STATUS_OK;
  bool copied = !e->model->checkpoint.is_gguf && !e->model->component;
  for (size_t i = 0; !status && copied && i < COUNT_OF(names); i++) {
    char from[1200], to[1200], *bytes;
    size_t length;
    snprintf(from, sizeof from, "%s/%s", e->base_path, names[i]);
    snprintf(to, sizeof to, "%s/%s", folder, names[i]);
    if (access(from, R_OK) != 0)
      continue;
    status = file_read(&bytes, &length, from, BYTES_MAX, err);
    if (!status) {
      status = file_put(to, bytes, length, err);
      free(bytes);
    }
  }
  return status;
}

/* What makes a sentence-transformers model of the folder. */
static enum status write_modules(const struct export *e, const char *folder, struct error *err) {
  struct sentence_modules modules;
  enum status status = sentence_modules_read(&modules, e->base_path, err);
  return status ? status : sentence_modules_write(e->model, &modules, folder, err);
}

static enum status write_card(const struct export *e, enum export_type type, const char *folder, struct error *err) {
  char path[1200], text[1200];
  snprintf(text, sizeof text,
           "---\nbase_model: %s\nlibrary_name: %s\n---\n\n# %s with a %s adapter merged into it\n\n"
           "Written by reflectd in %s.%s\n",
           e->base, e->model->component ? "diffusers" : "transformers", e->base,
           method_of(e->spec->peft_type)->peft_type, types[type].torch,
           e->model->component ? " It is the pipeline's UNet: `DiffusionPipeline.from_pretrained(base, "
                                 "unet=UNet2DConditionModel.from_pretrained(folder))`."
           : e->model->checkpoint.is_gguf
               ? " The base was a GGUF file, which has no tokenizer files: take them from the model it was made of."
               : "");
  snprintf(path, sizeof path, "%s/README.md", folder);
  return file_put(path, text, strlen(text), err);
}

enum status export_merged(const struct export *e, enum export_type type, struct error *err) {
  struct plan plan = {.e = e, .type = type};
  char name[40], folder[1024], path[1100];
  if (json_object_get(e->model->checkpoint.config, "rope_freqs"))
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports",
                     "the base is a GGUF file with scaled rotary frequencies, which config.json has no member for");
  if (e->model->checkpoint.is_gguf && json_object_get(e->model->checkpoint.config, "num_local_experts"))
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "exports",
                     "the base is a GGUF file that has its experts side by side, which Transformers' files have apart; "
                     "\"gguf\" has them as they are");
  snprintf(name, sizeof name, "merged-%s", types[type].name);
  snprintf(folder, sizeof folder, "%s/%s", e->output_dir, name);
  snprintf(path, sizeof path, "%s/%smodel.safetensors", folder, e->model->component ? "diffusion_pytorch_" : "");
  enum status status = make_plan(&plan, err);
  status = status ? status : file_mkdirs(folder, err);
  status = status ? status : safetensors_write_filled(path, plan.tensors, plan.merged.count, fill, &plan, err);
  status = status ? status : write_config(&plan, folder, err);
  status = status ? status : copy_files(e, folder, err);
  if (!status && e->model->output == OUTPUT_EMBEDDING)
    status = write_modules(e, folder, err);
  status = status ? status : write_card(e, type, folder, err);
  merged_tensors_done(&plan.merged);
  return status ? status : export_pack(e, name, err);
}
