#include "worker/model/model.h"

#include <stdio.h>
#include <string.h>

#include "api/preview_encoder.h"
#include "worker/adapter/target.h"
#include "worker/model/load.h"

static const struct model_ops *const architectures[] = {
    &model_bert,    &model_roberta,    &model_xlm_roberta, &model_camembert,  &model_electra,     &model_distilbert,
    &model_albert,  &model_deberta_v2, &model_mpnet,       &model_modernbert, &model_llama,       &model_mistral,
    &model_mixtral, &model_qwen2,      &model_qwen3,       &model_qwen3_moe,  &model_smollm3,     &model_olmo2,
    &model_phi3,    &model_granite,    &model_gemma,       &model_gemma2,     &model_gemma3_text, &model_gpt2};

static const struct model_ops *const components[] = {&model_clip_text, &model_unet_2d_condition, &model_autoencoder_kl};

enum { MODULES_MAX = 8192 };

/* The row of `rows` whose model_type is `type`, or NULL and the names of all. */
static const struct model_ops *find_row(char names[600], const struct model_ops *const *rows, size_t count,
                                        const char *type) {
  names[0] = '\0';
  for (size_t i = 0; i < count; i++) {
    size_t used = strlen(names);
    snprintf(names + used, 600 - used, "%s%s", i ? ", " : "", rows[i]->model_type);
    if (type && strcmp(rows[i]->model_type, type) == 0)
      return rows[i];
  }
  return NULL;
}

/* The row of config.json's model_type. */
static enum status find_architecture(const struct model_ops **out, const struct checkpoint *checkpoint,
                                     struct error *err) {
  const char *type = json_string_value(json_object_get(checkpoint->config, "model_type"));
  char names[600];
  const struct model_ops *found = find_row(names, architectures, COUNT_OF(architectures), type);
  if (found) {
    *out = found;
    return STATUS_OK;
  }
  bool remote = json_object_get(checkpoint->config, "auto_map") != NULL;
  return error_set(err, STATUS_MODEL_INVALID, "model",
                   "config.json: model_type \"%.40s\" is not supported; supported: %s%s", type ? type : "(absent)",
                   names, remote ? "; the code that its auto_map names is never run" : "");
}

static struct data_tasks tasks_of(const struct model_ops *ops) {
  return (struct data_tasks){
      .language = ops->language, .classifier = ops->classifier, .embeds = ops->embeds, .tags = ops->tags};
}

enum status model_tasks(struct data_tasks *out, const char *path, struct error *err) {
  struct checkpoint checkpoint;
  const struct model_ops *ops = NULL;
  *out = (struct data_tasks){0};
  enum status status = checkpoint_open(&checkpoint, path, err);
  if (status)
    return status;
  status = find_architecture(&ops, &checkpoint, err);
  checkpoint_close(&checkpoint);
  if (ops)
    *out = tasks_of(ops);
  return status;
}

static const char *text_of(const json_t *value, struct arena *arena) {
  return json_is_string(value) ? arena_string(arena, json_string_value(value)) : NULL;
}

const char *model_head(const struct model_ops *ops, enum job_output output) {
  return output == OUTPUT_TAGS ? "classifier" : ops->head;
}

/* Where the head of a model of that class judges something else than the job wants; NULL: it does not. A tensor's name
   alone does not tell. */
static const char *other_head(const char *class, enum job_output output) {
  bool tags = class && strstr(class, "ForTokenClassification");
  if (output == OUTPUT_TAGS)
    return tags ? NULL : class ? class : "model that does not say what";
  return tags || (class && strstr(class, "ForMultipleChoice")) ? class : NULL;
}

enum status model_base_head(struct base_head *out, const char *path, enum job_output output, struct arena *arena,
                            struct error *err) {
  struct checkpoint checkpoint;
  struct checkpoint_tensor t;
  struct error unnamed;
  const struct model_ops *ops;
  char weight[100];
  *out = (struct base_head){0};
  enum status status = checkpoint_open(&checkpoint, path, err);
  if (status)
    return status;
  status = find_architecture(&ops, &checkpoint, err);
  snprintf(weight, sizeof weight, "%s.weight", status ? "" : model_head(ops, output));
  if (!status && checkpoint_find(&t, &checkpoint, weight) && t.rank == 2) {
    const json_t *config = checkpoint.config, *made = json_array_get(json_object_get(config, "architectures"), 0);
    const char *class = text_of(made, arena), *problem = json_string_value(json_object_get(config, "problem_type"));
    if (classes_read(&out->classes, config, (size_t)t.shape[0], arena, &unnamed) &&
        unnamed.status == STATUS_OUT_OF_MEMORY)
      status = error_no_memory(err, "the model");
    out->architecture = other_head(class, output);
    out->multi_label = problem && strcmp(problem, "multi_label_classification") == 0;
  }
  checkpoint_close(&checkpoint);
  return status;
}

