/* reflect files: data sets in, results out. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/download.h"
#include "cli/file_check.h"
#include "cli/text.h"
#include "cli/upload.h"

enum { PART_MIB_MAX = 1 << 20 };

struct put_options {
  const char *purpose;
  bool no_wait;
  int64_t part_mib; /* 0: as ever */
};

static const struct option_row put_rows[] = {
  {"purpose", OPTION_TEXT, offsetof(struct put_options, purpose), NULL, "NAME", "fine-tune unless given"},
  {"no-wait", OPTION_FLAG, offsetof(struct put_options, no_wait), NULL, NULL, "do not wait until it is checked"},
  {"part-mib", OPTION_INT, offsetof(struct put_options, part_mib), NULL, "N",
   "a larger file goes in parts of this size, and goes on after an interruption (64)"},
};
static const struct option_table put_table = {put_rows, COUNT_OF(put_rows)};

struct content_options {
  const char *out;
};

static const struct option_row content_rows[] = {
  {"out", OPTION_TEXT, offsetof(struct content_options, out), NULL, "FILE", "write there, not to standard output"},
};
static const struct option_table content_table = {content_rows, COUNT_OF(content_rows)};

static enum exit_code files_put(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  const struct put_options *options = values;
  AUTO(json_release) json_t *file = NULL;
  (void)document;
  struct error err;
  if (options->part_mib < 0 || options->part_mib > PART_MIB_MAX) {
    error_set(&err, STATUS_INVALID_VALUE, "part-mib", "--part-mib must be 1 to %d", PART_MIB_MAX);
    return cli_fail(cli, &err);
  }
  uint64_t part_bytes = options->part_mib ? (uint64_t)options->part_mib << 20 : UPLOAD_PART_BYTES;
  enum exit_code code = upload_file_in_parts(cli, &file, operands[0], options->purpose ? options->purpose : "fine-tune",
                                             !options->no_wait, part_bytes);
  if (!file)
    return code;
  if (cli->json)
    cli_print_json(file);
  else if (code == EXIT_DONE) /* a script must not take up an id that no job can use */
    cli_print_text(text_member(file, "id", ""));
  return code;
}

static void cell_bytes(struct str *out, const json_t *file) {
  json_int_t bytes = json_integer_value(json_object_get(file, "bytes"));
  text_bytes(out, bytes > 0 ? (uint64_t)bytes : 0);
}
static const struct text_column columns[] = {
    {"ID", text_cell, "id"},           {"STATUS", text_cell, "status"},
    {"SIZE", cell_bytes, NULL},        {"CREATED", text_cell_time, "created_at"},
    {"PURPOSE", text_cell, "purpose"}, {"NAME", text_cell, "filename"},
};

static enum exit_code files_list(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)operands, (void)document;
  return cli_list(cli, "/v1/files", values, columns, COUNT_OF(columns));
}

static enum exit_code file_request(struct cli *cli, const char *method, const char *id) {
  struct str path;
  str_init(&path, 4096);
  enum exit_code code = cli_show(cli, method, cli_path(&path, "/v1/files/", id, ""));
  str_done(&path);
  return code;
}

static enum exit_code files_get(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)values, (void)document;
  return file_request(cli, "GET", operands[0]);
}

static enum exit_code files_delete(struct cli *cli, const char *const *operands, const void *values,
                                   json_t *document) {
  (void)values, (void)document;
  return file_request(cli, "DELETE", operands[0]);
}

static enum exit_code files_content(struct cli *cli, const char *const *operands, const void *values,
                                    json_t *document) {
  const struct content_options *options = values;
  struct str path;
  struct error err;
  (void)document;
  str_init(&path, 4096);
  cli_path(&path, "/v1/files/", operands[0], "/content");
  enum status status = options->out ? download_to_file(cli, path.text, options->out, NULL, &err)
                                    : download_to_output(cli, path.text, &err);
  str_done(&path);
  return status == STATUS_OK ? EXIT_DONE : cli_fail(cli, &err);
}

static enum exit_code files_check(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)document;
  return file_check(cli, operands[0], values);
}

static const struct command commands[] = {
  {
    .verb = "put",
    .operands = "FILE",
    .operand_count = 1,
    .doc = "Upload a data file and wait for its check; prints its id if it is valid, else exits 1",
    .options = &put_table,
    .values_bytes = sizeof(struct put_options),
    .run = files_put,
  },
  {
    .verb = "list",
    .operands = "",
    .doc = "List files",
    .options = &page_option_table,
    .values_bytes = sizeof(struct page_options),
    .run = files_list,
  },
  {
    .verb = "check",
    .operands = "ID",
    .operand_count = 1,
    .doc = "Show what is in a data file: labels, lengths, repeats, errors; exits 1 if lines cannot be used",
    .options = &check_option_table,
    .values_bytes = sizeof(struct check_options),
    .run = files_check,
  },
  {.verb = "get", .operands = "ID", .operand_count = 1, .doc = "Show a file", .run = files_get},
  {.verb = "delete", .operands = "ID", .operand_count = 1, .doc = "Delete a file", .run = files_delete},
  {
    .verb = "content",
    .operands = "ID",
    .operand_count = 1,
    .doc = "Download a file's bytes",
    .options = &content_table,
    .values_bytes = sizeof(struct content_options),
    .run = files_content,
  },
};

const struct noun files_noun = {"files", "Data files and results", commands, COUNT_OF(commands),
                                .verb_optional = false};
