/* reflect: the command line client of reflectd. Finds the command's row, reads its options, runs it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/manual.h"
#include "cli/text.h"

static const char default_url[] = "http://127.0.0.1:8080";
enum { SETTINGS_BYTES = 4 << 20 };

struct global_options {
  struct connection flags;
  const char *profile;
  bool json, help, version, man;
};

static const struct option_row global_rows[] = {
    {"url", OPTION_TEXT, offsetof(struct global_options, flags.url), NULL, "URL",
     "the server; else $REFLECT_URL, the profile's, http://127.0.0.1:8080"},
    {"key", OPTION_TEXT, offsetof(struct global_options, flags.key), NULL, "KEY",
     "its API key; better in $REFLECT_API_KEY, which other users cannot see"},
    {"key-file", OPTION_TEXT, offsetof(struct global_options, flags.key_file), NULL, "FILE", "or a file with the key"},
    {"profile", OPTION_TEXT, offsetof(struct global_options, profile), NULL, "NAME",
     "a server of `reflect profiles list`; else $REFLECT_PROFILE, else the one in use"},
    {"tenant", OPTION_TEXT, offsetof(struct global_options, flags.tenant), NULL, "NAME",
     "for operators: whose files, jobs and models; else $REFLECT_TENANT"},
    {"cacert", OPTION_TEXT, offsetof(struct global_options, flags.cacert), NULL, "FILE",
     "PEM file of the authorities whose https servers are trusted; else $CURL_CA_BUNDLE, else the system's"},
    {"json", OPTION_FLAG, offsetof(struct global_options, json), NULL, NULL, "print the server's JSON"},
    {"help", OPTION_FLAG, offsetof(struct global_options, help), NULL, NULL, "print help"},
    {"version", OPTION_FLAG, offsetof(struct global_options, version), NULL, NULL, "print the version"},
    {"man", OPTION_FLAG, offsetof(struct global_options, man), NULL, NULL, "print the manual's page"},
};
static const struct option_table global_table = {global_rows, COUNT_OF(global_rows)};

static const struct noun completion_noun;
static const struct noun *const nouns[] = {&init_noun,   &files_noun,    &jobs_noun,   &sweeps_noun,   &queue_noun,
                                           &models_noun, &keys_noun,     &bench_noun,  &verify_noun,   &webhooks_noun,
                                           &doctor_noun, &profiles_noun, &chat_noun,   &embed_noun,    &classify_noun,
                                           &images_noun, &completion_noun};

static enum exit_code print_completion(enum completion_shell shell) {
  struct str text;
  str_init(&text, 1 << 20);
  completion_script(&text, shell, nouns, COUNT_OF(nouns), &global_table);
  bool whole = !text.failed;
  fputs(text.text, stdout);
  str_done(&text);
  return whole ? EXIT_DONE : EXIT_LOCAL;
}

#define COMPLETION(shell)                                                                                              \
  static enum exit_code print_##shell(struct cli *cli, const char *const *operands, const void *values,                \
                                      json_t *document) {                                                              \
    (void)cli, (void)operands, (void)values, (void)document;                                                           \
    return print_completion(COMPLETION_##shell);                                                                       \
  }
COMPLETION(BASH)
COMPLETION(ZSH)
COMPLETION(FISH)
#undef COMPLETION
static const struct command completion_commands[] = {
    {"bash", "", 0, "Print bash's: put it into ~/.local/share/bash-completion/completions/reflect", NULL, 0,
     print_BASH},
    {"zsh", "", 0, "Print zsh's: put it into a folder of $fpath as _reflect", NULL, 0, print_ZSH},
    {"fish", "", 0, "Print fish's: put it into ~/.config/fish/completions/reflect.fish", NULL, 0, print_FISH},
};
static const struct noun completion_noun = {"completion", "Completion of commands and options by shells",
                                            completion_commands, COUNT_OF(completion_commands), .is_local = true};

/* Says what is wrong, and whose help tells how it goes: the command's, the noun's or the program's. */
static enum exit_code wrong_usage(const struct noun *noun, const struct command *command, const char *text,
                                  const char *about) {
  AUTO(str_done) struct str said;
  str_init(&said, 1 << 16);
  text_clean(&said, text);
  text_clean(&said, about);
  str_puts(&said, "\ntry: reflect ");
  if (command)
    help_name(&said, noun, command);
  else if (noun)
    str_puts(&said, noun->name);
  fprintf(stderr, "reflect: %s%s--help\n", said.text, noun ? " " : "");
  return EXIT_USAGE;
}

static enum exit_code print_help(const struct noun *noun, const struct command *command) {
  struct str text;
  str_init(&text, 1 << 16);
  if (command)
    help_command(&text, noun, command);
  else if (noun)
    help_noun(&text, noun);
  else
    help_program(&text, nouns, COUNT_OF(nouns), &global_table);
  fputs(text.text, stdout);
  str_done(&text);
  return EXIT_DONE;
}

static enum exit_code print_manual(void) {
  AUTO(str_done) struct str text;
  str_init(&text, 1 << 20);
  manual_program(&text, nouns, COUNT_OF(nouns), &global_table);
  fputs(text.text, stdout);
  return text.failed ? EXIT_LOCAL : EXIT_DONE;
}

