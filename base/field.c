/* Field tables: defaults, names and suggestions. */
#include "base/field.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static void set_default(const struct field *field, void *out) {
  void *at = (char *)out + field->offset;
  const char *text = field->initial;
  switch (field->kind) {
  case FIELD_BOOL: *(bool *)at = text && strcmp(text, "true") == 0; return;
  case FIELD_INT: *(int64_t *)at = text ? strtoll(text, NULL, 10) : 0; return;
  case FIELD_NUMBER: *(double *)at = text ? strtod(text, NULL) : 0; return;
  case FIELD_STRING: *(const char **)at = text; return;
  case FIELD_CHOICE:
    *(int *)at = 0;
    for (int i = 0; text && field->choices[i]; i++)
      if (strcmp(field->choices[i], text) == 0)
        *(int *)at = i;
    return;
  case FIELD_STRING_LIST: *(struct string_list *)at = (struct string_list){0}; return;
  case FIELD_INT_LIST: *(struct int_list *)at = (struct int_list){0}; return;
  case FIELD_NUMBER_MAP: *(struct number_map *)at = (struct number_map){0}; return;
  }
}

void field_defaults(const struct field_table *table, void *out) {
  for (size_t i = 0; i < table->count; i++)
    set_default(&table->fields[i], out);
}

const struct field *field_find(const struct field_table *table, const char *name) {
  for (size_t i = 0; i < table->count; i++) {
    const struct field *field = &table->fields[i];
    if (strcmp(field->name, name) == 0 || (field->alias && strcmp(field->alias, name) == 0))
      return field;
  }
  return NULL;
}

/* Few letters differ, or the names begin alike ("hyperparams", "data_dir"). */
static void nearer(const char **best, size_t *distance, const char *candidate, const char *name) {
  enum { STEM = 4 };
  size_t stem = 0, length = strlen(name);
  while (name[stem] && name[stem] == candidate[stem])
    stem++;
  bool begins = stem >= STEM && (!candidate[stem] || 4 * stem >= 3 * length);
  if (!begins) {
    str_nearer(best, distance, candidate, name);
  } else if (*distance > 0) {
    *distance -= 1;
    *best = candidate;
  }
}

void field_suggest(char *out, size_t size, const struct field_table *table, const char *const *elsewhere,
                   const char *name) {
  /* Near: at most a third of the letters differ. */
  size_t distance = strlen(name) / 3 + 1;
  const char *best = NULL;
  for (size_t i = 0; i < table->count; i++) {
    nearer(&best, &distance, table->fields[i].name, name);
    if (table->fields[i].alias)
      nearer(&best, &distance, table->fields[i].alias, name);
  }
  for (; elsewhere && *elsewhere; elsewhere++)
    nearer(&best, &distance, *elsewhere, name);
  if (best)
    snprintf(out, size, "; did you mean %s?", best);
  else
    out[0] = '\0';
}
