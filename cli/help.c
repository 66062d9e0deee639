/* Help from tables. */
#include "cli/help.h"

#include <string.h>

static void options_text(struct str *out, const struct option_table *table) {
  for (size_t i = 0; i < table->count; i++) {
    const struct option_row *row = &table->rows[i];
    size_t begin = out->length;
    str_printf(out, "  --%s", row->name);
    if (row->placeholder)
      str_printf(out, " %s", row->placeholder);
    do
      str_putc(out, ' ');
    while (!out->failed && out->length < begin + 30);
    str_printf(out, "%s\n", row->doc);
  }
}

static void command_line(struct str *out, const struct noun *noun, const struct command *command) {
  size_t begin = out->length;
  str_printf(out, "  %s %s%s%s", noun->name, command->verb, *command->operands ? " " : "", command->operands);
  do
    str_putc(out, ' ');
  while (!out->failed && out->length < begin + 30);
  str_printf(out, "%s\n", command->doc);
}

void help_program(struct str *out, const struct noun *const *nouns, size_t noun_count,
                  const struct option_table *global) {
  str_puts(out, "usage: reflect [OPTION...] NOUN VERB [ARGUMENT...]\n"
                "Talks to a reflectd server: uploads data, trains adapters, fetches them.\n");
  for (size_t n = 0; n < noun_count; n++) {
    str_printf(out, "\n%s\n", nouns[n]->doc);
    for (size_t c = 0; c < nouns[n]->count; c++)
      command_line(out, nouns[n], &nouns[n]->commands[c]);
  }
  str_puts(out, "\nOptions of every command\n");
  options_text(out, global);
  str_puts(out, "\n`reflect NOUN VERB --help` lists a command's own options.\n"
                "\nExit status: 0 done; 1 a job or an export did not succeed, or a file is not valid; 2 wrong usage;\n"
                "3 the server refused the request; 4 the server cannot be reached or failed;\n"
                "5 a local file cannot be read or written, or a download is damaged;\n"
                "130 a watch was interrupted (the job goes on).\n");
}

void help_noun(struct str *out, const struct noun *noun) {
  str_printf(out, "usage: reflect %s VERB [ARGUMENT...]\n\n%s\n", noun->name, noun->doc);
  for (size_t c = 0; c < noun->count; c++)
    command_line(out, noun, &noun->commands[c]);
}

void help_command(struct str *out, const struct noun *noun, const struct command *command) {
  str_printf(out, "usage: reflect %s %s%s%s%s\n%s.\n", noun->name, command->verb, *command->operands ? " " : "",
             command->operands, command->options ? " [OPTION...]" : "", command->doc);
  if (command->options) {
    str_puts(out, "\nOptions\n");
    options_text(out, command->options);
  }
}
