#include "server/paths.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

enum status path_format(char out[PATH_BYTES], struct error *err, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int length = vsnprintf(out, PATH_BYTES, format, args);
  va_end(args);
  if (length < 0 || length >= PATH_BYTES)
    return error_set(err, STATUS_IO, NULL, "the path %.80s... is too long", out);
  return STATUS_OK;
}

/* The length of the part of `path` to leave out where it begins at `text`; 0: it does not. */
static size_t above(const char *text, const char *path) {
  size_t length = strlen(path);
  const char *name = strrchr(path, '/');
  if (path[0] != '/' || !name[1] || strncmp(text, path, length) != 0)
    return 0;
  char next = text[length];
  bool goes_on = isalnum((unsigned char)next) || next == '_' || next == '-'; /* another name that begins alike */
  return goes_on ? 0 : (size_t)(name + 1 - path);
}

void path_hide(struct str *out, const char *text, const struct config *config) {
  const char *const paths[] = {config->data, config->models, config->worker_path};
  while (*text) {
    size_t skip = 0;
    for (size_t i = 0; i < COUNT_OF(paths) && *text == '/' && !skip; i++)
      skip = above(text, paths[i]);
    text += skip;
    str_putc(out, *text++);
  }
}
