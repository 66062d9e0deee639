#include "base/json.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* Walks the text once before jansson sees it and refuses what would need too much memory. Inside
   strings only quotes and backslashes matter; whether the document is well formed is jansson's
   question. */
static enum status scan(const char *text, size_t length, const struct json_limits *limits, struct error *err) {
  size_t depth = 0, values = 1, line = 1, start = 0;
  for (size_t i = 0; i < length; i++) {
    char c = text[i];
    if (c == '"') {
      for (i++; i < length && text[i] != '"'; i++)
        i += text[i] == '\\';
    } else if (c == '\n') {
      line++;
      start = i + 1;
    } else if (c == '[' || c == '{') {
      depth++;
      values++;
    } else if (c == ']' || c == '}') {
      depth -= depth > 0;
    } else if (c == ',' || c == ':') {
      values++;
    }
    if (depth > limits->depth_max)
      return error_set(err, STATUS_INVALID_JSON, NULL, "line %zu, column %zu: more than %zu nested levels", line,
                       i - start + 1, limits->depth_max);
    if (values > limits->values_max)
      return error_set(err, STATUS_TOO_LARGE, NULL, "line %zu, column %zu: more than %zu values", line, i - start + 1,
                       limits->values_max);
  }
  return STATUS_OK;
}

/* Where what jansson could not take begins: it has read up to fault->position and quotes a short piece. */
static size_t stumbled(const json_error_t *fault, const char *text, size_t length) {
  const char *near = strstr(fault->text, " near '");
  size_t position = fault->position > 0 && (size_t)fault->position <= length ? (size_t)fault->position : length;
  size_t quoted = near ? strlen(near + 7) - 1 : 0;
  bool found = near && quoted <= position && memcmp(text + position - quoted, near + 7, quoted) == 0;
  return found ? position - quoted : position;
}

static bool begins(const char *text, size_t length, size_t at, const char *with) {
  return length - at >= strlen(with) && memcmp(text + at, with, strlen(with)) == 0;
}

/* Words that are not JSON, but look so to people and to other programs. */
static const char *known_mistake(const char *text, size_t length, size_t at) {
  static const struct {
    const char *with, *says;
  } known[] = {
      {"\xEF\xBB\xBF", "a byte order mark (U+FEFF), which some editors put before a text: remove it"},
      {"\xE2\x80\x9C", "a typographic quote; JSON's strings are in straight quotes (\")"},
      {"\xE2\x80\x9D", "a typographic quote; JSON's strings are in straight quotes (\")"},
      {"'", "a single quote; JSON's strings are in double quotes (Python: json.dumps, not str or repr)"},
      {"NaN", "NaN is no JSON; write null, or leave the member out"},
      {"nan", "nan is no JSON; write null, or leave the member out"},
      {"Infinity", "Infinity is no JSON; write null, or leave the member out"},
      {"-Infinity", "-Infinity is no JSON; write null, or leave the member out"},
      {"True", "True is Python's; JSON's is true"},
      {"False", "False is Python's; JSON's is false"},
      {"None", "None is Python's; JSON's is null"},
      {"undefined", "undefined is JavaScript's; JSON's is null"},
      {"//", "a comment, which JSON does not have"},
      {"/*", "a comment, which JSON does not have"},
      {"#", "a comment, which JSON does not have"},
  };
  size_t before = at;
  for (size_t i = 0; i < COUNT_OF(known); i++) {
    const char *with = known[i].with;
    size_t end = at + strlen(with);
    bool longer = isalpha((unsigned char)with[0]) && end < length && isalnum((unsigned char)text[end]);
    if (begins(text, length, at, with) && !longer)
      return known[i].says;
  }
  while (before > 0 && strchr(" \t\r\n", text[before - 1]))
    before--;
  bool closes = at < length && (text[at] == '}' || text[at] == ']');
  if (closes && before > 0 && text[before - 1] == ',')
    return "a comma with nothing behind it (after the last member or item there is none)";
  return closes && before > 0 && text[before - 1] == ':' ? "a member has no value" : NULL;
}

/* What jansson found, as people say it who do not know jansson. */
static const char *plain_words(const json_error_t *fault, const char *text, size_t length) {
  size_t at = stumbled(fault, text, length);
  const char *says;
  switch (json_error_code(fault)) {
  case json_error_null_character: return "\\u0000, the character NUL, is not allowed in a string";
  case json_error_null_byte_in_key: return "\\u0000, the character NUL, is not allowed in a name";
  case json_error_premature_end_of_input: return "the text ends before its JSON is complete";
  case json_error_end_of_input_expected:
    says = known_mistake(text, length, at);
    return says ? says : "more text behind the end of the JSON value";
  case json_error_invalid_syntax: break;
  default: return fault->text;
  }
  if (strstr(fault->text, "invalid escape"))
    return "a backslash in a string that begins no escape of JSON (a backslash itself is written twice)";
  if (strncmp(fault->text, "unexpected newline", 18) == 0)
    return "a line ends inside a string (write a line end in it as \\n, and close it with \")";
  says = known_mistake(text, length, at);
  if (says)
    return says;
  if (strncmp(fault->text, "string or '}'", 13) == 0)
    return "a name in double quotes, or }, is expected here";
  if (strncmp(fault->text, "'}' expected", 12) == 0 || strncmp(fault->text, "']' expected", 12) == 0)
    return fault->text[1] == '}' ? "a comma or } is expected here" : "a comma or ] is expected here";
  return fault->text;
}

