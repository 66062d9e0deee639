#include "api/event.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static const char *const kinds[] = {
    [EVENT_MESSAGE] = "message",      [EVENT_METRICS] = "metrics",       [EVENT_PROGRESS] = "progress",
    [EVENT_TELEMETRY] = "telemetry",  [EVENT_CHECKPOINT] = "checkpoint", [EVENT_STATE] = "state",
    [EVENT_ARTIFACT] = "artifact",    [EVENT_REPORT] = "report",         [EVENT_ERROR] = "error",
    [EVENT_GENERATION] = "generation", [EVENT_ALIVE] = "alive"};

static const char *const levels[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static enum status bad_field(struct error *err, const char *name, const char *want) {
  return error_set(err, STATUS_INVALID_VALUE, name, "%s must be %s", name, want);
}

/* Text of 1 to `max` bytes without control characters. */
static bool plain(const json_t *value, size_t max) {
  const char *text = json_string_value(value);
  if (!text || !*text || strlen(text) > max)
    return false;
  for (; *text; text++)
    if ((unsigned char)*text < 0x20 || *text == 0x7F)
      return false;
  return true;
}

/* A relative path that stays below the folder it is relative to. */
static bool inside(const json_t *value) {
  if (!plain(value, 512))
    return false;
  for (const char *part = json_string_value(value);; part++) {
    size_t length = strcspn(part, "/");
    if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
      return false;
    part += length;
    if (!*part)
      return true;
  }
}

static bool count(const json_t *value) {
  return json_is_integer(value) && json_integer_value(value) >= 0;
}

/* A file of the output folder. */
static enum status check_file(const json_t *data, struct error *err) {
  const json_t *sha256 = json_object_get(data, "sha256");
  if (!inside(json_object_get(data, "path")))
    return bad_field(err, "path", "a relative path that stays in its folder");
  if (!count(json_object_get(data, "bytes")))
    return bad_field(err, "bytes", "an integer of at least 0");
  if (!json_is_string(sha256) || json_string_length(sha256) != 64 ||
      strspn(json_string_value(sha256), "0123456789abcdef") != 64)
    return bad_field(err, "sha256", "64 hexadecimal digits");
  return STATUS_OK;
}

static enum status check_artifact(const json_t *data, struct error *err) {
  const json_t *name = json_object_get(data, "name"), *result = json_object_get(data, "result_file");
  const json_t *preview = json_object_get(data, "preview");
  if (!plain(name, 128) || strchr(json_string_value(name), '/'))
    return bad_field(err, "name", "1 to 128 bytes without '/'");
  enum status status = check_file(data, err);
  if (status)
    return status;
  if (result && !json_is_boolean(result))
    return bad_field(err, "result_file", "true or false");
  return preview && !json_is_boolean(preview) ? bad_field(err, "preview", "true or false") : STATUS_OK;
}

static enum status check_state(const json_t *data, struct error *err) {
  if (!count(json_object_get(data, "step")))
    return bad_field(err, "step", "an integer of at least 0");
  return check_file(data, err);
}

static enum status check_checkpoint(const json_t *data, struct error *err) {
  const json_t *metrics = json_object_get(data, "metrics"), *removed = json_object_get(data, "removed_steps"), *step;
  size_t i;
  if (!count(json_object_get(data, "step")))
    return bad_field(err, "step", "an integer of at least 0");
  if (!inside(json_object_get(data, "path")))
    return bad_field(err, "path", "a relative path that stays in its folder");
  if (json_object_get(data, "bytes") && !count(json_object_get(data, "bytes")))
    return bad_field(err, "bytes", "an integer of at least 0");
  if (removed && !json_is_array(removed))
    return bad_field(err, "removed_steps", "a list");
  json_array_foreach(removed, i, step) {
    if (!count(step))
      return bad_field(err, "removed_steps", "integers of at least 0");
  }
  return metrics && !json_is_object(metrics) && !json_is_null(metrics) ? bad_field(err, "metrics", "an object")
                                                                       : STATUS_OK;
}

static bool numbers(const json_t *list, size_t length) {
  const json_t *value;
  size_t i;
  json_array_foreach(list, i, value) {
    if (!json_is_number(value) && !json_is_null(value))
      return false;
  }
  return json_is_array(list) && json_array_size(list) == length;
}

static enum status check_telemetry(const json_t *data, struct error *err) {
  const json_t *modules = json_object_get(data, "modules"), *name;
  size_t count_of = json_array_size(modules), i;
  if (!count(json_object_get(data, "step")))
    return bad_field(err, "step", "an integer of at least 0");
  json_array_foreach(modules, i, name) {
    if (!plain(name, 512))
      return bad_field(err, "modules", "names of modules");
  }
  if (count_of == 0)
    return bad_field(err, "modules", "a list of at least one name");
  if (!numbers(json_object_get(data, "angle"), count_of))
    return bad_field(err, "angle", "a number or null for each module");
  return numbers(json_object_get(data, "defect"), count_of)
             ? STATUS_OK
             : bad_field(err, "defect", "a number or null for each module");
}

static enum status check_data(enum event_kind kind, const json_t *data, struct error *err) {
  if (data && !json_is_object(data))
    return bad_field(err, "data", "an object");
  if (!data && kind != EVENT_MESSAGE && kind != EVENT_ERROR && kind != EVENT_ALIVE)
    return bad_field(err, "data", "an object");
  switch (kind) {
  case EVENT_METRICS:
    return count(json_object_get(data, "step")) ? STATUS_OK : bad_field(err, "step", "an integer of at least 0");
  case EVENT_PROGRESS: return plain(json_object_get(data, "phase"), 32) ? STATUS_OK : bad_field(err, "phase", "a word");
  case EVENT_TELEMETRY: return check_telemetry(data, err);
  case EVENT_CHECKPOINT: return check_checkpoint(data, err);
  case EVENT_STATE: return check_state(data, err);
  case EVENT_ARTIFACT: return check_artifact(data, err);
  case EVENT_MESSAGE:
  case EVENT_REPORT:
  case EVENT_ERROR:
  case EVENT_GENERATION:
  case EVENT_ALIVE:
  case EVENT_KIND_COUNT: return STATUS_OK;
  }
  CHECK(!"an event kind");
}

/* Everything but `data`; strings are borrowed from `object`. */
static enum status read_head(struct event *out, const json_t *object, struct error *err) {
  const char *kind, *level, *code;
  enum status status = json_get_string(&kind, object, "event", NULL, err);
  if (!status)
    status = json_get_string(&level, object, "level", "info", err);
  if (!status)
    status = json_get_string(&out->message, object, "message", "", err);
  if (!status)
    status = json_get_string(&code, object, "code", NULL, err);
  if (!status)
    status = json_get_string(&out->param, object, "param", NULL, err);
  if (status)
    return status;
  int kind_index = str_index(kinds, COUNT_OF(kinds), kind), level_index = str_index(levels, COUNT_OF(levels), level);
  if (kind_index < 0)
    return bad_field(err, "event", "the name of an event");
  if (level_index < 0)
    return bad_field(err, "level", "debug, info, warn or error");
  out->kind = (enum event_kind)kind_index;
  out->level = (enum log_level)level_index;
  out->code = STATUS_OK;
  if (out->kind != EVENT_ERROR)
    return STATUS_OK;
  out->code = code ? status_from_code(code) : STATUS_COUNT;
  return out->code == STATUS_OK || out->code == STATUS_COUNT ? bad_field(err, "code", "an error code") : STATUS_OK;
}

enum status event_parse(struct event *out, const char *line, size_t length, struct arena *arena, struct error *err) {
  static const struct json_limits limits = {.bytes_max = EVENT_LINE_MAX, .depth_max = 8, .values_max = 8192};
  AUTO(json_release) json_t *object = NULL;
  *out = (struct event){0};
  enum status status = json_parse(&object, line, length, &limits, err);
  if (status)
    return status;
  if (!json_is_object(object))
    return error_set(err, STATUS_INVALID_VALUE, NULL, "an event must be an object, not %s", json_kind(object));
  status = read_head(out, object, err);
  json_t *data = json_object_get(object, "data");
  if (json_is_null(data))
    data = NULL;
  if (!status)
    status = check_data(out->kind, data, err);
  if (!status) {
    out->message = arena_string(arena, out->message);
    out->param = out->param ? arena_string(arena, out->param) : "";
    if (!out->message || !out->param)
      status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "an event does not fit into memory");
    else if (!*out->param)
      out->param = NULL;
  }
  if (status)
    *out = (struct event){0};
  else
    out->data = json_incref(data);
  return status;
}

