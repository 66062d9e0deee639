#include "worker/peft/peft_source.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/job_fields.h"
#include "base/json.h"

enum { CONFIG, WEIGHTS, PICKLE, LABELS };

enum { LABELS_BYTES_MAX = 64 << 20 };

static const struct archive_member wanted[] = {[CONFIG] = {.name = "adapter_config.json", .bytes_max = 1 << 20},
                                               [WEIGHTS] = {.name = "adapter_model.safetensors", .bytes_max = 1 << 30},
                                               [PICKLE] = {.name = "adapter_model.bin", .bytes_max = 1 << 30},
                                               [LABELS] = {.name = "labels.json", .bytes_max = LABELS_BYTES_MAX}};
/* Of as many classes as a file of data may have. */
static const struct json_limits labels_limits = {.bytes_max = LABELS_BYTES_MAX, .values_max = 200000};

static enum status read_archive(struct peft_source *s, struct error *err) {
  memcpy(s->members, wanted, sizeof wanted);
  enum status status = archive_read(s->members, COUNT_OF(wanted), s->path, err);
  if (status)
    return status;
  const struct archive_member *config = &s->members[CONFIG], *weights = &s->members[WEIGHTS];
  const struct archive_member *labels = &s->members[LABELS];
  if (!weights->bytes && s->members[PICKLE].bytes)
    return error_set(
        err, STATUS_DATASET_INVALID, NULL,
        "the archive has adapter_model.bin, a pickle, which can run code when it is loaded: save the adapter "
        "as safetensors");
  for (int i = CONFIG; i <= WEIGHTS; i++)
    if (!s->members[i].bytes)
      return error_set(err, STATUS_DATASET_INVALID, NULL,
                       "the archive has no %s, so it is no adapter; data is uploaded unpacked, as .jsonl, .csv or .tsv",
                       wanted[i].name);
  status = json_parse(&s->config, config->bytes, config->length, NULL, err);
  if (status)
    error_prefix(err, "adapter_config.json");
  else if ((status = safetensors_parse(&s->tensors, (const unsigned char *)weights->bytes, weights->length, err)))
    error_prefix(err, "adapter_model.safetensors");
  else if (labels->bytes && (status = json_parse(&s->labels, labels->bytes, labels->length, &labels_limits, err)))
    error_prefix(err, "labels.json");
  if (status)
    err->status = STATUS_DATASET_INVALID;
  return status ? STATUS_DATASET_INVALID : STATUS_OK;
}

/* labels.json; or, of a job of an earlier version, the names in the manifest beside its folder. */
static enum status read_labels(struct peft_source *s, struct error *err) {
  AUTO(json_release) json_t *manifest = NULL;
  char path[1100];
  size_t i;
  json_t *name;
  snprintf(path, sizeof path, "%s/labels.json", s->path);
  if (access(path, F_OK) == 0)
    return json_parse_file(&s->labels, path, &labels_limits, err);
  snprintf(path, sizeof path, "%s/../training_manifest.json", s->path);
  if (access(path, F_OK) != 0 || json_parse_file(&manifest, path, &labels_limits, NULL) != STATUS_OK)
    return STATUS_OK;
  s->labels = json_pack("{s:{}}", "id2label");
  json_array_foreach(json_object_get(manifest, "labels"), i, name) {
    snprintf(path, sizeof path, "%zu", i);
    json_object_set(json_object_get(s->labels, "id2label"), path, name);
  }
  return STATUS_OK;
}

static enum status read_folder(struct peft_source *s, struct error *err) {
  char path[1024];
  snprintf(path, sizeof path, "%s/adapter_config.json", s->path);
  enum status status = json_parse_file(&s->config, path, NULL, err);
  if (status)
    return status;
  snprintf(path, sizeof path, "%s/adapter_model.safetensors", s->path);
  status = safetensors_open(&s->tensors, path, err);
  return status ? status : read_labels(s, err);
}

/* What DeepSpeed's ZeRO-3 leaves behind when its parts are not gathered before they are saved. */
static enum status check_empty(const struct peft_source *s, struct error *err) {
  for (size_t i = 0; i < s->tensors.count; i++)
    if (st_elements(&s->tensors.tensors[i]) == 0)
      return error_set(err, STATUS_MODEL_INVALID, NULL,
                       "adapter_model.safetensors: tensor %.200s is empty: it was saved where its numbers were not "
                       "(DeepSpeed ZeRO-3 without gathering)",
                       s->tensors.tensors[i].name);
  return STATUS_OK;
}

