/* One JSON object per line on stderr: {"ts":…,"level":…,"msg":…, fields…}. Text is escaped, so no
   input can forge a line. Never log keys, tokens or request bodies. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Lines below `level` are dropped. Call once, from main, before any thread starts. */
void log_setup(const char *component, enum log_level level);
/* A member of every following line ("job": "ftjob-1"), until a NULL value, or a number below 0, takes it away. The key
   is a literal, the value is copied (at most 79 bytes); there are at most LOG_SCOPES. Per thread. */
enum { LOG_SCOPES = 6 };
void log_scope(const char *key, const char *value);
void log_scope_number(const char *key, int64_t value);
void log_line(enum log_level level, const char *format, ...) PRINTF(2, 3);
/* A line with members of its own. */
struct log_member {
  const char *key;
  const char *text; /* NULL: the number is meant; where that is NAN, nothing */
  double number;    /* shown to a millionth */
};
void log_members(enum log_level level, const struct log_member *members, size_t count, const char *format, ...)
    PRINTF(4, 5);
/* From now on this thread's lines are written together: by log_flush, or when the next one has no room beside them in
   what a pipe takes whole. A warning or an error is written at once, with what came before it. For a thread that calls
   log_flush whenever it is about to wait; what kills the process before that takes them away. */
void log_gather(bool on);
void log_flush(void);
/* False when no level has that name ("debug", "info", "warn", "error"). */
bool log_level_parse(enum log_level *out, const char *name);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

#endif
