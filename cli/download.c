/* Downloads. A file is hashed while it comes and published by base/file.h, so that nobody ever sees
   half of it or a damaged one. */
#include "cli/download.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/screen.h"
#include "cli/text.h"

enum { LINE_BYTES_MAX = 1 << 16 };

/* The files of an adapter folder. Without a required one there is no adapter. */
static const struct {
  const char *name;
  bool required;
} adapter_files[] = {
  {"adapter_config.json", true}, {"adapter_model.safetensors", true}, {"README.md", false}, {"labels.json", false},
  {"conditioning_embedding.safetensors", false},
  {"training_manifest.json", false}, {"step_metrics.csv", false},
  {"events.out.tfevents.0.reflectd", false},
};

static enum status take_file(void *context, const void *bytes, size_t length, struct error *err) {
  return file_write(context, bytes, length, err);
}

/* Text for a terminal: a line is cleaned when all of it is there, so that no letter is torn. */
static void end_line(struct str *line) {
  struct str clean;
  str_init(&clean, 8 * LINE_BYTES_MAX);
  text_clean(&clean, line->text);
  fputs(clean.text, stdout);
  str_done(&clean);
  str_clear(line);
}

static enum status take_terminal(void *context, const void *bytes, size_t length, struct error *err) {
  struct str *line = context;
  (void)err;
  for (size_t i = 0; i < length; i++) {
    char c = ((const char *)bytes)[i];
    if (c == '\n' || line->length + 8 > LINE_BYTES_MAX)
      end_line(line);
    if (c == '\n')
      putchar(c);
    else if (c)
      str_putc(line, c);
    else
      str_puts(line, "\\u0000");
  }
  return STATUS_OK;
}

static enum status take_output(void *context, const void *bytes, size_t length, struct error *err) {
  (void)context;
  if (fwrite(bytes, 1, length, stdout) != length || fflush(stdout) != 0) /* it may be followed */
    return error_set_errno(err, STATUS_IO, NULL, "standard output");
  return STATUS_OK;
}

static enum status check_hash(const struct file_new *file, const char *sha256, struct error *err) {
  struct hash so_far = file->hash;
  char got[HASH_HEX];
  hash_hex(&so_far, got);
  if (strcmp(got, sha256) == 0)
    return STATUS_OK;
  return error_set(err, STATUS_IO, NULL, "%s came damaged: its SHA-256 is %s, the server says %s", file->path, got,
                   sha256);
}

enum status download_to_file(struct cli *cli, const char *path, const char *name, const char *sha256,
                             struct error *err) {
  struct file_new file;
  struct screen screen;
  enum status status = file_create(&file, name, err);
  if (status != STATUS_OK)
    return status;
  screen_init(&screen, cli->terminal);
  const struct http_sink sink = {take_file, &file};
  const struct http_progress progress = {screen_report_bytes, &screen};
  status = http_download(&cli->http, path, &sink, &progress, err);
  screen_clear(&screen);
  if (status == STATUS_OK && sha256)
    status = check_hash(&file, sha256, err);
  if (status == STATUS_OK)
    return file_publish(&file, NULL, err);
  file_discard(&file);
  return status;
}

enum status download_to_output(struct cli *cli, const char *path, struct error *err) {
  struct str line;
  str_init(&line, LINE_BYTES_MAX);
  const struct http_sink sink = {isatty(STDOUT_FILENO) ? take_terminal : take_output, &line};
  enum status status = http_download(&cli->http, path, &sink, NULL, err);
  end_line(&line);
  str_done(&line);
  return status;
}

/* Names come from the server: only plain ones may become files here. */
static bool is_plain_name(const char *name) {
  return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 200;
}

static const json_t *find_artifact(const json_t *artifacts, const char *name) {
  size_t index;
  const json_t *artifact;
  json_array_foreach(artifacts, index, artifact) {
    if (strcmp(text_member(artifact, "name", ""), name) == 0)
      return artifact;
  }
  return NULL;
}

