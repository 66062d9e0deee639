#include "server/paths.h"

#include <stdarg.h>

enum status path_format(char out[PATH_BYTES], struct error *err, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int length = vsnprintf(out, PATH_BYTES, format, args);
  va_end(args);
  if (length < 0 || length >= PATH_BYTES)
    return error_set(err, STATUS_IO, NULL, "the path %.80s... is too long", out);
  return STATUS_OK;
}
