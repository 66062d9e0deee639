/* What several commands share: errors, JSON, lists and single objects on the terminal. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/text.h"

enum { OUTPUT_BYTES_MAX = 64 << 20 };

static enum exit_code exit_of(const struct cli *cli, const struct error *err) {
  switch (cli->http.outcome) {
    case HTTP_REFUSED:
      return EXIT_REFUSED;
    case HTTP_BROKEN:
    case HTTP_NO_STREAM:
      return EXIT_UNREACHABLE;
    case HTTP_FINE:
      break;
  }
  if (err->status == STATUS_ARTIFACT_NOT_FOUND)
    return EXIT_UNSUCCESSFUL;
  return status_http(err->status) < 500 ? EXIT_USAGE : EXIT_LOCAL;
}

/* The rows of error.details: {line, column, param, message}, each member optional. The first says what the
   error itself says: a single one is left out. */
static void details_text(struct str *out, const json_t *details) {
  size_t index;
  const json_t *detail;
  if (json_array_size(details) < 2)
    return;
  json_array_foreach(details, index, detail) {
    const json_t *line = json_object_get(detail, "line"), *column = json_object_get(detail, "column");
    const char *param = text_member(detail, "param", NULL);
    str_puts(out, "  ");
    if (json_is_integer(line))
      str_printf(out, "line %" JSON_INTEGER_FORMAT, json_integer_value(line));
    if (json_is_integer(column))
      str_printf(out, ", column %" JSON_INTEGER_FORMAT, json_integer_value(column));
    if (json_is_integer(line))
      str_puts(out, ": ");
    if (param) {
      text_clean(out, param);
      str_puts(out, ": ");
    }
    text_clean(out, text_member(detail, "message", ""));
    str_putc(out, '\n');
  }
}

enum exit_code cli_fail(const struct cli *cli, const struct error *err) {
  struct str text;
  str_init(&text, OUTPUT_BYTES_MAX);
  str_puts(&text, "reflect: ");
  text_clean(&text, err->text);
  const json_t *problem = cli->http.problem;
  if (problem) {
    const char *param = text_member(problem, "param", NULL);
    str_puts(&text, " (");
    if (param) {
      str_puts(&text, "param ");
      text_clean(&text, param);
      str_puts(&text, ", ");
    }
    str_puts(&text, "code ");
    text_clean(&text, text_member(problem, "code", "unknown"));
    str_putc(&text, ')');
  }
  str_putc(&text, '\n');
  details_text(&text, json_object_get(problem, "details"));
  if (err->status == STATUS_INVALID_API_KEY)
    str_printf(&text, "reflect: %s\n", cli->http.key ? "the key of $REFLECT_API_KEY or --key is not this server's"
                                                     : "put the server's key into $REFLECT_API_KEY");
  fputs(text.text, stderr);
  str_done(&text);
  return exit_of(cli, err);
}

void cli_note(const char *what, const char *foreign) {
  struct str text;
  str_init(&text, OUTPUT_BYTES_MAX);
  text_clean(&text, foreign);
  fprintf(stderr, "%s %s\n", what, text.text);
  str_done(&text);
}

void cli_print_text(const char *foreign) {
  struct str text;
  str_init(&text, OUTPUT_BYTES_MAX);
  text_clean(&text, foreign);
  puts(text.text);
  str_done(&text);
}

enum exit_code cli_print_json(const json_t *value) {
  struct str text;
  str_init(&text, OUTPUT_BYTES_MAX);
  text_json(&text, value, 2);
  puts(text.text);
  str_done(&text);
  return EXIT_DONE;
}

static const struct option_row page_rows[] = {
  {"limit", OPTION_INT, offsetof(struct page_options, limit), NULL, "N", "how many; newest first"},
  {"after", OPTION_TEXT, offsetof(struct page_options, after), NULL, "ID", "continue after this one"},
};
const struct option_table page_option_table = {page_rows, COUNT_OF(page_rows)};

enum exit_code cli_list(struct cli *cli, const char *path, const struct page_options *page,
                        const struct text_column *columns, size_t column_count) {
  struct error err;
  struct str target;
  AUTO(json_release) json_t *answer = NULL;
  char separator = strchr(path, '?') ? '&' : '?';
  str_init(&target, 4096);
  str_puts(&target, path);
  if (page->limit) {
    str_printf(&target, "%climit=%lld", separator, (long long)page->limit);
    separator = '&';
  }
  if (page->after) {
    str_printf(&target, "%cafter=", separator);
    http_escape(&target, page->after);
  }
  enum status status = http_json(&cli->http, &answer, "GET", target.text, NULL, &err);
  str_done(&target);
  if (status != STATUS_OK)
    return cli_fail(cli, &err);
  if (cli->json)
    return cli_print_json(answer);
  const json_t *items = json_object_get(answer, "data");
  struct str text;
  str_init(&text, OUTPUT_BYTES_MAX);
  text_table(&text, columns, column_count, items);
  fputs(text.text, stdout);
  str_done(&text);
  if (json_is_true(json_object_get(answer, "has_more"))) {
    fflush(stdout);
    cli_note("there are more: --after", text_member(json_array_get(items, json_array_size(items) - 1), "id", "?"));
  }
  return EXIT_DONE;
}

/* "created_at", "estimated_finish" */
static bool is_time(const char *name) {
  const char *last = strrchr(name, '_');
  return last && (strcmp(last, "_at") == 0 || strcmp(last, "_finish") == 0);
}

/* "name: value", one a line; members that are null are left out, objects are shown as JSON. */
static void object_text(struct str *out, json_t *object) {
  const char *name;
  const json_t *value;
  json_object_foreach(object, name, value) {
    if (json_is_null(value))
      continue;
    text_clean(out, name);
    str_puts(out, ": ");
    if (json_is_integer(value) && is_time(name)) {
      text_time(out, json_integer_value(value));
    } else if (json_is_string(value)) {
      text_clean(out, json_string_value(value));
    } else {
      text_json(out, value, 0);
    }
    str_putc(out, '\n');
  }
}

enum exit_code cli_show(struct cli *cli, const char *method, const char *path) {
  return cli_send(cli, method, path, NULL);
}

enum exit_code cli_send(struct cli *cli, const char *method, const char *path, const json_t *body) {
  struct error err;
  struct str text;
  AUTO(json_release) json_t *answer = NULL;
  if (http_json(&cli->http, &answer, method, path, body, &err) != STATUS_OK)
    return cli_fail(cli, &err);
  if (cli->json)
    return cli_print_json(answer);
  str_init(&text, OUTPUT_BYTES_MAX);
  object_text(&text, answer);
  fputs(text.text, stdout);
  str_done(&text);
  return EXIT_DONE;
}

const char *cli_path(struct str *out, const char *prefix, const char *id, const char *suffix) {
  str_clear(out);
  str_puts(out, prefix);
  http_escape(out, id);
  str_puts(out, suffix);
  return out->text;
}
