#include "server/http/head.h"

#include <string.h>
#include <strings.h>

static COLD enum status malformed(struct error *err, const char *text) {
  return error_set(err, STATUS_INVALID_REQUEST, NULL, "%s", text);
}

enum status head_find(size_t *end, size_t *scanned, const char *bytes, size_t length, struct error *err) {
  *end = 0;
  size_t i = *scanned;
  for (; i < length && i < HEAD_BYTES_MAX; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c == '\r') {
      if (i + 1 == length)
        break; /* looked at again, with what follows */
      if (bytes[i + 1] != '\n')
        return malformed(err, "a CR in the request's header has no LF after it");
    } else if (c == '\n') {
      if (i == 0 || bytes[i - 1] != '\r')
        return malformed(err, "a line of the request's header ends with LF alone; it must end with CR LF");
      if (i == 1 || bytes[i - 2] == '\n') {
        *end = i + 1;
        return STATUS_OK;
      }
    } else if ((c < 0x20 && c != '\t') || c == 0x7F) {
      return error_set(err, STATUS_INVALID_REQUEST, NULL,
                       "byte %zu of the request's header is the control character 0x%02x", i + 1, c);
    }
  }
  *scanned = i;
  if (length < HEAD_BYTES_MAX)
    return STATUS_OK;
  if (!memchr(bytes, '\n', HEAD_BYTES_MAX))
    return error_set(err, STATUS_TARGET_TOO_LONG, NULL, "the request's target is longer than %d bytes", HEAD_BYTES_MAX);
  return error_set(err, STATUS_HEADER_TOO_LARGE, NULL, "the request's header is larger than %d bytes", HEAD_BYTES_MAX);
}

/* "HTTP/1.1". A later 1.x is read as 1.1 (RFC 9110, 2.5). */
static enum status read_version(unsigned *minor, const char *text, struct error *err) {
  bool known = strncmp(text, "HTTP/", 5) == 0 && text[5] >= '0' && text[5] <= '9' && text[6] == '.' &&
               text[7] >= '0' && text[7] <= '9' && text[8] == '\0';
  if (!known)
    return malformed(err, "the request line is not of the form METHOD TARGET HTTP/1.1");
  if (text[5] != '1')
    return error_set(err, STATUS_HTTP_VERSION, NULL, "this server speaks HTTP/1.1 and HTTP/1.0, not %s", text);
  *minor = text[7] == '0' ? 0 : 1;
  return STATUS_OK;
}

/* An absolute target (RFC 9112, 3.2.2) is what a client sends to a proxy; its path is meant. */
static enum status read_target(const char **out, char *text, struct error *err) {
  *out = text;
  if (text[0] == '/' || strcmp(text, "*") == 0)
    return STATUS_OK;
  size_t scheme = strncasecmp(text, "http://", 7) == 0 ? 7 : strncasecmp(text, "https://", 8) == 0 ? 8 : 0;
  size_t host = scheme ? strcspn(text + scheme, "/?#") : 0;
  if (host == 0 || memchr(text + scheme, '@', host))
    return malformed(err, "the request's target is neither a path nor an http URL");
  char *path = text + scheme + host;
  if (*path == '/') {
    *out = path;
  } else { /* "http://host?query": the path is empty, which means "/" */
    path[-1] = '/';
    *out = path - 1;
  }
  return STATUS_OK;
}

static enum status read_request_line(struct head *head, char *line, struct error *err) {
  char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
  unsigned minor = 1;
  if (!version || target == line || version == target + 1)
    return malformed(err, "the request line is not of the form METHOD TARGET HTTP/1.1");
  *target++ = '\0';
  *version++ = '\0';
  if (!guard_token(line, strlen(line)))
    return malformed(err, "the request's method holds a character that is not allowed there");
  head->method = line;
  if (strchr(target, '\t'))
    return malformed(err, "the request's target holds a tab");
  enum status status = read_version(&minor, version, err);
  guard_init(&head->guard, minor);
  return status ? status : read_target(&head->target, target, err);
}

static enum status read_field(struct head *head, char *line, size_t length, struct error *err) {
  if (line[0] == ' ' || line[0] == '\t')
    return malformed(err, "a header goes on in the next line; it must stand in one");
  char *colon = memchr(line, ':', length);
  if (!colon)
    return malformed(err, "a line of the request's header has no colon");
  if (head->count == HEAD_FIELDS_MAX)
    return error_set(err, STATUS_HEADER_TOO_LARGE, NULL, "the request has more than %d headers", HEAD_FIELDS_MAX);
  char *value = colon + 1, *end = line + length;
  while (value < end && (*value == ' ' || *value == '\t'))
    value++;
  while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
    end--;
  *colon = *end = '\0';
  head->field[head->count].name = line;
  head->field[head->count++].value = value;
  guard_header(&head->guard, line, (size_t)(colon - line), value, (size_t)(end - value));
  return STATUS_OK;
}

enum status head_parse(struct head *out, char *text, size_t length, struct error *err) {
  enum status status = STATUS_OK;
  out->method = out->target = "";
  out->count = 0;
  guard_init(&out->guard, 1);
  bool first = true;
  for (char *line = text, *end; !status && line < text + length; line = end + 2) {
    end = memchr(line, '\r', (size_t)(text + length - line));
    CHECK(end); /* head_find saw CR LF at the end of each line */
    *end = '\0';
    if (first)
      status = read_request_line(out, line, err);
    else if (end > line)
      status = read_field(out, line, (size_t)(end - line), err);
    first = false;
  }
  return status ? status : guard_end(&out->guard, err);
}

const char *head_field(const struct head *head, const char *name) {
  for (size_t i = 0; i < head->count; i++)
    if (strcasecmp(head->field[i].name, name) == 0)
      return head->field[i].value;
  return NULL;
}
