/* Where the bytes of a request's body begin and end on the wire: a counted body, or chunks (RFC 9112, 7.1), as strict
   as head.h. Pure: fed with what arrives. */
#ifndef SERVER_HTTP_BODY_H
#define SERVER_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum body_state {
  BODY_COUNTED,
  BODY_SIZE,          /* of a chunk, in hexadecimal digits */
  BODY_EXTENSION,     /* after ';' */
  BODY_SIZE_LF,
  BODY_CHUNK,
  BODY_CHUNK_CR,
  BODY_CHUNK_LF,
  BODY_TRAILER_LINE,  /* at the beginning of one */
  BODY_TRAILER,
  BODY_TRAILER_LF,
  BODY_LAST_LF,
  BODY_OVER,
};

struct body {
  enum body_state state;
  uint64_t left;      /* bytes of the body, or of the chunk, that are to come */
  size_t line;        /* bytes of a chunk's first line, or of all trailers */
};

enum body_step { BODY_MORE, BODY_DATA, BODY_END, BODY_BAD };

/* `length` counts only when the body is not chunked. */
void body_init(struct body *body, bool chunked, uint64_t length);
/* Takes *used of the bytes. BODY_DATA: the last *data of those are the body's. BODY_MORE: all were taken. BODY_END: the
   body is complete and what follows is not its own. BODY_BAD: these are no chunks. */
enum body_step body_next(struct body *body, const char *bytes, size_t length, size_t *used, size_t *data);

#endif
