/* The delimiter is searched byte by byte with the number of its bytes matched so far as the only state:
   it begins with CR, which occurs nowhere else in it, so that after a mismatch only the byte at hand can
   begin a new match, and the matched bytes are known to be data. */
#include "server/http/multipart.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

static COLD enum status malformed(struct error *err, const char *text) {
  return error_set(err, STATUS_INVALID_REQUEST, NULL, "the multipart body %s", text);
}

/* What is wrong with a part whose field is known; NULL: it is not. */
static COLD enum status bad_part(struct error *err, const char *field, const char *text) {
  return error_set(err, STATUS_INVALID_REQUEST, field, "the multipart body has a part %s", text);
}

/* RFC 2046 allows these in a boundary. */
static bool boundary_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c != '\0' && strchr("'()+_,-./:=? ", c));
}

enum status multipart_init(struct multipart *parser, const char *content_type, const struct multipart_calls *calls,
                           void *context, struct error *err) {
  static const char type[] = "multipart/form-data";
  *parser = (struct multipart){.calls = *calls, .context = context, .state = MULTIPART_PREAMBLE};
  if (!content_type || strncasecmp(content_type, type, sizeof type - 1) != 0 ||
      !strchr("; \t", content_type[sizeof type - 1]))
    return error_set(err, STATUS_MEDIA_TYPE, NULL, "this needs the Content-Type multipart/form-data, not %.80s",
                     content_type ? content_type : "none");
  const char *p = strcasestr(content_type + sizeof type - 1, "boundary=");
  if (!p || !strchr("; \t", p[-1]))
    return error_set(err, STATUS_MEDIA_TYPE, NULL, "the Content-Type names no boundary");
  p += strlen("boundary=");
  size_t length = *p == '"' ? strcspn(p + 1, "\"") : strcspn(p, "; \t");
  bool closed = *p != '"' || p[1 + length] == '"';
  p += *p == '"';
  if (!closed || length == 0 || length > MULTIPART_BOUNDARY_MAX || p[length - 1] == ' ')
    return error_set(err, STATUS_MEDIA_TYPE, NULL, "the boundary must have 1 to %d characters",
                     MULTIPART_BOUNDARY_MAX);
  for (size_t i = 0; i < length; i++)
    if (!boundary_char(p[i]))
      return error_set(err, STATUS_MEDIA_TYPE, NULL, "the boundary holds a character that is not allowed there");
  memcpy(parser->delimiter, "\r\n--", 4);
  memcpy(parser->delimiter + 4, p, length);
  parser->delimiter_length = length + 4;
  parser->matched = 2; /* the first boundary may stand at the very beginning, without CR LF */
  return STATUS_OK;
}

/* The value of a parameter of Content-Disposition into out: NULL-able. *out stays NULL when it is absent. An error
   names the field. */
static enum status read_param(const char **out, char buffer[MULTIPART_NAME_MAX], const char *line, const char *name,
                              const char *field, struct error *err) {
  size_t name_length = strlen(name), n = 0;
  *out = NULL;
  const char *p = line;
  while ((p = strchr(p, ';'))) {
    p += 1 + strspn(p + 1, " \t");
    if (strncasecmp(p, name, name_length) == 0 && p[name_length] == '=')
      break;
    /* Skip this parameter; a quoted value may hold semicolons. */
    const char *quote = p + strcspn(p, ";\"");
    if (*quote == '"') {
      for (quote++; *quote && *quote != '"'; quote++)
        quote += *quote == '\\' && quote[1];
      p = quote;
    }
  }
  if (!p)
    return STATUS_OK;
  p += name_length + 1;
  bool quoted = *p == '"';
  for (p += quoted; *p && (quoted ? *p != '"' : !strchr("; \t", *p)); p++) {
    /* Browsers write %22 for a quote and backslashes as they are; others escape the quote alone. */
    if (quoted && *p == '\\' && (p[1] == '"' || p[1] == '\\'))
      p++;
    if (n + 1 == MULTIPART_NAME_MAX)
      return error_set(err, STATUS_INVALID_REQUEST, field, "the %s of a part is longer than %d bytes", name,
                       MULTIPART_NAME_MAX - 1);
    if ((unsigned char)*p < 0x20 || *p == 0x7F)
      return bad_part(err, field, "with a control character in a name");
    buffer[n++] = *p;
  }
  if (quoted && *p != '"')
    return bad_part(err, field, "with a name whose quotes do not end");
  buffer[n] = '\0';
  if (!utf8_valid(buffer, n, NULL))
    return bad_part(err, field, "with a name that is not UTF-8");
  *out = buffer;
  return STATUS_OK;
}

