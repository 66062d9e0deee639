/* A model's directory in the making: cmocka's setup and teardown, and a file in it. */
#ifndef TESTS_WORKER_MODEL_DIRECTORY_H
#define TESTS_WORKER_MODEL_DIRECTORY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static char directory[64];

static int make_directory(void **state) {
  (void)state;
  snprintf(directory, sizeof directory, "/tmp/reflectd-test-XXXXXX");
  return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state) {
  struct error err;
  (void)state;
  return file_remove_tree(directory, &err) ? -1 : 0;
}

/* `text` NULL: there is none of that name. */
static void put(const char *name, const char *text) {
  char path[128];
  struct error err;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  if (!text)
    remove(path);
  else if (file_put(path, text, strlen(text), &err))
    fail_msg("%s", err.text);
}

#endif
