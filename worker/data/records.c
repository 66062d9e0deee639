/* A window slides over the file: the record at its start is whole before it is looked at. Offsets are
   relative to the record's start, so that moving the window changes none of them. */
#include "worker/data/records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/grow.h"
#include "base/json.h"
#include "base/str.h"
#include "worker/data/format.h"
#include "worker/file/unpack.h"

enum { WINDOW_BYTES = 2 * RECORD_BYTES_MAX, CHUNK_BYTES = 1 << 16, NAMES_MAX = 1 << 20 };

struct records {
  int fd;                /* -1: from memory, or read to its end */
  struct unpack *unpack; /* of a packed file; NULL: none */
  char *owned;           /* the window of a file */
  const char *window;
  size_t start, end; /* the unread part of the window */
  enum record_format format;
  char delimiter; /* of CSV and TSV */
  size_t line;    /* of window[start] */
  size_t blank;
  uint64_t consumed;
  bool any;                /* a record was found */
  size_t skip, skip_lines; /* bytes and lines of the record that was read or refused last; 0: it has no end */
  struct arena arena;      /* of the header's names */
  size_t column_count;
  const char *const *columns;
  bool headerless;
  enum mapping mapping; /* of all its lines, by the first */
  json_t *object;       /* of the current JSON line */
  struct str text;      /* fields of the current record, each ended by a NUL */
  struct record record;
  struct record_value values[RECORD_COLUMNS_MAX];
};

enum record_format records_format(const struct records *r) {
  return r->format;
}

enum mapping records_mapping(const struct records *r) {
  return r->mapping;
}

bool records_headerless(const struct records *r) {
  return r->headerless;
}

char records_delimiter(const struct records *r) {
  return r->delimiter;
}

size_t records_lines(const struct records *r) {
  return r->line - 1;
}

size_t records_blank(const struct records *r) {
  return r->blank;
}

uint64_t records_bytes(const struct records *r) {
  return r->consumed;
}

size_t records_columns(const struct records *r, const char *const **names) {
  if (names)
    *names = r->columns;
  return r->column_count;
}

int records_column(const struct records *r, const char *name) {
  for (size_t i = 0; i < r->column_count; i++)
    if (strcmp(r->columns[i], name) == 0)
      return (int)i;
  return -1;
}

/* --- faults --------------------------------------------------------------------------------------- */

static enum status fault(struct error *err, const struct records *r, size_t offset, const char *format, ...)
    PRINTF(4, 5);
static enum status fault(struct error *err, const struct records *r, size_t offset, const char *format, ...) {
  char what[400];
  const struct location place = location_of_byte(r->window + r->start, offset, r->line);
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  return location_fault(err, place, NULL, "%s", what);
}

/* --- the window ----------------------------------------------------------------------------------- */

static enum status read_file(size_t *length, const struct records *r, struct error *err) {
  ssize_t n;
  do
    n = read(r->fd, r->owned + r->end, WINDOW_BYTES - r->end);
  while (n < 0 && errno == EINTR);
  *length = n > 0 ? (size_t)n : 0;
  return n < 0 ? error_set_errno(err, STATUS_IO, NULL, "reading the data file") : STATUS_OK;
}

/* Reads more of the file behind what is there. Nothing more to come: r->fd is -1 afterwards. */
static enum status fill(struct records *r, struct error *err) {
  if (r->start > 0 && WINDOW_BYTES - r->end < CHUNK_BYTES) {
    memmove(r->owned, r->owned + r->start, r->end - r->start);
    r->end -= r->start;
    r->start = 0;
  }
  size_t length = 0;
  enum status status = r->unpack ? unpack_read(&length, r->unpack, r->owned + r->end, WINDOW_BYTES - r->end, err)
                                 : read_file(&length, r, err);
  if (status)
    return status;
  r->end += length;
  if (length == 0) {
    close(r->fd);
    r->fd = -1;
  }
  return STATUS_OK;
}

static void consume(struct records *r, size_t bytes, size_t lines) {
  r->start += bytes;
  r->line += lines;
  r->consumed += bytes;
}

/* Where the scan for a record's end stands in CSV. */
enum scan { FIELD_START, PLAIN, QUOTED, CLOSED };

