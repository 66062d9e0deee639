/* Formatting for people. */
#include "cli/text.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { CELL_BYTES_MAX = 200 };

void text_clean(struct str *out, const char *text) {
  size_t length = strlen(text);
  if (!utf8_valid(text, length, NULL)) {
    for (size_t i = 0; i < length; i++)
      str_putc(out, text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?');
    return;
  }
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    /* C1 controls are the two bytes C2 80..9F in UTF-8. */
    if (byte == 0xc2 && (unsigned char)text[i + 1] < 0xa0) {
      str_putc(out, '?');
      i++;
    } else {
      str_putc(out, byte < 0x20 || byte == 0x7f ? '?' : text[i]);
    }
  }
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
      columns[c].cell(&cell, item);
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
      columns[c].cell(&cell, item);
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
