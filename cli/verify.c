/* reflect verify: is what lies here, or on the server, what the training's manifest says? Everything is hashed again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/text.h"

enum { MANIFEST_BYTES_MAX = 16 << 20, PATH_MAX_BYTES = 2048, WHAT_BYTES = 600 };

struct verify_options {
  const char *base, *data, *validation, *manifest;
};

static const struct option_row verify_rows[] = {
    {"base", OPTION_TEXT, offsetof(struct verify_options, base), NULL, "PATH",
     "hash this base model too: a folder or a .gguf, of several parts the first"},
    {"data", OPTION_TEXT, offsetof(struct verify_options, data), NULL, "FILE", "hash this training file too"},
    {"validation", OPTION_TEXT, offsetof(struct verify_options, validation), NULL, "FILE",
     "hash this validation file too"},
    {"manifest", OPTION_TEXT, offsetof(struct verify_options, manifest), NULL, "FILE",
     "by this manifest; else the training_manifest.json beside what is verified"},
};
static const struct option_table verify_table = {verify_rows, COUNT_OF(verify_rows)};

struct verifying {
  struct cli *cli;
  json_t *found; /* [{file, result, expected?, sha256?}] */
  size_t same, different, missing;
};

/* Notes what came of one; `sha256` NULL: it is not there. */
static void judge(struct verifying *v, const char *what, const char *expected, const char *sha256, bool needed) {
  const char *result = !sha256 ? "missing" : strcmp(expected, sha256) == 0 ? "same" : "different";
  v->same += *result == 's';
  v->different += *result == 'd';
  v->missing += *result == 'm' && needed;
  json_array_append_new(
      v->found, json_pack("{ss ss ss ss?}", "file", what, "result", result, "expected", expected, "sha256", sha256));
  if (v->cli->json)
    return;
  struct str line;
  str_init(&line, 8192);
  str_printf(&line, "%-9s  ", result);
  text_clean(&line, what);
  if (*result == 'd')
    str_printf(&line, "\n           is %s\n           not ", sha256);
  if (*result == 'd')
    text_clean(&line, expected);
  puts(line.text);
  str_done(&line);
}

static void judge_path(struct verifying *v, const char *what, const char *path, const json_t *entry, bool needed) {
  char sha256[HASH_HEX];
  bool there = file_hash(sha256, NULL, path, NULL) == STATUS_OK;
  judge(v, what, text_member(entry, "sha256", ""), there ? sha256 : NULL, needed);
}

/* A name in a manifest may come from anybody: only plain ones are looked for here. */
static bool is_plain(const char *name) {
  return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 256;
}

/* Each file of a list that lies in the folder; those that `needed` names must. */
static void judge_folder(struct verifying *v, const char *prefix, const char *folder, const json_t *files,
                         const char *const *needed) {
  size_t index;
  const json_t *entry;
  json_array_foreach(files, index, entry) {
    char path[PATH_MAX_BYTES], what[WHAT_BYTES];
    struct stat info;
    const char *name = text_member(entry, "name", "");
    bool must = !needed;
    if (!is_plain(name))
      continue;
    for (const char *const *one = needed; one && *one; one++)
      must |= strcmp(*one, name) == 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(what, sizeof what, "%s%s", prefix, name);
    if (must || stat(path, &info) == 0)
      judge_path(v, what, path, entry, must);
  }
}

static void folder_of(char out[PATH_MAX_BYTES], const char *file) {
  const char *slash = strrchr(file, '/');
  snprintf(out, PATH_MAX_BYTES, "%.*s", slash ? (int)(slash - file) : 1, slash ? file : ".");
}

/* ---- a base model and data that were named ---- */

static void judge_base(struct verifying *v, const char *base, const json_t *manifest) {
  const json_t *files = json_object_get(json_object_get(manifest, "base_model"), "files"), *entry;
  struct stat info;
  size_t index;
  if (stat(base, &info) == 0 && S_ISDIR(info.st_mode)) {
    judge_folder(v, "base model: ", base, files, NULL);
    return;
  }
  if (json_array_size(files) > 1) { /* the first part of a split one, whose others lie beside it */
    char folder[PATH_MAX_BYTES];
    folder_of(folder, base);
    judge_folder(v, "base model: ", folder, files, NULL);
    return;
  }
  json_array_foreach(files, index, entry) {
    char what[WHAT_BYTES];
    snprintf(what, sizeof what, "base model: %s", text_member(entry, "name", ""));
    judge_path(v, what, base, entry, true);
  }
}

static enum status judge_named(struct verifying *v, const struct verify_options *options, const json_t *manifest,
                               struct error *err) {
  const struct {
    const char *path, *member, *what;
  } data[] = {{options->data, "training_file", "training data"},
              {options->validation, "validation_file", "validation data"}};
  if (options->base && json_array_size(json_object_get(json_object_get(manifest, "base_model"), "files")) == 0)
    return error_set(err, STATUS_INVALID_VALUE, "base", "the manifest names no files of the base model");
  if (options->base)
    judge_base(v, options->base, manifest);
  for (size_t i = 0; i < COUNT_OF(data); i++) {
    const json_t *entry = json_object_get(manifest, data[i].member);
    if (data[i].path && !entry)
      return error_set(err, STATUS_INVALID_VALUE, data[i].member, "the training had no %s", data[i].what);
    if (data[i].path)
      judge_path(v, data[i].what, data[i].path, entry, true);
  }
  return STATUS_OK;
}

/* ---- what lies here ---- */

