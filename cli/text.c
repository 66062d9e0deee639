/* Formatting for people. */
#include "cli/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"

enum { CELL_BYTES_MAX = 1 << 16 };

/* Code points that drive a terminal, or change unseen how the text around them is read: C0, DEL, C1, marks and
   overrides of direction, separators of lines, and what has no width (joiners of letters and emoji excepted). */
static bool is_hidden(unsigned code) {
  static const struct {
    unsigned first, last;
  } ranges[] = {{0, 0x1f},         {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},   {0x180e, 0x180e},
                {0x200b, 0x200b},  {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff},
                {0xfff9, 0xfffb},  {0xe0000, 0xe007f}};
  for (size_t i = 0; i < COUNT_OF(ranges); i++)
    if (code >= ranges[i].first && code <= ranges[i].last)
      return true;
  return false;
}

/* The code point that begins well-formed UTF-8; *length is its bytes. */
static unsigned decode(const char *text, size_t *length) {
  unsigned char lead = (unsigned char)*text;
  *length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  unsigned code = *length == 1 ? lead : lead & (0x7fu >> *length);
  for (size_t i = 1; i < *length; i++)
    code = code << 6 | ((unsigned char)text[i] & 0x3f);
  return code;
}

/* As in JSON: beyond 16 bits a pair of surrogates. */
static void escape(struct str *out, unsigned code) {
  if (code > 0xffff)
    str_printf(out, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + (code & 0x3ff));
  else
    str_printf(out, "\\u%04x", code);
}

/* Well-formed UTF-8 with what is hidden escaped; newlines stay with `lines`. */
static void clean_utf8(struct str *out, const char *text, size_t length, bool lines) {
  size_t bytes;
  for (size_t i = 0; i < length; i += bytes) {
    unsigned code = decode(text + i, &bytes);
    if (!is_hidden(code) || (lines && code == '\n'))
      str_add(out, text + i, bytes);
    else if (code == '\n' || code == '\r' || code == '\t')
      str_puts(out, code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t");
    else
      escape(out, code);
  }
}

void text_clean(struct str *out, const char *text) {
  size_t length = strlen(text), good = 0;
  while (!utf8_valid(text, length, &good)) {
    clean_utf8(out, text, good, false);
    str_printf(out, "\\x%02x", (unsigned char)text[good]);
    text += good + 1;
    length -= good + 1;
  }
  clean_utf8(out, text, length, false);
}

void text_json(struct str *out, const json_t *value, size_t indent) {
  struct str plain;
  const size_t flags = JSON_INDENT(indent) | JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY;
  char *indented = indent > 0 ? json_dumps(value, flags) : NULL;
  str_init(&plain, out->max);
  /* Beside strings JSON is plain ASCII, and within them C0 is escaped already: what is escaped here stands in them. */
  if (indented ? str_puts(&plain, indented) : json_append(&plain, value))
    clean_utf8(out, plain.text, plain.length, true);
  else
    out->failed = true;
  str_done(&plain);
  free(indented);
}

void text_bytes(struct str *out, uint64_t bytes) {
  static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) {
    str_printf(out, "%u B", (unsigned)bytes);
    return;
  }
  double value = (double)bytes / 1000;
  size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < COUNT_OF(units); unit++)
    value /= 1000;
  str_printf(out, "%.1f %s", value, units[unit]);
}

void text_duration(struct str *out, double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) {
    str_puts(out, "-");
    return;
  }
  long total = lround(seconds);
  long hours = total / 3600, minutes = total / 60 % 60, rest = total % 60;
  if (hours > 0)
    str_printf(out, "%ld:%02ld:%02ld", hours, minutes, rest);
  else
    str_printf(out, "%ld:%02ld", minutes, rest);
}

void text_time(struct str *out, int64_t unix_seconds) {
  char text[32];
  struct tm local;
  time_t when = (time_t)unix_seconds;
  if (unix_seconds <= 0 || !localtime_r(&when, &local) || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local) == 0)
    str_puts(out, "-");
  else
    str_puts(out, text);
}

void text_count(struct str *out, uint64_t count) {
  if (count >= 1000) {
    text_count(out, count / 1000);
    str_printf(out, ",%03u", (unsigned)(count % 1000));
  } else {
    str_printf(out, "%u", (unsigned)count);
  }
}

/* Columns a UTF-8 text takes: its code points. */
static size_t text_width(const char *text) {
  size_t width = 0;
  for (; *text; text++)
    width += ((unsigned char)*text & 0xc0) != 0x80;
  return width;
}

static void table_cell(struct str *out, const char *text, size_t width, bool last) {
  str_puts(out, text);
  for (size_t have = text_width(text); !last && have < width + 2; have++)
    str_putc(out, ' ');
}

void text_cell(struct str *out, const json_t *value) {
  if (json_is_integer(value))
    str_printf(out, "%lld", (long long)json_integer_value(value));
  else if (json_is_real(value))
    str_printf(out, "%.6g", json_real_value(value));
  else
    text_clean(out, json_is_string(value) ? json_string_value(value) : "-");
}

void text_cell_time(struct str *out, const json_t *value) {
  text_time(out, json_integer_value(value));
}

static void write_cell(struct str *out, const struct text_column *column, const json_t *item) {
  column->cell(out, column->member ? json_object_get(item, column->member) : item);
}

void text_table(struct str *out, const struct text_column *columns, size_t column_count, const json_t *items) {
  struct str cell;
  size_t width[16] = {0}, index = 0;
  const json_t *item;
  CHECK(column_count <= COUNT_OF(width));
  str_init(&cell, CELL_BYTES_MAX);
  for (size_t c = 0; c < column_count; c++) {
    width[c] = text_width(columns[c].title);
    json_array_foreach(items, index, item) {
      str_clear(&cell);
      write_cell(&cell, &columns[c], item);
      size_t cell_width = text_width(cell.text);
      width[c] = cell_width > width[c] ? cell_width : width[c];
    }
  }
  for (size_t c = 0; c < column_count; c++)
    table_cell(out, columns[c].title, width[c], c + 1 == column_count);
  str_putc(out, '\n');
  json_array_foreach(items, index, item) {
    for (size_t c = 0; c < column_count; c++) {
      str_clear(&cell);
      write_cell(&cell, &columns[c], item);
      table_cell(out, cell.text, width[c], c + 1 == column_count);
    }
    str_putc(out, '\n');
  }
  str_done(&cell);
}

const char *text_member(const json_t *object, const char *key, const char *fallback) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : fallback;
}
