#include "cli/manual.h"

#include <stdio.h>

#include "base/man.h"
#include "cli/help.h"

static void options(struct str *out, const struct option_table *table) {
  for (size_t i = 0; i < table->count; i++) {
    const struct option_row *row = &table->rows[i];
    char name[80];
    snprintf(name, sizeof name, "--%s", row->name);
    man_item(out, name, row->placeholder ? row->placeholder : "");
    man_text(out, row->doc);
  }
}

/* Options that another command has had already are not told again. */
static const struct command *had_before(const struct noun *const *nouns, size_t noun_count,
                                        const struct command *command, const struct noun **noun) {
  for (size_t n = 0; n < noun_count; n++)
    for (size_t c = 0; c < nouns[n]->count; c++) {
      const struct command *other = &nouns[n]->commands[c];
      if (other->options == command->options) {
        *noun = nouns[n];
        return other == command ? NULL : other;
      }
    }
  return NULL;
}

static void command_entry(struct str *out, const struct noun *const *nouns, size_t noun_count, const struct noun *noun,
                          const struct command *command) {
  AUTO(str_done) struct str name, text;
  str_init(&name, 1 << 10);
  str_init(&text, 1 << 10);
  help_name(&name, noun, command);
  man_item(out, name.text, command->operands);
  man_text(out, command->doc);
  str_puts(out, ".br\n");
  const struct noun *first_noun = noun;
  const struct command *first = command->options ? had_before(nouns, noun_count, command, &first_noun) : NULL;
  if (first) {
    str_puts(&text, "Its options are those of ");
    help_name(&text, first_noun, first);
    str_puts(&text, ".");
    man_text(out, text.text);
  } else if (command->options) {
    man_indent(out);
    options(out, command->options);
    man_outdent(out);
  }
}

static void environment(struct str *out) {
  static const char *const rows[][2] = {
      {"REFLECT_URL", "The server, where --url does not say it."},
      {"REFLECT_API_KEY", "Its API key."},
      {"REFLECT_PROFILE", "The profile that is used."},
      {"REFLECT_TENANT", "For operators: whose files, jobs and models."},
      {"REFLECTD_DATA", "For reflect doctor: the data folder of a daemon on this machine."},
      {"CURL_CA_BUNDLE", "PEM file of the authorities whose https servers are trusted."},
      {"XDG_CONFIG_HOME", "Where reflect/config.json is, if not in ~/.config."},
  };
  man_section(out, "ENVIRONMENT");
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    man_item(out, rows[i][0], "");
    man_text(out, rows[i][1]);
  }
}

void manual_program(struct str *out, const struct noun *const *nouns, size_t noun_count,
                    const struct option_table *global) {
  man_begin(out, "REFLECT", "reflect", 1, "the command line of the fine-tuning service reflectd");
  man_section(out, "SYNOPSIS");
  man_term(out, "reflect", "[OPTION...] COMMAND [ARGUMENT...]");
  man_section(out, "DESCRIPTION");
  man_text(out,
           "reflect talks to a reflectd server: it uploads data, trains adapters, follows and fetches them. What is "
           "said on the command line goes before the environment, that before a profile, that before the defaults; "
           "a profile's key is sent to its own server alone.");
  man_section(out, "OPTIONS");
  man_text(out, "Every command has these.");
  options(out, global);
  man_section(out, "COMMANDS");
  for (size_t n = 0; n < noun_count; n++) {
    man_subsection(out, nouns[n]->doc);
    for (size_t c = 0; c < nouns[n]->count; c++)
      command_entry(out, nouns, noun_count, nouns[n], &nouns[n]->commands[c]);
  }
  man_section(out, "EXIT STATUS");
  for (size_t i = 0; i < help_exit_count; i++) {
    char code[16];
    snprintf(code, sizeof code, "%d", help_exits[i].code);
    man_item(out, code, "");
    man_text(out, help_exits[i].doc);
  }
  environment(out);
  man_section(out, "FILES");
  man_item(out, "~/.config/reflect/config.json", "");
  man_text(out, "Named servers, as reflect profiles keeps them. It is its owner's alone where it has a key.");
  man_section(out, "SEE ALSO");
  str_puts(out, ".BR reflectd (8)\n");
}
