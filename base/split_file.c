#include "base/split_file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"

enum { DIGITS = 5 };
static const char pattern[] = "-ddddd-of-ddddd.gguf"; /* d: a digit */

static unsigned number_at(const char *text) {
  unsigned number = 0;
  for (int i = 0; i < DIGITS; i++)
    number = 10 * number + (unsigned)(text[i] - '0');
  return number;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool split_file_named(struct split_file *out, const char *path) {
  size_t length = strlen(path), tail = sizeof pattern - 1;
  *out = (struct split_file){.stem = length, .part = 1, .count = 1};
  if (length <= tail || length >= PATH_MAX)
    return false;
  const char *end = path + length - tail;
  for (size_t i = 0; i < tail; i++)
    if (pattern[i] == 'd' ? !is_digit(end[i]) : end[i] != pattern[i])
      return false;
  unsigned part = number_at(end + 1), count = number_at(end + 1 + DIGITS + strlen("-of-"));
  if (end[-1] == '/' || part == 0 || part > count || count > SPLIT_PARTS_MAX)
    return false;
  *out = (struct split_file){.stem = length - tail, .part = part, .count = count};
  return true;
}

void split_file_path(char out[PATH_MAX], const char *path, const struct split_file *one, unsigned part) {
  CHECK(part > 0 && part <= one->count);
  if (one->count == 1)
    snprintf(out, PATH_MAX, "%s", path);
  else
    snprintf(out, PATH_MAX, "%.*s-%05u-of-%05u.gguf", (int)one->stem, path, part, one->count);
}

void split_walk_begin(struct split_walk *out, const char *path) {
  out->of = path;
  out->part = 0;
  out->path[0] = '\0';
  split_file_named(&out->one, path);
}

bool split_walk_next(struct split_walk *walk) {
  if (walk->part == walk->one.count)
    return false;
  split_file_path(walk->path, walk->of, &walk->one, ++walk->part);
  return true;
}

bool split_file_follows(const char *path) {
  struct split_walk walk;
  split_walk_begin(&walk, path);
  while (split_walk_next(&walk) && walk.part < walk.one.part)
    if (access(walk.path, F_OK) == 0)
      return true;
  return false;
}