/* The artifacts to fetch, as a new array. NULL when the job has no adapter. */
static json_t *choose_artifacts(json_t *artifacts, const char *name, bool all, struct error *err) {
  json_t *chosen = json_array();
  const json_t *named = name ? find_artifact(artifacts, name) : NULL;
  if (named) {
    json_array_append_new(chosen, json_deep_copy(named));
    return chosen;
  }
  if (name) {
    json_decref(chosen);
    (void)error_set(err, STATUS_ARTIFACT_NOT_FOUND, NULL, "the job has no artifact \"%.100s\"", name);
    return NULL;
  }
  for (size_t i = 0; i < COUNT_OF(adapter_files); i++) {
    const json_t *artifact = find_artifact(artifacts, adapter_files[i].name);
    if (!artifact && adapter_files[i].required) {
      json_decref(chosen);
      (void)error_set(err, STATUS_ARTIFACT_NOT_FOUND, NULL, "the job has no %s: has it succeeded?",
                      adapter_files[i].name);
      return NULL;
    }
    if (artifact && !all)
      json_array_append_new(chosen, json_deep_copy(artifact));
  }
  if (all)
    json_array_extend(chosen, artifacts);
  return chosen;
}

/* Makes one folder, readable like any other of the user's; an existing one is fine. */
static enum status make_folder(const char *path, struct error *err) {
  struct stat info;
  if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode)))
    return STATUS_OK;
  return error_set_errno(err, STATUS_IO, NULL, "%s", path);
}

static enum status fetch_artifact(struct cli *cli, const char *job_path, const json_t *artifact, const char *out,
                                  struct error *err) {
  const char *name = text_member(artifact, "name", ""), *sha256 = text_member(artifact, "sha256", NULL);
  if (!is_plain_name(name) || !sha256)
    return error_set(err, STATUS_IO, NULL, "the server lists an artifact without a usable name and hash");
  struct str path, target, line;
  str_init(&path, 4096);
  str_init(&target, 900);
  str_init(&line, 2048);
  str_printf(&path, "%s/", job_path);
  http_escape(&path, name);
  str_printf(&target, "%s/%s", out, name);
  enum status status = target.failed ? error_set(err, STATUS_IO, NULL, "%s: the path is too long", out)
                                     : download_to_file(cli, path.text, target.text, sha256, err);
  if (status == STATUS_OK && !cli->json) {
    json_int_t bytes = json_integer_value(json_object_get(artifact, "bytes"));
    text_clean(&line, target.text);
    str_puts(&line, "  ");
    text_bytes(&line, bytes > 0 ? (uint64_t)bytes : 0);
    puts(line.text);
  }
  str_done(&line);
  str_done(&target);
  str_done(&path);
  return status;
}

enum exit_code download_artifacts(struct cli *cli, const char *job_id, const char *out, const char *name,
                                  bool all) {
  struct error err;
  struct str path;
  AUTO(json_release) json_t *answer = NULL;
  AUTO(json_release) json_t *chosen = NULL;
  size_t index;
  const json_t *artifact;
  str_init(&path, 4096);
  cli_path(&path, "/v1/fine_tuning/jobs/", job_id, "/artifacts");
  enum status status = http_json(&cli->http, &answer, "GET", path.text, NULL, &err);
  if (status == STATUS_OK) {
    chosen = choose_artifacts(json_object_get(answer, "data"), name, all, &err);
    status = chosen ? make_folder(out, &err) : err.status;
  }
  json_array_foreach(chosen, index, artifact) {
    if (status == STATUS_OK)
      status = fetch_artifact(cli, path.text, artifact, out, &err);
  }
  str_done(&path);
  if (status != STATUS_OK)
    return cli_fail(cli, &err);
  return cli->json ? cli_print_json(chosen) : EXIT_DONE;
}
