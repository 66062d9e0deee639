#include "base/man.h"

/* Of the pages: a fixed one, so that the same sources give the same bytes. */
static const char DATE[] = "2026-11-29";

/* A backslash begins an escape, a dash alone would be a hyphen, and a dot or a quote begins a request at the start of a
   line, which \& hides. */
static void escaped(struct str *out, const char *text) {
  for (; *text; text++)
    if (*text == '\\')
      str_puts(out, "\\e");
    else if (*text == '-')
      str_puts(out, "\\-");
    else if (*text == '"')
      str_puts(out, "\\(dq");
    else if (*text == '\'')
      str_puts(out, "\\(aq");
    else if (*text == '`')
      str_puts(out, "\\(ga");
    else if (*text == '~')
      str_puts(out, "\\(ti");
    else if (*text == '^')
      str_puts(out, "\\(ha");
    else
      str_putc(out, *text == '\n' ? ' ' : *text);
}

void man_begin(struct str *out, const char *title, const char *name, int section, const char *what) {
  str_printf(out, ".TH %s %d %s \"reflectd " REFLECTD_VERSION "\"\n.SH NAME\n", title, section, DATE);
  escaped(out, name);
  str_puts(out, " \\- ");
  escaped(out, what);
  str_putc(out, '\n');
}

static void heading(struct str *out, const char *macro, const char *title) {
  str_printf(out, "%s ", macro);
  escaped(out, title);
  str_putc(out, '\n');
}

void man_section(struct str *out, const char *title) {
  heading(out, ".SH", title);
}

void man_subsection(struct str *out, const char *title) {
  heading(out, ".SS", title);
}

/* In lines of words: a page whose lines have no end is hard to compare. A sentence ends its line, as roff wants it. */
void man_text(struct str *out, const char *text) {
  enum { LINE = 78 };
  size_t column = 0;
  while (*text) {
    AUTO(str_done) struct str word;
    char plain[400];
    size_t length = 0;
    while (*text == ' ' || *text == '\n')
      text++;
    while (text[length] && text[length] != ' ' && text[length] != '\n' && length + 1 < sizeof plain) {
      plain[length] = text[length];
      length++;
    }
    if (length == 0)
      break;
    plain[length] = '\0';
    text += length;
    str_init(&word, 4000);
    escaped(&word, plain);
    if (column > 0 && column + 1 + word.length > LINE) {
      str_putc(out, '\n');
      column = 0;
    }
    if (column > 0)
      str_putc(out, ' ');
    else if (word.text[0] == '.')
      str_puts(out, "\\&");
    str_puts(out, word.text);
    column += word.length + 1;
    char last = plain[length - 1];
    if (last == '.' || last == '?' || last == '!') {
      str_putc(out, '\n');
      column = 0;
    }
  }
  if (column > 0)
    str_putc(out, '\n');
}

void man_paragraph(struct str *out) {
  str_puts(out, ".PP\n");
}

void man_term(struct str *out, const char *name, const char *argument) {
  str_puts(out, "\\fB");
  escaped(out, name);
  str_puts(out, "\\fR");
  if (*argument) {
    str_puts(out, " \\fI");
    escaped(out, argument);
    str_puts(out, "\\fR");
  }
  str_putc(out, '\n');
}

void man_item(struct str *out, const char *name, const char *argument) {
  str_puts(out, ".TP\n");
  man_term(out, name, argument);
}

void man_indent(struct str *out) {
  str_puts(out, ".RS\n");
}

void man_outdent(struct str *out) {
  str_puts(out, ".RE\n");
}
