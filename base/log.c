/* Structured log lines. One write() has whole lines, and at most what a pipe takes whole, so that processes never mix
   them. */
#include "base/log.h"

#include <limits.h>
#include <math.h>
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
  const char *key; /* NULL: none */
  bool is_number;
  int64_t number;
  char text[80];
} scopes[LOG_SCOPES];

/* log_gather. */
static _Thread_local struct {
  bool on;
  size_t length;
  char text[PIPE_BUF];
} gathered;

void log_setup(const char *component, enum log_level level) {
  setup.component = component;
  setup.level = level;
}

/* The place of that key, or, to be used, a free one; -1: there is none. */
static int place_of(const char *key, bool use) {
  int free_place = -1;
  for (int i = 0; i < LOG_SCOPES; i++) {
    if (scopes[i].key && strcmp(scopes[i].key, key) == 0)
      return i;
    if (!scopes[i].key && free_place < 0)
      free_place = i;
  }
  CHECK(!use || free_place >= 0);
  return use ? free_place : -1;
}

void log_scope(const char *key, const char *value) {
  int place = place_of(key, value != NULL);
  if (place < 0)
    return;
  scopes[place].key = value ? key : NULL;
  scopes[place].is_number = false;
  size_t length = value ? strnlen(value, sizeof scopes[place].text - 1) : 0;
  memcpy(scopes[place].text, value ? value : "", length);
  scopes[place].text[length] = '\0';
}

void log_scope_number(const char *key, int64_t value) {
  int place = place_of(key, value >= 0);
  if (place < 0)
    return;
  scopes[place].key = value >= 0 ? key : NULL;
  scopes[place].is_number = true;
  scopes[place].number = value;
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

/* How many bytes, at most `most`, are ASCII that JSON shows as it is. */
static size_t plain(const char *text, size_t most) {
  size_t n = 0;
  while (n < most && text[n] >= 0x20 && text[n] < 0x7F && text[n] != '"' && text[n] != '\\')
    n++;
  return n;
}

/* Appends `text` to the line as the inside of a JSON string; returns the new length. Bytes that are
   not UTF-8 become U+FFFD, so that a line is always valid JSON. */
static size_t escape(char *line, size_t at, size_t size, const char *text) {
  while (*text && at + 8 < size) {
    size_t n = plain(text, size - 8 - at);
    if (n == 0)
      n = character(text);
    unsigned char c = (unsigned char)*text;
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

/* Appends bytes that fit. */
static size_t put(char *line, size_t at, const char *text) {
  size_t length = strlen(text);
  memcpy(line + at, text, length);
  return at + length;
}

/* Appends `number` with at least `width` digits. */
static size_t put_digits(char *line, size_t at, unsigned long long number, int width) {
  char digits[24];
  size_t n = sizeof digits;
  for (; number > 0 || width > 0; number /= 10, width--)
    digits[--n] = (char)('0' + number % 10);
  memcpy(line + at, digits + n, sizeof digits - n);
  return at + sizeof digits - n;
}

/* Appends a number to a millionth, from its digits: printf's conversions cost more than all else of a line. */
static size_t put_number(char *line, size_t at, size_t size, double number) {
  if (!(fabs(number) < 1e9))
    return at + (size_t)snprintf(line + at, size - at, "%.9g", number);
  unsigned long long millionths = (unsigned long long)llround(fabs(number) * 1e6);
  if (number < 0)
    line[at++] = '-';
  at = put_digits(line, at, millionths / 1000000, 1);
  if (number == (int)number)
    return at;
  line[at++] = '.';
  return put_digits(line, at, millionths % 1000000, 6);
}

/* Appends ,"key": and the text or the number, where there is room for all of it. */
static size_t add_member(char *line, size_t at, size_t size, const char *key, const char *text, double number) {
  if ((!text && isnan(number)) || at + strlen(key) + 48 > size)
    return at;
  at = put(line, at, ",\"");
  at = put(line, at, key);
  at = put(line, at, "\":");
  if (!text)
    return put_number(line, at, size, number);
  line[at++] = '"';
  at = escape(line, at, size - 8, text);
  line[at++] = '"';
  return at;
}

/* The time as in "2026-11-25T12:34:56"; what is known of a second is not made again in it. */
static const char *stamp_of(time_t second) {
  static _Thread_local struct {
    time_t second;
    char text[32];
  } last;
  struct tm utc;
  if (!last.text[0] || last.second != second) {
    gmtime_r(&second, &utc);
    strftime(last.text, sizeof last.text, "%Y-%m-%dT%H:%M:%S", &utc);
    last.second = second;
  }
  return last.text;
}

static void write_out(const char *text, size_t length) {
  ssize_t ignored = write(STDERR_FILENO, text, length);
  (void)ignored; /* nothing is left to tell when stderr is gone */
}

void log_flush(void) {
  if (gathered.length)
    write_out(gathered.text, gathered.length);
  gathered.length = 0;
}

void log_gather(bool on) {
  log_flush();
  gathered.on = on;
}

static void write_line(enum log_level level, const struct log_member *members, size_t count, const char *text) {
  enum { MESSAGE_BYTES = 2200 }; /* of the line, kept for the message */
  char line[4608];
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  size_t n = put(line, 0, "{\"ts\":\"");
  n = put(line, n, stamp_of(now.tv_sec));
  line[n++] = '.';
  n = put_digits(line, n, (unsigned long long)now.tv_nsec / 1000000, 3);
  n = put(line, n, "Z\"");
  n = add_member(line, n, sizeof line - MESSAGE_BYTES, "level", level_names[level], NAN);
  n = add_member(line, n, sizeof line - MESSAGE_BYTES, "component", setup.component, NAN);
  for (size_t i = 0; i < LOG_SCOPES; i++)
    if (scopes[i].key)
      n = add_member(line, n, sizeof line - MESSAGE_BYTES, scopes[i].key, scopes[i].is_number ? NULL : scopes[i].text,
                     (double)scopes[i].number);
  for (size_t i = 0; i < count; i++)
    n = add_member(line, n, sizeof line - MESSAGE_BYTES, members[i].key, members[i].text, members[i].number);
  n = put(line, n, ",\"msg\":\"");
  n = escape(line, n, sizeof line - 16, text);
  n = put(line, n, "\"}\n");
  if (gathered.length + n > sizeof gathered.text)
    log_flush();
  if (!gathered.on || n > sizeof gathered.text) {
    write_out(line, n);
    return;
  }
  memcpy(gathered.text + gathered.length, line, n);
  gathered.length += n;
  if (level >= LOG_WARN)
    log_flush();
}

void log_line(enum log_level level, const char *format, ...) {
  if (level < setup.level)
    return;
  char text[2048];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  write_line(level, NULL, 0, text);
}

void log_members(enum log_level level, const struct log_member *members, size_t count, const char *format, ...) {
  if (level < setup.level)
    return;
  char text[2048];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  write_line(level, members, count, text);
}
