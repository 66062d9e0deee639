/* reflect embed, reflect classify: texts, from an option or a line each from a pipe, and what a model makes of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/text.h"

enum { AT_ONCE = 256 };

struct ask_options {
  const char *text, *pair;
};

static const struct option_row embed_rows[] = {
    {"text", OPTION_TEXT, offsetof(struct ask_options, text), NULL, "TEXT", "the text; else a line each from a pipe"},
};
static const struct option_row classify_rows[] = {
    {"text", OPTION_TEXT, offsetof(struct ask_options, text), NULL, "TEXT",
     "the text; else a line each from a pipe, a pair of texts with a tab between them"},
    {"pair", OPTION_TEXT, offsetof(struct ask_options, pair), NULL, "TEXT", "the second text of a pair"},
};
static const struct option_table embed_table = {embed_rows, COUNT_OF(embed_rows)};
static const struct option_table classify_table = {classify_rows, COUNT_OF(classify_rows)};

/* What one answer becomes for a person. */
typedef void show_item(struct str *out, const json_t *item);

static void show_vector(struct str *out, const json_t *item) {
  text_json(out, json_object_get(item, "embedding"), 0);
  str_putc(out, '\n');
}

static void show_label(struct str *out, const json_t *item) {
  str_printf(out, "%.4f ", json_number_value(json_object_get(item, "score")));
  text_cell(out, json_object_get(item, "label"));
  str_putc(out, '\n');
}

static enum exit_code ask(struct cli *cli, const char *path, const char *model, json_t *input, show_item *show) {
  AUTO(json_release) json_t *body = json_pack("{s:s, s:O}", "model", model, "input", input);
  AUTO(json_release) json_t *answer = NULL;
  AUTO(str_done) struct str out;
  const json_t *item;
  struct error err;
  size_t i;
  str_init(&out, 256 << 20);
  enum status status = body ? STATUS_OK : error_set(&err, STATUS_INVALID_VALUE, "model", "the model is not UTF-8");
  status = status ? status : http_json(&cli->http, &answer, "POST", path, body, &err);
  if (status)
    return cli_fail(cli, &err);
  if (cli->json)
    return cli_print_json(answer);
  json_array_foreach(json_object_get(answer, "data"), i, item) show(&out, item);
  fputs(out.text, stdout);
  return out.failed ? EXIT_LOCAL : EXIT_DONE;
}

/* A line of a pipe: a text, or a pair. */
static json_t *line_json(char *line, bool pairs) {
  line[strcspn(line, "\n")] = '\0';
  char *tab = pairs ? strchr(line, '\t') : NULL;
  if (!tab)
    return json_string(line);
  *tab = '\0';
  return json_pack("[s, s]", line, tab + 1);
}

static enum exit_code ask_lines(struct cli *cli, const char *path, const char *model, bool pairs, show_item *show) {
  char *line = NULL;
  size_t size = 0, number = 0;
  enum exit_code code = EXIT_DONE;
  bool more = true;
  while (more && code == EXIT_DONE) {
    AUTO(json_release) json_t *input = json_array();
    while (json_array_size(input) < AT_ONCE && (more = getline(&line, &size, stdin) >= 0)) {
      struct error err;
      number++;
      if (json_array_append_new(input, line_json(line, pairs)) == 0)
        continue;
      error_set(&err, STATUS_INVALID_VALUE, NULL, "line %zu of the input is not UTF-8", number);
      free(line);
      return cli_fail(cli, &err);
    }
    if (json_array_size(input) > 0)
      code = ask(cli, path, model, input, show);
  }
  free(line);
  return code;
}

static enum exit_code run(struct cli *cli, const char *path, const char *model, const struct ask_options *options,
                          show_item *show) {
  struct error err;
  cli->http.patient = true;
  if (options->text) {
    AUTO(json_release) json_t *input = options->pair ? json_pack("[[s, s]]", options->text, options->pair)
                                                     : json_pack("[s]", options->text);
    if (input)
      return ask(cli, path, model, input, show);
    error_set(&err, STATUS_INVALID_VALUE, "text", "the text is not UTF-8");
    return cli_fail(cli, &err);
  }
  if (!options->pair && !isatty(STDIN_FILENO))
    return ask_lines(cli, path, model, show == show_label, show);
  error_set(&err, STATUS_MISSING_PARAMETER, "text", "there is no text: give --text, or lines from a pipe");
  return cli_fail(cli, &err);
}

static enum exit_code embed(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)document;
  return run(cli, "/v1/embeddings", operands[0], values, show_vector);
}

static enum exit_code classify(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)document;
  return run(cli, "/v1/classify", operands[0], values, show_label);
}

static const struct command embed_commands[] = {
    {
        .verb = "with",
        .operands = "MODEL",
        .operand_count = 1,
        .doc = "Make a vector of each text",
        .options = &embed_table,
        .values_bytes = sizeof(struct ask_options),
        .run = embed,
    },
};
static const struct command classify_commands[] = {
    {
        .verb = "with",
        .operands = "MODEL",
        .operand_count = 1,
        .doc = "Print the likeliest label of each text, with its score",
        .options = &classify_table,
        .values_bytes = sizeof(struct ask_options),
        .run = classify,
    },
};

const struct noun embed_noun = {"embed", "Vectors of texts", embed_commands, COUNT_OF(embed_commands),
                                .verb_optional = true};
const struct noun classify_noun = {"classify", "Labels of texts", classify_commands, COUNT_OF(classify_commands),
                                   .verb_optional = true};
