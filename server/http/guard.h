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
  unsigned hosts, lengths, encodings, types, authorizations;
  bool chunked;
  int64_t length;       /* Content-Length; -1: none */
  bool close, keep;     /* Connection: close, keep-alive */
  bool expects;         /* Expect: 100-continue */
  char coding[32];      /* a Content-Encoding other than identity; empty: none */
  bool bad;             /* `fault` says why */
  struct error fault;
};

void guard_init(struct guard *guard, unsigned minor);
void guard_header(struct guard *guard, const char *name, size_t name_length, const char *value, size_t value_length);
/* After the last header. */
NODISCARD enum status guard_end(struct guard *guard, struct error *err);

/* Is it a token (RFC 9110, 5.6.2), as methods and the names of headers are? */
bool guard_token(const char *text, size_t length);

#endif
