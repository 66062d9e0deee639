/* "merged": the base model with the adapter in it, as a folder of Transformers or diffusers in one archive. One tensor
   is in memory at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/export/export_formats.h"
#include "worker/export/numbers.h"
#include "worker/file/ggml.h"
#include "worker/model/sentence.h"

static const struct {
  enum st_dtype dtype;
  enum ggml_type coding;
  const char *name, *torch;
} types[] = {[EXPORT_TYPE_F32] = {ST_F32, GGML_F32, "f32", "float32"},
             [EXPORT_TYPE_F16] = {ST_F16, GGML_F16, "f16", "float16"},
             [EXPORT_TYPE_BF16] = {ST_BF16, GGML_BF16, "bf16", "bfloat16"}};

/* What a tensor is called in the base's files; its place in `tensors` is its new name. */
struct plan {
  const struct export *e;
  enum export_type type;
  struct arena arena;
  struct st_tensor *tensors;
  const char **sources; /* NULL: what the base's files lack */
  const float **made;   /* its numbers */
  size_t count;
  float *numbers; /* of the largest tensor */
};

static bool belongs(const char *name, const char *module) {
  size_t length = strlen(module);
  return strncmp(name, module, length) == 0 && name[length] == '.';
}

/* Files without the model's prefix get it: with a head beside them only full names are understood. */
static const char *full_name(struct plan *p, const char *name) {
  const struct model *m = p->e->model;
  const char *prefix = m->ops->prefix;
  bool full = strncmp(name, "lm_head.", 8) == 0 || m->output == OUTPUT_EMBEDDING;
  for (size_t i = 0; i < m->linear_count && !full; i++)
    full = belongs(name, m->linears[i]->name);
  for (size_t i = 0; i < m->norm_count && !full; i++)
    full = belongs(name, m->norms[i].name);
  return full || strncmp(name, prefix, strlen(prefix)) == 0 ? name : arena_format(&p->arena, "%s%s", prefix, name);
}

static bool add(struct plan *p, const char *name, const char *source, const float *made, int rank,
                const int64_t *shape) {
  struct st_tensor *t = &p->tensors[p->count];
  size_t elements = 1;
  *t = (struct st_tensor){.name = name, .dtype = types[p->type].dtype, .rank = rank};
  for (int i = 0; i < rank; i++) {
    t->shape[i] = shape[i];
    elements *= (size_t)shape[i];
  }
  t->length = elements * st_dtype_size(t->dtype);
  p->sources[p->count] = source;
  p->made[p->count++] = made;
  return name != NULL;
}

/* A head or pooler that the base's files have not, or have in another shape. */
static bool add_made(struct plan *p, const struct linear *l) {
  const char *weight = arena_format(&p->arena, "%s.weight", l->name),
             *bias = arena_format(&p->arena, "%s.bias", l->name);
  const int64_t shape[2] = {(int64_t)l->out, (int64_t)l->in};
  bool ok = weight && bias;
  for (size_t i = 0; ok && i < p->count; i++)
    if (strcmp(p->tensors[i].name, weight) == 0)
      return true;
  ok = ok && add(p, weight, NULL, l->trained_weight->data, 2, shape);
  return ok && (!l->trained_bias || add(p, bias, NULL, l->trained_bias->data, 1, shape));
}

/* The numbers of a norm that the base's files have not. */
static bool add_made_vector(struct plan *p, const char *module, const char *kind, const struct norm *n,
                            const struct place *at) {
  struct backend *backend = p->e->model->backend;
  const char *name = arena_format(&p->arena, "%s.%s", module, kind);
  float *numbers = arena_array(&p->arena, n->channels, sizeof *numbers);
  const int64_t shape[1] = {(int64_t)n->channels};
  if (!name || !numbers)
    return false;
  backend->ops->read(backend, numbers, *at, n->channels * sizeof *numbers);
  return add(p, name, NULL, numbers, 1, shape);
}

