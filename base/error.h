/* The one error type. The caller owns it, it never allocates, and it is set once, where the fault
   is found. Expected failures return a status; bugs of ours stop at CHECK (base/attr.h). */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

enum status {
#define STATUS(name, code, http, type, retry, meaning) STATUS_##name,
#include "base/errors.def"
#undef STATUS
  STATUS_COUNT
};

/* Can the same request succeed later? NEVER: no automatic retry helps. CLIENT: the client's own
   rule decides. LATER: yes, after a while (Retry-After). */
enum retry { RETRY_NEVER, RETRY_CLIENT, RETRY_LATER };

enum { ERROR_TEXT = 800 }; /* bytes; one that lists choices is the longest */

struct error {
  enum status status;
  char param[96];        /* the field, flag or file the error is about; empty: none */
  char text[ERROR_TEXT]; /* one sentence for a person, without a final newline */
};

/* Sets *err (which may be NULL: then only the status matters) and returns `status`, so that
   `return error_set(...)` reads well. `param` may be NULL. Texts that do not fit are cut at a
   UTF-8 boundary. */
enum status error_set(struct error *err, enum status status, const char *param, const char *format, ...)
    PRINTF(4, 5) COLD;
enum status error_setv(struct error *err, enum status status, const char *param, const char *format,
                       va_list args) PRINTF(4, 0) COLD;

/* STATUS_OUT_OF_MEMORY: "no memory for <what>". */
enum status error_no_memory(struct error *err, const char *what) COLD;

/* As error_set with ": " and the text of errno appended. ENOSPC and EDQUOT become STATUS_NO_SPACE, ENOMEM
   STATUS_OUT_OF_MEMORY, and EMFILE and ENFILE STATUS_UNAVAILABLE, whatever `status` says. */
enum status error_set_errno(struct error *err, enum status status, const char *param, const char *format, ...)
    PRINTF(4, 5) COLD;

/* Puts "prefix: " before the text that is there, to say whose fault it was. */
enum status error_prefix(struct error *err, const char *format, ...) PRINTF(2, 3) COLD;

/* Rows of errors.def. The returned strings are static. */
const char *status_code(enum status status);   /* "invalid_json" */
const char *status_type(enum status status);   /* "invalid_request_error" */
int status_http(enum status status);           /* 400 */
enum retry status_retry(enum status status);
/* STATUS_COUNT when no row has that code. */
enum status status_from_code(const char *code);

/* A bounded list of errors, for validation that reports every fault of a document at once. */
struct fault_list {
  size_t count;           /* items in use */
  size_t more;            /* faults found after the list was full */
  struct error item[12];
};

/* Adds one fault; NULL is not allowed for `faults`. */
void fault_add(struct fault_list *faults, enum status status, const char *param, const char *format, ...)
    PRINTF(4, 5) COLD;

#endif
