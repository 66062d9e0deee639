#include "cli/file_check.h"

#include <stdio.h>

#include "base/json.h"
#include "cli/text.h"

enum { LINES_SHOWN = 20, LABELS_SHOWN = 10, TEXT_BYTES = 1 << 20 };

static const struct option_row rows[] = {
    {"model", OPTION_TEXT, offsetof(struct check_options, model), NULL, "MODEL", "count this base model's tokens"},
    {"against", OPTION_TEXT, offsetof(struct check_options, against), NULL, "ID", "texts that this file has too"},
    {"task", OPTION_TEXT, offsetof(struct check_options, task), NULL, "TASK", "what a job would learn"},
    {"text-column", OPTION_TEXT, offsetof(struct check_options, text), NULL, "NAME", "column of the text"},
    {"label-column", OPTION_TEXT, offsetof(struct check_options, label), NULL, "NAME", "column of the label"},
};
const struct option_table check_option_table = {rows, COUNT_OF(rows)};

static double number(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

static void add(struct str *out, const char *name, const char *text) {
  str_printf(out, "%-12s ", name);
  text_clean(out, text);
  str_putc(out, '\n');
}

static void add_count(struct str *out, const char *name, double count) {
  str_printf(out, "%-12s ", name);
  text_count(out, (uint64_t)count);
  str_putc(out, '\n');
}

static void add_labels(struct str *out, const json_t *report) {
  const json_t *counts = json_object_get(report, "label_counts"), *label;
  size_t i;
  if (!json_array_size(counts))
    return;
  add_count(out, "labels", number(report, "label_count"));
  json_array_foreach(counts, i, label) {
    if (i == LABELS_SHOWN)
      break;
    str_puts(out, "  ");
    text_clean(out, text_member(label, "label", "?"));
    str_puts(out, ": ");
    text_count(out, (uint64_t)number(label, "count"));
    str_putc(out, '\n');
  }
}

static void add_tokens(struct str *out, const json_t *report) {
  const json_t *tokens = json_object_get(report, "tokens");
  if (!json_is_object(tokens))
    return;
  add_count(out, "tokens", number(tokens, "total"));
  str_printf(out, "%-12s %.0f to %.0f, half up to %.0f, 95 %% up to %.0f; %.0f longer than %.0f\n", "an example",
             number(tokens, "min"), number(tokens, "max"), number(tokens, "p50"), number(tokens, "p95"),
             number(tokens, "longer"), number(tokens, "max_seq_length"));
}

/* "repeats  3, the first in line 7 (as line 2)" */
static void add_places(struct str *out, const char *name, const json_t *places) {
  const json_t *first = json_array_get(json_object_get(places, "first"), 0);
  if (!json_is_object(places))
    return;
  str_printf(out, "%-12s ", name);
  text_count(out, (uint64_t)number(places, "count"));
  if (first)
    str_printf(out, ", the first in line %.0f (as line %.0f)", number(first, "line"), number(first, "other_line"));
  str_putc(out, '\n');
}

static void add_faults(struct str *out, const char *name, const json_t *faults, double count) {
  const json_t *fault;
  size_t i;
  if (count > 0)
    add_count(out, name, count);
  json_array_foreach(faults, i, fault) {
    if (i == LINES_SHOWN)
      break;
    str_puts(out, "  ");
    if (json_is_integer(json_object_get(fault, "line")))
      str_printf(out, "line %.0f, column %.0f: ", number(fault, "line"), number(fault, "column"));
    text_clean(out, text_member(fault, "message", "?"));
    str_putc(out, '\n');
  }
}

static void print(const json_t *report) {
  struct str out;
  str_init(&out, TEXT_BYTES);
  add(&out, "format", text_member(report, "format", "-"));
  add(&out, "kind", text_member(report, "kind", "-"));
  add_count(&out, "examples", number(report, "examples"));
  add_labels(&out, report);
  add_tokens(&out, report);
  add_places(&out, "repeats", json_object_get(report, "duplicates"));
  add_places(&out, "conflicts", json_object_get(report, "conflicts"));
  add_places(&out, "overlap", json_object_get(report, "overlap"));
  add_faults(&out, "errors", json_object_get(report, "errors"), number(report, "error_count"));
  add_faults(&out, "warnings", json_object_get(report, "warnings"), number(report, "warning_count"));
  fputs(out.text, stdout);
  str_done(&out);
}

enum exit_code file_check(struct cli *cli, const char *id, const struct check_options *options) {
  const struct {
    const char *name, *value;
  } query[] = {{"model", options->model},
               {"against", options->against},
               {"task", options->task},
               {"text", options->text},
               {"label", options->label}};
  AUTO(json_release) json_t *report = NULL;
  AUTO(str_done) struct str path;
  struct error err;
  char mark = '?';
  str_init(&path, 1 << 14);
  cli_path(&path, "/v1/files/", id, "/validation");
  for (size_t i = 0; i < COUNT_OF(query); i++) {
    if (!query[i].value)
      continue;
    str_printf(&path, "%c%s=", mark, query[i].name);
    http_escape(&path, query[i].value);
    mark = '&';
  }
  if (http_json(&cli->http, &report, "GET", path.text, NULL, &err) != STATUS_OK)
    return cli_fail(cli, &err);
  if (cli->json)
    cli_print_json(report);
  else
    print(report);
  return number(report, "error_count") > 0 ? EXIT_UNSUCCESSFUL : EXIT_DONE;
}
