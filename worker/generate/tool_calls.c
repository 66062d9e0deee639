#include "worker/generate/tool_calls.h"

#include <string.h>

#include "base/json.h"
#include "base/rng.h"

enum { HELD_BYTES_MAX = 1 << 20, DEPTH_MAX = 64, ID_LENGTH = 9 };

static const char opens[] = "<tool_call>", closes[] = "</tool_call>", lists[] = "[TOOL_CALLS]";
static const char blank[] = " \t\r\n";

void tool_calls_init(struct tool_calls *c, const json_t *tools, uint64_t seed) {
  *c = (struct tool_calls){.tools = tools, .seed = seed};
  str_init(&c->held, HELD_BYTES_MAX);
}

void tool_calls_done(struct tool_calls *c) {
  if (c->held.text)
    str_done(&c->held);
}

/* --- one call ------------------------------------------------------------------------------------- */

/* Nine letters and digits: Mistral's templates want that of the answer to a call. */
static void make_id(char id[ID_LENGTH + 1], uint64_t seed, size_t index) {
  static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  struct rng rng;
  rng_init(&rng, seed, RNG_TOOL_CALL | (uint64_t)index << 32);
  for (int i = 0; i < ID_LENGTH; i++)
    id[i] = letters[rng_below(&rng, sizeof letters - 1)];
  id[ID_LENGTH] = '\0';
}

static bool is_offered(const json_t *tools, const char *name) {
  size_t i;
  json_t *tool;
  json_array_foreach((json_t *)(uintptr_t)tools, i, tool) {
    const char *own = json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
    if (own && strcmp(own, name) == 0)
      return true;
  }
  return false;
}

/* Appends what the model wrote as a call; false: it is none. Arguments may be left out, or be the text of an object. */
static bool add_call(json_t *calls, struct tool_calls *c, const json_t *written) {
  char id[ID_LENGTH + 1];
  const char *name = json_string_value(json_object_get(written, "name"));
  const json_t *arguments = json_object_get(written, "arguments");
  arguments = arguments ? arguments : json_object_get(written, "parameters");
  bool text = json_is_string(arguments);
  if (!name || !is_offered(c->tools, name) || (arguments && !text && !json_is_object(arguments)))
    return false;
  AUTO(str_done) struct str out;
  str_init(&out, HELD_BYTES_MAX);
  if (text)
    str_add(&out, json_string_value(arguments), json_string_length(arguments));
  else if (arguments)
    json_append(&out, arguments);
  else
    str_puts(&out, "{}");
  size_t index = c->count + json_array_size(calls);
  make_id(id, c->seed, index);
  return !out.failed && json_array_append_new(calls, json_pack("{s:I, s:s, s:s, s:{s:s, s:s}}", "index",
                                                               (json_int_t)index, "id", id, "type", "function",
                                                               "function", "name", name, "arguments", out.text)) == 0;
}

/* All of the text, one call or a list of them; false, and nothing is appended: it is something else. */
static bool add_calls(json_t *calls, struct tool_calls *c, const char *text, size_t length) {
  static const struct json_limits limits = {HELD_BYTES_MAX, DEPTH_MAX, HELD_BYTES_MAX};
  AUTO(json_release) json_t *written = NULL;
  struct error err;
  size_t before = json_array_size(calls), i;
  json_t *one;
  bool ok = json_parse(&written, text, length, &limits, &err) == STATUS_OK;
  if (ok && json_is_object(written))
    ok = add_call(calls, c, written);
  else if (ok)
    ok = json_array_size(written) > 0;
  json_array_foreach(written, i, one) ok = ok && add_call(calls, c, one);
  while (!ok && json_array_size(calls) > before)
    json_array_remove(calls, json_array_size(calls) - 1);
  return ok;
}

/* --- the text ------------------------------------------------------------------------------------- */

static void drop_held(struct tool_calls *c, size_t bytes) {
  memmove(c->held.text, c->held.text + bytes, c->held.length - bytes + 1);
  c->held.length -= bytes;
}

static void tell(struct tool_calls *c, struct str *text, size_t bytes) {
  c->begun = c->begun || strspn(c->held.text, blank) < bytes;
  str_add(text, c->held.text, bytes);
  drop_held(c, bytes);
}

/* So many bytes at the end of the text begin the marker. */
static size_t begins(const struct str *text, const char *marker) {
  size_t most = strlen(marker) - 1, length = text->length < most ? text->length : most;
  while (length && memcmp(text->text + text->length - length, marker, length) != 0)
    length--;
  return length;
}

/* An answer that is JSON from its beginning: it is known at its end what it is. */
static bool is_json(const struct tool_calls *c) {
  const char *at = c->held.text + strspn(c->held.text, blank);
  return !c->begun && !c->count && (*at == '{' || *at == '[');
}

static void take_json(struct tool_calls *c, struct str *text, json_t *calls) {
  size_t skip = strspn(c->held.text, blank);
  if (strncmp(c->held.text + skip, lists, strlen(lists)) == 0)
    skip += strlen(lists);
  if (add_calls(calls, c, c->held.text + skip, c->held.length - skip))
    drop_held(c, c->held.length);
  else
    tell(c, text, c->held.length);
}

/* Up to the end of the first tagged call. False: there is none, or not all of it. */
static bool take_tagged(struct tool_calls *c, struct str *text, json_t *calls) {
  const char *begin = strstr(c->held.text, opens), *end = begin ? strstr(begin, closes) : NULL;
  if (!end)
    return false;
  size_t before = (size_t)(begin - c->held.text), whole = (size_t)(end - begin) + strlen(closes);
  const char *inner = begin + strlen(opens);
  if (!add_calls(calls, c, inner, (size_t)(end - inner))) {
    tell(c, text, before + whole);
    return true;
  }
  if (strspn(c->held.text, blank) < before)
    tell(c, text, before);
  else
    whole += before;
  drop_held(c, whole);
  return true;
}

static void take(struct tool_calls *c, struct str *text, json_t *calls, bool last) {
  if (is_json(c) || (!c->begun && !c->count && c->held.text[strspn(c->held.text, blank)] == '\0')) {
    if (last)
      take_json(c, text, calls);
    return;
  }
  while (take_tagged(c, text, calls))
    continue;
  const char *begin = strstr(c->held.text, opens);
  size_t ready = begin ? (size_t)(begin - c->held.text) : c->held.length - begins(&c->held, opens);
  ready = last ? c->held.length : ready;
  bool spaces = strspn(c->held.text, blank) >= ready && c->count + json_array_size(calls) > 0;
  if (!spaces) /* between calls it says nothing */
    tell(c, text, ready);
}

bool tool_calls_next(struct tool_calls *c, struct str *text, json_t **out, bool last) {
  *out = NULL;
  if (json_array_size(c->tools) == 0)
    return true;
  json_t *calls = json_array();
  str_add(&c->held, text->text, text->length);
  str_clear(text);
  if (calls && !c->held.failed)
    take(c, text, calls, last);
  bool ok = calls && !c->held.failed && !text->failed;
  c->count += json_array_size(calls);
  if (json_array_size(calls) > 0)
    *out = calls;
  else
    json_decref(calls);
  return ok;
}
