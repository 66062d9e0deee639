/* reflect sweeps: jobs that are made and compared together. */
#include <stdio.h>
#include <string.h>

#include "api/sweep.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/download.h"
#include "cli/follow.h"
#include "cli/job_files.h"
#include "cli/text.h"

static const char sweeps_path[] = "/v1/fine_tuning/sweeps";
static const char prefix[] = "/v1/fine_tuning/sweeps/";
enum { OUTPUT_BYTES_MAX = 16 << 20 };

/* ---- create ---- */

/* "lr=1e-4,3e-4": the values of an option of jobs, as its row reads them, under the path that it has in a body. */
static enum status read_values(json_t *grid, const char *name, const char *texts, struct error *err) {
  const struct option_row *row = NULL;
  for (size_t i = 0; i < create_option_table.count; i++)
    if (strcmp(create_option_table.rows[i].name, name) == 0)
      row = &create_option_table.rows[i];
  if (!row || !row->path || row->kind == OPTION_PAIR || row->kind == OPTION_MEMBER || row->kind == OPTION_LIST)
    return error_set(err, STATUS_INVALID_VALUE, "grid",
                     "--grid takes OPTION=A,B with an option of one value, as lr or r, not \"%.60s\"; all other fields "
                     "can be varied in a file: --sweep",
                     name);
  struct option_row one = *row;
  if (one.kind == OPTION_FLAG)
    one.kind = OPTION_BOOL;
  json_t *values = json_array();
  if (json_object_set_new(grid, row->path, values) != 0)
    return error_no_memory(err, "the grid");
  for (const char *item = texts; item;) {
    size_t length = strcspn(item, ",");
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)(length < sizeof text ? length : sizeof text - 1), item);
    json_t *value = options_value(&one, text, err);
    if (!value)
      return err->status;
    if (json_array_append_new(values, value) != 0)
      return error_no_memory(err, "the grid");
    item = item[length] ? item + length + 1 : NULL;
  }
  return STATUS_OK;
}

/* What is a sweep's own leaves the document of the job. */
static json_t *take_member(json_t *document, const char *name) {
  json_t *value = json_object_get(document, name);
  json_incref(value);
  json_object_del(document, name);
  return value;
}

/* The members of the sweep that options give; in place of those of the file. */
static enum status put_own(json_t *body, json_t *document, struct error *err) {
  AUTO(json_release) json_t *texts = take_member(document, "grid");
  json_t *methods = take_member(document, "methods"), *label = take_member(document, "name");
  const char *name;
  json_t *value, *grid = json_object();
  enum status status = STATUS_OK;
  int bad = methods ? json_object_set_new(body, "methods", methods) : 0;
  bad |= label ? json_object_set_new(body, "name", label) : 0;
  json_object_foreach(texts, name, value) if (!status) status = read_values(grid, name, json_string_value(value), err);
  if (json_object_size(grid) > 0)
    bad |= json_object_set(body, "grid", grid);
  json_decref(grid);
  return status ? status : bad ? error_no_memory(err, "the sweep") : STATUS_OK;
}

static enum status read_file(json_t **out, const char *path, struct error *err) {
  *out = NULL;
  enum status status = path ? json_parse_file(out, path, NULL, err) : STATUS_OK;
  if (status)
    return status;
  *out = path ? *out : json_object();
  return json_is_object(*out)
             ? STATUS_OK
             : error_set(err, STATUS_INVALID_VALUE, "sweep", "%s: expected an object, found %s", path, json_kind(*out));
}

static enum exit_code make_body(struct cli *cli, json_t **body, const struct create_options *options,
                                json_t *document) {
  AUTO(json_release) json_t *job = NULL;
  struct error err;
  enum status status = read_file(body, options->sweep, &err);
  status = status ? status : put_own(*body, document, &err);
  if (status)
    return cli_fail(cli, &err);
  enum exit_code code = job_files_body(cli, &job, options, document);
  if (code != EXIT_DONE)
    return code;
  json_t *own = json_object_get(*body, "job");
  int bad = json_is_object(own) ? json_object_update_recursive(own, job) : json_object_set(*body, "job", job);
  return bad ? cli_fail(cli, (error_no_memory(&err, "the sweep"), &err)) : EXIT_DONE;
}

/* ---- tables ---- */

