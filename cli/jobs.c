/* reflect jobs: create, look, follow, stop, fetch. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/download.h"
#include "cli/estimate.h"
#include "cli/exports.h"
#include "cli/follow.h"
#include "cli/job_body.h"
#include "cli/job_files.h"
#include "cli/progress.h"
#include "cli/queue.h"
#include "cli/text.h"
#include "cli/watch.h"

static const char jobs_path[] = "/v1/fine_tuning/jobs";
static const char job_prefix[] = "/v1/fine_tuning/jobs/";

struct watch_options {
  int64_t patience_seconds;
};
static const struct option_row watch_rows[] = {
  {"patience", OPTION_INT, offsetof(struct watch_options, patience_seconds), NULL, "SECONDS",
   "how long an unreachable server is asked again (600)"},
};
static const struct option_table watch_table = {watch_rows, COUNT_OF(watch_rows)};

struct list_options {
  struct page_options page;
  const char *sweep;
};
static const struct option_row list_rows[] = {
  {"limit", OPTION_INT, offsetof(struct list_options, page.limit), NULL, "N", "how many; newest first"},
  {"after", OPTION_TEXT, offsetof(struct list_options, page.after), NULL, "ID", "continue after this one"},
  {"sweep", OPTION_TEXT, offsetof(struct list_options, sweep), NULL, "ID", "the jobs of this sweep alone"},
};
static const struct option_table list_table = {list_rows, COUNT_OF(list_rows)};

struct export_options {
  bool no_wait;
};
static const struct option_row export_rows[] = {
  {"no-wait", OPTION_FLAG, offsetof(struct export_options, no_wait), NULL, NULL, "do not wait until they are made"},
};
static const struct option_table export_table = {export_rows, COUNT_OF(export_rows)};

struct logs_options {
  bool follow;
  int64_t tail;
};

static const struct option_row logs_rows[] = {
  {"follow", OPTION_FLAG, offsetof(struct logs_options, follow), NULL, NULL, "go on until the job has ended"},
  {"tail", OPTION_INT, offsetof(struct logs_options, tail), NULL, "N", "only the last N lines"},
};
static const struct option_table logs_table = {logs_rows, COUNT_OF(logs_rows)};

struct download_options {
  const char *out, *name;
  bool all;
};
static const struct option_row download_rows[] = {
  {"out", OPTION_TEXT, offsetof(struct download_options, out), NULL, "DIR", "the folder; else one named as the job"},
  {"name", OPTION_TEXT, offsetof(struct download_options, name), NULL, "NAME", "this artifact alone, like lora.gguf"},
  {"all", OPTION_FLAG, offsetof(struct download_options, all), NULL, NULL, "every artifact, not the adapter's alone"},
};
static const struct option_table download_table = {download_rows, COUNT_OF(download_rows)};

static enum exit_code jobs_estimate(struct cli *cli, const char *const *operands, const void *values,
                                    json_t *document) {
  AUTO(json_release) json_t *body = NULL;
  (void)operands;
  enum exit_code code = job_files_body(cli, &body, values, document);
  return code == EXIT_DONE ? estimate_show(cli, body) : code;
}

static enum exit_code submit(struct cli *cli, const char *path, const json_t *body, bool watch) {
  AUTO(json_release) json_t *job = NULL;
  struct error err;
  if (http_json(&cli->http, &job, "POST", path, body, &err) != STATUS_OK)
    return cli_fail(cli, &err);
  const char *id = text_member(job, "id", "");
  if (!cli->json)
    cli_print_text(id);
  else if (!watch)
    cli_print_json(job);
  fflush(stdout);
  return watch ? watch_job(cli, id, FOLLOW_PATIENCE_SECONDS) : EXIT_DONE;
}

static enum exit_code jobs_create(struct cli *cli, const char *const *operands, const void *values,
                                  json_t *document) {
  const struct create_options *options = values;
  AUTO(json_release) json_t *body = NULL;
  (void)operands;
  enum exit_code code = job_files_body(cli, &body, options, document);
  if (code != EXIT_DONE)
    return code;
  return options->dry_run ? estimate_show(cli, body) : submit(cli, jobs_path, body, options->watch);
}

static enum exit_code jobs_clone(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  const struct create_options *options = values;
  AUTO(json_release) json_t *changes = NULL;
  AUTO(str_done) struct str path;
  struct error err;
  str_init(&path, 4096);
  if (options->dry_run) {
    error_set(&err, STATUS_INVALID_VALUE, "dry-run", "a clone has no --dry-run: see reflect jobs estimate");
    return cli_fail(cli, &err);
  }
  enum exit_code code = job_files_body(cli, &changes, options, document);
  if (code != EXIT_DONE)
    return code;
  return submit(cli, cli_path(&path, job_prefix, operands[0], "/clone"), changes, options->watch);
}

static void cell_status(struct str *out, const json_t *job) {
  text_clean(out, json_is_true(json_object_get(job, "pausing")) ? "pausing" : text_member(job, "status", "-"));
}
static void cell_method(struct str *out, const json_t *job) {
  const json_t *adapter = json_object_get(job, "adapter");
  static const struct {
    const char *member, *shown;
  } sizes[] = {{"r", "r"}, {"oft_block_size", "block"}, {"boft_block_size", "block"}, {"boft_block_num", "blocks"}};
  text_clean(out, text_member(adapter, "peft_type", "-"));
  str_puts(out, json_is_true(json_object_get(adapter, "apply_GS")) ? " GS" : "");
  json_int_t size = 0;
  for (size_t i = 0; size == 0 && i < COUNT_OF(sizes); i++) /* 0: another one decides */
    if ((size = json_integer_value(json_object_get(adapter, sizes[i].member))) > 0)
      str_printf(out, " %s=%lld", sizes[i].shown, (long long)size);
}
static void cell_progress(struct str *out, const json_t *job) {
  struct job_progress progress;
  progress_read(&progress, job);
  if (progress.total_steps > 0)
    str_printf(out, "%lld/%lld", (long long)progress.step, (long long)progress.total_steps);
  else
    str_putc(out, '-');
}
static void cell_message(struct str *out, const json_t *event) {
  text_clean(out, text_member(event, "message", ""));
}
static void cell_step(struct str *out, const json_t *checkpoint) {
  str_printf(out, "%lld", (long long)json_integer_value(json_object_get(checkpoint, "step_number")));
}
static void cell_metrics(struct str *out, const json_t *checkpoint) {
  const json_t *metrics = json_object_get(checkpoint, "metrics");
  if (metrics)
    text_json(out, metrics, 0);
}

