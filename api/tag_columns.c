#include "api/tag_columns.h"

#include <string.h>

#include "base/attr.h"

static const char *const names[] = {"tags", "ner_tags", "labels"};
const char tag_column_words[] = "tags, ner_tags or labels";

struct tag_column tag_column_find(const struct job_spec *spec, pair_has *has, const void *with) {
  struct tag_column out = {0};
  if (strcmp(spec->columns.tags, names[0]) != 0)
    return (struct tag_column){.name = spec->columns.tags};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    const char **to = out.name ? &out.other : &out.name;
    if (!*to && has(with, names[i]))
      *to = names[i];
  }
  return out;
}
