#include "worker/model/diffusers.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

/* --- config --------------------------------------------------------------------------------------- */

static bool is_fixed(const json_t *value, const struct diffusers_fixed *f) {
  switch (f->kind) {
  case FIXED_NULL: return false;
  case FIXED_FALSE: return json_is_false(value);
  case FIXED_TEXT: return json_is_string(value) && strcmp(json_string_value(value), f->text) == 0;
  case FIXED_NUMBER: return json_is_number(value) && json_number_value(value) == f->number;
  }
  CHECK(!"a kind");
}

enum status diffusers_fixed(const struct model *m, const struct diffusers_fixed *rows, size_t count,
                            struct error *err) {
  for (size_t i = 0; i < count; i++) {
    const json_t *value = json_object_get(m->checkpoint.config, rows[i].key);
    if (!value || json_is_null(value) || is_fixed(value, &rows[i]))
      continue;
    char number[40];
    snprintf(number, sizeof number, "%g", rows[i].number);
    const char *what[] = {"null", "false", rows[i].text, number};
    if (json_is_string(value))
      return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s \"%.60s\" is not supported; %s is",
                       rows[i].key, json_string_value(value), what[rows[i].kind]);
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s has a value that is not supported; %s is",
                     rows[i].key, what[rows[i].kind]);
  }
  return STATUS_OK;
}

enum status diffusers_names(size_t *out, size_t count, const struct model *m, const char *key, const char *const *known,
                            size_t known_count, struct error *err) {
  const json_t *list = json_object_get(m->checkpoint.config, key);
  if (!json_is_array(list) || json_array_size(list) != count)
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s must be a list of %zu names", key, count);
  for (size_t i = 0; i < count; i++) {
    const char *name = json_string_value(json_array_get(list, i));
    char names[300] = "";
    for (out[i] = 0; out[i] < known_count; out[i]++) {
      size_t used = strlen(names);
      snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", known[out[i]]);
      if (name && strcmp(name, known[out[i]]) == 0)
        break;
    }
    if (out[i] == known_count)
      return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s[%zu] \"%.60s\" is not supported; %s are",
                       key, i, name ? name : "(no text)", names);
  }
  return STATUS_OK;
}

enum status diffusers_sizes(size_t out[DIFFUSERS_BLOCKS_MAX], size_t *count, const struct model *m, const char *key,
                            struct error *err) {
  const json_t *list = json_object_get(m->checkpoint.config, key);
  *count = json_array_size(list);
  if (!json_is_array(list) || *count == 0 || *count > DIFFUSERS_BLOCKS_MAX)
    return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s must be a list of 1 to %d sizes", key,
                     DIFFUSERS_BLOCKS_MAX);
  for (size_t i = 0; i < *count; i++) {
    json_int_t size = json_integer_value(json_array_get(list, i));
    if (size < 1 || size > DIFFUSERS_CHANNELS_MAX)
      return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s[%zu] must be a number from 1 to %d", key, i,
                       DIFFUSERS_CHANNELS_MAX);
    out[i] = (size_t)size;
  }
  return STATUS_OK;
}

/* --- modules -------------------------------------------------------------------------------------- */

void diffusers_path(char out[DIFFUSERS_PATH], const char *format, ...) {
  va_list args;
  va_start(args, format);
  int length = vsnprintf(out, DIFFUSERS_PATH, format, args);
  va_end(args);
  CHECK(length > 0 && length < DIFFUSERS_PATH);
}

enum status diffusers_conv(struct model *m, struct linear *l, const char *path, struct diffusers_conv s,
                           struct error *err) {
  return load_conv(m, l, "", path,
                   &(struct convolution){.channels = s.in,
                                         .kernel = {s.kernel, s.kernel},
                                         .stride = {s.stride, s.stride},
                                         .before = {s.before, s.before},
                                         .after = {s.after, s.after}},
                   s.out, LOAD_BIAS, err);
}

enum status diffusers_conv3(struct model *m, struct linear *l, const char *path, size_t in, size_t out,
                            struct error *err) {
  return diffusers_conv(m, l, path, (struct diffusers_conv){in, out, 3, 1, 1, 1}, err);
}

enum status resnet_block_load(struct model *m, struct resnet_block *b, const char *path, struct resnet_shape s,
                              struct error *err) {
  char name[DIFFUSERS_PATH];
  *b = (struct resnet_block){.groups = s.groups};
  if (s.in % s.groups || s.out % s.groups)
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: norm_num_groups %zu does not divide the channels of %s: %zu, %zu", s.groups, path,
                     s.in, s.out);
  diffusers_path(name, "%s.norm1", path);
  enum status status = load_norm(m, &b->norm1, "", name, s.in, s.epsilon, true, err);
  diffusers_path(name, "%s.conv1", path);
  status = status ? status : diffusers_conv3(m, &b->conv1, name, s.in, s.out, err);
  diffusers_path(name, "%s.time_emb_proj", path);
  if (!status && s.time_embedding)
    status = load_linear(m, &b->time_emb_proj, "", name, s.time_embedding, s.out, LOAD_BIAS, err);
  diffusers_path(name, "%s.norm2", path);
  status = status ? status : load_norm(m, &b->norm2, "", name, s.out, s.epsilon, true, err);
  diffusers_path(name, "%s.conv2", path);
  status = status ? status : diffusers_conv3(m, &b->conv2, name, s.out, s.out, err);
  diffusers_path(name, "%s.conv_shortcut", path);
  if (!status && s.in != s.out)
    status = diffusers_conv(m, &b->conv_shortcut, name, (struct diffusers_conv){s.in, s.out, 1, 1, 0, 0}, err);
  return status;
}

struct tensor *resnet_block_forward(struct tape *tape, const struct resnet_block *b, struct tensor *x,
                                    const struct images *images, struct tensor *time) {
  struct images same = *images;
  struct tensor *h = op_group_norm(tape, x, images, &b->norm1, b->groups, true);
  h = op_conv2d(tape, h, &same, &b->conv1);
  if (b->time_emb_proj.name)
    h = op_add_rows(tape, h, op_linear(tape, time, &b->time_emb_proj));
  h = op_conv2d(tape, op_group_norm(tape, h, images, &b->norm2, b->groups, true), &same, &b->conv2);
  return op_add(tape, b->conv_shortcut.name ? op_linear(tape, x, &b->conv_shortcut) : x, h);
}

const struct sequences *diffusers_sequences(struct tape *tape, size_t images, size_t tokens) {
  struct sequences *s = tape_attributes(tape, sizeof *s);
  uint32_t *offsets = tape_attributes(tape, (images + 1) * sizeof *offsets);
  for (size_t i = 0; i <= images; i++)
    offsets[i] = (uint32_t)(i * tokens);
  *s = sequences_host(images, images * tokens, tokens, offsets, NULL, NULL);
  return s;
}
