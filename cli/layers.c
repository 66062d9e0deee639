#include "cli/layers.h"

#include <stdio.h>
#include <string.h>

#include "cli/program.h"

enum { SAID_BYTES = 1 << 16, PROBE_SECONDS = 30 };

enum status layers_probe(struct layers *out, struct error *err) {
  AUTO(str_done) struct str said;
  char path[PATH_MAX];
  int code = 0;
  *out = (struct layers){.count = 0};
  str_init(&said, SAID_BYTES);
  if (!program_find(path, "reflect-sandbox"))
    return error_set(err, STATUS_UNAVAILABLE, NULL, "reflect-sandbox is not beside this program");
  enum status status = program_run(&said, &code, (const char *const[]){path, "--probe", NULL}, PROBE_SECONDS, err);
  if (status)
    return status;
  char *rest = said.text;
  for (char *line; out->count < LAYERS_MAX && (line = program_line(&rest));) {
    struct layer *layer = &out->item[out->count];
    char answer[8] = "";
    layer->detail[0] = '\0';
    if (sscanf(line, "%31s %7s %199[^\n]", layer->name, answer, layer->detail) < 2)
      continue;
    layer->there = strcmp(answer, "yes") == 0;
    out->count++;
  }
  if (code != 0 || out->count == 0)
    return error_set(err, STATUS_UNAVAILABLE, NULL,
                     "reflect-sandbox --probe ended with status %d and says of %zu layers", code, out->count);
  return STATUS_OK;
}

void layers_without(const struct layers *layers, const char **arguments, size_t *count) {
  for (size_t i = 0; i < layers->count; i++)
    if (!layers->item[i].there) {
      arguments[(*count)++] = "--without";
      arguments[(*count)++] = layers->item[i].name;
    }
}