static bool add_made_norm(struct plan *p, const char *module, const struct norm *n) {
  return add_made_vector(p, module, "weight", n, &n->weight) &&
         (!n->bias.buffer || add_made_vector(p, module, "bias", n, &n->bias));
}

/* Is a head of the base's file that was replaced. */
static bool replaced(const struct model *m, const struct checkpoint_tensor *t) {
  char weight[300], bias[300];
  if (m->language || !m->head)
    return false;
  snprintf(weight, sizeof weight, "%s.weight", m->head->name);
  snprintf(bias, sizeof bias, "%s.bias", m->head->name);
  return strcmp(t->name, weight) == 0 || strcmp(t->name, bias) == 0 || strncmp(t->name, "lm_head.", 8) == 0;
}

static enum status make_plan(struct plan *p, struct error *err) {
  const struct model *m = p->e->model;
  size_t count = checkpoint_count(&m->checkpoint), most = count + 2 * (m->linear_count + m->norm_count), largest = 0;
  p->tensors = arena_array(&p->arena, most, sizeof *p->tensors);
  p->sources = arena_array(&p->arena, most, sizeof *p->sources);
  p->made = arena_array(&p->arena, most, sizeof *p->made);
  if (!p->tensors || !p->sources || !p->made)
    return error_no_memory(err, "the merged model");
  for (size_t i = 0; i < count; i++) {
    struct checkpoint_tensor t = checkpoint_at(&m->checkpoint, i);
    if (!checkpoint_is_float(&m->checkpoint, t.name) || replaced(m, &t))
      continue; /* position ids and the like */
    const char *name = full_name(p, t.name);
    if (!name || !add(p, name, t.name, NULL, t.rank, t.shape))
      return error_no_memory(err, "the merged model");
  }
  for (size_t i = 0; i < m->linear_count; i++)
    if (m->linears[i]->trained_weight && !add_made(p, m->linears[i]))
      return error_no_memory(err, "the merged model");
  for (size_t i = 0; i < m->norm_count; i++)
    if (m->norms[i].made && !add_made_norm(p, m->norms[i].name, m->norms[i].norm))
      return error_no_memory(err, "the merged model");
  for (size_t i = 0; i < p->count; i++) {
    size_t elements = p->tensors[i].length / st_dtype_size(p->tensors[i].dtype);
    largest = elements > largest ? elements : largest;
  }
  p->numbers = malloc(largest * sizeof *p->numbers);
  return p->numbers ? STATUS_OK : error_no_memory(err, "the merged model");
}

static enum status fill(void *payload, size_t index, unsigned char *bytes, struct error *err) {
  struct plan *p = payload;
  const struct st_tensor *t = &p->tensors[index];
  size_t elements = t->length / st_dtype_size(t->dtype);
  const float *numbers = p->made[index];
  enum status status = STATUS_OK;
  if (!numbers) {
    status = numbers_read(p->numbers, p->e->model, p->sources[index], err);
    numbers = p->numbers;
  }
  if (!status)
    CHECK(ggml_from_f32(bytes, numbers, types[p->type].coding, elements));
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
  arena_init(&plan.arena, (size_t)1 << 30);
  snprintf(name, sizeof name, "merged-%s", types[type].name);
  snprintf(folder, sizeof folder, "%s/%s", e->output_dir, name);
  snprintf(path, sizeof path, "%s/%smodel.safetensors", folder, e->model->component ? "diffusion_pytorch_" : "");
  enum status status = make_plan(&plan, err);
  status = status ? status : file_mkdirs(folder, err);
  status = status ? status : safetensors_write_filled(path, plan.tensors, plan.count, fill, &plan, err);
  status = status ? status : write_config(&plan, folder, err);
  status = status ? status : copy_files(e, folder, err);
  if (!status && e->model->output == OUTPUT_EMBEDDING)
    status = write_modules(e, folder, err);
  status = status ? status : write_card(e, type, folder, err);
  free(plan.numbers);
  arena_done(&plan.arena);
  return status ? status : export_pack(e, name, err);
}