static void cell_values(struct str *out, const json_t *item) {
  char text[400];
  sweep_describe(text, sizeof text, json_object_get(item, "values"));
  text_clean(out, text[0] ? text : "-");
}
static void cell_seconds(struct str *out, const json_t *item) {
  const json_t *seconds = json_object_get(item, "duration_seconds");
  text_duration(out, json_is_integer(seconds) ? (double)json_integer_value(seconds) : -1);
}

static long long ended(const json_t *sweep) {
  static const char *const states[] = {"succeeded", "failed", "cancelled"};
  long long sum = 0;
  for (size_t i = 0; i < COUNT_OF(states); i++)
    sum += json_integer_value(json_object_get(json_object_get(sweep, "job_counts"), states[i]));
  return sum;
}
static long long job_count(const json_t *sweep) {
  return json_integer_value(json_object_get(sweep, "job_count"));
}
static void cell_ended(struct str *out, const json_t *sweep) {
  str_printf(out, "%lld/%lld", ended(sweep), job_count(sweep));
}
static void cell_leader(struct str *out, const json_t *best) {
  text_cell(out, json_object_get(best, "value"));
}

static const struct text_column sweep_columns[] = {
    {"ID", text_cell, "id"},         {"STATUS", text_cell, "status"}, {"ENDED", cell_ended, NULL},
    {"METRIC", text_cell, "metric"}, {"BEST", cell_leader, "best"},   {"CREATED", text_cell_time, "created_at"},
    {"NAME", text_cell, "name"}};
static const struct text_column result_columns[] = {
    {"RANK", text_cell, "rank"},
    {"JOB", text_cell, "job_id"},
    {"STATUS", text_cell, "status"},
    {"PARAMETERS", text_cell, "trainable_parameters"},
    {"VALUE", text_cell, "value"},
    {"BEST", text_cell, "best"},
    {"TRAIN LOSS", text_cell, "train_loss"},
    {"TIME", cell_seconds, NULL},
    {"WITH", cell_values, NULL},
};

static void cell_fits(struct str *out, const json_t *estimate) {
  const json_t *fits = json_object_get(estimate, "fits");
  str_puts(out, json_is_true(fits) ? "yes" : json_is_false(fits) ? "no" : "-");
}
static void cell_steps(struct str *out, const json_t *estimate) {
  text_cell(out, json_object_get(estimate, "steps"));
}
static void cell_trained(struct str *out, const json_t *estimate) {
  text_cell(out, json_object_get(estimate, "trainable_parameters"));
}
static void cell_memory(struct str *out, const json_t *estimate) {
  const json_t *bytes = json_object_get(estimate, "peak_memory_bytes");
  if (json_is_integer(bytes))
    text_bytes(out, (uint64_t)json_integer_value(bytes));
  else
    str_putc(out, '-');
}
static void cell_at_most(struct str *out, const json_t *estimate) {
  const json_t *seconds = json_object_get(estimate, "duration_seconds");
  const json_t *high = json_object_get(seconds, "high");
  text_duration(out, json_is_number(high) ? json_number_value(high) : -1);
}
static const struct text_column estimate_columns[] = {
    {"FITS", cell_fits, "estimate"},          {"STEPS", cell_steps, "estimate"},
    {"PARAMETERS", cell_trained, "estimate"}, {"MEMORY", cell_memory, "estimate"},
    {"AT MOST", cell_at_most, "estimate"},    {"WITH", cell_values, NULL},
};

static void print_table(const struct text_column *columns, size_t count, const json_t *items) {
  struct str text;
  str_init(&text, OUTPUT_BYTES_MAX);
  text_table(&text, columns, count, items);
  fputs(text.text, stdout);
  str_done(&text);
}

/* ---- what came of it ---- */

static enum exit_code show_results(struct cli *cli, const char *id) {
  AUTO(json_release) json_t *results = NULL;
  AUTO(str_done) struct str path;
  struct error err;
  str_init(&path, 4096);
  if (http_json(&cli->http, &results, "GET", cli_path(&path, prefix, id, "/results?format=json"), NULL, &err))
    return cli_fail(cli, &err);
  if (cli->json)
    return cli_print_json(results);
  printf("jobs are ranked by ");
  cli_print_text(text_member(results, "metric", "?"));
  print_table(result_columns, COUNT_OF(result_columns), json_object_get(results, "data"));
  return EXIT_DONE;
}