static enum scan step(enum scan state, char c, char delimiter) {
  switch (state) {
  case QUOTED: return c == '"' ? CLOSED : QUOTED;
  case CLOSED: return c == '"' ? QUOTED : c == delimiter ? FIELD_START : PLAIN;
  case FIELD_START: return c == '"' ? QUOTED : c == delimiter ? FIELD_START : PLAIN;
  case PLAIN: return c == delimiter ? FIELD_START : PLAIN;
  }
  CHECK(!"a state of the scan");
}

/* Past what cannot end a line: to a line's end, or to the window's. */
static size_t skip_line(const struct records *r, size_t at) {
  const char *text = r->window + r->start, *end = memchr(text + at, '\n', r->end - r->start - at);
  return end ? (size_t)(end - text) : r->end - r->start;
}

/* The end of the record at the window's start: *length without its line end, *next with it (0 at the
   end of the file), *lines the line ends in it. A line end inside CSV's quotes does not count; what is
   wrong with quotes is found when the record is split. TSV has no quoting: in it a quote is a
   character like any other. */
static enum status find_end(struct records *r, size_t *length, size_t *next, size_t *lines, struct error *err) {
  bool quoting = r->format == RECORD_CSV;
  enum scan state = FIELD_START;
  size_t i, opened = 0;
  *lines = 0;
  for (i = 0;; i++) {
    if (!quoting)
      i = skip_line(r, i);
    if (i > RECORD_BYTES_MAX)
      return state == QUOTED
                 ? fault(err, r, opened, "a quote is opened here and not closed in %d bytes", RECORD_BYTES_MAX)
                 : fault(err, r, 0, "a record of more than %d bytes", RECORD_BYTES_MAX);
    if (r->start + i == r->end && r->fd >= 0) {
      enum status status = fill(r, err);
      if (status)
        return status;
    }
    if (r->start + i == r->end)
      break;
    char c = r->window[r->start + i];
    *lines += c == '\n';
    if (c == '\n' && state != QUOTED)
      break;
    if (state == FIELD_START)
      opened = i;
    if (quoting)
      state = step(state, c, r->delimiter);
  }
  *next = i + (r->start + i < r->end);
  *length = *next > i && i && r->window[r->start + i - 1] == '\r' ? i - 1 : i;
  return STATUS_OK;
}

/* Bytes that no format may hold. */
static enum status check_bytes(const struct records *r, size_t length, struct error *err) {
  const char *text = r->window + r->start;
  size_t bad;
  const char *nul = memchr(text, '\0', length);
  if (nul)
    return fault(err, r, (size_t)(nul - text), "a NUL byte, which no text has");
  if (!utf8_valid(text, length, &bad))
    return fault(err, r, bad, "the byte 0x%02X is not UTF-8; save the file as UTF-8", (unsigned char)text[bad]);
  return STATUS_OK;
}

/* --- CSV and TSV ---------------------------------------------------------------------------------- */

/* Appends the field that begins at *at to r->text without its quotes; *at is then at its delimiter or
   at the end. */
static enum status read_field(struct records *r, size_t *at, size_t length, struct error *err) {
  const char *text = r->window + r->start, delimiter = r->delimiter;
  size_t i = *at;
  if (r->format == RECORD_CSV && i < length && text[i] == '"') {
    for (i++;; i++) {
      const char *close = memchr(text + i, '"', length - i);
      if (!close)
        return fault(err, r, *at, "a quote is opened here and never closed");
      size_t stop = (size_t)(close - text);
      str_add(&r->text, text + i, stop - i);
      i = stop + 1;
      if (i >= length || text[i] != '"')
        break;
      str_putc(&r->text, '"');
    }
    if (i < length && text[i] != delimiter) {
      const struct location open = location_of_byte(r->window + r->start, *at, r->line);
      return fault(err, r, i,
                   "text after a closing quote, which was opened at line %zu, column %zu (a quote inside a quoted "
                   "field is written twice)",
                   open.line, open.column);
    }
  } else {
    while (i < length && text[i] != delimiter) {
      if (text[i] == '"' && r->format == RECORD_CSV)
        return fault(err, r, i, "a quote inside a field that is not quoted");
      i++;
    }
    str_add(&r->text, text + *at, i - *at);
  }
  *at = i;
  return STATUS_OK;
}

