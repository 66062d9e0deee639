/* HTTP/1.1 as it comes in, byte by byte, read strictly: what two parsers can read in two ways (bare line feeds, folded
   lines, zero bytes, repeated lengths, lengths beside chunks, names with blanks) is a tool of request smuggling and is
   refused. It finds where requests end and what is wrong, and keeps nothing of their content. Pure: fed in any pieces,
   with the same outcome. */
#ifndef SERVER_HTTP_WIRE_H
#define SERVER_HTTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
  WIRE_HEAD_BYTES_MAX = 16 << 10, /* of a request's head, or of a body's trailer */
  WIRE_FIELDS_MAX = 100,
  WIRE_ARGUMENTS_MAX = 100, /* of a target */
  WIRE_KEPT = 64,
};

enum wire_state {
  WIRE_IDLE, /* between requests */
  WIRE_METHOD,
  WIRE_TARGET,
  WIRE_VERSION,
  WIRE_LINE, /* a field, or the empty line that ends head or trailer */
  WIRE_NAME,
  WIRE_BLANK, /* before a value */
  WIRE_VALUE,
  WIRE_BODY, /* of a known length */
  WIRE_SIZE, /* of a chunk */
  WIRE_EXTENSION,
  WIRE_DATA, /* of a chunk */
  WIRE_DATA_END,
  WIRE_LAST, /* a request said that none follows: nothing is read any more */
  WIRE_BAD,  /* `fault` says why */
};

struct wire {
  enum wire_state state;
  bool cr;              /* the byte before was a carriage return: a line feed must follow */
  bool trailer;         /* fields are a trailer's */
  size_t heads, ended;  /* requests whose head, whose last byte has been */
  size_t bytes, fields; /* of this head */
  size_t target, arguments;
  size_t empty;                           /* lines before this request */
  char name[WIRE_KEPT], value[WIRE_KEPT]; /* the beginning of a field's, in small letters; of method and target too */
  size_t name_length, value_length;       /* of all of it */
  unsigned minor;                         /* HTTP/1.minor */
  unsigned hosts, lengths, encodings, types, authorizations;
  bool chunked, closes, keeps;
  uint64_t left;   /* of the body or chunk that is being read */
  unsigned digits; /* of a chunk's size */
  struct error fault;
};

/* Reads on. How many of the bytes belong to requests that nothing is wrong with: all of them, or those up to the end of
   the last request that was complete before one that is bad, or of one that none follows. */
NODISCARD size_t wire_feed(struct wire *wire, const char *bytes, size_t length);

#endif