static enum status check_task(const struct model *m, struct error *err) {
  if (!data_tasks_allow(tasks_of(m->ops), m->output))
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "model",
                     "a %s model cannot be trained on this data: it %s; the data ask for %s", m->ops->model_type,
                     m->ops->language ? "generates text" : "classifies texts",
                     m->language                     ? "a language model (chats, prompts or plain text without labels)"
                     : m->output == OUTPUT_EMBEDDING ? "an encoder"
                                                     : "a classifier");
  return STATUS_OK;
}

/* By _class_name of diffusers' config, or Transformers' model_type. */
static enum status find_component(const struct model_ops **out, const struct checkpoint *checkpoint,
                                  struct error *err) {
  const char *class = json_string_value(json_object_get(checkpoint->config, "_class_name"));
  const char *type = class ? class : json_string_value(json_object_get(checkpoint->config, "model_type"));
  char names[600];
  *out = find_row(names, components, COUNT_OF(components), type);
  return *out ? STATUS_OK
              : error_set(err, STATUS_MODEL_INVALID, "model",
                          "config.json: \"%.40s\" is no component of a diffusion pipeline that is supported: %s",
                          type ? type : "(neither _class_name nor model_type)", names);
}

/* Of a CLIPModel, the part that m->ops are of: its config is a member of the whole's. */
static enum status enter_encoder(struct model *m, struct error *err) {
  json_t *config = m->checkpoint.config, *own = json_object_get(config, m->ops->part ? m->ops->part : "");
  const char *type = json_string_value(json_object_get(config, "model_type"));
  if (type && strcmp(type, m->ops->model_type) == 0)
    return STATUS_OK;
  if (!type || !m->ops->part || strcmp(type, CLIP_MODEL_TYPE) != 0)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: model_type \"%.40s\" is not supported here; %s%s is", type ? type : "(absent)",
                     m->ops->part ? CLIP_MODEL_TYPE " or " : "", m->ops->model_type);
  if (!json_is_object(own))
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s must be an object", m->ops->part);
  m->checkpoint.config = json_incref(own);
  json_decref(config);
  return STATUS_OK;
}

/* `part`: of a diffusion pipeline at `path`; NULL: the folder of the model itself. */
static enum status load(struct model *m, const char *path, const char *part, uint64_t seed, struct error *err) {
  enum status status =
      part ? checkpoint_open_component(&m->checkpoint, path, part, err) : checkpoint_open(&m->checkpoint, path, err);
  if (!status && m->ops)
    status = enter_encoder(m, err);
  else if (!status)
    status = (m->component ? find_component : find_architecture)(&m->ops, &m->checkpoint, err);
  if (!status && !m->component)
    status = check_task(m, err);
  if (status)
    return status;
  m->module_max = MODULES_MAX;
  m->linears = arena_array(&m->arena, MODULES_MAX, sizeof *m->linears);
  m->norms = arena_array(&m->arena, MODULES_MAX, sizeof *m->norms);
  m->owners = arena_array(&m->arena, MODULES_MAX, sizeof *m->owners);
  return m->linears && m->norms && m->owners ? m->ops->load(m, seed, err) : error_no_memory(err, "the model");
}

static enum status open_model(struct model *m, const char *path, const char *part, uint64_t seed, struct error *err) {
  arena_init(&m->arena, SIZE_MAX / 2);
  m->parameters.arena = &m->arena;
  m->buffers.backend = m->backend;
  m->parameters.buffers = &m->buffers;
  enum status status = load(m, path, part, seed, err);
  if (status)
    model_close(m);
  return status;
}

enum status model_open(struct model *out, const char *path, enum job_output output, size_t num_labels, uint64_t seed,
                       struct backend *backend, struct error *err) {
  *out = (struct model){.backend = backend,
                        .output = output,
                        .num_labels = num_labels,
                        .language = output == OUTPUT_TEXT,
                        .pooling = POOLING_MEAN};
  return open_model(out, path, NULL, seed, err);
}

/* ops NULL: the config says. */
static enum status open_component(struct model *out, const char *path, const char *part, const struct model_ops *ops,
                                  struct backend *backend, struct error *err) {
  *out = (struct model){.backend = backend, .component = true, .output = OUTPUT_COUNT, .ops = ops};
  if (!backend->ops->host_memory)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "scheduling.device",
                     "%s does not have what image models need yet; the CPU has it", backend->device_name);
  return open_model(out, path, part, 0, err);
}

