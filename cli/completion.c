#include "cli/completion.h"

#include <string.h>

static void names(struct str *out, const struct option_table *table) {
  for (size_t i = 0; table && i < table->count; i++)
    str_printf(out, " --%s", table->rows[i].name);
}

/* --- bash, and zsh by its emulation of bash's completion --- */

/* "--url|--key|...": options that the word after belongs to. */
static void valued(struct str *out, const struct option_table *table, bool *first) {
  for (size_t i = 0; table && i < table->count; i++)
    if (table->rows[i].kind != OPTION_FLAG) {
      str_printf(out, "%s--%s", *first ? "" : "|", table->rows[i].name);
      *first = false;
    }
}

static void bash(struct str *out, const struct noun *const *nouns, size_t noun_count,
                 const struct option_table *global) {
  bool first = true;
  str_puts(out, "_reflect() {\n"
                "  local cur=${COMP_WORDS[COMP_CWORD]} noun= verb= words= i\n"
                "  COMPREPLY=()\n"
                "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
                "    case ${COMP_WORDS[i]} in\n"
                "      ");
  valued(out, global, &first);
  for (size_t n = 0; n < noun_count; n++)
    for (size_t c = 0; c < nouns[n]->count; c++)
      valued(out, nouns[n]->commands[c].options, &first);
  str_puts(out, ") i=$((i + 1)) ;;\n"
                "      -*) ;;\n"
                "      *) if [[ -z $noun ]]; then noun=${COMP_WORDS[i]}; else verb=${verb:-${COMP_WORDS[i]}}; fi ;;\n"
                "    esac\n"
                "  done\n"
                "  ((i == COMP_CWORD)) && case \"$noun $verb\" in\n"
                "    ' ') words='");
  for (size_t n = 0; n < noun_count; n++)
    str_printf(out, "%s%s", n ? " " : "", nouns[n]->name);
  names(out, global);
  str_puts(out, "' ;;\n");
  for (size_t n = 0; n < noun_count; n++) {
    str_printf(out, "    '%s ') words='", nouns[n]->name);
    for (size_t c = 0; c < nouns[n]->count; c++)
      str_printf(out, "%s%s", c ? " " : "", nouns[n]->commands[c].verb);
    str_puts(out, " --help' ;;\n");
    for (size_t c = 0; c < nouns[n]->count; c++) {
      str_printf(out, "    '%s %s') words='", nouns[n]->name, nouns[n]->commands[c].verb);
      names(out, nouns[n]->commands[c].options);
      names(out, global);
      str_puts(out, "' ;;\n");
    }
  }
  str_puts(out,
           "  esac\n"
           "  [[ $cur == -* || -z $verb ]] && COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "  [[ ${#COMPREPLY[@]} -gt 0 || ( $cur == -* ) || -z $noun ]] || COMPREPLY=($(compgen -f -- \"$cur\"))\n"
           "}\n"
           "complete -o filenames -F _reflect reflect\n");
}

/* --- fish --- */

/* 'text' with what a quote must not have in it. */
static void quoted(struct str *out, const char *text) {
  str_putc(out, '\'');
  for (; *text; text++) {
    if (*text == '\'' || *text == '\\')
      str_putc(out, '\\');
    str_putc(out, *text);
  }
  str_putc(out, '\'');
}

static void fish_options(struct str *out, const struct option_table *table, const char *condition) {
  for (size_t i = 0; table && i < table->count; i++) {
    str_printf(out, "complete -c reflect%s -l %s%s -d ", condition, table->rows[i].name,
               table->rows[i].kind == OPTION_FLAG ? "" : " -r");
    quoted(out, table->rows[i].doc);
    str_putc(out, '\n');
  }
}

static void fish(struct str *out, const struct noun *const *nouns, size_t noun_count,
                 const struct option_table *global) {
  fish_options(out, global, "");
  for (size_t n = 0; n < noun_count; n++) {
    const struct noun *noun = nouns[n];
    str_printf(out, "complete -c reflect -f -n __fish_use_subcommand -a %s -d ", noun->name);
    quoted(out, noun->doc);
    str_putc(out, '\n');
    for (size_t c = 0; c < noun->count; c++) {
      char condition[200];
      snprintf(condition, sizeof condition, " -n '__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s'",
               noun->name, noun->commands[c].verb);
      str_printf(out, "complete -c reflect -f -n '__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from",
                 noun->name);
      for (size_t other = 0; other < noun->count; other++)
        str_printf(out, " %s", noun->commands[other].verb);
      str_printf(out, "' -a %s -d ", noun->commands[c].verb);
      quoted(out, noun->commands[c].doc);
      str_putc(out, '\n');
      fish_options(out, noun->commands[c].options, condition);
    }
  }
}

void completion_script(struct str *out, enum completion_shell shell, const struct noun *const *nouns, size_t noun_count,
                       const struct option_table *global) {
  if (shell == COMPLETION_FISH) {
    fish(out, nouns, noun_count, global);
    return;
  }
  if (shell == COMPLETION_ZSH)
    str_puts(out, "#compdef reflect\nautoload -U +X bashcompinit && bashcompinit\n");
  bash(out, nouns, noun_count, global);
}