static const struct noun *find_noun(const char *name) {
  for (size_t i = 0; i < COUNT_OF(nouns); i++)
    if (strcmp(nouns[i]->name, name) == 0)
      return nouns[i];
  return NULL;
}

static const struct command *find_command(const struct noun *noun, const char *verb) {
  for (size_t i = 0; i < noun->count; i++)
    if (strcmp(noun->commands[i].verb, verb) == 0)
      return &noun->commands[i];
  return NULL;
}

static const char *environment(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

/* The server that is meant; *used is the profile that says so, or NULL. */
static enum status find_server(struct connection *out, const struct global_options *global, struct arena *arena,
                               struct error *err) {
  const struct connection from_environment = {.url = environment("REFLECT_URL"),
                                              .key = environment("REFLECT_API_KEY"),
                                              .tenant = environment("REFLECT_TENANT"),
                                              .cacert = environment("CURL_CA_BUNDLE")};
  const struct profile *used;
  struct profiles profiles;
  if (global->flags.key && global->flags.key_file)
    return error_set(err, STATUS_INVALID_VALUE, "key-file", "--key and --key-file are both given");
  enum status status = profiles_read(&profiles, arena, err);
  if (!status)
    status = connection_resolve(out, &used, &global->flags, global->profile, &from_environment,
                                environment("REFLECT_PROFILE"), &profiles, err);
  if (!status)
    status = connection_read_key(out, arena, err);
  if (!out->url)
    out->url = default_url;
  return status;
}

/* Connects and runs. */
static enum exit_code run(const struct noun *noun, const struct command *command, const struct global_options *global,
                          const struct operands *operands, const void *values, json_t *document) {
  AUTO(arena_done) struct arena arena;
  struct cli cli = {
      .json = global->json, .terminal = isatty(STDERR_FILENO) && isatty(STDOUT_FILENO), .flags = &global->flags};
  struct connection server = {0};
  struct error err;
  enum exit_code code;
  arena_init(&arena, SETTINGS_BYTES);
  if (noun->is_local)
    return command->run(&cli, operands->item, values, document);
  if (find_server(&server, global, &arena, &err) == STATUS_OK &&
      http_open(&cli.http, server.url, server.key, &err) == STATUS_OK) {
    cli.http.authorities = server.cacert;
    cli.http.tenant = server.tenant;
    code = command->run(&cli, operands->item, values, document);
  } else {
    code = cli_fail(&cli, &err);
  }
  if (cli.http.curl)
    http_close(&cli.http);
  return code;
}

/* The arguments after the verb. */
static enum exit_code read_and_run(const struct noun *noun, const struct command *command,
                                   struct global_options *global, const char *const *argv, size_t argc) {
  void *values = calloc(1, command->values_bytes + 1);
  json_t *document = json_object();
  struct operands operands;
  struct error err;
  size_t used = 0;
  enum exit_code code;
  CHECK(values && document);
  const struct option_target targets[] = {{&global_table, global, NULL}, {command->options, values, document}};
  if (options_parse(&operands, &used, argv, argc, targets, command->options ? 2 : 1, false, &err) != STATUS_OK)
    code = wrong_usage(noun, command, err.text, "");
  else if (global->help)
    code = print_help(noun, command);
  else if (operands.count < command->operand_count)
    code = wrong_usage(noun, command, "missing: ", command->operands);
  else if (operands.count > command->operand_count)
    code = wrong_usage(noun, command, "too many arguments: ", operands.item[command->operand_count]);
  else
    code = run(noun, command, global, &operands, values, document);
  json_decref(document);
  free(values);
  return code;
}

static enum exit_code dispatch(const char *const *argv, size_t argc) {
  struct global_options global = {0};
  const struct option_target target = {&global_table, &global, NULL};
  struct operands none;
  struct error err;
  size_t used = 0;
  if (options_parse(&none, &used, argv, argc, &target, 1, true, &err) != STATUS_OK)
    return wrong_usage(NULL, NULL, err.text, "");
  argv += used;
  argc -= used;
  if (global.man)
    return print_manual();
  if (global.version) {
    puts("reflect " REFLECTD_VERSION);
    return EXIT_DONE;
  }
  if (argc == 0)
    return global.help ? print_help(NULL, NULL) : wrong_usage(NULL, NULL, "what shall be done?", "");
  const struct noun *noun = find_noun(argv[0]);
  if (!noun)
    return wrong_usage(NULL, NULL, "no such command: ", argv[0]);
  if (argc > 1 && argv[1][0] != '-') {
    const struct command *command = find_command(noun, argv[1]);
    if (!command && noun->verb_optional && noun->commands[0].operand_count > 0)
      return read_and_run(noun, &noun->commands[0], &global, argv + 1, argc - 1);
    return command ? read_and_run(noun, command, &global, argv + 2, argc - 2)
                   : wrong_usage(noun, NULL, "no such verb: ", argv[1]);
  }
  if (argc > 1 && strcmp(argv[1], "--help") == 0)
    return print_help(noun, NULL);
  return noun->verb_optional ? read_and_run(noun, &noun->commands[0], &global, argv + 1, argc - 1)
                             : wrong_usage(noun, NULL, "a verb is missing after: ", argv[0]);
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  enum exit_code code = dispatch((const char *const *)argv + 1, argc > 0 ? (size_t)argc - 1 : 0);
  if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE) {
    perror("reflect: standard output");
    code = EXIT_LOCAL;
  }
  return (int)code;
}