static const struct text_column job_columns[] = {
    {"ID", text_cell, "id"},
    {"STATUS", cell_status, NULL},
    {"STEP", cell_progress, NULL},
    {"MODEL", text_cell, "model"},
    {"METHOD", cell_method, NULL},
    {"CREATED", text_cell_time, "created_at"},
    {"ADAPTER", text_cell, "fine_tuned_model"},
};
static const struct text_column event_columns[] = {
    {"TIME", text_cell_time, "created_at"}, {"LEVEL", text_cell, "level"}, {"MESSAGE", cell_message, NULL}};
static const struct text_column checkpoint_columns[] = {{"ID", text_cell, "id"},
                                                        {"STEP", cell_step, NULL},
                                                        {"CREATED", text_cell_time, "created_at"},
                                                        {"METRICS", cell_metrics, NULL}};

static enum exit_code jobs_list(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  const struct list_options *options = values;
  AUTO(str_done) struct str path;
  (void)operands, (void)document;
  str_init(&path, 4096);
  str_puts(&path, jobs_path);
  if (options->sweep) {
    str_puts(&path, "?sweep=");
    http_escape(&path, options->sweep);
  }
  return cli_list(cli, path.text, &options->page, job_columns, COUNT_OF(job_columns));
}

/* A list below a job. */
static enum exit_code job_list(struct cli *cli, const char *id, const char *suffix, const struct page_options *page,
                               const struct text_column *columns, size_t column_count) {
  struct str path;
  str_init(&path, 4096);
  enum exit_code code = cli_list(cli, cli_path(&path, job_prefix, id, suffix), page, columns, column_count);
  str_done(&path);
  return code;
}

