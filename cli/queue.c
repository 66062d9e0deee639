/* reflect queue: what runs and waits; and what is changed of jobs. */
#include "cli/queue.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "cli/text.h"

static const char job_prefix[] = "/v1/fine_tuning/jobs/";

static const struct option_row set_rows[] = {
    {"priority", OPTION_INT, 0, "scheduling.priority", "N", "higher starts first (-100 to 100); of a job that waits"},
    {"before", OPTION_TEXT, 0, "scheduling.before", "ID|all|none",
     "its place among the waiting ones of its priority; none: behind all"},
    {"display-name", OPTION_TEXT, 0, "display_name", "NAME", "what people call it"},
    {"suffix", OPTION_TEXT, 0, "suffix", "NAME", "part of the adapter's name; of a job that no worker has begun"},
    {"metadata", OPTION_PAIR, 0, "metadata", "KEY=VALUE", "kept with the job; may be repeated; KEY= removes it"},
};
const struct option_table queue_set_table = {set_rows, COUNT_OF(set_rows)};

/* Numbers that are times, as the time until then. */
static void cell_when(struct str *out, const json_t *item, const char *member) {
  const json_t *at = json_object_get(item, member);
  int64_t left = json_integer_value(at) - (int64_t)time(NULL);
  if (json_is_integer(at))
    text_duration(out, left > 0 ? (double)left : 0);
  else
    str_putc(out, '-');
}
static void cell_priority(struct str *out, const json_t *item) {
  str_printf(out, "%lld", (long long)json_integer_value(json_object_get(item, "priority")));
}
static void cell_ahead(struct str *out, const json_t *item) {
  const json_t *own = json_object_get(item, "queue_position"), *others = json_object_get(item, "jobs_of_others_ahead");
  if (json_is_integer(own))
    str_printf(out, "%lld", (long long)(json_integer_value(own) + json_integer_value(others)));
  else
    str_putc(out, '-');
}
static void cell_starts(struct str *out, const json_t *item) {
  cell_when(out, item, "expected_start");
}
/* A place is what all wait for that say nothing else. */
static void cell_waits(struct str *out, const json_t *item) {
  const char *what = text_member(item, "waiting_for", "-");
  text_clean(out, strcmp(what, "slot") == 0 ? "-" : what);
}
static void cell_ends(struct str *out, const json_t *item) {
  cell_when(out, item, "estimated_finish");
}
static void cell_name(struct str *out, const json_t *item) {
  text_clean(out, text_member(item, "display_name", text_member(item, "suffix", "-")));
}

static const struct text_column columns[] = {
    {"ID", text_cell, "id"},       {"STATUS", text_cell, "status"}, {"PRIORITY", cell_priority, NULL},
    {"AHEAD", cell_ahead, NULL},   {"WAITS FOR", cell_waits, NULL}, {"STARTS", cell_starts, NULL},
    {"ENDS", cell_ends, NULL},     {"MODEL", text_cell, "model"},   {"NAME", cell_name, NULL},
};

static enum exit_code queue_list(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)operands, (void)document;
  return cli_list(cli, "/v1/queue", values, columns, COUNT_OF(columns));
}

static const struct command commands[] = {
    {
        .verb = "list",
        .operands = "",
        .doc = "Show what runs, and what waits in the order in which it will start",
        .options = &page_option_table,
        .values_bytes = sizeof(struct page_options),
        .run = queue_list,
    },
};

const struct noun queue_noun = {"queue", "The queue", commands, COUNT_OF(commands), .verb_optional = true};

/* ---- jobs ---- */

static enum exit_code send(struct cli *cli, const char *method, const char *id, const char *suffix,
                           const json_t *body) {
  AUTO(str_done) struct str path;
  str_init(&path, 4096);
  return cli_send(cli, method, cli_path(&path, job_prefix, id, suffix), body);
}

enum exit_code queue_set(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  json_t *scheduling = json_object_get(document, "scheduling"), *metadata = json_object_get(document, "metadata");
  const char *before = json_string_value(json_object_get(scheduling, "before")), *key;
  json_t *value;
  void *next;
  struct error err;
  (void)values;
  if (json_object_size(document) == 0) {
    error_set(&err, STATUS_MISSING_PARAMETER, NULL, "nothing is to be changed: see reflect jobs set --help");
    return cli_fail(cli, &err);
  }
  if (before && strcmp(before, "none") == 0)
    json_object_set_new(scheduling, "before", json_null());
  json_object_foreach_safe(metadata, next, key, value) if (json_string_length(value) == 0)
      json_object_set_new(metadata, key, json_null());
  return send(cli, "PATCH", operands[0], "", document);
}

enum exit_code queue_delete(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)values, (void)document;
  return send(cli, "DELETE", operands[0], "", NULL);
}