enum status peft_source_open(struct peft_source *out, const char *path, struct error *err) {
  struct stat info;
  *out = (struct peft_source){.path = path};
  bool folder = stat(path, &info) != 0 || S_ISDIR(info.st_mode);
  enum status status = folder ? read_folder(out, err) : read_archive(out, err);
  if (!status && !json_is_object(out->config))
    status = error_set(err, STATUS_MODEL_INVALID, NULL, "adapter_config.json must be an object, not %s",
                       json_kind(out->config));
  status = status ? status : check_empty(out, err);
  if (status)
    peft_source_close(out);
  return status;
}

void peft_source_close(struct peft_source *s) {
  json_decref(s->config);
  json_decref(s->labels);
  safetensors_close(&s->tensors);
  archive_free_members(s->members, COUNT_OF(s->members));
  *s = (struct peft_source){0};
}

const struct st_tensor *peft_source_tensor(const struct peft_source *s, const char *key) {
  static const char prefix[] = "base_model.model.";
  const struct st_tensor *t = safetensors_find(&s->tensors, key);
  return t || strncmp(key, prefix, sizeof prefix - 1) != 0 ? t : safetensors_find(&s->tensors, key + sizeof prefix - 1);
}

/* An adapter of somebody else's has no labels.json: of one output, Transformers takes a number. */
static enum job_output output_of(const struct peft_source *s, size_t count) {
  const char *problem = json_string_value(json_object_get(s->labels, "problem_type"));
  const char *task = json_string_value(json_object_get(s->config, "task_type"));
  if (count == 0)
    return task && strcmp(task, job_output_of(OUTPUT_EMBEDDING)->peft_task_type) == 0 ? OUTPUT_EMBEDDING : OUTPUT_TEXT;
  if (task && strcmp(task, job_output_of(OUTPUT_TAGS)->peft_task_type) == 0)
    return OUTPUT_TAGS;
  if (count == 1 && problem && strcmp(problem, job_output_of(OUTPUT_RELEVANCE)->problem_type) == 0)
    return OUTPUT_RELEVANCE;
  for (int i = 0; problem && i < OUTPUT_COUNT; i++) {
    const char *own = job_output_of((enum job_output)i)->problem_type;
    if (own && strcmp(own, problem) == 0)
      return (enum job_output)i;
  }
  return count == 1 ? OUTPUT_NUMBER : OUTPUT_CLASS;
}

enum status peft_source_head(struct peft_head *out, const struct peft_source *s, struct arena *arena,
                             struct error *err) {
  static const char *const heads[] = {"base_model.model.classifier.weight",
                                      "base_model.model.classifier.out_proj.weight", "base_model.model.score.weight"};
  size_t count = 0;
  for (size_t i = 0; i < COUNT_OF(heads); i++) {
    const struct st_tensor *t = peft_source_tensor(s, heads[i]);
    if (t && t->rank == 2)
      count = (size_t)t->shape[0];
  }
  *out = (struct peft_head){.output = output_of(s, count)};
  if (count == 0)
    return STATUS_OK;
  enum status status = classes_read(&out->classes, s->labels, count, arena, err);
  return status ? error_prefix(err, "labels.json") : STATUS_OK;
}

/* adapter_config.json carries members that say nothing about training. */
static json_t *trainable_part(const json_t *config, const struct method *method) {
  json_t *part = json_object();
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)config, key, value) {
    /* fan_in_fan_out follows from the module's class, whatever is said: PEFT sets it right */
    if ((job_adapter_has(method, key) && strcmp(key, "fan_in_fan_out") != 0) || strcmp(key, "peft_type") == 0)
      json_object_set(part, key, value);
  }
  /* PEFT runs one butterfly factor on a CPU and keeps what the config said; the tensors tell. */
  if (strcmp(method->name, "boft") == 0 && json_object_get(part, "boft_n_butterfly_factor"))
    json_object_set_new(part, "boft_n_butterfly_factor", json_integer(1));
  return part;
}

