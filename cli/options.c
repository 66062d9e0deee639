/* Reading options by their tables. Nothing here knows a single option by name. */
#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"

enum { NAME_MAX_BYTES = 64 };

/* The row of an option and the target that it belongs to. */
struct match {
  const struct option_row *row;
  const struct option_target *target;
};

static struct match find_row(const struct option_target *targets, size_t target_count, const char *name,
                             size_t length) {
  for (size_t t = 0; t < target_count; t++)
    for (size_t r = 0; r < targets[t].table->count; r++) {
      const struct option_row *row = &targets[t].table->rows[r];
      if (strlen(row->name) == length && memcmp(row->name, name, length) == 0)
        return (struct match){row, &targets[t]};
    }
  return (struct match){NULL, NULL};
}

static enum status unknown_option(const struct option_target *targets, size_t target_count, const char *argument,
                                  size_t name_length, struct error *err) {
  char name[NAME_MAX_BYTES];
  snprintf(name, sizeof name, "%.*s", (int)(name_length < sizeof name ? name_length : sizeof name - 1), argument + 2);
  const char *best = NULL;
  size_t distance = 3;
  for (size_t t = 0; t < target_count; t++)
    for (size_t r = 0; r < targets[t].table->count; r++)
      str_nearer(&best, &distance, targets[t].table->rows[r].name, name);
  if (best)
    return error_set(err, STATUS_UNKNOWN_PARAMETER, name, "no option --%s; did you mean --%s?", name, best);
  return error_set(err, STATUS_UNKNOWN_PARAMETER, name, "no option --%s", name);
}

static enum status wrong_value(const struct option_row *row, const char *text, const char *wanted, struct error *err) {
  return error_set(err, STATUS_INVALID_VALUE, row->name, "--%s takes %s, not \"%s\"", row->name, wanted, text);
}

static enum status parse_int(int64_t *out, const struct option_row *row, const char *text, struct error *err) {
  char *end = NULL;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (end == text || *end || errno)
    return wrong_value(row, text, "a whole number", err);
  *out = value;
  return STATUS_OK;
}

static enum status parse_number(double *out, const struct option_row *row, const char *text, struct error *err) {
  char *end = NULL;
  double value = strtod(text, &end);
  if (end == text || *end || !isfinite(value))
    return wrong_value(row, text, "a number", err);
  *out = value;
  return STATUS_OK;
}

static enum status parse_bool(bool *out, const struct option_row *row, const char *text, struct error *err) {
  if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
    return wrong_value(row, text, "true or false", err);
  *out = text[0] == 't';
  return STATUS_OK;
}

/* "a,b" becomes ["a","b"]; empty names are refused. A new reference, NULL on failure. */
static json_t *parse_list(const struct option_row *row, const char *text, struct error *err) {
  json_t *list = json_array();
  for (const char *item = text; list;) {
    size_t length = strcspn(item, ",");
    if (length == 0) {
      (void)wrong_value(row, text, "names separated by single commas", err);
      json_decref(list);
      return NULL;
    }
    if (json_array_append_new(list, json_stringn(item, length)) != 0) {
      (void)wrong_value(row, text, "names in UTF-8", err);
      json_decref(list);
      return NULL;
    }
    if (!item[length])
      return list;
    item += length + 1;
  }
  (void)error_set(err, STATUS_OUT_OF_MEMORY, row->name, "--%s: out of memory", row->name);
  return NULL;
}

json_t *options_value(const struct option_row *row, const char *text, struct error *err) {
  int64_t integer = 0;
  double number = 0;
  bool boolean = false;
  json_t *value = NULL;
  switch (row->kind) {
    case OPTION_FLAG:
      return json_true();
    case OPTION_BOOL:
      return parse_bool(&boolean, row, text, err) == STATUS_OK ? json_boolean(boolean) : NULL;
    case OPTION_INT:
      return parse_int(&integer, row, text, err) == STATUS_OK ? json_integer(integer) : NULL;
    case OPTION_NUMBER:
      return parse_number(&number, row, text, err) == STATUS_OK ? json_real(number) : NULL;
    case OPTION_LIST:
      return parse_list(row, text, err);
    case OPTION_TEXT:
    case OPTION_PAIR:
    case OPTION_MEMBER:
      value = json_string(text);
      if (!value)
        (void)wrong_value(row, text, "text in UTF-8", err);
      return value;
  }
  CHECK(!"every kind of option is handled");
}

enum status options_set_path(json_t *document, const char *path, json_t *value, struct error *err) {
  json_t *object = document;
  const char *name = path;
  for (const char *dot; (dot = strchr(name, '.')) != NULL; name = dot + 1) {
    char key[NAME_MAX_BYTES];
    snprintf(key, sizeof key, "%.*s", (int)(dot - name), name);
    json_t *next = json_object_get(object, key);
    if (!next) {
      next = json_object();
      if (json_object_set_new(object, key, next) != 0)
        next = NULL;
    }
    if (!next || !json_is_object(next)) {
      json_decref(value);
      return next ? error_set(err, STATUS_INVALID_VALUE, path, "\"%s\" must be an object to hold %s", key, path)
                  : error_set(err, STATUS_OUT_OF_MEMORY, path, "out of memory");
    }
    object = next;
  }
  if (json_object_set_new(object, name, value) != 0)
    return error_set(err, STATUS_OUT_OF_MEMORY, path, "out of memory");
  return STATUS_OK;
}

