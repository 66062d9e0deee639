/* What a command is: a row with its options, its operands and the function that runs it. main.c
   dispatches and the help text is written by these rows alone. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "cli/http.h"
#include "cli/options.h"
#include "cli/profile.h"

/* The exit statuses of the program. */
enum exit_code {
  EXIT_DONE = 0,
  EXIT_UNSUCCESSFUL = 1,  /* a job or an export failed or was cancelled; a file is not valid */
  EXIT_USAGE = 2,
  EXIT_REFUSED = 3,       /* the server refused the request (4xx) */
  EXIT_UNREACHABLE = 4,   /* no answer, or the server failed (5xx) */
  EXIT_LOCAL = 5,         /* a local file could not be read or written, or a download is damaged */
};

/* What every command works with. */
struct cli {
  struct http http;
  bool json;      /* print the server's JSON */
  bool terminal;  /* standard error is one: draw progress there */
  const struct connection *flags; /* what the command line says of the server */
};

struct command {
  const char *verb;
  const char *operands;             /* "FILE", "ID"; "" */
  size_t operand_count;
  const char *doc;
  const struct option_table *options; /* NULL: none of its own */
  size_t values_bytes;              /* of the struct that the options fill; 0: none */
  enum exit_code (*run)(struct cli *cli, const char *const *operands, const void *values, json_t *document);
};

/* A noun's commands; the first is the one meant when no verb is given, if `verb_optional`. */
struct noun {
  const char *name;
  const char *doc;
  const struct command *commands;
  size_t count;
  bool verb_optional;
  bool is_local; /* needs no server: `cli->http` is not open */
};

extern const struct noun files_noun, jobs_noun, sweeps_noun, queue_noun, keys_noun, models_noun, webhooks_noun,
    bench_noun, verify_noun, doctor_noun, profiles_noun, init_noun, chat_noun, embed_noun, classify_noun,
    images_noun;

/* Prints the error (the server's details included) to standard error; the exit code that fits it. */
enum exit_code cli_fail(const struct cli *cli, const struct error *err);
/* Prints "what foreign" to standard error, or text that others wrote to standard output, as a line. */
void cli_note(const char *what, const char *foreign);
void cli_print_text(const char *foreign);
/* Prints a value as JSON, indented, with a newline. */
enum exit_code cli_print_json(const json_t *value);

/* A list endpoint: GET path?limit=&after=, whose path may have a query already, then the answer as JSON or as a
   table. */
struct text_column;
struct page_options {
  int64_t limit;      /* 0: the server's default */
  const char *after;  /* NULL: from the newest */
};
extern const struct option_table page_option_table;
enum exit_code cli_list(struct cli *cli, const char *path, const struct page_options *page,
                        const struct text_column *columns, size_t column_count);
/* A request whose answer is one object: JSON, or its members as lines "name: value". */
enum exit_code cli_show(struct cli *cli, const char *method, const char *path);
/* The same with a body. */
enum exit_code cli_send(struct cli *cli, const char *method, const char *path, const json_t *body);
/* "/prefix/{id}suffix" with the id percent-encoded, into out (cleared first). */
const char *cli_path(struct str *out, const char *prefix, const char *id, const char *suffix);

#endif
