/* What a request's header must satisfy before anything looks at it. libmicrohttpd 0.9.75 lets pass what
   two parsers can read in two ways (repeated lengths, lengths beside chunks, names with blanks): those are
   the tools of request smuggling and end the connection. Pure: fed header by header. */
#ifndef SERVER_HTTP_GUARD_H
#define SERVER_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct guard {
  unsigned hosts, lengths, encodings, types, authorizations;
  bool chunked;
  int64_t length;       /* Content-Length; -1: none */
  bool bad;             /* `fault` says why */
  struct error fault;
};

void guard_init(struct guard *guard);
void guard_header(struct guard *guard, const char *name, size_t name_length, const char *value, size_t value_length);
/* After the last header. */
NODISCARD enum status guard_end(struct guard *guard, struct error *err);

#endif
