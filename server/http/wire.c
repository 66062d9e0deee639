#include "server/http/wire.h"

#include <string.h>

enum {
  METHOD_MAX = 32,
  EMPTY_LINES_MAX = 4,  /* before a request; RFC 9112, 2.2 asks for one */
  SIZE_DIGITS_MAX = 15, /* of a chunk: no overflow */
  EXTENSION_MAX = 256,
};

static COLD void refuse(struct wire *wire, enum status status, const char *text) {
  error_set(&wire->fault, status, NULL, "%s", text);
  wire->state = WIRE_BAD;
}

static COLD void malformed(struct wire *wire, const char *text) {
  refuse(wire, STATUS_INVALID_REQUEST, text);
}

/* RFC 9110, 5.6.2. */
static bool is_token(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

/* Of a request's target. */
static bool is_target(unsigned char c) {
  return c > 0x20 && c < 0x7F;
}

/* Of a field's value, or of a chunk's extension. */
static bool is_value(unsigned char c) {
  return c == '\t' || (c >= 0x20 && c != 0x7F);
}

static char lower(unsigned char c) {
  return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Keeps the beginning of a text, NUL-terminated. */
static void keep(char text[WIRE_KEPT], size_t *length, unsigned char c) {
  if (*length < WIRE_KEPT - 1)
    text[*length] = lower(c);
  ++*length;
}

static void begin(char text[WIRE_KEPT], size_t *length) {
  memset(text, 0, WIRE_KEPT);
  *length = 0;
}

static bool is(const char text[WIRE_KEPT], size_t length, const char *want) {
  return length == strlen(want) && strcmp(text, want) == 0;
}

/* ---- the request line ---- */

static void start(struct wire *wire, unsigned char c) {
  const struct wire fresh = {.state = WIRE_METHOD, .heads = wire->heads, .ended = wire->ended};
  *wire = fresh;
  if (c == 0x16)
    malformed(wire, "this is no HTTP request but looks like TLS: the server speaks http:// at this port");
  else if (!is_token(c))
    malformed(wire, "a request begins with a method, not with this byte");
  else
    keep(wire->name, &wire->name_length, c);
}

static void idle(struct wire *wire, unsigned char c) {
  if (wire->cr) {
    wire->cr = false;
    if (c != '\n' || ++wire->empty > EMPTY_LINES_MAX)
      malformed(wire, c == '\n' ? "too many empty lines before a request" : "a carriage return without its line feed");
  } else if (c == '\r') {
    wire->cr = true;
  } else if (c == '\n') {
    malformed(wire, "a line ends without a carriage return");
  } else {
    start(wire, c);
  }
}

static void method(struct wire *wire, unsigned char c) {
  if (c == ' ') {
    if (is(wire->name, wire->name_length, "connect"))
      refuse(wire, STATUS_METHOD_NOT_ALLOWED, "CONNECT: this server is no proxy");
    else
      wire->state = WIRE_TARGET;
    begin(wire->value, &wire->value_length);
  } else if (!is_token(c) || wire->name_length == METHOD_MAX) {
    malformed(wire, "the request's method is not a word");
  } else {
    keep(wire->name, &wire->name_length, c);
  }
}

static void end_target(struct wire *wire) {
  const char *text = wire->value;
  if (text[0] != '/' && !is(text, wire->target, "*") && strncmp(text, "http://", 7) != 0 &&
      strncmp(text, "https://", 8) != 0)
    malformed(wire, "the request's target is neither a path nor an http:// or https:// address");
  else
    wire->state = WIRE_VERSION;
  begin(wire->value, &wire->value_length);
}

static void target(struct wire *wire, unsigned char c) {
  if (c == ' ' && wire->target > 0) {
    end_target(wire);
    return;
  }
  if (c == '\r' || c == '\n') {
    refuse(wire, STATUS_HTTP_VERSION, "the request line names no version; HTTP/1.1 and HTTP/1.0 are spoken here");
    return;
  }
  if (!is_target(c)) {
    malformed(wire, "the request's target holds a byte that is not allowed there");
    return;
  }
  keep(wire->value, &wire->value_length, c);
  wire->target++;
  wire->arguments += (c == '?' && wire->arguments == 0) || (c == '&' && wire->arguments > 0);
  if (wire->arguments > WIRE_ARGUMENTS_MAX || wire->bytes > WIRE_HEAD_BYTES_MAX) {
    error_set(&wire->fault, STATUS_TARGET_TOO_LONG, NULL, "the request's target has more than %d bytes or %d arguments",
              WIRE_HEAD_BYTES_MAX, WIRE_ARGUMENTS_MAX);
    wire->state = WIRE_BAD;
  }
}

static void end_line(struct wire *wire) {
  const char *text = wire->value;
  bool one = is(text, wire->value_length, "http/1.1") || is(text, wire->value_length, "http/1.0");
  wire->minor = text[7] == '1';
  if (one)
    wire->state = WIRE_LINE;
  else if (wire->value_length == 8 && strncmp(text, "http/", 5) == 0)
    refuse(wire, STATUS_HTTP_VERSION, "HTTP/1.1 and HTTP/1.0 are spoken here, no other version");
  else
    malformed(wire, "the request line does not end with HTTP/1.1");
}

static void version(struct wire *wire, unsigned char c) {
  static const char name[] = "HTTP/";
  size_t at = wire->value_length;
  bool fits = at < 5 ? c == (unsigned char)name[at] : at == 6 ? c == '.' : at < 8 && c >= '0' && c <= '9';
  if (c == '\r')
    wire->cr = true;
  else if (!fits)
    malformed(wire, c == '\n' ? "a line ends without a carriage return"
                              : "the request line is not: method, one blank, target, one blank, HTTP/1.1");
  else
    keep(wire->value, &wire->value_length, c);
}

/* ---- fields ---- */

static bool read_length(uint64_t *out, const char *value, size_t length) {
  *out = 0;
  if (length == 0 || length > 18)
    return false;
  for (size_t i = 0; i < length; i++) {
    if (value[i] < '0' || value[i] > '9')
      return false;
    *out = *out * 10 + (uint64_t)(value[i] - '0');
  }
  return true;
}

/* A field whose line is complete. A blank behind the two that frame a body is refused: libmicrohttpd does not skip it.
 */
static void take_field(struct wire *wire) {
  wire->state = WIRE_LINE;
#define NAMED(text) is(wire->name, wire->name_length, text)
  if (wire->trailer) {
    if (NAMED("content-length") || NAMED("transfer-encoding") || NAMED("host"))
      malformed(wire, "a body's trailer cannot hold Content-Length, Transfer-Encoding or Host");
  } else if (NAMED("host")) {
    wire->hosts++;
  } else if (NAMED("content-length")) {
    wire->lengths++;
    if (!read_length(&wire->left, wire->value, wire->value_length))
      malformed(wire, "Content-Length is not a number of at most 18 digits");
  } else if (NAMED("transfer-encoding")) {
    wire->encodings++;
    wire->chunked = is(wire->value, wire->value_length, "chunked");
  } else if (NAMED("content-type")) {
    wire->types++;
  } else if (NAMED("authorization")) {
    wire->authorizations++;
  } else if (NAMED("connection")) {
    wire->closes |= strstr(wire->value, "close") != NULL;
    wire->keeps |= strstr(wire->value, "keep-alive") != NULL;
  }
#undef NAMED
}

static void line(struct wire *wire, unsigned char c) {
  if (c == '\r') {
    wire->cr = true;
  } else if (c == ' ' || c == '\t') {
    malformed(wire, "a header's line begins with a blank (folded lines are not read here)");
  } else if (!is_token(c)) {
    malformed(wire, c == ':'    ? "a header has no name"
                    : c == '\n' ? "a line ends without a carriage return"
                                : "a header's name holds a character that is not allowed there");
  } else {
    wire->fields++;
    begin(wire->name, &wire->name_length);
    begin(wire->value, &wire->value_length);
    keep(wire->name, &wire->name_length, c);
    wire->state = WIRE_NAME;
  }
}

static void name(struct wire *wire, unsigned char c) {
  if (c == ':')
    wire->state = WIRE_BLANK;
  else if (is_token(c))
    keep(wire->name, &wire->name_length, c);
  else
    malformed(wire, c == '\r' || c == '\n'  ? "a header's line has no colon"
                    : c == ' ' || c == '\t' ? "a blank before a header's colon"
                                            : "a header's name holds a character that is not allowed there");
}

static void value(struct wire *wire, unsigned char c) {
  if (c == '\r') {
    wire->cr = true;
    return;
  }
  if (!is_value(c)) {
    malformed(wire, c == '\n' ? "a line ends without a carriage return" : "a header's value holds a control character");
    return;
  }
  if (wire->state == WIRE_BLANK && (c == ' ' || c == '\t'))
    return;
  wire->state = WIRE_VALUE;
  keep(wire->value, &wire->value_length, c);
}

/* ---- head and body ---- */

static void end_request(struct wire *wire) {
  const struct wire next = {.state = wire->closes || (wire->minor == 0 && !wire->keeps) ? WIRE_LAST : WIRE_IDLE,
                            .heads = wire->heads,
                            .ended = wire->ended + 1};
  *wire = next;
}

static const char *contradiction(const struct wire *wire) {
  if (wire->hosts > 1)
    return "more than one Host header";
  if (wire->hosts == 0 && wire->minor > 0) /* HTTP/1.0 has none */
    return "no Host header";
  if (wire->lengths > 1)
    return "more than one Content-Length header";
  if (wire->encodings > 1)
    return "more than one Transfer-Encoding header";
  if (wire->lengths && wire->encodings)
    return "both Content-Length and Transfer-Encoding";
  if (wire->encodings && !wire->chunked)
    return "Transfer-Encoding: only chunked is read here";
  if (wire->encodings && wire->minor == 0)
    return "Transfer-Encoding: HTTP/1.0 has none";
  if (wire->types > 1)
    return "more than one Content-Type header";
  if (wire->authorizations > 1)
    return "more than one Authorization header";
  return NULL;
}

static void end_head(struct wire *wire) {
  const char *text = contradiction(wire);
  if (text) {
    malformed(wire, text);
    return;
  }
  wire->heads++;
  if (wire->chunked) {
    wire->state = WIRE_SIZE;
    wire->digits = 0;
    wire->left = 0;
  } else if (wire->left > 0) {
    wire->state = WIRE_BODY;
  } else {
    end_request(wire);
  }
}

static void size(struct wire *wire, unsigned char c) {
  int digit = c >= '0' && c <= '9' ? c - '0' : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
  if (wire->digits > 0 && (c == '\r' || c == ';')) {
    wire->cr = c == '\r';
    wire->state = WIRE_EXTENSION;
    wire->bytes = 0;
  } else if (digit < 0 || wire->digits == SIZE_DIGITS_MAX) {
    malformed(wire, "a chunk's size is not a hexadecimal number of at most 15 digits");
  } else {
    wire->left = wire->left << 4 | (unsigned)digit;
    wire->digits++;
  }
}

static void extension(struct wire *wire, unsigned char c) {
  if (c == '\r')
    wire->cr = true;
  else if (!is_value(c) || wire->bytes > EXTENSION_MAX)
    malformed(wire, "a chunk's extension is too long or holds a control character");
}

/* The line feed of a line whose carriage return has been. */
static void end_of_line(struct wire *wire, unsigned char c) {
  wire->cr = false;
  if (c != '\n') {
    malformed(wire, "a carriage return without its line feed");
    return;
  }
  switch (wire->state) {
  case WIRE_VERSION: end_line(wire); return;
  case WIRE_BLANK:
  case WIRE_VALUE: take_field(wire); return;
  case WIRE_LINE:
    if (wire->trailer)
      end_request(wire);
    else
      end_head(wire);
    return;
  case WIRE_EXTENSION:
    wire->trailer = wire->left == 0;
    wire->state = wire->trailer ? WIRE_LINE : WIRE_DATA;
    wire->bytes = wire->fields = 0;
    return;
  case WIRE_DATA_END:
    wire->state = WIRE_SIZE;
    wire->digits = 0;
    wire->left = 0;
    return;
  case WIRE_IDLE:
  case WIRE_METHOD:
  case WIRE_TARGET:
  case WIRE_NAME:
  case WIRE_BODY:
  case WIRE_SIZE:
  case WIRE_DATA:
  case WIRE_LAST:
  case WIRE_BAD: break;
  }
  CHECK(!"a state with lines");
}

static void data_end(struct wire *wire, unsigned char c) {
  if (c == '\r')
    wire->cr = true;
  else
    malformed(wire, "a chunk has more bytes than its size says");
}

static void feed_byte(struct wire *wire, unsigned char c) {
  wire->bytes++;
  if (wire->cr && wire->state != WIRE_IDLE) {
    end_of_line(wire, c);
    return;
  }
  switch (wire->state) {
  case WIRE_IDLE: idle(wire, c); break;
  case WIRE_METHOD: method(wire, c); break;
  case WIRE_TARGET: target(wire, c); break;
  case WIRE_VERSION: version(wire, c); break;
  case WIRE_LINE: line(wire, c); break;
  case WIRE_NAME: name(wire, c); break;
  case WIRE_BLANK:
  case WIRE_VALUE: value(wire, c); break;
  case WIRE_SIZE: size(wire, c); break;
  case WIRE_EXTENSION: extension(wire, c); break;
  case WIRE_DATA_END: data_end(wire, c); break;
  case WIRE_BODY:
  case WIRE_DATA:
  case WIRE_LAST:
  case WIRE_BAD: CHECK(!"a state that reads bytes one by one");
  }
  if (wire->state >= WIRE_VERSION && wire->state <= WIRE_VALUE &&
      (wire->bytes > WIRE_HEAD_BYTES_MAX || wire->fields > WIRE_FIELDS_MAX)) {
    error_set(&wire->fault, STATUS_HEADER_TOO_LARGE, NULL, "the request's header has more than %d bytes or %d fields",
              WIRE_HEAD_BYTES_MAX, WIRE_FIELDS_MAX);
    wire->state = WIRE_BAD;
  }
}

/* Bytes that a state keeps the beginning of and counts: most of a head. */
static bool is_plain(enum wire_state state, unsigned char c) {
  return state == WIRE_TARGET  ? is_target(c) && c != '?' && c != '&'
         : state == WIRE_NAME  ? is_token(c)
         : state == WIRE_VALUE ? is_value(c)
                               : false;
}

/* How many of the next bytes are such, up to the limit of a head: what each of them alone would do is done. */
static size_t feed_plain(struct wire *wire, const char *bytes, size_t length) {
  bool named = wire->state == WIRE_NAME;
  char *text = named ? wire->name : wire->value;
  size_t *kept = named ? &wire->name_length : &wire->value_length;
  size_t n = 0, left = wire->cr ? 0 : WIRE_HEAD_BYTES_MAX - wire->bytes;
  for (; n < length && n < left && is_plain(wire->state, (unsigned char)bytes[n]); n++)
    keep(text, kept, (unsigned char)bytes[n]);
  wire->bytes += n;
  wire->target += wire->state == WIRE_TARGET ? n : 0;
  return n;
}

/* Bytes that are not looked at, of at most `length`. */
static size_t skip(struct wire *wire, size_t length) {
  size_t n = wire->left < length ? (size_t)wire->left : length;
  wire->left -= n;
  if (wire->left > 0)
    return n;
  if (wire->state == WIRE_BODY)
    end_request(wire);
  else
    wire->state = WIRE_DATA_END;
  return n;
}

size_t wire_feed(struct wire *wire, const char *bytes, size_t length) {
  size_t at = 0, good = 0, n;
  while (at < length && wire->state != WIRE_BAD && wire->state != WIRE_LAST) {
    size_t ended = wire->ended;
    if (wire->state == WIRE_BODY || wire->state == WIRE_DATA)
      at += skip(wire, length - at);
    else if (wire->state >= WIRE_TARGET && wire->state <= WIRE_VALUE && (n = feed_plain(wire, bytes + at, length - at)))
      at += n;
    else
      feed_byte(wire, (unsigned char)bytes[at++]);
    if (wire->ended > ended)
      good = at;
  }
  return wire->state == WIRE_BAD || wire->state == WIRE_LAST ? good : length;
}
