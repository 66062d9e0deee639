/* A model's folder in the making: cmocka's setup and teardown, and a file in it. */
#ifndef TESTS_WORKER_MODEL_FOLDER_H
#define TESTS_WORKER_MODEL_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static char folder[64];

static int make_folder(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/reflectd-test-XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  struct error err;
  (void)state;
  return file_remove_tree(folder, &err) ? -1 : 0;
}

/* `text` NULL: there is none of that name. */
static void put(const char *name, const char *text) {
  char path[128];
  struct error err;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (!text)
    remove(path);
  else if (file_put(path, text, strlen(text), &err))
    fail_msg("%s", err.text);
}

#endif