/* Integers beyond 64 bits, which jansson refuses, written with an exponent in the same place: 17 digits and how many
   follow. Files have them (model_max_length of many tokenizers, ids of some services). False: there is none. */
static bool write_as_reals(char *text, size_t length) {
  enum { DIGITS = 17 };
  bool any = false;
  for (size_t i = 0; i < length; i++) {
    if (text[i] == '"')
      for (i++; i < length && text[i] != '"'; i++)
        i += text[i] == '\\';
    if (i >= length || !isdigit((unsigned char)text[i]))
      continue;
    size_t first = i, digits;
    while (i < length && isdigit((unsigned char)text[i]))
      i++;
    digits = i - first;
    bool real = i < length && strchr(".eE", text[i]);
    while (i < length && strchr("0123456789.eE+-", text[i])) /* the rest of a real */
      i++;
    i--;
    bool fits = digits < 19 || (digits == 19 && memcmp(text + first, "9223372036854775807", 19) <= 0);
    if (real || fits || digits > 300)
      continue;
    size_t more = digits - DIGITS;
    any = true;
    text[first + DIGITS] = 'e';
    for (size_t at = first + digits; --at > first + DIGITS; more /= 10)
      text[at] = (char)('0' + more % 10);
    any = true;
  }
  return any;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* jansson 2.14 says of a text that it is wrong when it had no memory for its values, and ends the process when it had
   none for the copy that it makes of a string. So while a document is read, what malloc does not give comes out of a
   reserve, the text ends soon after, and what was read is thrown away. */
enum { PIECE_BYTES = 256, RESERVE_BYTES = 1 << 14 };
static _Thread_local struct {
  char *begin; /* NULL: no document is being read */
  size_t size, used;
  bool starved;
} reserve;

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes);
  if (memory || !reserve.begin)
    return memory;
  reserve.starved = true;
  if (bytes > reserve.size - reserve.used)
    return NULL;
  memory = reserve.begin + reserve.used;
  size_t step = (bytes + 15) & ~(size_t)15;
  reserve.used = step < reserve.size - reserve.used ? reserve.used + step : reserve.size;
  return memory;
}

static void release(void *memory) {
  uintptr_t at = (uintptr_t)memory, begin = (uintptr_t)reserve.begin;
  if (!begin || at < begin || at >= begin + reserve.size)
    free(memory);
}

static void take_over_memory(void) __attribute__((constructor));
static void take_over_memory(void) {
  json_set_alloc_funcs(allocate, release);
}

struct text {
  const char *at;
  size_t left;
};

static size_t next_piece(void *out, size_t size, void *context) {
  struct text *text = context;
  size_t length = text->left < PIECE_BYTES ? text->left : PIECE_BYTES;
  if (length > size)
    length = size;
  if (reserve.starved)
    return 0;
  memcpy(out, text->at, length);
  text->at += length;
  text->left -= length;
  return length;
}

/* *value NULL with STATUS_OK: `fault` says what is wrong with the text. */
static enum status load(json_t **value, const char *text, size_t length, json_error_t *fault, struct error *err) {
  struct text rest = {text, length};
  /* Twice a string that fills the text, and a list of as much beside it. */
  reserve.size = 4 * length + RESERVE_BYTES;
  reserve.used = 0;
  reserve.starved = false;
  reserve.begin = malloc(reserve.size);
  if (reserve.begin)
    *value = json_load_callback(next_piece, &rest, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, fault);
  bool whole = reserve.begin && !reserve.starved;
  if (!whole && reserve.begin)
    json_decref(*value);
  free(reserve.begin);
  reserve.begin = NULL;
  if (whole)
    return STATUS_OK;
  *value = NULL;
  return error_no_memory(err, "a JSON document");
}

/* Integers beyond 64 bits are read as reals. */
static enum status load_any(json_t **value, const char *text, size_t length, json_error_t *fault, struct error *err) {
  enum status status = load(value, text, length, fault, err);
  if (status || *value || json_error_code(fault) != json_error_numeric_overflow)
    return status;
  char *copy = malloc(length);
  if (!copy)
    return error_no_memory(err, "a JSON document");
  memcpy(copy, text, length);
  if (write_as_reals(copy, length))
    status = load(value, copy, length, fault, err);
  free(copy);
  return status;
}

