#include "cli/exports.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/job.h"
#include "base/json.h"
#include "cli/text.h"

enum { POLL_MS = 500 };

static const char prefix[] = "/v1/fine_tuning/jobs/", suffix[] = "/exports";

static void cell_error(struct str *out, const json_t *item) {
  text_clean(out, text_member(json_object_get(item, "error"), "message", ""));
}

static const struct text_column columns[] = {{"FORMAT", text_cell, "format"},
                                             {"STATUS", text_cell, "status"},
                                             {"ASKED", text_cell_time, "created_at"},
                                             {"ERROR", cell_error, NULL}};

/* The body {"exports": [...]} of "a,b". A new reference; NULL: there is an empty name. */
static json_t *body_of(const char *formats) {
  json_t *list = json_array();
  for (const char *at = formats;; at++) {
    size_t length = strcspn(at, ",");
    if (length == 0 || json_array_append_new(list, json_stringn(at, length)) != 0) {
      json_decref(list);
      return NULL;
    }
    at += length;
    if (!*at)
      return json_pack("{s:o}", "exports", list);
  }
}

/* Are two names of formats the same format? "merged" is short for "merged:bf16". */
static bool same_format(const char *a, const char *b) {
  struct export_choice one, other;
  if (export_parse(&one, a) && export_parse(&other, b))
    return one.format == other.format && one.type == other.type;
  return strcmp(a, b) == 0;
}

/* The server tells every export of the job: those that `body` asks for, as a new array. */
static json_t *asked_for(const json_t *answer, const json_t *body) {
  json_t *list = json_array();
  size_t index, n;
  json_t *item, *format;
  json_array_foreach(json_object_get(answer, "data"), index, item) {
    bool asked = false;
    json_array_foreach(json_object_get(body, "exports"), n, format)
      asked = asked || same_format(json_string_value(format), text_member(item, "format", ""));
    if (asked)
      json_array_append(list, item);
  }
  return list;
}

static bool has_status(const json_t *exports, const char *status) {
  size_t index;
  const json_t *item;
  json_array_foreach(exports, index, item)
    if (strcmp(text_member(item, "status", ""), status) == 0)
      return true;
  return false;
}

static void print(const struct cli *cli, const json_t *answer, const json_t *exports) {
  struct str text;
  if (cli->json) {
    cli_print_json(answer);
    return;
  }
  str_init(&text, 1 << 20);
  text_table(&text, columns, COUNT_OF(columns), exports);
  fputs(text.text, stdout);
  str_done(&text);
}

enum exit_code exports_make(struct cli *cli, const char *job_id, const char *formats, bool no_wait) {
  AUTO(json_release) json_t *body = body_of(formats);
  AUTO(json_release) json_t *answer = NULL;
  AUTO(json_release) json_t *exports = NULL;
  struct error err;
  struct str path;
  if (!body) {
    (void)error_set(&err, STATUS_INVALID_VALUE, "FORMATS", "FORMATS takes names separated by single commas, not \"%s\"",
                    formats);
    return cli_fail(cli, &err);
  }
  str_init(&path, 4096);
  cli_path(&path, prefix, job_id, suffix);
  enum status status = http_json(&cli->http, &answer, "POST", path.text, body, &err);
  exports = asked_for(answer, body);
  while (status == STATUS_OK && !no_wait && (has_status(exports, "queued") || has_status(exports, "running"))) {
    const struct timespec pause = {POLL_MS / 1000, POLL_MS % 1000 * 1000000L};
    nanosleep(&pause, NULL);
    json_decref(answer);
    answer = NULL;
    status = http_json(&cli->http, &answer, "GET", path.text, NULL, &err);
    json_decref(exports);
    exports = asked_for(answer, body);
  }
  enum exit_code code = EXIT_DONE;
  if (status != STATUS_OK) {
    code = cli_fail(cli, &err);
  } else {
    print(cli, answer, exports);
    code = has_status(exports, "failed") ? EXIT_UNSUCCESSFUL : EXIT_DONE;
  }
  str_done(&path);
  return code;
}

enum exit_code exports_list(struct cli *cli, const char *job_id) {
  struct str path;
  str_init(&path, 4096);
  enum exit_code code =
      cli_list(cli, cli_path(&path, prefix, job_id, suffix), &(struct page_options){0}, columns, COUNT_OF(columns));
  str_done(&path);
  return code;
}
