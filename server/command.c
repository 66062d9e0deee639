#include "server/command.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/listen.h"

enum { ARENA_BYTES = 1 << 20, HELP_BYTES = 1 << 12 };

static int healthcheck(int argc, char **argv) {
  AUTO(arena_done) struct arena arena;
  struct config config;
  struct error err;
  int code;
  arena_init(&arena, ARENA_BYTES);
  if (!command_config(&config, &code, argc, argv, &arena))
    return code;
  return listen_healthcheck(&config, &err) ? command_fault(&err) : COMMAND_OK;
}

static const struct command commands[] = {
    {"healthcheck", "", "Ask the daemon that listens there whether it is alive.", healthcheck},
};

const struct command *command_find(const char *name) {
  for (size_t i = 0; i < COUNT_OF(commands); i++)
    if (strcmp(commands[i].name, name) == 0)
      return &commands[i];
  return NULL;
}

void command_help(struct str *out) {
  str_puts(out, "\nCommands, which take the options above too: reflectd COMMAND\n");
  for (size_t i = 0; i < COUNT_OF(commands); i++) {
    const struct command *command = &commands[i];
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", command->name, command->takes[0] ? " " : "", command->takes);
    str_printf(out, "  %-30s %s\n", name, command->does);
  }
}

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
    if (words == 2 && i + 1 >= *argc)
      return error_set(err, STATUS_MISSING_PARAMETER, name, "%s needs a value", name);
    *value = words == 2 ? argv[i + 1] : argv[i] + length + 1;
    *argc -= words;
    memmove(&argv[i], &argv[i + words], (size_t)(*argc - i) * sizeof *argv);
    return STATUS_OK;
  }
  return STATUS_OK;
}

bool command_config(struct config *config, int *code, int argc, char **argv, struct arena *arena) {
  AUTO(str_done) struct str text;
  enum config_action action;
  struct error err;
  str_init(&text, HELP_BYTES);
  if (config_load(config, &action, argc, argv, environ, arena, &err)) {
    *code = command_fault(&err);
    return false;
  }
  if (action == CONFIG_RUN)
    return true;
  command_help(&text);
  *code = fputs(text.text, stdout) >= 0 && fflush(stdout) == 0 ? COMMAND_OK : COMMAND_FAILED;
  return false;
}

int command_fault(const struct error *err) {
  fprintf(stderr, "reflectd: %s\n", err->text);
  return status_http(err->status) < 500 ? COMMAND_USAGE : COMMAND_FAILED;
}
