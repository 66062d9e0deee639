/* reflect models: base models and finished adapters. */
#include "cli/command.h"
#include "cli/model_add.h"
#include "cli/text.h"

/* Whether a job can use it; null: not known yet. Servers before that, and adapters, have no such member. */
static void cell_status(struct str *out, const json_t *model) {
  const json_t *usable = json_object_get(model, "usable");
  if (json_is_boolean(usable))
    str_puts(out, json_is_true(usable) ? "usable" : "unusable");
  else
    str_puts(out, usable ? "not looked at yet" : "-");
}
static void cell_error(struct str *out, const json_t *model) {
  text_clean(out, text_member(json_object_get(model, "error"), "message", ""));
}
static const struct text_column columns[] = {{"ID", text_cell, "id"},          {"FORMAT", text_cell, "format"},
                                             {"OWNER", text_cell, "owned_by"}, {"CREATED", text_cell_time, "created"},
                                             {"STATUS", cell_status, NULL},    {"ERROR", cell_error, NULL}};

static enum exit_code models_list(struct cli *cli, const char *const *operands, const void *values,
                                  json_t *document) {
  (void)operands, (void)values, (void)document;
  return cli_list(cli, "/v1/models", &(struct page_options){0}, columns, COUNT_OF(columns));
}

static enum exit_code model_request(struct cli *cli, const char *method, const char *id) {
  struct str path;
  str_init(&path, 4096);
  enum exit_code code = cli_show(cli, method, cli_path(&path, "/v1/models/", id, ""));
  str_done(&path);
  return code;
}

static enum exit_code models_get(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)values, (void)document;
  return model_request(cli, "GET", operands[0]);
}

static enum exit_code models_delete(struct cli *cli, const char *const *operands, const void *values,
                                    json_t *document) {
  (void)values, (void)document;
  return model_request(cli, "DELETE", operands[0]);
}

static enum exit_code models_add(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)document;
  return model_add(cli, operands[0], values);
}

static const struct command commands[] = {
  {.verb = "list", .operands = "", .doc = "List base models and adapters", .run = models_list},
  {.verb = "get", .operands = "ID", .operand_count = 1, .doc = "Show a model", .run = models_get},
  {
    .verb = "add",
    .operands = "FOLDER|FILE.gguf|FILE.safetensors",
    .operand_count = 1,
    .doc = "Put a base model into the models folder of this machine's daemon, if jobs can use it",
    .options = &model_add_table,
    .values_bytes = sizeof(struct model_add_options),
    .run = models_add,
  },
  {.verb = "delete", .operands = "ID", .operand_count = 1, .doc = "Delete an adapter", .run = models_delete},
};

const struct noun models_noun = {"models", "Base models and finished adapters", commands, COUNT_OF(commands),
                                 .verb_optional = true};