/* "2 of 6 jobs have ended, 1 runs; the best so far: 0.91 (learning_rate = 0.001)". */
static void describe(struct str *out, const json_t *sweep) {
  const json_t *best = json_object_get(sweep, "best");
  str_printf(out, "%lld of %lld jobs have ended, running: %lld", ended(sweep), job_count(sweep),
             (long long)json_integer_value(json_object_get(json_object_get(sweep, "job_counts"), "running")));
  if (!json_is_object(best))
    return;
  str_puts(out, "; the best so far: ");
  text_clean(out, text_member(sweep, "metric", "?"));
  str_puts(out, " ");
  text_cell(out, json_object_get(best, "value"));
  str_puts(out, " (");
  cell_values(out, best);
  str_putc(out, ')');
}

/* ---- watching ---- */

struct watch {
  struct cli *cli;
  struct str path, before; /* of the sweep; the line that was printed last */
  bool all_succeeded;
};

/* The sweep as it stands, in a line, where that is another than the one before. */
static void show(struct watch *watch, const json_t *sweep) {
  AUTO(str_done) struct str line;
  str_init(&line, 1 << 16);
  describe(&line, sweep);
  if (strcmp(line.text, watch->before.text) != 0)
    fprintf(stderr, "%s\n", line.text);
  str_clear(&watch->before);
  str_puts(&watch->before, line.text);
}

static enum status take(void *context, const char *name, json_t *data, bool *ended, struct error *err) {
  (void)err;
  if (strcmp(name, "status") == 0)
    show(context, data);
  *ended = strcmp(name, "end") == 0;
  return STATUS_OK;
}

static enum status look(void *context, bool *ended, struct error *err) {
  struct watch *watch = context;
  AUTO(json_release) json_t *sweep = NULL;
  enum status status = http_json(&watch->cli->http, &sweep, "GET", watch->path.text, NULL, err);
  if (status)
    return status;
  show(watch, sweep);
  *ended = strcmp(text_member(sweep, "status", ""), "finished") == 0;
  watch->all_succeeded =
      json_integer_value(json_object_get(json_object_get(sweep, "job_counts"), "succeeded")) == job_count(sweep);
  return STATUS_OK;
}

static void note(void *context, const char *what, const char *foreign) {
  (void)context;
  cli_note(what, foreign);
}

/* Until none of its jobs is open; then what came of them. */
static enum exit_code watch(struct cli *cli, const char *id) {
  struct watch watch = {.cli = cli};
  AUTO(str_done) struct str stream;
  struct error err;
  str_init(&watch.path, 4096);
  str_init(&watch.before, 1 << 16);
  str_init(&stream, 4096);
  cli_path(&watch.path, prefix, id, "");
  cli_path(&stream, prefix, id, "?stream=true");
  const struct follow follow = {.cli = cli,
                                .path = stream.text,
                                .patience_seconds = FOLLOW_PATIENCE_SECONDS,
                                .take = take,
                                .look = look,
                                .note = note,
                                .context = &watch};
  enum status status = follow_to_end(&follow, &err);
  str_done(&watch.path);
  str_done(&watch.before);
  if (status && follow_interrupted()) {
    cli_note("reflect: no longer watching; its jobs go on. To come back: reflect sweeps watch", id);
    follow_end_interrupted();
  }
  if (status)
    return cli_fail(cli, &err);
  enum exit_code code = show_results(cli, id);
  return code != EXIT_DONE ? code : watch.all_succeeded ? EXIT_DONE : EXIT_UNSUCCESSFUL;
}

/* ---- the commands ---- */

static enum exit_code estimate(struct cli *cli, const json_t *body) {
  AUTO(json_release) json_t *answer = NULL;
  struct error err;
  const json_t *warning;
  size_t i;
  if (http_json(&cli->http, &answer, "POST", "/v1/fine_tuning/sweeps?dry_run=true", body, &err))
    return cli_fail(cli, &err);
  if (cli->json)
    cli_print_json(answer);
  else
    print_table(estimate_columns, COUNT_OF(estimate_columns), json_object_get(answer, "jobs"));
  fflush(stdout);
  json_array_foreach(json_object_get(answer, "warnings"), i, warning)
      cli_note("warning:", json_is_string(warning) ? json_string_value(warning) : "?");
  return json_is_true(json_object_get(answer, "fits")) ? EXIT_DONE : EXIT_UNSUCCESSFUL;
}

