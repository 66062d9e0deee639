/* The head of a request, from its first byte to the empty line: found in what has arrived, then taken apart. Strict,
   because what two parsers can read in two ways (a bare LF, a zero byte, a folded line, a blank before a colon) is the
   tool of request smuggling: it is refused, and the connection ends. Pure: no sockets. */
#ifndef SERVER_HTTP_HEAD_H
#define SERVER_HTTP_HEAD_H

#include "server/http/guard.h"

enum { HEAD_BYTES_MAX = 32 << 10, HEAD_FIELDS_MAX = 100 };

struct head {
  const char *method;
  const char *target;     /* as it came, without the scheme and host of an absolute one */
  size_t count;
  struct {
    const char *name, *value; /* without the blanks around it */
  } field[HEAD_FIELDS_MAX];
  struct guard guard;     /* what the fields say together */
};

/* Looks for the end of a head that begins at bytes[0]: *end is its length, 0 when more bytes are needed. *scanned is
   0 at first and remembers what was looked at, so that a head that comes byte by byte is read once. */
NODISCARD enum status head_find(size_t *end, size_t *scanned, const char *bytes, size_t length, struct error *err);
/* Takes a whole head apart, in place. A failure leaves the method set when it was read. */
NODISCARD enum status head_parse(struct head *out, char *text, size_t length, struct error *err);
/* The value of the first field of that name (case is ignored), or NULL. */
const char *head_field(const struct head *head, const char *name);

#endif
