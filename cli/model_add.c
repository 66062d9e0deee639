#include "cli/model_add.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/single_file.h"
#include "api/task.h"
#include "base/file.h"
#include "base/json.h"
#include "base/split_file.h"
#include "cli/layers.h"
#include "cli/model_copy.h"
#include "cli/program.h"
#include "cli/text.h"

enum { SAID_BYTES = 16 << 20, LOOK_SECONDS = 600, NAME_BYTES = 400 };

static const struct option_row rows[] = {
    {"models", OPTION_TEXT, offsetof(struct model_add_options, models), NULL, "DIR",
     "the models folder of the daemon on this machine; else $REFLECTD_MODELS"},
    {"name", OPTION_TEXT, offsetof(struct model_add_options, name), NULL, "ID",
     "what it is called there, also org/name; else as it is called here"},
    {"link", OPTION_FLAG, offsetof(struct model_add_options, link), NULL, NULL,
     "hard links instead of copies: who writes into a file here then writes into the model"},
};
const struct option_table model_add_table = {rows, COUNT_OF(rows)};

/* Memory that is missing here says nothing of the model. */
static bool is_of_host(const json_t *event) {
  enum status status = status_from_code(text_member(event, "code", ""));
  return status != STATUS_COUNT && status_http(status) >= 500;
}

/* What the worker says of the model, of its many lines. */
static enum status read_verdict(json_t **report, char *said, int code, struct error *err) {
  enum status status = STATUS_OK;
  char *rest = said;
  for (char *line; !*report && !status && (line = program_line(&rest));) {
    AUTO(json_release) json_t *event = NULL;
    const struct json_limits limits = {.bytes_max = SAID_BYTES, .values_max = 1 << 20};
    struct error other;
    if (line[0] != '{' || json_parse(&event, line, strlen(line), &limits, &other) != STATUS_OK)
      continue;
    const char *kind = text_member(event, "event", "");
    if (strcmp(kind, "report") == 0)
      *report = json_incref(json_object_get(event, "data"));
    else if (strcmp(kind, "error") == 0)
      status = error_set(err, is_of_host(event) ? STATUS_UNAVAILABLE : STATUS_MODEL_INVALID, "model", "%s",
                         text_member(event, "message", "no job can use it"));
  }
  if (!*report && !status)
    status = error_set(err, STATUS_UNAVAILABLE, NULL, "the worker says nothing of the model (exit status %d)", code);
  return status;
}

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

/* As the daemon does it: the files of a model are others' bytes, and are read by a worker that can do no harm. */
static enum status look_at(json_t **report, const char *model, const struct beside *beside, struct error *err) {
  AUTO(str_done) struct str said, text;
  char sandbox[PATH_MAX], worker[PATH_MAX], order[] = "/tmp/reflect-task-XXXXXX";
  struct layers layers;
  const char *arguments[2 * LAYERS_MAX + 2 * SINGLE_FILE_PARTS + 16];
  size_t count = 0;
  int code = 0;
  str_init(&said, SAID_BYTES);
  str_init(&text, 1 << 20);
  AUTO(json_release) json_t *task = task_json(&(struct task){.kind = TASK_INSPECT, .model_dir = model});
  if (!program_find(worker, "reflect-worker"))
    return error_set(err, STATUS_UNAVAILABLE, NULL,
                     "reflect-worker is not beside this program: models are added where "
                     "the daemon is installed");
  enum status status = layers_probe(&layers, err);
  int fd = status ? -1 : mkstemp(order);
  if (status)
    return status;
  if (fd < 0)
    return error_set_errno(err, STATUS_IO, NULL, "%s", order);
  close(fd);
  if (!task || !json_append(&text, task))
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
  if (!status)
    status = file_put(order, text.text, text.length, err);
  if (!status && program_find(sandbox, "reflect-sandbox")) {
    arguments[count++] = sandbox;
    layers_without(&layers, arguments, &count);
    const char *const rest[] = {"--model", model, "--read", order, "--", worker, order, NULL};
    for (size_t i = 0; i < beside->count; i++) {
      arguments[count++] = "--read";
      arguments[count++] = beside->paths[i];
    }
    for (size_t i = 0; i < COUNT_OF(rest); i++)
      arguments[count++] = rest[i];
    status = program_run(&said, &code, arguments, LOOK_SECONDS, err);
  }
  unlink(order);
  return status ? status : read_verdict(report, said.text, code, err);
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