/* Messages quote data and file names, which may be anything: bytes that are not UTF-8 become '?'. */
static json_t *text_json(const char *text) {
  size_t length = strlen(text), bad;
  if (utf8_valid(text, length, NULL))
    return json_stringn_nocheck(text, length);
  char *copy = strndup(text, length);
  while (copy && !utf8_valid(copy, length, &bad))
    copy[bad] = '?';
  json_t *value = copy ? json_stringn_nocheck(copy, length) : NULL;
  free(copy);
  return value;
}

bool event_write(struct str *out, const struct event *event) {
  AUTO(json_release)
  json_t *object = json_pack("{ss ss so}", "event", kinds[event->kind], "level", levels[event->level], "message",
                             text_json(event->message ? event->message : ""));
  if (!object)
    return false;
  int bad = 0;
  if (event->kind == EVENT_ERROR) {
    bad |= json_object_set_new(object, "code", json_string(status_code(event->code)));
    bad |= json_object_set_new(object, "param", event->param ? text_json(event->param) : json_null());
  }
  if (event->data)
    bad |= json_object_set(object, "data", event->data);
  struct str line;
  str_init(&line, EVENT_LINE_MAX);
  bool ok = !bad && json_append(&line, object) && str_putc(&line, '\n') && str_add(out, line.text, line.length);
  str_done(&line);
  return ok;
}
