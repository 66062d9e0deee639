#include "worker/model/sentence.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "worker/file/directory.h"

static enum status refuse(struct error *err, const char *what, const char *which) {
  return error_set(
      err, STATUS_UNSUPPORTED_VALUE, "model",
      "%s %.80s is not supported for embeddings; an encoder, pooling by mean or cls, and normalisation are", what,
      which);
}

static enum status read_pooling(enum pooling *out, const char *folder, const char *module, struct error *err) {
  static const char before[] = "pooling_mode_"; /* of older versions: a truth value each */
  static const struct {
    const char *older, *name;
    enum pooling pooling; /* NONE: not understood */
  } modes[] = {{"cls_token", "cls", POOLING_CLS}, {"mean_tokens", "mean", POOLING_MEAN}};
  char file[300], which[200] = "";
  AUTO(json_release) json_t *config = NULL;
  size_t count = 0;
  const char *key;
  json_t *value;
  snprintf(file, sizeof file, "%.200s/config.json", module);
  enum status status = directory_json(&config, folder, file, NULL, err);
  if (status)
    return status;
  *out = POOLING_MEAN;
  const json_t *mode = json_object_get(config, "pooling_mode");
  json_object_foreach(config, key,
                      value) if (!mode && strncmp(key, before, sizeof before - 1) == 0 && json_is_true(value)) {
    snprintf(which, sizeof which, "%.100s", key + sizeof before - 1);
    count++;
  }
  if (mode)
    snprintf(which, sizeof which, "%.100s", json_is_string(mode) ? json_string_value(mode) : "of several modes");
  if (!mode && count == 0)
    return STATUS_OK;
  for (size_t i = 0; i < COUNT_OF(modes) && count <= 1; i++)
    if (strcmp(which, mode ? modes[i].name : modes[i].older) == 0) {
      *out = modes[i].pooling;
      return STATUS_OK;
    }
  return refuse(err, "1_Pooling/config.json: pooling", count > 1 ? "of several modes" : which);
}

/* "sentence_transformers.models.Pooling" -> "Pooling"; newer versions have other paths before it. */
static const char *class_of(const json_t *module) {
  const char *type = json_string_value(json_object_get(module, "type")), *dot = type ? strrchr(type, '.') : NULL;
  return dot ? dot + 1 : type ? type : "(no type)";
}

/* The modules that there may be, in their order. */
static const struct {
  const char *class, *path;
} order[] = {{"Transformer", ""}, {"Pooling", "1_Pooling"}, {"Normalize", "2_Normalize"}};

static enum status read_modules(struct sentence_modules *out, const char *folder, const json_t *list,
                                struct error *err) {
  size_t i, at = 0;
  json_t *module;
  enum status status = STATUS_OK;
  json_array_foreach(list, i, module) {
    const char *class = class_of(module), *path = json_string_value(json_object_get(module, "path"));
    while (at < COUNT_OF(order) && strcmp(order[at].class, class) != 0)
      at++;
    if (at++ == COUNT_OF(order) || (i == 0 && at != 1))
      return refuse(err, "modules.json: the module", class);
    out->normalised |= at == 3;
    if (!status && at == 2)
      status = read_pooling(&out->pooling, folder, path ? path : "", err);
  }
  return status;
}

/* A list, so that directory_json does not read it. */
static enum status read_list(json_t **out, const char *folder, struct error *err) {
  char path[DIRECTORY_PATH_BYTES];
  *out = NULL;
  if (!directory_find(path, folder, "modules.json"))
    return STATUS_OK;
  enum status status = json_parse_file(out, path, NULL, err);
  if (!status && json_is_array(*out))
    return STATUS_OK;
  if (!status)
    error_set(err, STATUS_MODEL_INVALID, "model", "modules.json must be an array, not %s", json_kind(*out));
  return err->status = STATUS_MODEL_INVALID;
}