/* Splits the record into r->values; *count of them. */
static enum status split(struct records *r, size_t length, size_t *count, struct error *err) {
  const char *text = r->window + r->start;
  size_t line = r->line, column = 1, counted = 0;
  size_t offsets[RECORD_COLUMNS_MAX];
  str_clear(&r->text);
  *count = 0;
  for (size_t at = 0;; at++) {
    if (*count == RECORD_COLUMNS_MAX)
      return fault(err, r, at, "more than %d columns", RECORD_COLUMNS_MAX);
    for (; counted < at; counted++) {
      bool newline = text[counted] == '\n';
      line += newline;
      column = newline ? 1 : column + record_characters(text + counted, 1);
    }
    struct record_value *value = &r->values[*count];
    value->line = line;
    value->column = column;
    offsets[*count] = r->text.length;
    enum status status = read_field(r, &at, length, err);
    if (status)
      return status;
    value->length = r->text.length - offsets[(*count)++];
    str_putc(&r->text, '\0');
    if (at >= length)
      break;
  }
  if (r->text.failed)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory for a record of %zu bytes", length);
  for (size_t i = 0; i < *count; i++)
    r->values[i].text = r->text.text + offsets[i];
  return STATUS_OK;
}

static size_t blanks(const char *text, size_t length) {
  size_t count = 0;
  while (count < length && strchr(" \t\r", text[count]))
    count++;
  return count;
}

/* A whole record that is not an empty line, its bytes checked; *next == 0 at the end of the file. */
static enum status next_raw(struct records *r, size_t *length, size_t *next, size_t *lines, struct error *err) {
  for (;;) {
    enum status status = find_end(r, length, next, lines, err);
    if (!status)
      status = check_bytes(r, *length, err);
    if (status || *next == 0)
      return status;
    if ((r->format == RECORD_JSONL ? blanks(r->window + r->start, *length) : 0) < *length)
      return STATUS_OK;
    r->blank++;
    consume(r, *next, 1);
  }
}

static enum status read_header(struct records *r, struct error *err) {
  size_t length, next, lines, count;
  enum status status = next_raw(r, &length, &next, &lines, err);
  if (status)
    return status;
  if (next == 0)
    return fault(err, r, 0, "the file is empty");
  if (r->format == RECORD_TSV && (r->column_count = format_headerless(&r->columns, r->window + r->start, length)) > 0) {
    r->headerless = true;
    return STATUS_OK;
  }
  status = split(r, length, &count, err);
  if (status)
    return status;
  const char **columns = arena_array(&r->arena, count, sizeof *columns);
  if (!columns)
    return error_no_memory(err, "the header");
  r->columns = columns;
  for (size_t i = 0; i < count; i++) {
    const struct record_value *v = &r->values[i];
    if (v->length == 0)
      return error_set(err, STATUS_DATASET_INVALID, NULL, "line %zu, column %zu: the name of column %zu is empty",
                       v->line, v->column, i + 1);
    if (records_column(r, v->text) >= 0)
      return error_set(err, STATUS_DATASET_INVALID, v->text, "line %zu, column %zu: a second column named %.60s",
                       v->line, v->column, v->text);
    const char *name = arena_copy(&r->arena, v->text, v->length);
    if (!name)
      return error_no_memory(err, "the header");
    columns[r->column_count++] = name;
  }
  consume(r, next, lines + (next == length));
  return STATUS_OK;
}

/* --- JSON Lines ----------------------------------------------------------------------------------- */

/* Has a line that holds no whole value the look of one of an indented object? */
static bool goes_on(const char *text, size_t length) {
  while (length > 0 && strchr(" \t\r", text[length - 1]))
    length--;
  return length > 0 && strchr("{[,:", text[length - 1]);
}

/* A file has lines of one kind. */
static enum status map(struct records *r, struct error *err) {
  enum mapping mapping = mapping_of(r->object);
  if (!r->any)
    r->mapping = mapping;
  if (mapping != r->mapping)
    return fault(err, r, 0, "this line is %s, and the first one is %s; a file has lines of one kind",
                 mapping_name(mapping), mapping_name(r->mapping));
  r->record.aliases = mapping_aliases(mapping);
  return mapping_apply(r->object, mapping, &r->record, err);
}

