#include "server/http/guard.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

void guard_init(struct guard *guard, unsigned minor, size_t target) {
  *guard = (struct guard){.minor = minor, .bytes = target, .length = -1};
}

static COLD void refuse(struct guard *guard, const char *text) {
  if (!guard->bad)
    error_set(&guard->fault, STATUS_INVALID_REQUEST, NULL, "%s", text);
  guard->bad = true;
}

/* RFC 9110, 5.6.2. */
static bool is_token(const char *text, size_t length) {
  if (length == 0)
    return false;
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!alnum && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
      return false;
  }
  return true;
}

static bool named(const char *name, size_t length, const char *want) {
  return length == strlen(want) && strncasecmp(name, want, length) == 0;
}

static bool read_length(int64_t *out, const char *value, size_t length) {
  *out = 0;
  if (length == 0 || length > 18)
    return false;
  for (size_t i = 0; i < length; i++) {
    if (value[i] < '0' || value[i] > '9')
      return false;
    *out = *out * 10 + (value[i] - '0');
  }
  return true;
}

void guard_header(struct guard *guard, const char *name, size_t name_length, const char *value, size_t value_length) {
  guard->fields++;
  guard->bytes += name_length + value_length + 4; /* ": " and the line's end */
  if (!is_token(name, name_length))
    refuse(guard, "a header's name holds a character that is not allowed there");
  for (size_t i = 0; i < value_length; i++)
    if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7F)
      refuse(guard, "a header's value holds a control character");
  if (named(name, name_length, "host")) {
    guard->hosts++;
  } else if (named(name, name_length, "content-length")) {
    guard->lengths++;
    if (!read_length(&guard->length, value, value_length))
      refuse(guard, "Content-Length is not a number");
  } else if (named(name, name_length, "transfer-encoding")) {
    guard->encodings++;
    guard->chunked = named(value, value_length, "chunked");
  } else if (named(name, name_length, "content-type")) {
    guard->types++;
  } else if (named(name, name_length, "authorization")) {
    guard->authorizations++;
  } else if (named(name, name_length, "expect")) {
    guard->expects |= guard->minor > 0 && named(value, value_length, "100-continue");
  } else if (named(name, name_length, "content-encoding") && !named(value, value_length, "identity")) {
    snprintf(guard->coding, sizeof guard->coding, "%.*s", (int)(value_length < 31 ? value_length : 31), value);
  }
}

enum status guard_end(struct guard *guard, struct error *err) {
  if (guard->bytes > GUARD_BYTES_MAX || guard->fields > GUARD_FIELDS_MAX)
    return error_set(err, STATUS_HEADER_TOO_LARGE, NULL, "the request's header has more than %d bytes or %d fields",
                     GUARD_BYTES_MAX, GUARD_FIELDS_MAX);
  if (guard->hosts > 1 || (guard->hosts == 0 && guard->minor > 0)) /* HTTP/1.0 has none */
    refuse(guard, guard->hosts ? "more than one Host header" : "no Host header");
  if (guard->lengths > 1)
    refuse(guard, "more than one Content-Length header");
  if (guard->encodings > 1)
    refuse(guard, "more than one Transfer-Encoding header");
  if (guard->lengths && guard->encodings)
    refuse(guard, "both Content-Length and Transfer-Encoding");
  if (guard->encodings && !guard->chunked)
    refuse(guard, "Transfer-Encoding: only chunked is read here");
  if (guard->encodings && guard->minor == 0)
    refuse(guard, "Transfer-Encoding: HTTP/1.0 has none");
  if (guard->types > 1)
    refuse(guard, "more than one Content-Type header");
  if (guard->authorizations > 1)
    refuse(guard, "more than one Authorization header");
  if (!guard->bad)
    return STATUS_OK;
  if (err)
    *err = guard->fault;
  return guard->fault.status;
}
