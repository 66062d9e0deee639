#include "cli/model_add.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/single_file.h"
#include "base/json.h"
#include "base/split_file.h"
#include "cli/model_copy.h"
#include "cli/text.h"
#include "cli/worker_task.h"

enum { LOOK_SECONDS = 600, NAME_BYTES = 400 };

static const struct option_row rows[] = {
    {"models", OPTION_TEXT, offsetof(struct model_add_options, models), NULL, "DIR",
     "the models folder of the daemon on this machine; else $REFLECTD_MODELS"},
    {"name", OPTION_TEXT, offsetof(struct model_add_options, name), NULL, "ID",
     "what it is called there, also org/name; else as it is called here"},
    {"link", OPTION_FLAG, offsetof(struct model_add_options, link), NULL, NULL,
     "hard links instead of copies: who writes into a file here then writes into the model"},
};
const struct option_table model_add_table = {rows, COUNT_OF(rows)};

/* What lies beside a single file and belongs to it; of any other model nothing. */
struct beside {
  size_t count;
  const char *parts[SINGLE_FILE_PARTS]; /* below the file's folder */
  char paths[SINGLE_FILE_PARTS][PATH_MAX];
};

static void find_beside(struct beside *out, const char *source) {
  struct single_file file;
  struct stat info;
  *out = (struct beside){0};
  if (stat(source, &info) != 0 || !S_ISREG(info.st_mode) || !single_file_find(&file, source))
    return;
  for (size_t i = 0; i < SINGLE_FILE_PARTS; i++) {
    char *path = out->paths[out->count];
    int length = snprintf(path, PATH_MAX, "%s/%s", file.folder, single_file_parts[i]);
    if (length < PATH_MAX && stat(path, &info) == 0)
      out->parts[out->count++] = single_file_parts[i];
  }
}

/* As the daemon does it. All that a worker finds wrong is the model's fault. */
static enum status look_at(json_t **report, const char *model, const struct beside *beside, struct error *err) {
  const struct task task = {.kind = TASK_INSPECT, .model_dir = model};
  const char *reads[SINGLE_FILE_PARTS];
  for (size_t i = 0; i < beside->count; i++)
    reads[i] = beside->paths[i];
  enum status status = worker_task_run(report, &task, reads, beside->count, LOOK_SECONDS, err);
  if (status && status_http(status) < 500)
    status = err->status = STATUS_MODEL_INVALID;
  return status;
}

/* A file that becomes a folder, with what lies beside it and belongs to it. */
static bool becomes_folder(const char *source) {
  struct split_file one;
  return single_file_named(source) || (split_file_named(&one, source) && one.count > 1);
}

static bool is_gguf(const char *name) {
  size_t length = strlen(name);
  return length > 5 && strcmp(name + length - 5, ".gguf") == 0;
}

/* What the path is called, as it was typed: a link's own name says more than what it leads to. */
static void last_name(char out[NAME_BYTES], const char *path, const char *source) {
  size_t end = strlen(path);
  while (end > 0 && path[end - 1] == '/')
    end--;
  size_t begin = end;
  while (begin > 0 && path[begin - 1] != '/')
    begin--;
  snprintf(out, NAME_BYTES, "%.*s", (int)(end - begin), path + begin);
  if (out[0] == '\0' || strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
    snprintf(out, NAME_BYTES, "%s", strrchr(source, '/') + 1);
  struct split_file one;
  if (single_file_named(out))
    out[strlen(out) - strlen(".safetensors")] = '\0';
  else if (split_file_named(&one, out) && one.count > 1)
    out[one.stem] = '\0';
}

/* The id that the model gets. */
static enum status check_name(const char *id, const char *source, struct error *err) {
  struct stat info;
  if (stat(source, &info) != 0)
    return error_set_errno(err, STATUS_IO, NULL, "%s", source);
  if (!model_id_valid(id))
    return error_set(err, STATUS_INVALID_VALUE, "name", "\"%s\" cannot be a model's name: --name NAME, or ORG/NAME",
                     id);
  if (S_ISREG(info.st_mode) && !becomes_folder(source) && (!is_gguf(source) || !is_gguf(id) || strchr(id, '/')))
    return error_set(err, STATUS_INVALID_VALUE, "name",
                     "a model that is one file must end in .gguf, here and as its name (ORG/NAME is for folders), or "
                     "in .safetensors");
  return STATUS_OK;
}

static void print_added(const char *id, const json_t *report, uint64_t bytes) {
  AUTO(str_done) struct str text;
  str_init(&text, 1 << 16);
  text_clean(&text, id);
  str_puts(&text, ": ");
  text_clean(&text, text_member(report, "architecture", "a model"));
  str_puts(&text, ", ");
  text_bytes(&text, bytes);
  puts(text.text);
}

enum exit_code model_add(struct cli *cli, const char *path, const struct model_add_options *options) {
  const char *folder = options->models ? options->models : getenv("REFLECTD_MODELS"), *id = options->name;
  AUTO(json_release) json_t *report = NULL;
  char source[PATH_MAX], own_name[NAME_BYTES];
  struct beside beside;
  struct error err;
  uint64_t bytes = 0;
  enum status status = STATUS_OK;
  if (!folder || !*folder)
    status = error_set(&err, STATUS_MISSING_PARAMETER, "models",
                       "--models is missing: the models folder of the daemon on this machine");
  else if (!realpath(path, source))
    status = error_set_errno(&err, STATUS_IO, NULL, "%s", path);
  if (!status && !id)
    last_name(own_name, path, source);
  id = id ? id : own_name;
  if (!status)
    status = check_name(id, source, &err);
  if (!status)
    find_beside(&beside, source);
  if (!status)
    status = look_at(&report, source, &beside, &err);
  if (!status && becomes_folder(source))
    status = model_copy_parts(source, beside.parts, beside.count, folder, id, options->link, &bytes, &err);
  else if (!status)
    status = model_copy(source, folder, id, options->link, &bytes, &err);
  if (status == STATUS_MODEL_INVALID) {
    cli_note("reflect: no job could use this model, so it is not added:", err.text);
    return EXIT_UNSUCCESSFUL;
  }
  if (status)
    return cli_fail(cli, &err);
  if (!cli->json) {
    print_added(id, report, bytes);
    return EXIT_DONE;
  }
  AUTO(json_release)
  json_t *out =
      json_pack("{ss ss sI sO}", "id", id, "models", folder, "bytes", (json_int_t)bytes, "capabilities", report);
  return cli_print_json(out);
}
