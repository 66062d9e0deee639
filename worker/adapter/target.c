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

bool target_saves(const char *name, const char *path) {
  size_t length = strlen(name), all = strlen(path);
  if (length <= all && strcmp(path + all - length, name) == 0)
    return true;
  for (const char *at = path; (at = strstr(at, name)); at++)
    if ((at == path || at[-1] == '.') && at[length] == '.')
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

/* A key of a pattern map matches the end of a path, after a dot, or all of it. */
static enum status key_matches(bool *out, const char *key, const char *path, const char *param, struct error *err) {
  char pattern[1200];
  struct matcher matcher;
  struct module_match match = {.pattern = pattern};
  int length = snprintf(pattern, sizeof pattern, "(.*\\.)?(%s)", key);
  *out = false;
  if ((size_t)length >= sizeof pattern)
    return error_set(err, STATUS_INVALID_VALUE, param, "a key of %s is too long", param);
  enum status status = matcher_init(&matcher, &match, param, err);
  status = status ? status : matches(out, &matcher, path, param, err);
  matcher_done(&matcher);
  return status;
}

enum status target_pattern(double *out, const struct number_map *map, const char *path, const char *param,
                           struct error *err) {
  enum status status = STATUS_OK;
  bool found = false;
  for (size_t i = 0; !status && !found && i < map->count; i++) {
    status = key_matches(&found, map->item[i].key, path, param, err);
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

/* The end of a path that has as many names as `like`, or all of it. */
static const char *ending_like(const char *path, const char *like) {
  size_t dots = 0;
  for (const char *c = like; *c; c++)
    dots += *c == '.';
  const char *at = path + strlen(path);
  while (at > path && (at[-1] != '.' || dots-- > 0))
    at--;
  return at;
}

/* The end of a linear module's path that is closest to `name`; NULL: none is close. */
static const char *nearest(const struct target_modules *modules, const char *name) {
  const char *near = NULL;
  size_t distance = 4;
  for (size_t i = 0; i < modules->count; i++)
    str_nearer(&near, &distance, ending_like(modules->names[i], name), name);
  return near;
}

static bool is_saved(const struct target_modules *modules, const char *path) {
  for (size_t s = 0; s < modules->saved->count; s++)
    if (target_saves(modules->saved->item[s], path))
      return true;
  return false;
}

/* Is it the end of the path of a module that holds others ("attention")? */
static bool is_container(const char *path, const char *name) {
  size_t length = strlen(name);
  for (const char *at = path; (at = strstr(at, name)); at++)
    if ((at == path || at[-1] == '.') && at[length] == '.')
      return true;
  return false;
}

/* Does the model have a module of that name which is no linear one? */
static bool is_other(const struct target_modules *modules, const char *name) {
  bool found = false;
  for (size_t i = 0; i < modules->other_count && !found; i++)
    found = target_suffix(modules->others[i], name) || is_container(modules->others[i], name);
  for (size_t i = 0; i < modules->count && !found; i++)
    found = is_container(modules->names[i], name);
  return found;
}

enum status target_refuse(const struct target_modules *modules, const char *member, const char *name,
                          const char *cannot, struct error *err) {
  char param[96];
  struct str have;
  const char *near = nearest(modules, name);
  snprintf(param, sizeof param, "adapter.%s", member);
  if (is_other(modules, name))
    return error_set(err, STATUS_UNSUPPORTED_TARGET, param, "%s: \"%.80s\" %s", member, name, cannot);
  str_init(&have, 200);
  last_names(&have, modules);
  error_set(err, STATUS_UNSUPPORTED_TARGET, param,
            "%s: the model has no module \"%.80s\"%s%s%s (names of its %zu linear modules end in: %s)", member, name,
            near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "", modules->count, have.text);
  str_done(&have);
  return STATUS_UNSUPPORTED_TARGET;
}

static enum status nothing(const struct target_modules *modules, const struct adapter_spec *spec, struct error *err) {
  const struct string_list *names = &spec->target_modules.names;
  const char *near = NULL;
  for (size_t n = 0; n < names->count && !near; n++)
    near = nearest(modules, names->item[n]);
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

/* "all-linear", the model's defaults, or what the spec asks for. */
static struct module_match wanted(bool *all, const struct target_modules *modules, const struct adapter_spec *spec) {
  struct module_match target = spec->target_modules;
  *all = target.pattern && strcasecmp(target.pattern, "all-linear") == 0;
  if (*all)
    target.pattern = NULL;
  else if (!target.pattern && target.names.count == 0)
    target.names = *modules->defaults;
  return target;
}

enum status target_select(bool *selected, const struct target_modules *modules, const struct adapter_spec *spec,
                          struct error *err) {
  bool all;
  struct module_match target = wanted(&all, modules, spec);
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
    excluded |= is_saved(modules, path);
    if (!status && all)
      selected[i] = strcmp(path, modules->head) != 0 && !(modules->convolutions && modules->convolutions[i]);
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

/* --- does the spec mean this model? --------------------------------------------------------------- */

const char target_not_adapted[] =
    "cannot be adapted here: linear modules can, but containers, embeddings, norms, Conv1d modules "
    "and lm_head cannot";

static const char *why_not(const struct target_modules *modules) {
  return modules->not_adapted ? modules->not_adapted : target_not_adapted;
}

/* A spec's matchers for modules, which must be told apart from what only seems to be there. */
struct check {
  const struct target_modules *modules;
  const struct adapter_spec *spec;
  struct matcher want, refuse;
};

/* Is `path` what `m` matches and `but` (may be NULL) does not? */
static enum status hits(bool *out, struct matcher *m, struct matcher *but, const char *path, const char *param,
                        struct error *err) {
  bool excluded = false;
  enum status status = matches(out, m, path, param, err);
  if (!status && *out && but)
    status = matches(&excluded, but, path, "adapter.exclude_modules", err);
  *out = *out && !excluded;
  return status;
}

/* The first module that is no linear one, or that holds others, which `m` matches and `but` does not: "": none. */
static enum status find_other(char out[256], struct check *c, struct matcher *m, struct matcher *but, const char *param,
                              struct error *err) {
  const struct target_modules *modules = c->modules;
  enum status status = STATUS_OK;
  const char *before = "";
  bool found = false;
  out[0] = '\0';
  for (size_t i = 0; !status && !found && i < modules->other_count; i++) {
    snprintf(out, 256, "%s", modules->others[i]);
    if (!is_saved(modules, out))
      status = hits(&found, m, but, out, param, err);
  }
  for (size_t i = 0; !status && !found && i < modules->count; i++) {
    const char *path = modules->names[i];
    for (const char *dot = strchr(path, '.'); !status && !found && dot; dot = strchr(dot + 1, '.')) {
      snprintf(out, 256, "%.*s", (int)(dot - path), path);
      if (strncmp(before, path, (size_t)(dot - path) + 1) != 0) /* not the one before's too */
        status = hits(&found, m, but, out, param, err);
    }
    before = path;
  }
  if (!found)
    out[0] = '\0';
  return status;
}

static enum status check_target(struct check *c, const char *name, struct error *err) {
  size_t matched = 0, saved = 0;
  for (size_t i = 0; i < c->modules->count; i++)
    if (target_suffix(c->modules->names[i], name)) {
      matched++;
      saved += is_saved(c->modules, c->modules->names[i]);
    }
  if (matched && matched == saved)
    return error_set(err, STATUS_UNSUPPORTED_TARGET, "adapter.target_modules",
                     "target_modules: \"%.80s\" is trained in full (modules_to_save, or a classifier's head), so no "
                     "adapter goes on it",
                     name);
  return matched ? STATUS_OK : target_refuse(c->modules, "target_modules", name, why_not(c->modules), err);
}

static enum status check_targets(struct check *c, struct error *err) {
  const struct module_match *target = &c->spec->target_modules;
  enum status status = STATUS_OK;
  char other[256];
  for (size_t i = 0; !status && i < target->names.count; i++)
    status = check_target(c, target->names.item[i], err);
  if (status || !c->want.code)
    return status;
  status = find_other(other, c, &c->want, &c->refuse, "adapter.target_modules", err);
  return status || !*other
             ? status
             : error_set(err, STATUS_UNSUPPORTED_TARGET, "adapter.target_modules",
                         "target_modules: the pattern matches %.120s too, which %s", other, why_not(c->modules));
}

static enum status check_exclusions(struct check *c, struct error *err) {
  const struct target_modules *modules = c->modules;
  const struct module_match *exclude = &c->spec->exclude_modules;
  enum status status = STATUS_OK;
  char other[256];
  bool found = false;
  for (size_t i = 0; i < exclude->names.count; i++) {
    found = is_other(modules, exclude->names.item[i]);
    for (size_t j = 0; j < modules->count && !found; j++)
      found = target_suffix(modules->names[j], exclude->names.item[i]);
    if (!found)
      return target_refuse(modules, "exclude_modules", exclude->names.item[i], "", err);
  }
  found = !c->refuse.code;
  for (size_t j = 0; !status && !found && j < modules->count; j++)
    status = matches(&found, &c->refuse, modules->names[j], "adapter.exclude_modules", err);
  if (status || found)
    return status;
  status = find_other(other, c, &c->refuse, NULL, "adapter.exclude_modules", err);
  return status || *other ? status
                          : error_set(err, STATUS_UNSUPPORTED_TARGET, "adapter.exclude_modules",
                                      "exclude_modules: the pattern matches no module of this model");
}

/* The layers that the targets lie in. (A pattern of targets excludes layers_to_transform.) */
static enum status check_layers(const struct check *c, struct error *err) {
  const struct target_modules *modules = c->modules;
  const struct string_list *patterns = &c->spec->layers_pattern;
  int64_t last = -1;
  for (size_t p = 0; p < patterns->count; p++) {
    bool found = false;
    for (size_t i = 0; i < modules->count && !found; i++)
      found = layer_of(modules->names[i], patterns->item[p]) >= 0;
    if (!found)
      return error_set(err, STATUS_UNSUPPORTED_TARGET, "adapter.layers_pattern",
                       "layers_pattern: nothing in this model is numbered below \"%.80s\"; a module is called %.120s",
                       patterns->item[p], modules->names[0]);
  }
  for (size_t l = 0; l < c->spec->layers_to_transform.count; l++) {
    bool found = false;
    for (size_t i = 0; i < modules->count && !found; i++) {
      int64_t layer = layer_of(modules->names[i], NULL);
      for (size_t p = 0; p < patterns->count && (p == 0 || layer < 0); p++)
        layer = layer_of(modules->names[i], patterns->item[p]);
      if (!in_list(&c->want.match->names, modules->names[i]))
        continue;
      last = layer > last ? layer : last;
      found = layer == c->spec->layers_to_transform.item[l];
    }
    if (!found)
      return error_set(err, STATUS_UNSUPPORTED_TARGET, "adapter.layers_to_transform",
                       "layers_to_transform: no target module lies in layer %lld; the last one that has any is %lld",
                       (long long)c->spec->layers_to_transform.item[l], (long long)last);
  }
  return STATUS_OK;
}

/* Every key of a pattern map must be some adapted module's. */
static enum status check_map(const struct check *c, const bool *selected, const struct number_map *map,
                             const char *member, struct error *err) {
  const struct target_modules *modules = c->modules;
  char param[96];
  snprintf(param, sizeof param, "adapter.%s", member);
  for (size_t k = 0; k < map->count; k++) {
    bool found = false;
    enum status status = STATUS_OK;
    for (size_t i = 0; !status && !found && i < modules->count; i++)
      if (selected[i])
        status = key_matches(&found, map->item[k].key, modules->names[i], param, err);
    if (status)
      return status;
    const char *near = nearest(modules, map->item[k].key);
    bool same = near && strcmp(near, map->item[k].key) == 0;
    if (!found)
      return error_set(err, STATUS_UNSUPPORTED_TARGET, param,
                       "%s: the key \"%.80s\" matches none of the adapted modules%s%s%s", member, map->item[k].key,
                       near && !same ? "; did you mean \"" : "", near && !same ? near : "", near && !same ? "\"?" : "");
  }
  return STATUS_OK;
}

static enum status check_maps(const struct check *c, struct error *err) {
  const struct lora_spec *lora = &c->spec->lora;
  if (c->spec->peft_type != PEFT_LORA || lora->rank_pattern.count + lora->alpha_pattern.count == 0)
    return STATUS_OK;
  bool *selected = calloc(c->modules->count, sizeof *selected);
  if (!selected)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to check an adapter's modules");
  enum status status = target_select(selected, c->modules, c->spec, err);
  status = status ? status : check_map(c, selected, &lora->rank_pattern, "rank_pattern", err);
  status = status ? status : check_map(c, selected, &lora->alpha_pattern, "alpha_pattern", err);
  free(selected);
  return status;
}

enum status target_check(const struct target_modules *modules, const struct adapter_spec *spec, struct error *err) {
  bool all;
  struct check c = {.modules = modules, .spec = spec};
  struct module_match target = wanted(&all, modules, spec);
  enum status status = matcher_init(&c.want, &target, "adapter.target_modules", err);
  if (!status)
    status = matcher_init(&c.refuse, &spec->exclude_modules, "adapter.exclude_modules", err);
  status = status ? status : check_targets(&c, err);
  status = status ? status : check_exclusions(&c, err);
  status = status ? status : check_layers(&c, err);
  status = status ? status : check_maps(&c, err);
  matcher_done(&c.want);
  matcher_done(&c.refuse);
  return status;
}