enum status model_open_component(struct model *out, const char *path, const char *part, struct backend *backend,
                                 struct error *err) {
  return open_component(out, path, part, NULL, backend, err);
}

enum status model_open_encoder(struct model *out, const char *path, const struct model_ops *ops,
                               struct backend *backend, struct error *err) {
  return open_component(out, path, NULL, ops, backend, err);
}

void model_close(struct model *m) {
  buffers_release(&m->buffers);
  checkpoint_close(&m->checkpoint);
  arena_done(&m->arena);
  *m = (struct model){0};
}

enum status model_new_head(struct model *m, uint64_t seed, struct error *err) {
  struct linear *head = m->linears[m->linear_count - 1];
  double deviation;
  CHECK(head == m->head);
  enum status status = load_number(&deviation, m, "initializer_range", 0.02, err);
  return status
             ? status
             : load_at_random(m, head, model_head(m->ops, m->output), head->bias.buffer != NULL, deviation, seed, err);
}

struct classes model_classes(const struct model *m) {
  return (struct classes){.count = m->num_labels, .names = m->label_names};
}

/* A parameter under PEFT's key, for a trainable copy of frozen numbers (cols 0: of a vector). */
static enum status train(struct parameter **out, struct model *m, const char *module, const char *suffix, size_t rows,
                         size_t cols, struct error *err) {
  char *key = arena_format(&m->arena, "base_model.model.%s.%s", module, suffix);
  *out = key ? parameter_add(&m->parameters, key, cols ? 2 : 1, (int64_t)rows, (int64_t)cols) : NULL;
  if (!*out)
    return error_no_memory(err, "the model");
  (*out)->decay = cols != 0;
  return STATUS_OK;
}

static enum status train_vector(struct parameter **out, struct model *m, const char *module, const char *suffix,
                                struct place *from, size_t count, struct error *err) {
  enum status status = train(out, m, module, suffix, count, 0, err);
  if (status)
    return status;
  m->backend->ops->read(m->backend, (*out)->data, *from, count * sizeof(float));
  *from = (*out)->at;
  return STATUS_OK;
}

static enum status train_module(struct model *m, struct linear *l, struct error *err) {
  if (l->convolution)
    return error_set(err, STATUS_UNSUPPORTED_TARGET, "adapter.modules_to_save",
                     "%s is a convolution, which cannot be trained in full here; linear modules can", l->name);
  enum status status = train(&l->trained_weight, m, l->name, "weight", l->out, l->in, err);
  if (status)
    return status;
  weight_read(l->trained_weight->data, &l->weight);
  l->weight = weight_of(l->trained_weight->data, l->out, l->in);
  l->weight.place = l->trained_weight->at;
  return l->bias.buffer ? train_vector(&l->trained_bias, m, l->name, "bias", &l->bias, l->out, err) : STATUS_OK;
}

static enum status train_bias(struct model *m, struct linear *l, enum adapter_bias which, struct error *err) {
  bool adapted = l->low_rank || l->rotation;
  if (!l->bias.buffer || l->trained_bias || (which == BIAS_METHOD_ONLY && !adapted))
    return STATUS_OK;
  return train_vector(&l->trained_bias, m, l->name, adapted ? "base_layer.bias" : "bias", &l->bias, l->out, err);
}

static enum status train_biases(struct model *m, enum adapter_bias which, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; which != BIAS_NONE && !status && i < m->linear_count; i++)
    status = train_bias(m, m->linears[i], which, err);
  if (which != BIAS_NONE && !status && m->convolution)
    status = train_bias(m, m->convolution, which, err);
  for (size_t i = 0; which == BIAS_ALL && !status && i < m->norm_count; i++) {
    struct norm *n = m->norms[i].norm;
    if (n->bias.buffer)
      status = train_vector(&n->trained_bias, m, m->norms[i].name, "bias", &n->bias, n->channels, err);
  }
  return status;
}

