#include "worker/file/bad.h"

#include <stdarg.h>

enum status bad_file(struct error *err, const char *format, ...) {
  va_list args;
  va_start(args, format);
  error_setv(err, STATUS_MODEL_INVALID, NULL, format, args);
  va_end(args);
  return STATUS_MODEL_INVALID;
}

enum status bad_tensor(struct error *err, const char *name, const char *format, ...) {
  va_list args;
  va_start(args, format);
  error_setv(err, STATUS_MODEL_INVALID, name, format, args);
  va_end(args);
  return err ? error_prefix(err, "tensor %.80s", name) : STATUS_MODEL_INVALID;
}