enum status peft_source_spec(struct adapter_spec *out, const struct peft_source *s, struct arena *arena,
                             struct error *err) {
  const char *type = json_string_value(json_object_get(s->config, "peft_type"));
  enum peft_type peft_type = type ? method_parse(type) : PEFT_COUNT;
  if (peft_type == PEFT_COUNT)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, "peft_type", "adapter_config.json: peft_type %s is not supported",
                     type ? type : "is absent and");
  AUTO(json_release) json_t *part = trainable_part(s->config, method_of(peft_type));
  struct fault_list faults = {0};
  job_adapter_parse(out, part, "adapter", arena, &faults);
  if (adapter_spec_of_weight(out))
    return error_set(
        err, STATUS_UNSUPPORTED_VALUE, "adapter.init_lora_weights",
        "adapter_config.json: init_lora_weights is \"%.40s\": such an adapter belongs to weights that PEFT "
        "changed when its training began. PEFT's save_pretrained with "
        "path_initial_model_for_weight_conversion makes one of the base model of it",
        json_string_value(json_object_get(s->config, "init_lora_weights")));
  if (faults.count == 0)
    return STATUS_OK;
  *err = faults.item[0];
  return error_prefix(err, "adapter_config.json");
}

/* Does a member say what the parameters mean? */
static bool is_meaning(const char *name) {
  static const char *const free_members[] = {"target_modules",    "exclude_modules", "layers_to_transform",
                                             "layers_pattern",    "modules_to_save", "init_weights",
                                             "init_lora_weights", "lora_dropout"};
  for (size_t i = 0; i < COUNT_OF(free_members); i++)
    if (strcmp(free_members[i], name) == 0)
      return false;
  return true;
}

enum status peft_source_compare(const struct peft_source *s, const struct adapter_spec *spec, struct error *err) {
  struct arena arena;
  struct adapter_spec theirs, own = *spec;
  char param[96];
  arena_init(&arena, 16 << 20);
  enum status status = peft_source_spec(&theirs, s, &arena, err);
  if (!status && theirs.peft_type == PEFT_LORA && own.peft_type == PEFT_LORA) /* a name of the same module */
    theirs.lora.trainable_token_module = own.lora.trainable_token_module = NULL;
  AUTO(json_release) json_t *had = status ? NULL : job_spec_peft_config(&theirs);
  AUTO(json_release) json_t *asked = status ? NULL : job_spec_peft_config(&own);
  const char *name;
  json_t *value;
  json_object_foreach(asked, name, value) {
    const json_t *other = json_object_get(had, name);
    if (status || !is_meaning(name) || (other && json_equal(other, value)))
      continue;
    char *a = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    char *b = other ? json_dumps(other, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6)) : NULL;
    snprintf(param, sizeof param, "adapter.%s", name);
    status = error_set(err, STATUS_INVALID_VALUE, param,
                       "%s is %.60s in the job, but %.60s in the adapter that it starts from", param, a ? a : "?",
                       b ? b : "absent");
    free(a);
    free(b);
  }
  arena_done(&arena);
  return status;
}

enum status peft_source_check(json_t **report, const char *path, struct error *err) {
  struct peft_source source;
  struct adapter_spec spec;
  struct peft_head head;
  struct arena arena;
  struct stat info;
  *report = NULL;
  enum status status = peft_source_open(&source, path, err);
  if (status)
    return status;
  arena_init(&arena, LABELS_BYTES_MAX);
  status = peft_source_spec(&spec, &source, &arena, err);
  status = status ? status : peft_source_head(&head, &source, &arena, err);
  if (!status) {
    json_int_t parameters = 0;
    for (size_t i = 0; i < source.tensors.count; i++)
      parameters += st_elements(&source.tensors.tensors[i]);
    json_t *base = json_object_get(source.config, "base_model_name_or_path");
    *report =
        json_pack("{s:s s:s s:s s:o s:I s:I s:O s:I s:[]}", "format", "adapter", "kind", "adapter", "peft_type",
                  method_of(spec.peft_type)->peft_type, "adapter", job_spec_adapter(&spec), "tensors",
                  (json_int_t)source.tensors.count, "parameters", parameters, "base_model", base ? base : json_null(),
                  "bytes", (json_int_t)(stat(path, &info) == 0 ? info.st_size : 0), "columns");
    if (!*report)
      status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to check an adapter");
  } else {
    err->status = status = STATUS_DATASET_INVALID;
  }
  arena_done(&arena);
  peft_source_close(&source);
  return status;
}
