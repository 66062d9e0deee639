/* Structured log lines, written with one write() each so that processes never mix them. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static struct {
  const char *component;
  enum log_level level;
} setup = {.component = "reflectd", .level = LOG_INFO};

static _Thread_local struct {
  char key[16];
  char value[64];
} scope;

void log_setup(const char *component, enum log_level level) {
  setup.component = component;
  setup.level = level;
}

void log_scope(const char *key, const char *value) {
  snprintf(scope.key, sizeof scope.key, "%s", value ? key : "");
  snprintf(scope.value, sizeof scope.value, "%s", value ? value : "");
}

bool log_level_parse(enum log_level *out, const char *name) {
  for (size_t i = 0; i < COUNT_OF(level_names); i++)
    if (strcmp(level_names[i], name) == 0) {
      *out = (enum log_level)i;
      return true;
    }
  return false;
}

/* Length of the well-formed UTF-8 character at `text`, 0 when there is none. */
static size_t character(const char *text) {
  size_t left = strnlen(text, 4);
  for (size_t n = 1; n <= left; n++)
    if (utf8_valid(text, n, NULL))
      return n;
  return 0;
}

/* Appends `text` to the line as the inside of a JSON string; returns the new length. Bytes that are
   not UTF-8 become U+FFFD, so that a line is always valid JSON. */
static size_t escape(char *line, size_t at, size_t size, const char *text) {
  while (*text && at + 8 < size) {
    unsigned char c = (unsigned char)*text;
    size_t n = character(text);
    if (n == 0) {
      at += (size_t)snprintf(line + at, size - at, "\\ufffd");
    } else if (c == '"' || c == '\\') {
      line[at++] = '\\';
      line[at++] = (char)c;
    } else if (c < 0x20 || c == 0x7F) {
      at += (size_t)snprintf(line + at, size - at, "\\u%04x", c);
    } else {
      memcpy(line + at, text, n);
      at += n;
    }
    text += n ? n : 1;
  }
  return at;
}

void log_line(enum log_level level, const char *format, ...) {
  if (level < setup.level)
    return;
  char text[2048], line[4608];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  struct tm utc;
  gmtime_r(&now.tv_sec, &utc);
  char stamp[32];
  strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
  size_t n = (size_t)snprintf(line, sizeof line, "{\"ts\":\"%s.%03ldZ\",\"level\":\"%s\",\"component\":\"%s\"", stamp,
                              now.tv_nsec / 1000000, level_names[level], setup.component);
  if (scope.key[0]) {
    n += (size_t)snprintf(line + n, sizeof line - n, ",\"%s\":\"", scope.key);
    n = escape(line, n, sizeof line - 64, scope.value);
    line[n++] = '"';
  }
  n += (size_t)snprintf(line + n, sizeof line - n, ",\"msg\":\"");
  n = escape(line, n, sizeof line - 16, text);
  memcpy(line + n, "\"}\n", 3);
  ssize_t ignored = write(STDERR_FILENO, line, n + 3);
  (void)ignored; /* nothing is left to tell when stderr is gone */
}
