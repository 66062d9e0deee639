#include "cli/job_files.h"

#include "base/json.h"
#include "cli/text.h"
#include "cli/upload.h"

/* Puts a file's id into the body, uploading a path first. */
static enum exit_code add_file(struct cli *cli, json_t *body, const char *member, const char *id_or_path) {
  AUTO(json_release) json_t *file = NULL;
  const char *id = id_or_path;
  if (!id_or_path)
    return EXIT_DONE;
  if (!job_body_is_file_id(id_or_path)) {
    enum exit_code code = upload_file(cli, &file, id_or_path, "fine-tune", true);
    if (code != EXIT_DONE)
      return code;
    id = text_member(file, "id", "");
  }
  json_object_set_new(body, member, json_string(id));
  return EXIT_DONE;
}

enum exit_code job_files_body(struct cli *cli, json_t **body, const struct create_options *options, json_t *document) {
  struct error err;
  if (job_body_make(body, options, document, &err) != STATUS_OK)
    return cli_fail(cli, &err);
  enum exit_code code = add_file(cli, *body, "training_file", options->file);
  return code == EXIT_DONE ? add_file(cli, *body, "validation_file", options->validation) : code;
}