static enum status read_json(struct records *r, size_t length, struct error *err) {
  static const struct json_limits limits = {.bytes_max = RECORD_BYTES_MAX};
  struct error why = {0};
  const char *text = r->window + r->start;
  json_decref(r->object);
  r->object = NULL;
  size_t first = blanks(text, length);
  if (!r->any && text[first] == '[')
    return fault(err, r, first,
                 "the file is one JSON array; JSON Lines has one object a line (jq -c '.[]' makes it so)");
  enum status status = json_parse(&r->object, text, length, &limits, &why);
  if (status == STATUS_OUT_OF_MEMORY)
    return error_set(err, status, NULL, "%s", why.text);
  if (status && r->start + length < r->end && goes_on(text, length))
    return fault(err, r, first,
                 "the object goes on in the next line; JSON Lines has one object a line (jq -c . makes it so)");
  if (status) { /* "line 1, column C: what" of the line becomes that of the file */
    const char *place = strchr(why.text, ',');
    return error_set(err, STATUS_DATASET_INVALID, NULL, "line %zu%s", r->line, place ? place : why.text);
  }
  if (!json_is_object(r->object))
    return fault(err, r, 0, "each line must be a JSON object, not %s", json_kind(r->object));
  if (json_object_size(r->object) > RECORD_COLUMNS_MAX)
    return fault(err, r, 0, "more than %d members", RECORD_COLUMNS_MAX);
  r->record.object = r->object;
  r->record.raw = text;
  r->record.raw_length = length;
  return map(r, err);
}

/* --- opening and stepping ------------------------------------------------------------------------- */

/* By the first line: an object (or an array, which is refused), else by the delimiter that it has. */
static enum status sniff(struct records *r, struct error *err) {
  const char *text = r->window + r->start;
  size_t length = r->end - r->start, first = 0;
  while (first < length && strchr(" \t\r\n", text[first]) && text[first])
    first++;
  const char *stop = first < length ? memchr(text + first, '\n', length - first) : NULL;
  size_t line = (stop ? (size_t)(stop - text) : length) - first;
  if (line && (text[first] == '{' || text[first] == '['))
    r->format = RECORD_JSONL;
  else if (line && memchr(text + first, '\t', line))
    r->format = RECORD_TSV;
  else if (line && (memchr(text + first, ',', line) || format_delimiter(text + first, line) != ','))
    r->format = RECORD_CSV;
  else if (line)
    return fault(err, r, first, "the format is not clear; name the file .jsonl, .csv or .tsv");
  else
    return fault(err, r, 0, "the file is empty");
  return STATUS_OK;
}

/* What explains a wrong number of fields of a table that was written with CSV's quotes. */
static const char *quoting_note(const struct records *r, size_t length) {
  bool quote = r->format == RECORD_TSV && memchr(r->window + r->start, '"', length);
  return quote ? " (in TSV a quote is a character like any other: tabs and line ends inside quotes count)" : "";
}

enum status records_next(struct records *r, const struct record **out, struct error *err) {
  size_t length, next, lines, count = 0;
  *out = NULL;
  r->skip = 0;
  enum status status = next_raw(r, &length, &next, &lines, err);
  if (!status && next == 0)
    return r->any ? STATUS_OK
                  : fault(err, r, 0, r->format == RECORD_JSONL ? "the file is empty" : "no record follows the header");
  if (status)
    return status;
  r->record.line = r->line;
  r->skip = next;
  r->skip_lines = lines + (next == length);
  status = r->format == RECORD_JSONL ? read_json(r, length, err) : split(r, length, &count, err);
  if (!status && count != r->column_count)
    status = fault(err, r, 0, "%zu field%s, but the %s %zu%s", count, count == 1 ? "" : "s",
                   r->headerless ? "first line, which is no header, has" : "header has", r->column_count,
                   quoting_note(r, length));
  if (status)
    return status;
  r->record.count = count;
  r->record.values = r->values;
  r->any = true;
  consume(r, next, r->skip_lines);
  *out = &r->record;
  return STATUS_OK;
}

bool records_skip(struct records *r) {
  if (!r->skip)
    return false;
  consume(r, r->skip, r->skip_lines);
  r->any = true;
  r->skip = 0;
  return true;
}

static struct records *records_new(struct error *err) {
  struct records *r = calloc(1, sizeof *r);
  if (!r) {
    error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to read a data file");
    return NULL;
  }
  r->fd = -1;
  r->line = 1;
  arena_init(&r->arena, 2 * (size_t)NAMES_MAX);
  str_init(&r->text, RECORD_BYTES_MAX + RECORD_COLUMNS_MAX);
  return r;
}

static void find_delimiter(struct records *r) {
  size_t named = format_names_delimiter(&r->delimiter, r->window + r->start, r->end - r->start);
  consume(r, named, named > 0);
  if (named == 0)
    r->delimiter = r->format == RECORD_TSV ? '\t' : format_delimiter(r->window + r->start, r->end - r->start);
}

