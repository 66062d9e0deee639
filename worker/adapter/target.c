#include "worker/adapter/target.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

bool target_suffix(const char *path, const char *name) {
  size_t lp = strlen(path), ln = strlen(name);
  if (lp < ln || strcmp(path + lp - ln, name) != 0)
    return false;
  return lp == ln || path[lp - ln - 1] == '.';
}

static bool in_list(const struct string_list *list, const char *path) {
  for (size_t i = 0; i < list->count; i++)
    if (target_suffix(path, list->item[i]))
      return true;
  return false;
}

/* Is some dot-separated run of the path the name itself ("pooler" saves "bert.pooler.dense")? */
static bool inside(const char *path, const char *name) {
  size_t length = strlen(name);
  for (const char *at = path; (at = strstr(at, name)); at++)
    if ((at == path || at[-1] == '.') && (at[length] == '\0' || at[length] == '.'))
      return true;
  return false;
}

/* The layer a path lies in: the first all-digit segment after at least two others, or after the
   segment `pattern`. -1: none. */
static int64_t layer_of(const char *path, const char *pattern) {
  const char *before = NULL; /* the previous segment */
  size_t before_length = 0, index = 0;
  for (const char *at = path;; index++) {
    size_t length = strcspn(at, ".");
    bool last = at[length] == '\0';
    if (length > 0 && length < 10 && strspn(at, "0123456789") == length && !last && before &&
        (pattern ? strlen(pattern) == before_length && strncmp(before, pattern, before_length) == 0 : index >= 2))
      return strtoll(at, NULL, 10);
    if (last)
      return -1;
    before = at;
    before_length = length;
    at += length + 1;
  }
}

static bool layer_allowed(const struct adapter_spec *spec, const char *path) {
  if (spec->layers_to_transform.count == 0)
    return true;
  int64_t layer = -1;
  if (spec->layers_pattern.count == 0)
    layer = layer_of(path, NULL);
  for (size_t i = 0; i < spec->layers_pattern.count && layer < 0; i++)
    layer = layer_of(path, spec->layers_pattern.item[i]);
  for (size_t i = 0; layer >= 0 && i < spec->layers_to_transform.count; i++)
    if (spec->layers_to_transform.item[i] == layer)
      return true;
  return false;
}

/* A compiled module_match: a list, or a pattern that must match a whole path. */
struct matcher {
  const struct module_match *match;
  pcre2_code *code;
  pcre2_match_data *data;
  pcre2_match_context *limits;
};

static void matcher_done(struct matcher *m) {
  pcre2_match_context_free(m->limits);
  pcre2_match_data_free(m->data);
  pcre2_code_free(m->code);
}

static enum status matcher_init(struct matcher *m, const struct module_match *match, const char *param,
                                struct error *err) {
  *m = (struct matcher){.match = match};
  if (!match->pattern)
    return STATUS_OK;
  int code;
  PCRE2_SIZE at;
  m->code = pcre2_compile((PCRE2_SPTR)match->pattern, PCRE2_ZERO_TERMINATED,
                          PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF, &code, &at, NULL);
  if (!m->code) {
    PCRE2_UCHAR text[160];
    pcre2_get_error_message(code, text, sizeof text);
    return error_set(err, STATUS_INVALID_VALUE, param, "%s is no regular expression: %s at character %zu", param,
                     (const char *)text, (size_t)at);
  }
  m->data = pcre2_match_data_create_from_pattern(m->code, NULL);
  m->limits = pcre2_match_context_create(NULL);
  if (!m->data || !m->limits)
    return error_set(err, STATUS_OUT_OF_MEMORY, param, "no memory to match %s", param);
  pcre2_set_match_limit(m->limits, 100000);
  return STATUS_OK;
}

static enum status matches(bool *out, struct matcher *m, const char *path, const char *param, struct error *err) {
  *out = in_list(&m->match->names, path);
  if (!m->code)
    return STATUS_OK;
  int found = pcre2_match(m->code, (PCRE2_SPTR)path, strlen(path), 0, 0, m->data, m->limits);
  if (found < 0 && found != PCRE2_ERROR_NOMATCH)
    return error_set(err, STATUS_INVALID_VALUE, param, "the pattern in %s takes too many steps to match %s", param,
                     path);
  *out = found >= 0;
  return STATUS_OK;
}

