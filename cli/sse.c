#include "cli/sse.h"

#include <string.h>

enum { EVENT_BYTES_MAX = 16 << 20, NAME_BYTES_MAX = 1024, RETRY_DIGITS_MAX = 9 };

void sse_init(struct sse *sse, enum status (*take)(void *context, const struct sse_event *event, struct error *err),
              void *context) {
  *sse = (struct sse){.take = take, .context = context, .retry_ms = -1};
  str_init(&sse->line, EVENT_BYTES_MAX);
  str_init(&sse->data, EVENT_BYTES_MAX);
  str_init(&sse->name, NAME_BYTES_MAX);
  str_init(&sse->id, NAME_BYTES_MAX);
  sse_begin(sse);
}

void sse_done(struct sse *sse) {
  str_done(&sse->line);
  str_done(&sse->data);
  str_done(&sse->name);
  str_done(&sse->id);
}

void sse_begin(struct sse *sse) {
  str_clear(&sse->line);
  str_clear(&sse->data);
  str_clear(&sse->name);
  sse->has_data = sse->after_cr = false;
  sse->is_first = true;
}

static void read_retry(struct sse *sse, const char *value, size_t length) {
  int64_t number = 0;
  if (length == 0 || length > RETRY_DIGITS_MAX)
    return;
  for (size_t i = 0; i < length; i++) {
    if (value[i] < '0' || value[i] > '9')
      return;
    number = number * 10 + (value[i] - '0');
  }
  sse->retry_ms = number;
}

static void field(struct sse *sse, const char *name, size_t name_length, const char *value, size_t length) {
  if (name_length == 4 && memcmp(name, "data", 4) == 0) {
    if (sse->has_data)
      str_putc(&sse->data, '\n');
    sse->has_data = true;
    str_add(&sse->data, value, length);
  } else if (memchr(value, '\0', length)) { /* no name and no id: they are read as C strings */
    return;
  } else if (name_length == 5 && memcmp(name, "event", 5) == 0) {
    str_clear(&sse->name);
    str_add(&sse->name, value, length);
  } else if (name_length == 2 && memcmp(name, "id", 2) == 0) {
    str_clear(&sse->id);
    str_add(&sse->id, value, length);
  } else if (name_length == 5 && memcmp(name, "retry", 5) == 0) {
    read_retry(sse, value, length);
  }
}

/* An empty line ends an event; one without data is none. */
static enum status end_event(struct sse *sse, struct error *err) {
  enum status status = STATUS_OK;
  const struct sse_event event = {
      .name = sse->name.length ? sse->name.text : "message", .id = sse->id.text, .data = sse->data.text};
  if (sse->has_data)
    status = sse->take(sse->context, &event, err);
  str_clear(&sse->data);
  str_clear(&sse->name);
  sse->has_data = false;
  return status;
}

static enum status end_line(struct sse *sse, struct error *err) {
  const char *text = sse->line.text;
  size_t length = sse->line.length;
  enum status status = STATUS_OK;
  if (sse->is_first && length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
    text += 3;
    length -= 3;
  }
  sse->is_first = false;
  if (length == 0) {
    status = end_event(sse, err);
  } else if (text[0] != ':') {
    const char *colon = memchr(text, ':', length);
    size_t name_length = colon ? (size_t)(colon - text) : length, begin = colon ? name_length + 1 : length;
    begin += begin < length && text[begin] == ' ';
    field(sse, text, name_length, text + begin, length - begin);
  }
  str_clear(&sse->line);
  if (!status && (sse->data.failed || sse->name.failed || sse->id.failed))
    status = error_set(err, STATUS_TOO_LARGE, NULL, "an event of the stream is larger than %d bytes", EVENT_BYTES_MAX);
  return status;
}

enum status sse_feed(struct sse *sse, const char *bytes, size_t length, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < length;) {
    if (bytes[i] == '\n' && sse->after_cr) { /* CR LF is one end */
      sse->after_cr = false;
      i++;
      continue;
    }
    sse->after_cr = false;
    size_t run = i;
    while (run < length && bytes[run] != '\n' && bytes[run] != '\r')
      run++;
    if (!str_add(&sse->line, bytes + i, run - i))
      return error_set(err, STATUS_TOO_LARGE, NULL, "a line of the stream is larger than %d bytes", EVENT_BYTES_MAX);
    if (run < length) {
      sse->after_cr = bytes[run] == '\r';
      status = end_line(sse, err);
      run++;
    }
    i = run;
  }
  return status;
}