/* The part of opening that files and memory share. */
static enum status begin(struct records **out, struct records *r, bool known, struct error *err) {
  enum status status = STATUS_OK;
  while (!status && r->fd >= 0 && r->end < CHUNK_BYTES)
    status = fill(r, err);
  if (!status && r->end >= 3 && memcmp(r->window, "\xEF\xBB\xBF", 3) == 0)
    consume(r, 3, 0);
  const char *says = status ? NULL : format_refused(r->window, r->end);
  if (says)
    status = fault(err, r, 0, "%s", says);
  if (!status && !known)
    status = sniff(r, err);
  if (!status && r->format != RECORD_JSONL)
    find_delimiter(r);
  if (!status && r->format != RECORD_JSONL)
    status = read_header(r, err);
  if (status)
    records_close(r);
  else
    *out = r;
  return status;
}

/* One that is packed is read through what unpacks it. `name`: of the file in it, where that has one. */
static enum status open_packed(struct records *r, char name[UNPACK_NAME_MAX], struct error *err) {
  ssize_t n = pread(r->fd, r->owned, CHUNK_BYTES, 0);
  switch (format_packing(r->owned, n > 0 ? (size_t)n : 0)) {
  case FORMAT_PLAIN: return STATUS_OK;
  case FORMAT_GZIP: return unpack_open(&r->unpack, name, r->fd, UNPACK_GZIP, err);
  case FORMAT_ZIP: return unpack_open(&r->unpack, name, r->fd, UNPACK_ZIP, err);
  }
  CHECK(!"a packing");
}

enum status records_open(struct records **out, const char *path, const char *filename, struct error *err) {
  struct stat info;
  *out = NULL;
  struct records *r = records_new(err);
  if (!r)
    return STATUS_OUT_OF_MEMORY;
  r->window = r->owned = malloc(WINDOW_BYTES);
  r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  enum status status = STATUS_OK;
  if (!r->owned)
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to read a data file");
  else if (r->fd < 0)
    status = error_set_errno(err, STATUS_IO, NULL, "cannot open %s", path);
  else if (fstat(r->fd, &info) != 0 || !S_ISREG(info.st_mode))
    status = error_set(err, STATUS_IO, NULL, "%s is not a regular file", path);
  char name[UNPACK_NAME_MAX] = "";
  if (!status)
    status = open_packed(r, name, err);
  if (status) {
    records_close(r);
    return status;
  }
  if (!name[0])
    snprintf(name, sizeof name, "%s", filename ? filename : "");
  char *end = strrchr(name, '.');
  if (r->unpack && end && strcasecmp(end, ".gz") == 0)
    *end = '\0';
  return begin(out, r, format_of_name(&r->format, name), err);
}

enum status records_open_memory(struct records **out, const char *bytes, size_t length, enum record_format format,
                                struct error *err) {
  *out = NULL;
  struct records *r = records_new(err);
  if (!r)
    return STATUS_OUT_OF_MEMORY;
  r->window = bytes;
  r->end = length;
  r->format = format;
  return begin(out, r, true, err);
}

enum status records_cut(struct records **out, struct records *from, size_t bytes, struct error *err) {
  *out = NULL;
  struct records *r = records_new(err);
  if (!r)
    return STATUS_OUT_OF_MEMORY;
  CHECK(from->any);
  r->any = true;
  r->format = from->format;
  r->delimiter = from->delimiter;
  r->mapping = from->mapping;
  r->line = from->line;
  r->columns = from->columns;
  r->column_count = from->column_count;
  enum status status = STATUS_OK;
  for (size_t size = 0; r->end < bytes;) {
    size_t length = 0, next = 0, lines = 0;
    status = find_end(from, &length, &next, &lines, err);
    if (status || next == 0)
      break;
    char *grown = grow(r->owned, &size, r->end + next, 1);
    if (!grown) {
      status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory to read a data file");
      break;
    }
    r->window = r->owned = grown;
    memcpy(r->owned + r->end, from->window + from->start, next);
    r->end += next;
    consume(from, next, lines + (next == length));
  }
  if (r->end > 0) { /* what went wrong behind it goes wrong again */
    *out = r;
    return STATUS_OK;
  }
  records_close(r);
  return status;
}

void records_close(struct records *r) {
  if (!r)
    return;
  unpack_close(r->unpack);
  if (r->fd >= 0)
    close(r->fd);
  free(r->owned);
  json_decref(r->object);
  arena_done(&r->arena);
  str_done(&r->text);
  free(r);
}
