/* sources: base config */
/* Lines of any bytes as the words of a command line, "NAME=VALUE" lines as the environment, and what follows a line "{"
   as the configuration file: refused with the option's name, or every option is within its bounds. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"

enum { WORDS_MAX = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The configuration file, and the word that names it. */
static void write_file(char out[64], const char *text) {
  snprintf(out, 64, "--config=/tmp/reflect-fuzz-config-%d", (int)getpid());
  FILE *file = fopen(out + strlen("--config="), "wb");
  CHECK(file && fwrite(text, 1, strlen(text), file) == strlen(text));
  fclose(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  AUTO(arena_done) struct arena arena;
  char program[] = "reflectd", named[64] = "", *words[WORDS_MAX + 2] = {program}, *environment[WORDS_MAX + 1] = {NULL};
  size_t count = 1, entries = 0;
  struct config config;
  enum config_action action;
  struct error err = {0};
  char *text = malloc(size + 1), *line = text;
  CHECK(text);
  memcpy(text, bytes, size);
  text[size] = '\0';
  while (*line && count < WORDS_MAX && entries < WORDS_MAX) {
    char *end = line + strcspn(line, "\n");
    if (*line == '{') {
      write_file(named, line);
      words[count++] = named;
      break;
    }
    char *next = *end ? end + 1 : end;
    *end = '\0';
    if (strncmp(line, "REFLECTD_", 9) == 0)
      environment[entries++] = line;
    else
      words[count++] = line;
    line = next;
  }
  arena_init(&arena, 1 << 20);
  if (config_load(&config, &action, (int)count, words, environment, &arena, &err))
    CHECK(err.text[0]);
  else if (action == CONFIG_RUN) {
    CHECK(config.data && config.models && config.listen && config.host[0]);
    CHECK(config.workers_max >= 1 && config.workers_max <= 64);
    CHECK(config.log_level >= LOG_DEBUG && config.log_level <= LOG_ERROR);
  }
  if (named[0])
    unlink(named + strlen("--config="));
  free(text);
  return 0;
}
