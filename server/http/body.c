#include "server/http/body.h"

enum { LINE_BYTES_MAX = 1 << 10, TRAILER_BYTES_MAX = 8 << 10 };
#define CHUNK_BYTES_MAX (UINT64_C(1) << 60)

void body_init(struct body *body, bool chunked, uint64_t length) {
  *body = (struct body){.state = chunked ? BODY_SIZE : length ? BODY_COUNTED : BODY_OVER, .left = chunked ? 0 : length};
}

static int hex(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(char c) {
  return (unsigned char)c >= 0x20 ? c != 0x7F : c == '\t';
}

/* A digit of a chunk's size, or what ends it. */
static bool take_size(struct body *body, char c) {
  int digit = hex(c);
  if (digit >= 0) {
    body->left = body->left << 4 | (unsigned)digit;
    return body->left < CHUNK_BYTES_MAX;
  }
  body->state = c == ';' ? BODY_EXTENSION : BODY_SIZE_LF;
  return body->line > 1 && (c == ';' || c == '\r');
}

/* A byte that is not the body's own: framing. False: it has no place there. */
static bool take_frame(struct body *body, char c) {
  switch (body->state) {
  case BODY_SIZE: return ++body->line <= LINE_BYTES_MAX && take_size(body, c);
  case BODY_EXTENSION:
    if (c == '\r')
      body->state = BODY_SIZE_LF;
    return ++body->line <= LINE_BYTES_MAX && (c == '\r' || is_text(c));
  case BODY_SIZE_LF:
    body->line = 0;
    body->state = body->left ? BODY_CHUNK : BODY_TRAILER_LINE;
    return c == '\n';
  case BODY_CHUNK_CR: body->state = BODY_CHUNK_LF; return c == '\r';
  case BODY_CHUNK_LF: body->state = BODY_SIZE; return c == '\n';
  case BODY_TRAILER_LINE: /* trailers are read over: nothing here has a use for them */
    body->state = c == '\r' ? BODY_LAST_LF : BODY_TRAILER;
    return ++body->line <= TRAILER_BYTES_MAX && (c == '\r' || (is_text(c) && c != ' ' && c != '\t'));
  case BODY_TRAILER:
    if (c == '\r')
      body->state = BODY_TRAILER_LF;
    return ++body->line <= TRAILER_BYTES_MAX && (c == '\r' || is_text(c));
  case BODY_TRAILER_LF: body->state = BODY_TRAILER_LINE; return c == '\n';
  case BODY_LAST_LF: body->state = BODY_OVER; return c == '\n';
  case BODY_COUNTED:
  case BODY_CHUNK:
  case BODY_OVER: break;
  }
  return false;
}

enum body_step body_next(struct body *body, const char *bytes, size_t length, size_t *used, size_t *data) {
  *used = *data = 0;
  while (body->state != BODY_OVER) {
    if (*used == length)
      return BODY_MORE;
    if (body->state != BODY_COUNTED && body->state != BODY_CHUNK) {
      if (!take_frame(body, bytes[(*used)++]))
        return BODY_BAD;
      continue;
    }
    *data = length - *used < body->left ? length - *used : (size_t)body->left;
    *used += *data;
    body->left -= *data;
    if (body->left == 0)
      body->state = body->state == BODY_COUNTED ? BODY_OVER : BODY_CHUNK_CR;
    return BODY_DATA;
  }
  return BODY_END;
}
