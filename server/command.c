#include "server/command.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum status command_take(const char **value, int *argc, char **argv, const char *name, struct error *err) {
  size_t length = strlen(name);
  *value = NULL;
  for (int i = 1; i < *argc; i++) {
    int words = 0;
    if (strcmp(argv[i], name) == 0)
      words = 2;
    else if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=')
      words = 1;
    if (!words)
      continue;
    if (words == 2 && (i + 1 >= *argc || strncmp(argv[i + 1], "--", 2) == 0))
      return error_set(err, STATUS_MISSING_PARAMETER, name, "%s needs a value", name);
    *value = words == 2 ? argv[i + 1] : argv[i] + length + 1;
    *argc -= words;
    memmove(&argv[i], &argv[i + words], (size_t)(*argc - i) * sizeof *argv);
    return STATUS_OK;
  }
  return STATUS_OK;
}

enum status command_config(struct config *config, int argc, char **argv, struct arena *arena, struct error *err) {
  enum config_action action;
  enum status status = config_load(config, &action, argc, argv, environ, arena, err);
  if (!status && action != CONFIG_RUN)
    return error_set(err, STATUS_UNKNOWN_PARAMETER, NULL, "%s takes no option that prints something else", argv[0]);
  return status;
}

int command_fault(const struct error *err) {
  fprintf(stderr, "reflectd: %s\n", err->text);
  return status_http(err->status) < 500 ? COMMAND_USAGE : COMMAND_FAILED;
}
