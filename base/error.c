/* Error texts and the table of statuses. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const struct {
  const char *code;
  const char *type;
  int http;
  enum retry retry;
} rows[] = {
#define STATUS(name, code, http, type, retry, meaning) {code, type, http, retry},
#include "base/errors.def"
#undef STATUS
};

void check_failed(const char *file, int line, const char *condition) {
  fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  abort();
}

/* Cuts a text that snprintf truncated so that it does not end inside a UTF-8 sequence. */
static void trim_utf8(char *text) {
  size_t length = strlen(text);
  size_t start = length;
  while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
    start--;
  if (start == 0)
    return;
  unsigned char lead = (unsigned char)text[start - 1];
  size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (length - (start - 1) < want)
    text[start - 1] = '\0';
}

/* Texts may quote a stranger's bytes, cut anywhere: what is no UTF-8 becomes '?'. */
static void make_utf8(char *text) {
  size_t bad;
  trim_utf8(text);
  while (!utf8_valid(text, strlen(text), &bad))
    text[bad] = '?';
}

enum status error_setv(struct error *err, enum status status, const char *param, const char *format, va_list args) {
  if (!err)
    return status;
  err->status = status;
  snprintf(err->param, sizeof err->param, "%s", param ? param : "");
  make_utf8(err->param);
  vsnprintf(err->text, sizeof err->text, format, args);
  make_utf8(err->text);
  return status;
}

enum status error_set(struct error *err, enum status status, const char *param, const char *format, ...) {
  va_list args;
  va_start(args, format);
  error_setv(err, status, param, format, args);
  va_end(args);
  return status;
}

enum status error_no_memory(struct error *err, const char *what) {
  return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for %s", what);
}

enum status error_set_errno(struct error *err, enum status status, const char *param, const char *format, ...) {
  int number = errno;
  if (number == ENOSPC || number == EDQUOT)
    status = STATUS_NO_SPACE;
  else if (number == ENOMEM)
    status = STATUS_OUT_OF_MEMORY;
  else if (number == EMFILE || number == ENFILE)
    status = STATUS_UNAVAILABLE;
  if (!err)
    return status;
  va_list args;
  va_start(args, format);
  error_setv(err, status, param, format, args);
  va_end(args);
  size_t used = strlen(err->text);
  snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(number));
  return status;
}

enum status error_prefix(struct error *err, const char *format, ...) {
  CHECK(err);
  char old[sizeof err->text];
  memcpy(old, err->text, sizeof old);
  va_list args;
  va_start(args, format);
  vsnprintf(err->text, sizeof err->text, format, args);
  va_end(args);
  size_t used = strlen(err->text);
  snprintf(err->text + used, sizeof err->text - used, ": %s", old);
  make_utf8(err->text);
  return err->status;
}

const char *status_code(enum status status) {
  CHECK(status < STATUS_COUNT);
  return rows[status].code;
}

const char *status_type(enum status status) {
  CHECK(status < STATUS_COUNT);
  return rows[status].type;
}

int status_http(enum status status) {
  CHECK(status < STATUS_COUNT);
  return rows[status].http;
}

enum retry status_retry(enum status status) {
  CHECK(status < STATUS_COUNT);
  return rows[status].retry;
}

enum status status_from_code(const char *code) {
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    if (strcmp(rows[i].code, code) == 0)
      return (enum status)i;
  return STATUS_COUNT;
}

void fault_add(struct fault_list *faults, enum status status, const char *param, const char *format, ...) {
  if (faults->count == COUNT_OF(faults->item)) {
    faults->more++;
    return;
  }
  va_list args;
  va_start(args, format);
  error_setv(&faults->item[faults->count++], status, param, format, args);
  va_end(args);
}