/* The header block of a part is complete: `header` holds its lines, each ended by CR LF. */
static enum status begin_part(struct multipart *parser, struct error *err) {
  char name_buffer[MULTIPART_NAME_MAX], file_buffer[MULTIPART_NAME_MAX];
  const char *name = NULL, *filename = NULL;
  bool found = false;
  for (char *line = parser->header, *end; (end = strstr(line, "\r\n")); line = end + 2) {
    static const char disposition[] = "content-disposition:";
    *end = '\0';
    if (strncasecmp(line, "content-transfer-encoding:", 26) == 0 && !strcasestr(line, "binary") &&
        !strcasestr(line, "8bit") && !strcasestr(line, "7bit"))
      return malformed(err, "uses a Content-Transfer-Encoding");
    if (strncasecmp(line, disposition, sizeof disposition - 1) != 0)
      continue;
    const char *value = line + sizeof disposition - 1;
    value += strspn(value, " \t");
    if (found || strncasecmp(value, "form-data", 9) != 0 || !strchr("; \t", value[9]))
      return malformed(err, "has a part whose Content-Disposition is not form-data");
    found = true;
    enum status status = read_param(&name, name_buffer, value, "name", NULL, err);
    if (!status)
      status = read_param(&filename, file_buffer, value, "filename", name, err);
    if (status)
      return status;
  }
  if (!found || !name)
    return malformed(err, "has a part without a name");
  if (++parser->parts > MULTIPART_PARTS_MAX)
    return error_set(err, STATUS_INVALID_REQUEST, NULL, "the multipart body has more than %d parts",
                     MULTIPART_PARTS_MAX);
  parser->state = MULTIPART_BODY;
  parser->matched = 0;
  return parser->calls.part(parser->context, name, filename, err);
}

/* The field is named where the header came so far. */
static COLD enum status long_header(const struct multipart *parser, struct error *err) {
  char buffer[MULTIPART_NAME_MAX];
  const char *field;
  return bad_part(err, read_param(&field, buffer, parser->header, "name", NULL, NULL) ? NULL : field,
                  "whose header, with the name of its file, is too long");
}

static enum status feed_header(struct multipart *parser, char c, struct error *err) {
  if (parser->header_length + 1 == sizeof parser->header)
    return long_header(parser, err);
  if (c == '\0')
    return malformed(err, "has a zero byte in the header of a part");
  parser->header[parser->header_length++] = c;
  parser->header[parser->header_length] = '\0';
  size_t n = parser->header_length;
  const char *h = parser->header;
  bool ended = (n == 2 && memcmp(h, "\r\n", 2) == 0) || (n >= 4 && memcmp(h + n - 4, "\r\n\r\n", 4) == 0);
  if (!ended)
    return STATUS_OK;
  parser->header[n - 2] = '\0';
  return begin_part(parser, err);
}

static void end_delimiter(struct multipart *parser) {
  parser->state = MULTIPART_AFTER;
  parser->matched = 0;
  parser->header_length = 0;
}

/* The two bytes behind a boundary (blanks before them are allowed). */
static enum status feed_after(struct multipart *parser, char c, struct error *err) {
  if (parser->header_length == 0 && (c == ' ' || c == '\t'))
    return STATUS_OK;
  parser->header[parser->header_length++] = c;
  if (parser->header_length == 1)
    return c == '\r' || c == '-' ? STATUS_OK : malformed(err, "has something else than a line end behind a boundary");
  bool last = parser->header[0] == '-' && c == '-';
  if (!last && !(parser->header[0] == '\r' && c == '\n'))
    return malformed(err, "has something else than a line end behind a boundary");
  parser->header_length = 0;
  parser->state = last ? MULTIPART_EPILOGUE : MULTIPART_HEADERS;
  return STATUS_OK;
}

/* Body bytes up to the delimiter or the end of the input; *used: how many were read. */
static enum status feed_body(struct multipart *parser, const char *bytes, size_t length, size_t *used,
                             struct error *err) {
  size_t start = 0, i = 0;
  size_t held = parser->matched; /* delimiter bytes of earlier input that may yet turn out to be data */
  enum status status = STATUS_OK;
  while (i < length && parser->matched < parser->delimiter_length) {
    if (bytes[i] == parser->delimiter[parser->matched]) {
      parser->matched++;
      i++;
      continue;
    }
    if (parser->matched > 0) {
      if (held && (status = parser->calls.data(parser->context, parser->delimiter, held, err)))
        return status;
      held = 0;
      parser->matched = 0;
      continue; /* this byte may begin the delimiter anew */
    }
    const char *next = memchr(bytes + i, '\r', length - i);
    i = next ? (size_t)(next - bytes) : length;
  }
  size_t data = i - (parser->matched - held); /* the rest of the match lies in this input */
  if (data > start)
    status = parser->calls.data(parser->context, bytes + start, data - start, err);
  *used = i;
  if (!status && parser->matched == parser->delimiter_length) {
    end_delimiter(parser);
    status = parser->calls.part_end(parser->context, err);
  }
  return status;
}

static enum status feed_preamble(struct multipart *parser, char c, struct error *err) {
  if (c != parser->delimiter[parser->matched])
    return malformed(err, "does not begin with its boundary");
  if (++parser->matched == parser->delimiter_length)
    end_delimiter(parser);
  return STATUS_OK;
}

enum status multipart_feed(struct multipart *parser, const char *bytes, size_t length, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < length;) {
    size_t used = 1;
    switch (parser->state) {
    case MULTIPART_PREAMBLE: status = feed_preamble(parser, bytes[i], err); break;
    case MULTIPART_AFTER: status = feed_after(parser, bytes[i], err); break;
    case MULTIPART_HEADERS: status = feed_header(parser, bytes[i], err); break;
    case MULTIPART_BODY: status = feed_body(parser, bytes + i, length - i, &used, err); break;
    case MULTIPART_EPILOGUE: return STATUS_OK;
    }
    i += used;
  }
  return status;
}

enum status multipart_end(struct multipart *parser, struct error *err) {
  return parser->state == MULTIPART_EPILOGUE ? STATUS_OK : malformed(err, "ends before its last boundary");
}
