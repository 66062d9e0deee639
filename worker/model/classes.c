#include "worker/model/classes.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

/* "LABEL_7", or the name. */
static const char *name_at(char generic[32], const struct classes *c, size_t i) {
  if (c->names)
    return c->names[i];
  snprintf(generic, 32, "LABEL_%zu", i);
  return generic;
}

static const char *name_of(const json_t *value, struct arena *arena) {
  if (json_is_integer(value))
    return arena_format(arena, "%lld", (long long)json_integer_value(value));
  return json_is_string(value) ? arena_string(arena, json_string_value(value)) : NULL;
}

static enum status bad(struct error *err, const char *why, size_t i) {
  return error_set(err, STATUS_INVALID_VALUE, "id2label", "id2label %s %zu", why, i);
}

enum status classes_read(struct classes *out, const json_t *config, size_t count, struct arena *arena,
                         struct error *err) {
  const json_t *map = json_object_get(config, "id2label");
  *out = (struct classes){.count = count};
  if (!map || json_is_null(map))
    return STATUS_OK;
  if (json_object_size(map) != count)
    return bad(err,
               json_is_object(map) ? "does not have as many names as the head has outputs:"
                                   : "is no object; names it needs:",
               count);
  const char **names = arena_array(arena, count, sizeof *names);
  if (!names)
    return error_no_memory(err, "the names of classes");
  bool generic = true;
  for (size_t i = 0; i < count; i++) {
    char key[24], label[32];
    snprintf(key, sizeof key, "%zu", i);
    if (!(names[i] = name_of(json_object_get(map, key), arena)) || !*names[i])
      return bad(err, "has no name for output", i);
    generic = generic && strcmp(names[i], name_at(label, out, i)) == 0;
  }
  AUTO(json_release) json_t *seen = json_object();
  for (size_t i = 0; i < count; i++) {
    if (json_object_get(seen, names[i]))
      return bad(err, "repeats a name at output", i);
    json_object_set_new(seen, names[i], json_true());
  }
  out->names = generic ? NULL : names;
  return STATUS_OK;
}

json_t *classes_config(const struct classes *c, enum job_output output) {
  json_t *id2label = json_object(), *label2id = json_object();
  for (size_t i = 0; i < c->count; i++) {
    char key[24], label[32];
    const char *name = name_at(label, c, i);
    snprintf(key, sizeof key, "%zu", i);
    json_object_set_new(id2label, key, json_string(name));
    json_object_set_new(label2id, name, json_integer((json_int_t)i));
  }
  return json_pack("{s:I s:s* s:o s:o}", "num_labels", (json_int_t)c->count, "problem_type",
                   job_output_of(output)->problem_type, "id2label", id2label, "label2id", label2id);
}

/* The name as it is looked up: as it is, or in lower case. */
static const char *key_of(char lower[512], const char *name, bool fold) {
  if (!fold)
    return name;
  snprintf(lower, 512, "%s", name);
  for (char *c = lower; *c; c++)
    *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
  return lower;
}

/* From a name to its row, or to -1 where the key means more than one. */
static json_t *rows_of(const struct classes *head, bool fold) {
  json_t *rows = json_object();
  for (size_t i = 0; i < head->count; i++) {
    char label[32], lower[512];
    const char *key = key_of(lower, name_at(label, head, i), fold);
    json_object_set_new(rows, key, json_integer(json_object_get(rows, key) ? -1 : (json_int_t)i));
  }
  return rows;
}

/* Does every class of the data have a row of its own? */
static bool fits(size_t *row, const struct classes *head, const struct classes *data, bool fold) {
  AUTO(json_release) json_t *rows = rows_of(head, fold);
  for (size_t i = 0; i < data->count; i++) {
    char label[32], lower[512];
    const char *key = key_of(lower, name_at(label, data, i), fold);
    const json_t *found = json_object_get(rows, key);
    json_int_t at = found ? json_integer_value(found) : -1;
    if (at < 0)
      return false;
    row[i] = (size_t)at;
    json_object_set_new(rows, key, json_integer(-1)); /* taken */
  }
  return true;
}

enum classes_fit classes_fit(size_t *row, bool *folded, const struct classes *head, const struct classes *data) {
  *folded = false;
  bool fit = data->numbered ? data->count <= head->count : fits(row, head, data, false);
  if (!fit && !data->numbered)
    fit = *folded = fits(row, head, data, true);
  if (!fit && (head->names || data->count != head->count))
    return CLASSES_OTHER;
  for (size_t i = 0; (data->numbered || !fit) && i < data->count; i++)
    row[i] = i;
  return !fit ? CLASSES_UNNAMED : data->count == head->count ? CLASSES_SAME : CLASSES_PART;
}

void classes_list(struct str *out, const struct classes *c) {
  enum { BYTES = 120 };
  size_t begin = out->length, i = 0;
  for (; i < c->count && out->length - begin < BYTES; i++) {
    char label[32];
    str_printf(out, "%s%.40s", i ? ", " : "", name_at(label, c, i));
  }
  str_printf(out, i < c->count ? ", ... (%zu)" : " (%zu)", c->count);
}