static enum status set_pair(json_t *document, const struct option_row *row, const char *text, struct error *err) {
  const char *equals = strchr(text, '=');
  char path[192];
  if (!equals || equals == text || memchr(text, '.', (size_t)(equals - text)))
    return wrong_value(row, text, "key=value, the key without a dot", err);
  int length = snprintf(path, sizeof path, "%s.%.*s", row->path, (int)(equals - text), text);
  if (length < 0 || (size_t)length >= sizeof path)
    return wrong_value(row, text, "a shorter key", err);
  json_t *value = options_value(row, equals + 1, err);
  return value ? options_set_path(document, path, value, err) : STATUS_INVALID_VALUE;
}

/* Are these names between dots, none of them empty or longer than options_set_path takes? */
static bool is_path(const char *text, size_t length) {
  for (size_t at = 0, name = 0; at <= length; at++) {
    bool ends = at == length || text[at] == '.';
    if (ends && (at == name || at - name >= NAME_MAX_BYTES))
      return false;
    name = ends ? at + 1 : name;
  }
  return true;
}

static enum status set_any(json_t *document, const struct option_row *row, const char *text, struct error *err) {
  const char *equals = strchr(text, '=');
  char path[192];
  if (!equals || (size_t)(equals - text) >= sizeof path || !is_path(text, (size_t)(equals - text)))
    return wrong_value(row, text, "member=value, the member as checkpointing.keep_last", err);
  snprintf(path, sizeof path, "%.*s", (int)(equals - text), text);
  json_t *value = NULL;
  enum status status = json_parse(&value, equals + 1, strlen(equals + 1), NULL, err);
  if (status == STATUS_OUT_OF_MEMORY)
    return status;
  if (status)
    value = options_value(row, equals + 1, err);
  return value ? options_set_path(document, path, value, err) : STATUS_INVALID_VALUE;
}

static enum status set_member(void *values, const struct option_row *row, const char *text, struct error *err) {
  void *member = (char *)values + row->offset;
  switch (row->kind) {
    case OPTION_FLAG:
      *(bool *)member = true;
      return STATUS_OK;
    case OPTION_BOOL:
      return parse_bool(member, row, text, err);
    case OPTION_TEXT:
      *(const char **)member = text;
      return STATUS_OK;
    case OPTION_INT:
      return parse_int(member, row, text, err);
    case OPTION_NUMBER:
      return parse_number(member, row, text, err);
    case OPTION_LIST:
    case OPTION_PAIR:
    case OPTION_MEMBER:
      break;
  }
  CHECK(!"lists, pairs and members have a path");
}

static enum status set_option(const struct match *match, const char *text, struct error *err) {
  if (!match->row->path)
    return set_member(match->target->values, match->row, text, err);
  if (match->row->kind == OPTION_PAIR)
    return set_pair(match->target->document, match->row, text, err);
  if (match->row->kind == OPTION_MEMBER)
    return set_any(match->target->document, match->row, text, err);
  json_t *value = options_value(match->row, text, err);
  return value ? options_set_path(match->target->document, match->row->path, value, err) : STATUS_INVALID_VALUE;
}

/* One option at argv[*index]; moves *index past it and its value. */
static enum status read_option(size_t *index, const char *const *argv, size_t argc, const struct option_target *targets,
                               size_t target_count, struct error *err) {
  const char *argument = argv[(*index)++];
  size_t name_length = strcspn(argument + 2, "=");
  struct match match = find_row(targets, target_count, argument + 2, name_length);
  if (!match.row)
    return unknown_option(targets, target_count, argument, name_length, err);
  const char *text = argument[2 + name_length] == '=' ? argument + 3 + name_length : NULL;
  if (match.row->kind == OPTION_FLAG) {
    if (text)
      return error_set(err, STATUS_INVALID_VALUE, match.row->name, "--%s takes no value", match.row->name);
  } else if (!text) {
    if (*index == argc)
      return error_set(err, STATUS_INVALID_VALUE, match.row->name, "--%s needs a value: %s", match.row->name,
                       match.row->placeholder);
    text = argv[(*index)++];
  }
  return set_option(&match, text, err);
}

enum status options_parse(struct operands *out, size_t *used, const char *const *argv, size_t argc,
                          const struct option_target *targets, size_t target_count, bool stop_at_operand,
                          struct error *err) {
  bool options_ended = false;
  size_t index = 0;
  *out = (struct operands){0};
  while (index < argc) {
    const char *argument = argv[index];
    if (!options_ended && strcmp(argument, "--") == 0) {
      options_ended = true;
      index++;
    } else if (!options_ended && strncmp(argument, "--", 2) == 0) {
      enum status status = read_option(&index, argv, argc, targets, target_count, err);
      if (status != STATUS_OK)
        return status;
    } else if (!options_ended && argument[0] == '-' && argument[1]) {
      return error_set(err, STATUS_UNKNOWN_PARAMETER, argument, "no option %s; options begin with two dashes",
                       argument);
    } else if (stop_at_operand) {
      break;
    } else if (out->count == OPERANDS_MAX) {
      return error_set(err, STATUS_INVALID_VALUE, NULL, "too many arguments from \"%s\" on", argument);
    } else {
      out->item[out->count++] = argument;
      index++;
    }
  }
  *used = index;
  return STATUS_OK;
}
