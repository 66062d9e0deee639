/* Pages of the manual, in the man(7) language: the programs write their own from the tables that they read their
   options by. Everything appends; text is escaped here. */
#ifndef BASE_MAN_H
#define BASE_MAN_H

#include "base/str.h"

/* The title line and NAME. `title` is the name in capitals. */
void man_begin(struct str *out, const char *title, const char *name, int section, const char *what);
/* .SH and .SS. */
void man_section(struct str *out, const char *title);
void man_subsection(struct str *out, const char *title);
/* A paragraph; one more of a section begins with man_paragraph. */
void man_text(struct str *out, const char *text);
void man_paragraph(struct str *out);
/* `name` in bold, as it is typed, then `argument` in italics; "": none. */
void man_term(struct str *out, const char *name, const char *argument);
/* A term of a list; its text follows. */
void man_item(struct str *out, const char *name, const char *argument);
/* What follows is indented below the item, until man_outdent. */
void man_indent(struct str *out);
void man_outdent(struct str *out);

#endif