/* modules_to_save of the job, plus what a classifier always saves (PEFT's SEQ_CLS). */
static enum status collect_saved(struct model *m, const struct target_modules *modules, const struct string_list *asked,
                                 struct error *err) {
  static const char *const always[] = {"classifier", "score"};
  struct string_list *saved = &m->modules_to_save;
  size_t have = saved->count, heads = m->num_labels ? COUNT_OF(always) : 0;
  const char **item = arena_array(&m->arena, have + asked->count + COUNT_OF(always), sizeof *item);
  if (!item)
    return error_no_memory(err, "the model");
  if (have)
    memcpy(item, saved->item, have * sizeof *item);
  saved->item = item;
  for (size_t i = 0; i < asked->count + heads; i++) {
    const char *name = i < asked->count ? asked->item[i] : always[i - asked->count];
    bool seen = false, found = i >= asked->count;
    for (size_t j = 0; j < saved->count && !seen; j++)
      seen = strcmp(item[j], name) == 0;
    for (size_t j = 0; j < m->linear_count && !found; j++)
      found = target_suffix(m->linears[j]->name, name);
    for (size_t j = 0; j < heads && !found; j++)
      found = strcmp(always[j], name) == 0;
    for (size_t j = 0; j < m->linear_count && found; j++)
      found = !(m->linears[j]->conv1d && target_saves(name, m->linears[j]->name));
    if (!found)
      return target_refuse(modules, "modules_to_save", name,
                           "cannot be trained in full here: linear modules can, but containers, embeddings, norms, "
                           "Conv1d and Conv1D modules and lm_head cannot",
                           err);
    if (!seen)
      item[saved->count++] = arena_string(&m->arena, name);
  }
  return STATUS_OK;
}

/* A head that is not to be trained is saved all the same: PEFT would make another one. */
static void freeze_head(struct model *m, struct linear *l, const struct string_list *asked) {
  bool keep = !m->head_frozen;
  for (size_t i = 0; i < asked->count && !keep; i++)
    keep = target_saves(asked->item[i], l->name);
  l->trained_weight->frozen = !keep;
  if (l->trained_bias)
    l->trained_bias->frozen = !keep;
}

/* Is the head the token embedding? A file that has both may say that they are one; they are where they are equal. */
static bool head_is_embedding(const struct linear *head, const struct weight *table) {
  if (!head->token_rows)
    return false;
  const struct weight *own = &head->weight;
  return own->bytes == table->bytes || (own->type == table->type && weight_bytes(own) == weight_bytes(table) &&
                                        memcmp(own->bytes, table->bytes, weight_bytes(own)) == 0);
}

/* trainable_token_indices: the rows start as the base's are. */
static enum status train_token_rows(struct model *m, const struct adapter_spec *spec, struct error *err) {
  static const char param[] = "adapter.trainable_token_indices";
  const struct int_list *ids = spec->peft_type == PEFT_LORA ? &spec->lora.trainable_token_indices : NULL;
  struct token_rows *rows = m->token_rows;
  if (!ids || !ids->count)
    return STATUS_OK;
  if (!rows)
    return error_set(err, STATUS_UNSUPPORTED_TARGET, param,
                     "%s is for decoders: the token embedding of a %s model stays frozen here", param,
                     m->ops->model_type ? m->ops->model_type : m->ops->class_prefix);
  const char *module = spec->lora.trainable_token_module;
  if (module && !target_suffix(rows->module, module))
    return error_set(err, STATUS_UNSUPPORTED_TARGET, param,
                     "%s names %.100s; rows of the input embedding alone can be trained, which is %.100s", param,
                     module, rows->module);
  size_t V = rows->table->rows, C = rows->table->cols;
  for (size_t i = 0; i < ids->count; i++)
    if ((uint64_t)ids->item[i] >= V)
      return error_set(err, STATUS_INVALID_VALUE, param, "item %zu of %s is %lld; the model's tokens are 0 to %zu", i,
                       param, (long long)ids->item[i], V - 1);
  int32_t *row_of = arena_array(&m->arena, V, sizeof *row_of);
  int32_t *tokens = arena_array(&m->arena, ids->count, sizeof *tokens);
  enum status status = row_of && tokens ? STATUS_OK : error_no_memory(err, "the model");
  status = status ? status
                  : train(&rows->trained, m, rows->module, "token_adapter.trainable_tokens_delta", ids->count, C, err);
  if (status)
    return status;
  for (size_t v = 0; v < V; v++)
    row_of[v] = -1;
  for (size_t i = 0; i < ids->count; i++) {
    float *row = rows->trained->data + i * C;
    const float *frozen = weight_part(rows->table, (size_t)ids->item[i], 0, C, row);
    if (frozen != row)
      memcpy(row, frozen, C * sizeof *row);
    row_of[ids->item[i]] = (int32_t)i;
    tokens[i] = (int32_t)ids->item[i];
  }
  rows->ids = ids->item;
  rows->count = ids->count;
  rows->in_head = m->language && head_is_embedding(m->head, rows->table);
  status = buffers_import(&m->buffers, &rows->tokens, tokens, ids->count * sizeof *tokens, err);
  return status ? status : buffers_import(&m->buffers, &rows->row_of, row_of, V * sizeof *row_of, err);
}

