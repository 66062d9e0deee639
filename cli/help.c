/* Help from tables. */
#include "cli/help.h"

#include <string.h>

const struct help_exit help_exits[] = {
    {EXIT_DONE, "done"},
    {EXIT_UNSUCCESSFUL, "a job or an export did not succeed, a file is not valid, or doctor found a fault"},
    {EXIT_USAGE, "wrong usage"},
    {EXIT_REFUSED, "the server refused the request"},
    {EXIT_UNREACHABLE, "the server cannot be reached or failed"},
    {EXIT_LOCAL, "a local file cannot be read or written, or a download is damaged"},
    {130, "a watch was interrupted; the job goes on"},
};
const size_t help_exit_count = COUNT_OF(help_exits);

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

void help_name(struct str *out, const struct noun *noun, const struct command *command) {
  str_puts(out, noun->name);
  if (noun->count > 1 || !noun->verb_optional)
    str_printf(out, " %s", command->verb);
}

static void command_line(struct str *out, const struct noun *noun, const struct command *command) {
  size_t begin = out->length;
  str_puts(out, "  ");
  help_name(out, noun, command);
  str_printf(out, "%s%s", *command->operands ? " " : "", command->operands);
  do
    str_putc(out, ' ');
  while (!out->failed && out->length < begin + 30);
  str_printf(out, "%s\n", command->doc);
}

void help_program(struct str *out, const struct noun *const *nouns, size_t noun_count,
                  const struct option_table *global) {
  str_puts(out, "usage: reflect [OPTION...] COMMAND [ARGUMENT...]\n"
                "Talks to a reflectd server: uploads data, trains adapters, fetches them.\n");
  for (size_t n = 0; n < noun_count; n++) {
    str_printf(out, "\n%s\n", nouns[n]->doc);
    for (size_t c = 0; c < nouns[n]->count; c++)
      command_line(out, nouns[n], &nouns[n]->commands[c]);
  }
  str_puts(out, "\nOptions of every command\n");
  options_text(out, global);
  str_puts(out, "\n`reflect COMMAND --help` lists a command's own options, `man reflect` all.\n\nExit status\n");
  for (size_t i = 0; i < help_exit_count; i++)
    str_printf(out, "  %-28d%s\n", help_exits[i].code, help_exits[i].doc);
}

void help_noun(struct str *out, const struct noun *noun) {
  if (noun->count == 1 && noun->verb_optional) {
    help_command(out, noun, &noun->commands[0]);
    return;
  }
  str_printf(out, "usage: reflect %s VERB [ARGUMENT...]\n\n%s\n", noun->name, noun->doc);
  for (size_t c = 0; c < noun->count; c++)
    command_line(out, noun, &noun->commands[c]);
}

void help_command(struct str *out, const struct noun *noun, const struct command *command) {
  str_puts(out, "usage: reflect ");
  help_name(out, noun, command);
  str_printf(out, "%s%s%s\n%s.\n", *command->operands ? " " : "", command->operands,
             command->options ? " [OPTION...]" : "", command->doc);
  if (command->options) {
    str_puts(out, "\nOptions\n");
    options_text(out, command->options);
  }
}