static enum status read_encoder(struct sentence_modules *out, const char *folder, struct error *err) {
  AUTO(json_release) json_t *config = NULL;
  enum status status = directory_json(&config, folder, "sentence_bert_config.json", NULL, err);
  if (status || !config)
    return status;
  const json_t *length = json_object_get(config, "max_seq_length");
  if (json_is_integer(length) && json_integer_value(length) > 0)
    out->max_seq_length = (size_t)json_integer_value(length);
  if (json_is_true(json_object_get(config, "do_lower_case")))
    return refuse(err, "sentence_bert_config.json:", "do_lower_case");
  return STATUS_OK;
}

enum status sentence_modules_read(struct sentence_modules *out, const char *path, struct error *err) {
  AUTO(json_release) json_t *list = NULL;
  *out = (struct sentence_modules){.pooling = POOLING_MEAN, .normalised = true};
  enum status status = read_list(&list, path, err);
  if (status || !list)
    return status;
  out->there = true;
  out->normalised = false;
  status = read_modules(out, path, list, err);
  return status ? status : read_encoder(out, path, err);
}

static const char *name_of(enum pooling pooling) {
  return pooling == POOLING_CLS ? "cls" : "mean";
}

enum status sentence_settle(struct model *m, const struct sentence_modules *modules, enum embedding_pooling wanted,
                            struct error *err) {
  m->pooling = wanted == EMBEDDING_CLS ? POOLING_CLS : wanted == EMBEDDING_MEAN ? POOLING_MEAN : modules->pooling;
  if (!modules->there || m->pooling == modules->pooling)
    return STATUS_OK;
  return error_set(err, STATUS_INVALID_VALUE, "embedding.pooling",
                   "embedding.pooling is %s, but the base model's folder says %s, and whoever loads the adapter on it "
                   "follows that: leave it out",
                   name_of(m->pooling), name_of(modules->pooling));
}

static enum status put_json(json_t *document, const char *folder, const char *name, struct error *err) {
  char path[1300];
  char *text = document ? json_dumps(document, JSON_INDENT(2)) : NULL;
  json_decref(document);
  if (!text)
    return error_no_memory(err, name);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  enum status status = file_put(path, text, strlen(text), err);
  free(text);
  return status;
}

enum status sentence_modules_write(const struct model *m, const struct sentence_modules *modules, const char *folder,
                                   struct error *err) {
  const json_t *config = m->checkpoint.config, *width = json_object_get(config, "hidden_size");
  char path[1300];
  size_t length = modules->max_seq_length ? modules->max_seq_length : m->positions;
  width = width ? width : json_object_get(config, "dim"); /* DistilBERT's word */
  json_t *list = json_array();
  for (size_t k = 0; k < COUNT_OF(order) - !modules->normalised; k++) {
    char index[8], type[64];
    snprintf(index, sizeof index, "%zu", k);
    snprintf(type, sizeof type, "sentence_transformers.models.%s", order[k].class);
    json_array_append_new(
        list, json_pack("{s:I s:s s:s s:s}", "idx", (json_int_t)k, "name", index, "path", order[k].path, "type", type));
  }
  enum status status = put_json(list, folder, "modules.json", err);
  snprintf(path, sizeof path, "%s/1_Pooling", folder);
  status = status ? status : file_mkdirs(path, err);
  if (!status)
    status = put_json(json_pack("{s:I s:b s:b s:b s:b}", "word_embedding_dimension", json_integer_value(width),
                                "pooling_mode_cls_token", m->pooling == POOLING_CLS, "pooling_mode_mean_tokens",
                                m->pooling == POOLING_MEAN, "pooling_mode_max_tokens", false,
                                "pooling_mode_mean_sqrt_len_tokens", false),
                      folder, "1_Pooling/config.json", err);
  return status ? status
                : put_json(json_pack("{s:I s:b}", "max_seq_length", (json_int_t)length, "do_lower_case", false), folder,
                           "sentence_bert_config.json", err);
}