static enum exit_code jobs_events(struct cli *cli, const char *const *operands, const void *values,
                                  json_t *document) {
  (void)document;
  return job_list(cli, operands[0], "/events", values, event_columns, COUNT_OF(event_columns));
}

static enum exit_code jobs_checkpoints(struct cli *cli, const char *const *operands, const void *values,
                                       json_t *document) {
  (void)document;
  return job_list(cli, operands[0], "/checkpoints", values, checkpoint_columns, COUNT_OF(checkpoint_columns));
}

static enum exit_code job_request(struct cli *cli, const char *method, const char *id, const char *suffix) {
  struct str path;
  str_init(&path, 4096);
  enum exit_code code = cli_show(cli, method, cli_path(&path, job_prefix, id, suffix));
  str_done(&path);
  return code;
}

static enum exit_code jobs_get(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)values, (void)document;
  return job_request(cli, "GET", operands[0], "");
}

static enum exit_code jobs_cancel(struct cli *cli, const char *const *operands, const void *values,
                                  json_t *document) {
  (void)values, (void)document;
  return job_request(cli, "POST", operands[0], "/cancel");
}

static enum exit_code jobs_pause(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)values, (void)document;
  return job_request(cli, "POST", operands[0], "/pause");
}

static enum exit_code jobs_resume(struct cli *cli, const char *const *operands, const void *values,
                                  json_t *document) {
  (void)values, (void)document;
  return job_request(cli, "POST", operands[0], "/resume");
}

static enum exit_code jobs_checkpoint(struct cli *cli, const char *const *operands, const void *values,
                                      json_t *document) {
  (void)values, (void)document;
  return job_request(cli, "POST", operands[0], "/checkpoint");
}

static enum exit_code jobs_watch(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  const struct watch_options *options = values;
  (void)document;
  return watch_job(cli, operands[0], options->patience_seconds ? options->patience_seconds : FOLLOW_PATIENCE_SECONDS);
}

static enum exit_code jobs_logs(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  struct str path;
  struct error err;
  const struct logs_options *options = values;
  (void)document;
  str_init(&path, 4096);
  cli_path(&path, job_prefix, operands[0], "/logs");
  if (options->tail > 0)
    str_printf(&path, "?tail=%lld", (long long)options->tail);
  if (options->follow)
    str_puts(&path, options->tail > 0 ? "&follow=true" : "?follow=true");
  cli->http.patient = options->follow;
  enum status status = download_to_output(cli, path.text, &err);
  str_done(&path);
  return status == STATUS_OK ? EXIT_DONE : cli_fail(cli, &err);
}

static enum exit_code jobs_download(struct cli *cli, const char *const *operands, const void *values,
                                    json_t *document) {
  const struct download_options *options = values;
  (void)document;
  return download_artifacts(cli, operands[0], options->out ? options->out : operands[0], options->name, options->all);
}

static enum exit_code jobs_export(struct cli *cli, const char *const *operands, const void *values,
                                  json_t *document) {
  const struct export_options *options = values;
  (void)document;
  return exports_make(cli, operands[0], operands[1], options->no_wait);
}

static enum exit_code jobs_exports(struct cli *cli, const char *const *operands, const void *values,
                                   json_t *document) {
  (void)values, (void)document;
  return exports_list(cli, operands[0]);
}

