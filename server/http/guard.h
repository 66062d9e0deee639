/* What the fields of a request's header must satisfy together before anything looks at them: what two parsers can read
   in two ways (repeated lengths, lengths beside chunks, names with blanks) is a tool of request smuggling and ends the
   connection. Pure: fed field by field. */
#ifndef SERVER_HTTP_GUARD_H
#define SERVER_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct guard {
  unsigned minor;       /* HTTP/1.minor */
  size_t bytes, fields; /* of the header so far */
  unsigned hosts, lengths, encodings, types, authorizations;
  bool chunked;
  int64_t length;       /* Content-Length; -1: none */
  bool expects;         /* Expect: 100-continue */
  char coding[32];      /* a Content-Encoding other than identity; empty: none */
  bool bad;             /* `fault` says why */
  struct error fault;
};

enum { GUARD_BYTES_MAX = 32 << 10, GUARD_FIELDS_MAX = 100 };

/* `target`: how many bytes the request line's has. */
void guard_init(struct guard *guard, unsigned minor, size_t target);
void guard_header(struct guard *guard, const char *name, size_t name_length, const char *value, size_t value_length);
/* After the last header. */
NODISCARD enum status guard_end(struct guard *guard, struct error *err);

#endif