enum status target_pattern(double *out, const struct number_map *map, const char *path, const char *param,
                           struct error *err) {
  enum status status = STATUS_OK;
  bool found = false;
  for (size_t i = 0; !status && !found && i < map->count; i++) {
    char pattern[1200];
    struct matcher matcher;
    struct module_match match = {.pattern = pattern};
    int length = snprintf(pattern, sizeof pattern, "(.*\\.)?(%s)", map->item[i].key);
    if ((size_t)length >= sizeof pattern)
      return error_set(err, STATUS_INVALID_VALUE, param, "a key of %s is too long", param);
    status = matcher_init(&matcher, &match, param, err);
    status = status ? status : matches(&found, &matcher, path, param, err);
    matcher_done(&matcher);
    if (found)
      *out = map->item[i].value;
  }
  return status;
}

/* "query, key, value": the distinct last names of the modules, into out. */
static void last_names(struct str *out, const struct target_modules *modules) {
  for (size_t i = 0; i < modules->count; i++) {
    const char *dot = strrchr(modules->names[i], '.'), *name = dot ? dot + 1 : modules->names[i];
    bool seen = false;
    for (size_t j = 0; j < i && !seen; j++)
      seen = target_suffix(modules->names[j], name);
    if (!seen)
      str_printf(out, "%s%s", out->length ? ", " : "", name);
  }
}

static enum status nothing(const struct target_modules *modules, const struct adapter_spec *spec, struct error *err) {
  const struct string_list *names = &spec->target_modules.names;
  const char *near = NULL;
  size_t best = 4;
  for (size_t n = 0; n < names->count; n++)
    for (size_t i = 0; i < modules->count; i++) {
      const char *dot = strrchr(modules->names[i], '.'), *last = dot ? dot + 1 : modules->names[i];
      size_t distance = str_distance(names->item[n], last, 3);
      if (distance < best) {
        best = distance;
        near = last;
      }
    }
  struct str have;
  str_init(&have, 300);
  last_names(&have, modules);
  error_set(err, STATUS_UNSUPPORTED_TARGET, "adapter.target_modules",
            "target_modules %s%s%s%s matches none of the model's %zu linear modules%s%s%s (their names end in: %s)",
            spec->target_modules.pattern ? "\"" : "", spec->target_modules.pattern ? spec->target_modules.pattern : "",
            spec->target_modules.pattern ? "\"" : "", names->count ? names->item[0] : "", modules->count,
            near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "", have.text);
  str_done(&have);
  return STATUS_UNSUPPORTED_TARGET;
}

enum status target_select(bool *selected, const struct target_modules *modules, const struct adapter_spec *spec,
                          struct error *err) {
  struct module_match target = spec->target_modules;
  bool all = target.pattern && strcasecmp(target.pattern, "all-linear") == 0;
  if (all)
    target.pattern = NULL;
  else if (!target.pattern && target.names.count == 0)
    target.names = *modules->defaults;
  struct matcher want, refuse;
  enum status status = matcher_init(&want, &target, "adapter.target_modules", err);
  if (status) {
    matcher_done(&want);
    return status;
  }
  status = matcher_init(&refuse, &spec->exclude_modules, "adapter.exclude_modules", err);
  size_t count = 0;
  for (size_t i = 0; !status && i < modules->count; i++) {
    const char *path = modules->names[i];
    bool excluded = false;
    status = matches(&excluded, &refuse, path, "adapter.exclude_modules", err);
    for (size_t s = 0; s < modules->saved->count; s++)
      excluded |= inside(path, modules->saved->item[s]);
    if (!status && all)
      selected[i] = strcmp(path, modules->head) != 0;
    else if (!status)
      status = matches(&selected[i], &want, path, "adapter.target_modules", err);
    selected[i] = selected[i] && !excluded && layer_allowed(spec, path);
    count += selected[i];
  }
  matcher_done(&want);
  matcher_done(&refuse);
  if (status)
    return status;
  return count ? STATUS_OK : nothing(modules, spec, err);
}
