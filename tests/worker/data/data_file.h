/* A data file of a test: made before the group runs, written again by each case, removed after it; and words to write
   chats with. */
#ifndef TESTS_WORKER_DATA_DATA_FILE_H
#define TESTS_WORKER_DATA_DATA_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define CHAT(messages) "{\"messages\":[" messages "]}\n"
#define MESSAGE(role, content) "{\"role\":\"" role "\",\"content\":" content "}"
#define USER(text) MESSAGE("user", "\"" text "\"")
#define SAYS(text) MESSAGE("assistant", "\"" text "\"")
#define WEIGHED(text, weight) "{\"role\":\"assistant\",\"content\":\"" text "\",\"weight\":" weight "}"
#define CALLS(call) "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" call "]}"
#define CALL(name, arguments) \
  "{\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":" arguments "}}"
#define PART(text) "{\"type\":\"text\",\"text\":\"" text "\"}"

static char data_file[64];

static int make_data_file(void **state) {
  (void)state;
  snprintf(data_file, sizeof data_file, "/tmp/reflectd_data.XXXXXX");
  int fd = mkstemp(data_file);
  return fd < 0 ? -1 : close(fd);
}

static int remove_data_file(void **state) {
  (void)state;
  return unlink(data_file);
}

static void put_data(const char *text) {
  struct error err = {0};
  if (file_put(data_file, text, strlen(text), &err))
    fail_msg("%s", err.text);
}

#endif