static enum status read_manifest(json_t **out, const char *path, struct error *err) {
  const struct json_limits limits = {.bytes_max = MANIFEST_BYTES_MAX};
  char *text;
  size_t length;
  enum status status = file_read(&text, &length, path, MANIFEST_BYTES_MAX, err);
  if (status)
    return status;
  status = json_parse(out, text, length, &limits, err);
  free(text);
  if (status)
    return error_prefix(err, "%s", path);
  if (json_array_size(json_object_get(*out, "files")) > 0)
    return STATUS_OK;
  return error_set(err, STATUS_INVALID_VALUE, "manifest", "%s names no files: it is of an older version", path);
}

static enum status verify_here(struct verifying *v, json_t **manifest, const char *target,
                               const struct verify_options *options, struct error *err) {
  static const char *const needed[] = {"adapter_config.json", "adapter_model.safetensors", NULL};
  char path[PATH_MAX_BYTES + 32], folder[PATH_MAX_BYTES];
  struct stat info;
  if (stat(target, &info) != 0)
    return error_set_errno(err, STATUS_IO, NULL, "%s", target);
  bool is_folder = S_ISDIR(info.st_mode);
  const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
  if (is_folder)
    snprintf(folder, sizeof folder, "%s", target);
  else
    folder_of(folder, target);
  snprintf(path, sizeof path, "%s/training_manifest.json", folder);
  enum status status = read_manifest(manifest, options->manifest ? options->manifest : path, err);
  if (status)
    return status;
  const json_t *files = json_object_get(*manifest, "files"), *entry;
  if (is_folder) {
    judge_folder(v, "", folder, files, needed);
    return STATUS_OK;
  }
  size_t index, known = 0;
  json_array_foreach(files, index, entry) {
    if (strcmp(text_member(entry, "name", ""), name) == 0) {
      judge_path(v, name, target, entry, true);
      known++;
    }
  }
  return known ? STATUS_OK : error_set(err, STATUS_INVALID_VALUE, NULL, "the manifest names no file %s", name);
}

/* ---- what a server has ---- */

static enum status take_hash(void *context, const void *bytes, size_t length, struct error *err) {
  (void)err;
  hash_add(context, bytes, length);
  return STATUS_OK;
}

static enum status judge_download(struct verifying *v, const char *what, const char *path, const json_t *entry,
                                  bool needed, struct error *err) {
  struct hash hash;
  char sha256[HASH_HEX];
  hash_init(&hash);
  const struct http_sink sink = {take_hash, &hash};
  enum status status = http_download(&v->cli->http, path, &sink, NULL, err);
  if (status && v->cli->http.outcome != HTTP_REFUSED)
    return status;
  hash_hex(&hash, sha256);
  judge(v, what, text_member(entry, "sha256", ""), status ? NULL : sha256, needed);
  return STATUS_OK;
}

static enum status verify_job(struct verifying *v, json_t **manifest, const char *job, struct error *err) {
  static const char *const data[] = {"training_file", "validation_file"};
  struct str path;
  size_t index;
  const json_t *entry;
  str_init(&path, 4096);
  cli_path(&path, "/v1/fine_tuning/jobs/", job, "/artifacts/training_manifest.json");
  enum status status = http_json(&v->cli->http, manifest, "GET", path.text, NULL, err);
  json_array_foreach(json_object_get(*manifest, "files"), index, entry) {
    if (status)
      break;
    cli_path(&path, "/v1/fine_tuning/jobs/", job, "/artifacts/");
    http_escape(&path, text_member(entry, "name", ""));
    status = judge_download(v, text_member(entry, "name", ""), path.text, entry, true, err);
  }
  for (size_t i = 0; !status && i < COUNT_OF(data); i++) {
    char what[WHAT_BYTES];
    entry = json_object_get(*manifest, data[i]);
    if (!entry)
      continue;
    cli_path(&path, "/v1/files/", text_member(entry, "id", ""), "/content");
    snprintf(what, sizeof what, "%s: %s", data[i], text_member(entry, "filename", ""));
    status = judge_download(v, what, path.text, entry, false, err); /* it may have been deleted since */
  }
  str_done(&path);
  return status;
}

static enum exit_code verify(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  const struct verify_options *options = values;
  const char *target = operands[0];
  struct verifying v = {.cli = cli, .found = json_array()};
  struct error err;
  struct stat info;
  AUTO(json_release) json_t *manifest = NULL;
  (void)document;
  bool is_job = strncmp(target, "ftjob-", 6) == 0 && stat(target, &info) != 0;
  enum status status =
      is_job ? verify_job(&v, &manifest, target, &err) : verify_here(&v, &manifest, target, options, &err);
  if (!status)
    status = judge_named(&v, options, manifest, &err);
  AUTO(json_release) json_t *out = json_pack("{so sb}", "files", v.found, "verified", v.different + v.missing == 0);
  if (status)
    return cli_fail(cli, &err);
  if (cli->json)
    cli_print_json(out);
  else
    printf("%zu same, %zu different, %zu missing\n", v.same, v.different, v.missing);
  return v.different + v.missing ? EXIT_UNSUCCESSFUL : EXIT_DONE;
}

static const struct command commands[] = {
    {
        .verb = "run",
        .operands = "FOLDER|FILE|JOB",
        .operand_count = 1,
        .doc = "Hash an adapter, its base model and its data again, and compare with the training's manifest",
        .options = &verify_table,
        .values_bytes = sizeof(struct verify_options),
        .run = verify,
    },
};

const struct noun verify_noun = {"verify", "Is an adapter what was trained?", commands, COUNT_OF(commands),
                                 .verb_optional = true};
