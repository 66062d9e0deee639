/* reflect webhooks: who is told of the tenant's jobs. */
#include <stdio.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/text.h"

static const char path[] = "/v1/webhook_endpoints";
static const char prefix[] = "/v1/webhook_endpoints/";

static void cell_events(struct str *out, const json_t *row) {
  const json_t *types = json_object_get(row, "event_types"), *type;
  size_t i;
  json_array_foreach(types, i, type) {
    str_puts(out, i ? "," : "");
    text_clean(out, json_is_string(type) ? json_string_value(type) : "-");
  }
}
static const struct text_column columns[] = {
    {"ID", text_cell, "id"}, {"NAME", text_cell, "name"}, {"URL", text_cell, "url"}, {"EVENTS", cell_events, NULL}};

static enum exit_code webhooks_list(struct cli *cli, const char *const *operands, const void *values,
                                    json_t *document) {
  (void)operands, (void)document;
  return cli_list(cli, path, values, columns, COUNT_OF(columns));
}

/* The secret alone goes to standard output, so that a script can take it. */
static enum exit_code make(struct cli *cli, const char *target, const json_t *document) {
  AUTO(json_release) json_t *answer = NULL;
  struct error err;
  if (http_json(&cli->http, &answer, "POST", target, document, &err) != STATUS_OK)
    return cli_fail(cli, &err);
  if (cli->json)
    return cli_print_json(answer);
  cli_print_text(text_member(answer, "signing_secret", ""));
  fflush(stdout);
  cli_note("shown this once: the signing secret of", text_member(answer, "id", "?"));
  return EXIT_DONE;
}

static const struct option_row event_rows[] = {
    {"name", OPTION_TEXT, 0, "name", "NAME", "what to know it by"},
    {"to", OPTION_TEXT, 0, "url", "URL", "where events are sent, https://"},
    {"events", OPTION_LIST, 0, "event_types", "TYPES", "with commas: fine_tuning.job.succeeded and so on"},
};
static const struct option_table event_table = {event_rows, COUNT_OF(event_rows)};

static enum exit_code webhooks_create(struct cli *cli, const char *const *operands, const void *values,
                                      json_t *document) {
  (void)operands, (void)values;
  return make(cli, path, document);
}

/* POST of the document to the endpoint, or to what is below it. */
static enum exit_code change(struct cli *cli, const char *id, const char *below, const json_t *document) {
  AUTO(json_release) json_t *answer = NULL;
  struct str target;
  struct error err;
  str_init(&target, 4096);
  enum status status = http_json(&cli->http, &answer, "POST", cli_path(&target, prefix, id, below), document, &err);
  str_done(&target);
  return status ? cli_fail(cli, &err) : cli_print_json(answer);
}

static enum exit_code webhooks_update(struct cli *cli, const char *const *operands, const void *values,
                                      json_t *document) {
  (void)values;
  return change(cli, operands[0], "", document);
}

static const struct option_row test_rows[] = {
    {"event", OPTION_TEXT, 0, "event_type", "TYPE", "what it tells of, as fine_tuning.job.failed"},
};
static const struct option_table test_table = {test_rows, COUNT_OF(test_rows)};

static enum exit_code webhooks_test(struct cli *cli, const char *const *operands, const void *values,
                                    json_t *document) {
  (void)values;
  if (!json_object_get(document, "event_type"))
    json_object_set_new(document, "event_type", json_string("fine_tuning.job.succeeded"));
  return change(cli, operands[0], "/test", document);
}

static const struct option_row rotate_rows[] = {
    {"keep-old", OPTION_FLAG, 0, "keep_old_secret_active_for_24_hours", NULL, "the old one signs too for a day"},
};
static const struct option_table rotate_table = {rotate_rows, COUNT_OF(rotate_rows)};

static enum exit_code webhooks_rotate(struct cli *cli, const char *const *operands, const void *values,
                                      json_t *document) {
  struct str target;
  (void)values;
  str_init(&target, 4096);
  enum exit_code code = make(cli, cli_path(&target, prefix, operands[0], "/rotate_secret"), document);
  str_done(&target);
  return code;
}

static enum exit_code webhooks_delete(struct cli *cli, const char *const *operands, const void *values,
                                      json_t *document) {
  struct str target;
  (void)values, (void)document;
  str_init(&target, 4096);
  enum exit_code code = cli_show(cli, "DELETE", cli_path(&target, prefix, operands[0], ""));
  str_done(&target);
  return code;
}

static void cell_attempts(struct str *out, const json_t *row) {
  str_printf(out, "%lld", (long long)json_integer_value(json_object_get(row, "attempts")));
}
static void cell_answer(struct str *out, const json_t *row) {
  const json_t *code = json_object_get(row, "status_code");
  if (json_is_integer(code))
    str_printf(out, "%lld", (long long)json_integer_value(code));
  else
    text_clean(out, text_member(row, "error", "-"));
}
static const struct text_column told[] = {{"TIME", text_cell_time, "created_at"}, {"EVENT", text_cell, "event_type"},
                                          {"JOB", text_cell, "job_id"},           {"STATUS", text_cell, "status"},
                                          {"TRIED", cell_attempts, NULL},         {"ANSWER", cell_answer, NULL}};

static enum exit_code webhooks_deliveries(struct cli *cli, const char *const *operands, const void *values,
                                          json_t *document) {
  struct str target;
  (void)document;
  str_init(&target, 4096);
  enum exit_code code =
      cli_list(cli, cli_path(&target, prefix, operands[0], "/deliveries"), values, told, COUNT_OF(told));
  str_done(&target);
  return code;
}

static const struct command commands[] = {
    {.verb = "list",
     .operands = "",
     .doc = "List webhook endpoints, newest first",
     .options = &page_option_table,
     .values_bytes = sizeof(struct page_options),
     .run = webhooks_list},
    {.verb = "create",
     .operands = "",
     .doc = "Have events sent; the signing secret is shown once",
     .options = &event_table,
     .run = webhooks_create},
    {.verb = "update",
     .operands = "ID",
     .operand_count = 1,
     .doc = "Change name, URL or events",
     .options = &event_table,
     .run = webhooks_update},
    {.verb = "test",
     .operands = "ID",
     .operand_count = 1,
     .doc = "Send a sample event",
     .options = &test_table,
     .run = webhooks_test},
    {.verb = "deliveries",
     .operands = "ID",
     .operand_count = 1,
     .doc = "List what was sent, and what became of it",
     .options = &page_option_table,
     .values_bytes = sizeof(struct page_options),
     .run = webhooks_deliveries},
    {.verb = "rotate",
     .operands = "ID",
     .operand_count = 1,
     .doc = "Replace the signing secret",
     .options = &rotate_table,
     .run = webhooks_rotate},
    {.verb = "delete", .operands = "ID", .operand_count = 1, .doc = "Send nothing more", .run = webhooks_delete},
};

const struct noun webhooks_noun = {"webhooks", "Who is told of jobs", commands, COUNT_OF(commands),
                                   .verb_optional = true};