static const struct command commands[] = {
  {
    .verb = "create",
    .operands = "",
    .doc = "Start a fine-tuning job; prints its id",
    .options = &create_option_table,
    .values_bytes = sizeof(struct create_options),
    .run = jobs_create,
  },
  {
    .verb = "estimate",
    .operands = "",
    .doc = "Judge a job and say what it would take: steps, time, memory, disk; exits 1 if it does not fit",
    .options = &create_option_table,
    .values_bytes = sizeof(struct create_options),
    .run = jobs_estimate,
  },
  {
    .verb = "list",
    .operands = "",
    .doc = "List jobs",
    .options = &list_table,
    .values_bytes = sizeof(struct list_options),
    .run = jobs_list,
  },
  {
    .verb = "clone",
    .operands = "ID",
    .operand_count = 1,
    .doc = "Start a job like another, with what the options say instead; prints its id",
    .options = &create_option_table,
    .values_bytes = sizeof(struct create_options),
    .run = jobs_clone,
  },
  {
    .verb = "set",
    .operands = "ID",
    .operand_count = 1,
    .doc = "Change a job's priority, place in the queue, names or metadata",
    .options = &queue_set_table,
    .run = queue_set,
  },
  {
    .verb = "delete",
    .operands = "ID",
    .operand_count = 1,
    .doc = "Delete a job that has ended, with all that it made",
    .run = queue_delete,
  },
  {.verb = "get", .operands = "ID", .operand_count = 1, .doc = "Show a job", .run = jobs_get},
  {
    .verb = "watch",
    .operands = "ID",
    .operand_count = 1,
    .doc = "Follow a job to its end; succeeds only if the job does",
    .options = &watch_table,
    .values_bytes = sizeof(struct watch_options),
    .run = jobs_watch,
  },
  {.verb = "cancel", .operands = "ID", .operand_count = 1, .doc = "Stop a job for good", .run = jobs_cancel},
  {
    .verb = "pause",
    .operands = "ID",
    .operand_count = 1,
    .doc = "Let a job wait where it is; it keeps no place",
    .run = jobs_pause,
  },
  {.verb = "resume", .operands = "ID", .operand_count = 1, .doc = "Let a paused job go on", .run = jobs_resume},
  {
    .verb = "checkpoint",
    .operands = "ID",
    .operand_count = 1,
    .doc = "Make a checkpoint of a running job now",
    .run = jobs_checkpoint,
  },
  {
    .verb = "events",
    .operands = "ID",
    .operand_count = 1,
    .doc = "List a job's events",
    .options = &page_option_table,
    .values_bytes = sizeof(struct page_options),
    .run = jobs_events,
  },
  {
    .verb = "checkpoints",
    .operands = "ID",
    .operand_count = 1,
    .doc = "List a job's checkpoints",
    .options = &page_option_table,
    .values_bytes = sizeof(struct page_options),
    .run = jobs_checkpoints,
  },
  {
    .verb = "logs",
    .operands = "ID",
    .operand_count = 1,
    .doc = "Print the worker's log",
    .options = &logs_table,
    .values_bytes = sizeof(struct logs_options),
    .run = jobs_logs,
  },
  {
    .verb = "download",
    .operands = "ID",
    .operand_count = 1,
    .doc = "Fetch the adapter's files and verify them",
    .options = &download_table,
    .values_bytes = sizeof(struct download_options),
    .run = jobs_download,
  },
  {
    .verb = "export",
    .operands = "ID FORMATS",
    .operand_count = 2,
    .doc = "Write a finished adapter in other formats: lora,merged,gguf:q8_0,...",
    .options = &export_table,
    .values_bytes = sizeof(struct export_options),
    .run = jobs_export,
  },
  {.verb = "exports", .operands = "ID", .operand_count = 1, .doc = "List a job's exports", .run = jobs_exports},
};

const struct noun jobs_noun = {"jobs", "Fine-tuning jobs", commands, COUNT_OF(commands), .verb_optional = false};
