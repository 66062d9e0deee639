/* reflect keys: the API keys of the tenant that one's own key belongs to. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/text.h"

static const char path[] = "/v1/organization/admin_api_keys";

static void time_of(struct str *out, const json_t *key, const char *member, const char *never) {
  const json_t *time = json_object_get(key, member);
  if (json_is_integer(time))
    text_time(out, json_integer_value(time));
  else
    str_puts(out, never);
}
static void cell_used(struct str *out, const json_t *key) {
  time_of(out, key, "last_used_at", "never");
}
static void cell_expires(struct str *out, const json_t *key) {
  time_of(out, key, "expires_at", "never");
}
static void cell_revoked(struct str *out, const json_t *key) {
  time_of(out, key, "revoked_at", "-");
}
static const struct text_column columns[] = {{"ID", text_cell, "id"},         {"SCOPE", text_cell, "scope"},
                                             {"LAST USED", cell_used, NULL},  {"EXPIRES", cell_expires, NULL},
                                             {"REVOKED", cell_revoked, NULL}, {"NAME", text_cell, "name"}};

static enum exit_code keys_list(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)operands, (void)document;
  return cli_list(cli, path, values, columns, COUNT_OF(columns));
}

/* The key alone goes to standard output, so that a script can take it. */
static enum exit_code make(struct cli *cli, const char *target, const json_t *document) {
  AUTO(json_release) json_t *answer = NULL;
  struct error err;
  if (http_json(&cli->http, &answer, "POST", target, document, &err) != STATUS_OK)
    return cli_fail(cli, &err);
  if (cli->json)
    return cli_print_json(answer);
  cli_print_text(text_member(answer, "value", ""));
  fflush(stdout);
  cli_note("shown this once: the key", text_member(answer, "id", "?"));
  return EXIT_DONE;
}

static const struct option_row create_rows[] = {
    {"name", OPTION_TEXT, 0, "name", "NAME", "what to know it by"},
    {"scope", OPTION_TEXT, 0, "scope", "SCOPE", "read, submit or admin; by default submit"},
    {"expires-in", OPTION_INT, 0, "expires_in_s", "SECONDS", "how long it holds; by default for ever"},
};
static const struct option_table create_table = {create_rows, COUNT_OF(create_rows)};

static enum exit_code keys_create(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)operands, (void)values;
  return make(cli, path, document);
}

static const struct option_row rotate_rows[] = {
    {"grace", OPTION_INT, 0, "grace_s", "SECONDS", "how long the old one works on; by default a day"},
};
static const struct option_table rotate_table = {rotate_rows, COUNT_OF(rotate_rows)};

static enum exit_code keys_rotate(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  struct str target;
  (void)values;
  str_init(&target, 4096);
  enum exit_code code =
      make(cli, cli_path(&target, "/v1/organization/admin_api_keys/", operands[0], "/rotate"), document);
  str_done(&target);
  return code;
}

static enum exit_code keys_revoke(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  struct str target;
  (void)values, (void)document;
  str_init(&target, 4096);
  enum exit_code code = cli_show(cli, "DELETE", cli_path(&target, "/v1/organization/admin_api_keys/", operands[0], ""));
  str_done(&target);
  return code;
}

static const struct command commands[] = {
    {.verb = "list",
     .operands = "",
     .doc = "List keys, newest first",
     .options = &page_option_table,
     .values_bytes = sizeof(struct page_options),
     .run = keys_list},
    {.verb = "create",
     .operands = "",
     .doc = "Make a key, which is shown once",
     .options = &create_table,
     .run = keys_create},
    {.verb = "rotate",
     .operands = "ID",
     .operand_count = 1,
     .doc = "Make a key in the place of another",
     .options = &rotate_table,
     .run = keys_rotate},
    {.verb = "revoke", .operands = "ID", .operand_count = 1, .doc = "Refuse a key from now on", .run = keys_revoke},
};

const struct noun keys_noun = {"keys", "API keys", commands, COUNT_OF(commands), .verb_optional = true};
