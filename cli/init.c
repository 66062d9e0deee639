/* reflect init: a job and data to begin with, and the commands that follow. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/starts.h"
#include "cli/text.h"

enum { TEXT_BYTES = 1 << 20 };

struct init_options {
  const char *task, *model, *folder;
};
static const struct option_row rows[] = {
    {"task", OPTION_TEXT, offsetof(struct init_options, task), NULL, "NAME",
     "classify (if not said), regression, labels, tags, chat, embed, rerank; or as jobs call it"},
    {"model", OPTION_TEXT, offsetof(struct init_options, model), NULL, "ID",
     "the base model; else one of the server's that can learn the task"},
    {"folder", OPTION_TEXT, offsetof(struct init_options, folder), NULL, "DIR", "made where it is missing; else here"},
};
static const struct option_table table = {rows, COUNT_OF(rows)};

static const char *const file_names[] = {"job.json", "train.jsonl", "validation.jsonl"};

static bool has_task(const json_t *model, const char *task) {
  size_t index;
  const json_t *item;
  json_array_foreach(json_object_get(model, "tasks"), index, item) {
    if (json_is_string(item) && strcmp(json_string_value(item), task) == 0)
      return true;
  }
  return false;
}

/* An encoder goes before a language model where both could learn it: it is smaller. A new reference to its id. */
static enum status choose_model(json_t **out, struct cli *cli, const char *task, struct error *err) {
  AUTO(json_release) json_t *answer = NULL;
  const json_t *model, *chosen = NULL;
  size_t index;
  bool wants_text = strcmp(task, "language_model") == 0, is_best = false;
  enum status status = http_json(&cli->http, &answer, "GET", "/v1/capabilities", NULL, err);
  if (status)
    return error_prefix(err, "to choose a model the server is asked (or say --model ID)");
  json_array_foreach(json_object_get(answer, "models"), index, model) {
    if (!is_best && json_is_true(json_object_get(model, "usable")) && has_task(model, task)) {
      is_best = wants_text == has_task(model, "language_model");
      chosen = !chosen || is_best ? model : chosen;
    }
  }
  if (!chosen)
    return error_set(err, STATUS_INVALID_VALUE, "model",
                     "no model of this server can learn %s: see reflect models list, or say --model ID", task);
  *out = json_incref(json_object_get(chosen, "id"));
  return STATUS_OK;
}

/* A whole job but for its files. What is not said has the server's defaults, which fit the method. */
static enum status job_text(struct str *out, const char *model, const char *task, struct error *err) {
  AUTO(json_release)
  json_t *job = json_pack("{s:s s:s s:i s:{s:s s:i} s:{s:s s:{s:{s:i s:i}}}}", "model", model, "task", task, "seed", 1,
                          "adapter", "peft_type", "HRA", "r", 8, "method", "type", "supervised", "supervised",
                          "hyperparameters", "n_epochs", 3, "batch_size", 8);
  text_json(out, job, 2);
  str_putc(out, '\n');
  return job && !out->failed ? STATUS_OK : error_set(err, STATUS_INVALID_VALUE, "model", "it is no text in UTF-8");
}

static enum status check_new(const char *folder, struct error *err) {
  char path[4096];
  struct stat info;
  for (size_t i = 0; i < COUNT_OF(file_names); i++) {
    snprintf(path, sizeof path, "%s/%s", folder, file_names[i]);
    if (lstat(path, &info) == 0)
      return error_set(err, STATUS_INVALID_VALUE, "folder", "%s is there already, and nothing is overwritten", path);
    if (errno != ENOENT)
      return error_set_errno(err, STATUS_IO, "folder", "%s", path);
  }
  return STATUS_OK;
}

static enum status write_files(const char *folder, const struct str *job, const struct start *start,
                               struct error *err) {
  AUTO(str_done) struct str training, validation;
  char path[4096];
  str_init(&training, TEXT_BYTES);
  str_init(&validation, TEXT_BYTES);
  for (size_t i = 0; i < START_RECORDS; i++)
    str_printf(i < START_TRAINING ? &training : &validation, "%s\n", start->record[i]);
  const struct str *const texts[] = {job, &training, &validation};
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(file_names); i++) {
    snprintf(path, sizeof path, "%s/%s", folder, file_names[i]);
    status = file_put(path, texts[i]->text, texts[i]->length, err);
  }
  return status;
}

/* As a shell reads it. */
static void quote(struct str *out, const char *text) {
  str_putc(out, '\'');
  for (; *text; text++)
    if (*text == '\'')
      str_puts(out, "'\\''");
    else
      str_putc(out, *text);
  str_putc(out, '\'');
}

static void print_next(const char *folder, const char *model, const char *task) {
  AUTO(str_done) struct str text;
  str_init(&text, TEXT_BYTES);
  str_puts(&text, "job.json (");
  text_clean(&text, task);
  str_puts(&text, " with ");
  text_clean(&text, model);
  str_puts(&text, "), train.jsonl and validation.jsonl are there: put your own data in their place.\n"
                  "Then, to see what it takes, to train, and to fetch the adapter:\n\n");
  if (strcmp(folder, ".") != 0) {
    str_puts(&text, "  cd ");
    quote(&text, folder);
    str_putc(&text, '\n');
  }
  str_puts(&text, "  reflect jobs estimate --spec job.json --file train.jsonl --validation validation.jsonl\n"
                  "  job=$(reflect jobs create --spec job.json --file train.jsonl --validation validation.jsonl)\n"
                  "  reflect jobs watch $job\n"
                  "  reflect jobs download $job --out adapter\n");
  fputs(text.text, stdout);
}

static enum exit_code init(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  const struct init_options *options = values;
  const char *task = options->task ? options->task : "classification",
             *folder = options->folder ? options->folder : ".";
  AUTO(json_release) json_t *chosen = options->model ? json_string(options->model) : NULL;
  AUTO(str_done) struct str job;
  const struct start *start = start_find(task);
  struct error err;
  (void)operands, (void)document;
  str_init(&job, TEXT_BYTES);
  enum status status = STATUS_OK;
  if (!start)
    status = error_set(&err, STATUS_INVALID_VALUE, "task",
                       "there is no beginning for the task \"%s\"; there is one for "
                       "classify, regression, labels, tags, chat, embed, rerank",
                       task);
  if (!status)
    status = check_new(folder, &err);
  if (!status && !chosen)
    status = choose_model(&chosen, cli, start->task, &err);
  const char *model = json_string_value(chosen);
  if (!status)
    status = job_text(&job, model ? model : "", start->task, &err);
  if (!status && strcmp(folder, ".") != 0 && mkdir(folder, 0777) != 0 && errno != EEXIST)
    status = error_set_errno(&err, STATUS_IO, "folder", "%s", folder);
  if (!status)
    status = write_files(folder, &job, start, &err);
  if (status)
    return cli_fail(cli, &err);
  if (!cli->json) {
    print_next(folder, model, start->task);
    return EXIT_DONE;
  }
  AUTO(json_release)
  json_t *out = json_pack("{ss ss ss s[sss]}", "folder", folder, "model", model, "task", start->task, "files",
                          file_names[0], file_names[1], file_names[2]);
  return cli_print_json(out);
}

static const struct command commands[] = {
    {
        .verb = "run",
        .operands = "",
        .doc = "Write a job and example data for a task, and say what comes next; overwrites nothing",
        .options = &table,
        .values_bytes = sizeof(struct init_options),
        .run = init,
    },
};

const struct noun init_noun = {
    .name = "init", .doc = "A beginning", .commands = commands, .count = COUNT_OF(commands), .verb_optional = true};