enum status json_parse(json_t **out, const char *text, size_t length, const struct json_limits *limits,
                       struct error *err) {
  struct json_limits use = limits ? *limits : (struct json_limits){0};
  *out = NULL;
  if (!use.bytes_max)
    use.bytes_max = 1 << 20;
  if (!use.depth_max)
    use.depth_max = 32;
  if (!use.values_max)
    use.values_max = 50000;
  if (length > use.bytes_max)
    return error_set(err, STATUS_TOO_LARGE, NULL, "%zu bytes of JSON; at most %zu are read", length, use.bytes_max);
  enum status status = scan(text, length, &use, err);
  if (status)
    return status;
  json_error_t fault;
  status = load_any(out, text, length, &fault, err);
  if (!status && !*out)
    return error_set(err, STATUS_INVALID_JSON, NULL, "line %d, column %d: %s", fault.line, fault.column,
                     plain_words(&fault, text, length));
  return status;
}

enum status json_parse_file(json_t **out, const char *path, const struct json_limits *limits, struct error *err) {
  char *text;
  size_t length;
  *out = NULL;
  enum status status = file_read(&text, &length, path, limits && limits->bytes_max ? limits->bytes_max : 1 << 20, err);
  if (status)
    return status;
  status = json_parse(out, text, length, limits, err);
  free(text);
  return status ? error_prefix(err, "%s", path) : STATUS_OK;
}

const char *json_kind(const json_t *value) {
  switch (json_typeof(value)) {
  case JSON_OBJECT: return "an object";
  case JSON_ARRAY: return "an array";
  case JSON_STRING: return "a string";
  case JSON_INTEGER: return "an integer";
  case JSON_REAL: return "a number";
  case JSON_TRUE: return "true";
  case JSON_FALSE: return "false";
  case JSON_NULL: return "null";
  }
  CHECK(!"a JSON type");
}

static enum status wrong(struct error *err, const char *key, const char *want, const json_t *got) {
  return error_set(err, STATUS_INVALID_VALUE, key, "%s must be %s, not %s", key, want, json_kind(got));
}

enum status json_get_string(const char **out, const json_t *object, const char *key, const char *fallback,
                            struct error *err) {
  const json_t *value = json_object_get(object, key);
  *out = fallback;
  if (!value || json_is_null(value))
    return STATUS_OK;
  if (!json_is_string(value))
    return wrong(err, key, "a string", value);
  *out = json_string_value(value);
  return STATUS_OK;
}

enum status json_get_int(int64_t *out, const json_t *object, const char *key, int64_t fallback, int64_t min,
                         int64_t max, struct error *err) {
  const json_t *value = json_object_get(object, key);
  *out = fallback;
  if (!value || json_is_null(value))
    return STATUS_OK;
  if (!json_is_integer(value))
    return wrong(err, key, "an integer", value);
  *out = json_integer_value(value);
  if (*out < min || *out > max)
    return error_set(err, STATUS_INVALID_VALUE, key, "%s is %" PRId64 "; it must lie in %" PRId64 "..%" PRId64, key,
                     *out, min, max);
  return STATUS_OK;
}

enum status json_get_number(double *out, const json_t *object, const char *key, double fallback, struct error *err) {
  const json_t *value = json_object_get(object, key);
  *out = fallback;
  if (!value || json_is_null(value))
    return STATUS_OK;
  if (!json_is_number(value))
    return wrong(err, key, "a number", value);
  *out = json_number_value(value);
  return STATUS_OK;
}

enum status json_get_bool(bool *out, const json_t *object, const char *key, bool fallback, struct error *err) {
  const json_t *value = json_object_get(object, key);
  *out = fallback;
  if (!value || json_is_null(value))
    return STATUS_OK;
  if (!json_is_boolean(value))
    return wrong(err, key, "true or false", value);
  *out = json_is_true(value);
  return STATUS_OK;
}

bool json_merge(json_t *target, const json_t *patch) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)patch, name, value) {
    json_t *there = json_object_get(target, name);
    if (json_is_null(value)) {
      json_object_del(target, name);
    } else if (!json_is_object(value)) {
      if (json_object_set(target, name, value) != 0)
        return false;
    } else {
      if (!json_is_object(there) && json_object_set_new(target, name, json_object()) != 0)
        return false;
      if (!json_merge(json_object_get(target, name), value))
        return false;
    }
  }
  return true;
}

static int append(const char *bytes, size_t length, void *payload) {
  return str_add(payload, bytes, length) ? 0 : -1;
}

bool json_append(struct str *out, const json_t *value) {
  size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15);
  return json_dump_callback(value, append, out, flags) == 0 && !out->failed;
}

bool json_list_has(const json_t *list, const char *text) {
  const json_t *item;
  size_t i;
  json_array_foreach(list, i, item) if (json_is_string(item) && strcmp(json_string_value(item), text) == 0) return true;
  return false;
}