static enum status attach(struct model *m, const struct adapter_spec *spec, const bool *selected, uint64_t seed,
                          struct error *err) {
  m->adapters = arena_array(&m->arena, m->linear_count, sizeof *m->adapters);
  if (!m->adapters)
    return error_no_memory(err, "the model");
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < m->linear_count; i++)
    if (selected[i]) {
      struct adapter *adapter;
      status = adapter_new(&adapter, spec, m->linears[i], &m->parameters, seed, err);
      if (!status) {
        m->adapters[m->adapter_count++] = adapter;
        adapter_put(m->linears[i], adapter);
      }
    }
  for (size_t i = 0; !status && i < m->linear_count; i++)
    for (size_t s = 0; !status && s < m->modules_to_save.count; s++)
      if (target_saves(m->modules_to_save.item[s], m->linears[i]->name) && !m->linears[i]->trained_weight) {
        status = train_module(m, m->linears[i], err);
        if (!status)
          freeze_head(m, m->linears[i], &spec->modules_to_save);
      }
  status = status ? status : train_biases(m, spec->bias, err);
  status = status ? status : train_token_rows(m, spec, err);
  adapter_lr_ratios(spec, &m->parameters);
  return status;
}

/* What the model has to offer: linear modules, and those that can be nothing but named. */
static enum status offer(struct target_modules *out, struct model *m, struct error *err) {
  const char **names = arena_array(&m->arena, m->linear_count, sizeof *names), *head = m->head ? m->head->name : "";
  const char **others = arena_array(&m->arena, m->owner_count + 1, sizeof *others);
  if (!names || !others)
    return error_no_memory(err, "the model");
  bool *convolutions = arena_array(&m->arena, m->linear_count, sizeof *convolutions);
  if (!convolutions)
    return error_no_memory(err, "the model");
  *out = (struct target_modules){.names = names,
                                 .count = m->linear_count,
                                 .others = others,
                                 .not_adapted = m->not_adapted,
                                 .head = head,
                                 .defaults = m->default_targets,
                                 .saved = &m->modules_to_save,
                                 .convolutions = convolutions};
  for (size_t i = 0; i < m->linear_count; i++) {
    names[i] = m->linears[i]->name;
    convolutions[i] = m->linears[i]->convolution != NULL;
  }
  for (size_t i = 0; i < m->owner_count; i++) {
    bool linear = strcmp(m->owners[i], head) == 0;
    for (size_t j = 0; j < m->linear_count && !linear; j++)
      linear = strcmp(m->owners[i], names[j]) == 0;
    if (!linear)
      others[out->other_count++] = m->owners[i];
  }
  if (m->language) /* never adapted; a tied one has no tensor of its own */
    others[out->other_count++] = head;
  return STATUS_OK;
}

/* PEFT has LoRA alone for Conv1D. */
static enum status check_conv1d(const struct model *m, const struct adapter_spec *spec, const bool *selected,
                                struct error *err) {
  for (size_t i = 0; i < m->linear_count; i++)
    if (selected[i] && m->linears[i]->conv1d && !method_of(spec->peft_type)->on_conv1d)
      return error_set(err, STATUS_UNSUPPORTED_TARGET, "adapter.target_modules",
                       "%s is a Conv1D module: PEFT puts LoRA alone on those, and could not load a %s adapter of them",
                       m->linears[i]->name, method_of(spec->peft_type)->peft_type);
  return STATUS_OK;
}

static enum status adapt(struct model *m, const struct adapter_spec *spec, bool strict, uint64_t seed,
                         struct error *err) {
  struct target_modules modules;
  bool *selected = arena_array(&m->arena, m->linear_count, sizeof *selected);
  enum status status = selected ? offer(&modules, m, err) : error_no_memory(err, "the model");
  status = status ? status : collect_saved(m, &modules, &spec->modules_to_save, err);
  if (!status && strict)
    status = target_check(&modules, spec, err);
  status = status ? status : target_select(selected, &modules, spec, err);
  status = status ? status : check_conv1d(m, spec, selected, err);
  return status ? status : attach(m, spec, selected, seed, err);
}

enum status model_adapt(struct model *m, const struct adapter_spec *spec, uint64_t seed, struct error *err) {
  return adapt(m, spec, true, seed, err);
}

enum status model_adapt_again(struct model *m, const struct adapter_spec *spec, uint64_t seed, struct error *err) {
  return adapt(m, spec, false, seed, err);
}
