/* A strict streaming parser of multipart/form-data (RFC 7578): bytes go in as they arrive, parts come out
   by calls. Memory is bounded: headers of a part at most 4 KiB, 64 parts. Pure: no files, no sockets. */
#ifndef SERVER_HTTP_MULTIPART_H
#define SERVER_HTTP_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { MULTIPART_BOUNDARY_MAX = 70, MULTIPART_HEADER_MAX = 4096, MULTIPART_PARTS_MAX = 64, MULTIPART_NAME_MAX = 256 };

/* Each may fail: parsing then stops with that status. */
struct multipart_calls {
  /* A part begins. `filename` is NULL when the part has none; "" is possible. Both are valid UTF-8. */
  enum status (*part)(void *context, const char *name, const char *filename, struct error *err);
  /* Bytes of the part; called any number of times. */
  enum status (*data)(void *context, const char *bytes, size_t length, struct error *err);
  enum status (*part_end)(void *context, struct error *err);
};

enum multipart_state {
  MULTIPART_PREAMBLE,   /* at the first boundary */
  MULTIPART_AFTER,      /* behind a boundary: "\r\n" or "--" */
  MULTIPART_HEADERS,
  MULTIPART_BODY,
  MULTIPART_EPILOGUE,   /* all that follows is ignored */
};

struct multipart {
  struct multipart_calls calls;
  void *context;
  enum multipart_state state;
  char delimiter[MULTIPART_BOUNDARY_MAX + 5]; /* "\r\n--" boundary */
  size_t delimiter_length;
  size_t matched;      /* bytes of the delimiter seen at the end of the input so far */
  size_t parts;
  size_t header_length;
  char header[MULTIPART_HEADER_MAX];
};

/* `content_type` is the request's header. STATUS_MEDIA_TYPE when it is not multipart/form-data with a proper
   boundary. */
NODISCARD enum status multipart_init(struct multipart *parser, const char *content_type,
                                     const struct multipart_calls *calls, void *context, struct error *err);
/* STATUS_INVALID_REQUEST when the bytes are not what the RFC says. */
NODISCARD enum status multipart_feed(struct multipart *parser, const char *bytes, size_t length, struct error *err);
/* The body has ended: was it complete? */
NODISCARD enum status multipart_end(struct multipart *parser, struct error *err);

#endif