static enum exit_code sweeps_create(struct cli *cli, const char *const *operands, const void *values,
                                    json_t *document) {
  const struct create_options *options = values;
  AUTO(json_release) json_t *body = NULL;
  AUTO(json_release) json_t *sweep = NULL;
  struct error err;
  (void)operands;
  enum exit_code code = make_body(cli, &body, options, document);
  if (code != EXIT_DONE)
    return code;
  if (options->dry_run)
    return estimate(cli, body);
  if (http_json(&cli->http, &sweep, "POST", sweeps_path, body, &err))
    return cli_fail(cli, &err);
  const char *id = text_member(sweep, "id", "");
  if (!cli->json)
    cli_print_text(id);
  else if (!options->watch)
    cli_print_json(sweep);
  fflush(stdout);
  return options->watch ? watch(cli, id) : EXIT_DONE;
}

static enum exit_code sweeps_list(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)operands, (void)document;
  return cli_list(cli, sweeps_path, values, sweep_columns, COUNT_OF(sweep_columns));
}

static enum exit_code request(struct cli *cli, const char *method, const char *id, const char *suffix) {
  AUTO(str_done) struct str path;
  str_init(&path, 4096);
  return cli_show(cli, method, cli_path(&path, prefix, id, suffix));
}

static enum exit_code sweeps_show(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)values, (void)document;
  return request(cli, "GET", operands[0], "");
}

static enum exit_code sweeps_cancel(struct cli *cli, const char *const *operands, const void *values,
                                    json_t *document) {
  (void)values, (void)document;
  return request(cli, "POST", operands[0], "/cancel");
}

static enum exit_code sweeps_watch(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)values, (void)document;
  return watch(cli, operands[0]);
}

struct results_options {
  const char *format;
};
static const struct option_row results_rows[] = {
    {"format", OPTION_TEXT, offsetof(struct results_options, format), NULL, "NAME",
     "csv or markdown, for spreadsheets and documents"},
};
static const struct option_table results_table = {results_rows, COUNT_OF(results_rows)};

static enum exit_code sweeps_results(struct cli *cli, const char *const *operands, const void *values,
                                     json_t *document) {
  const struct results_options *options = values;
  AUTO(str_done) struct str path;
  struct error err;
  (void)document;
  str_init(&path, 4096);
  if (!options->format)
    return show_results(cli, operands[0]);
  cli_path(&path, prefix, operands[0], "/results?format=");
  http_escape(&path, options->format);
  return download_to_output(cli, path.text, &err) ? cli_fail(cli, &err) : EXIT_DONE;
}

struct delete_options {
  bool keep_jobs;
};
static const struct option_row delete_rows[] = {
    {"keep-jobs", OPTION_FLAG, offsetof(struct delete_options, keep_jobs), NULL, NULL, "the sweep alone"},
};
static const struct option_table delete_table = {delete_rows, COUNT_OF(delete_rows)};

static enum exit_code sweeps_delete(struct cli *cli, const char *const *operands, const void *values,
                                    json_t *document) {
  const struct delete_options *options = values;
  (void)document;
  return request(cli, "DELETE", operands[0], options->keep_jobs ? "?keep_jobs=true" : "");
}

static const struct command commands[] = {
    {
        .verb = "create",
        .operands = "",
        .doc = "Start jobs that differ in what is compared; prints the sweep's id",
        .options = &sweep_option_table,
        .values_bytes = sizeof(struct create_options),
        .run = sweeps_create,
    },
    {
        .verb = "list",
        .operands = "",
        .doc = "List sweeps",
        .options = &page_option_table,
        .values_bytes = sizeof(struct page_options),
        .run = sweeps_list,
    },
    {.verb = "show", .operands = "ID", .operand_count = 1, .doc = "Show a sweep", .run = sweeps_show},
    {
        .verb = "results",
        .operands = "ID",
        .operand_count = 1,
        .doc = "Compare its jobs, the best first",
        .options = &results_table,
        .values_bytes = sizeof(struct results_options),
        .run = sweeps_results,
    },
    {
        .verb = "watch",
        .operands = "ID",
        .operand_count = 1,
        .doc = "Follow a sweep to its end; succeeds only if all its jobs do",
        .run = sweeps_watch,
    },
    {
        .verb = "cancel",
        .operands = "ID",
        .operand_count = 1,
        .doc = "Cancel its jobs that wait or run",
        .run = sweeps_cancel,
    },
    {
        .verb = "delete",
        .operands = "ID",
        .operand_count = 1,
        .doc = "Delete a sweep that has ended, with its jobs and all that they made",
        .options = &delete_table,
        .values_bytes = sizeof(struct delete_options),
        .run = sweeps_delete,
    },
};

const struct noun sweeps_noun = {"sweeps", "Sweeps", commands, COUNT_OF(commands), false, false};
