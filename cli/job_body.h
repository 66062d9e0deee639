/* The options of `jobs create` and the request body they make. */
#ifndef CLI_JOB_BODY_H
#define CLI_JOB_BODY_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "cli/options.h"

struct create_options {
  const char *file, *validation;  /* id or path */
  const char *spec;               /* a JSON file with a whole body, or NULL */
  const char *sweep;              /* a JSON file with a whole sweep, or NULL */
  bool watch, dry_run;
};

/* Rows with a path fill the document, the others struct create_options. */
extern const struct option_table create_option_table;
extern const struct option_table sweep_option_table; /* the same, and what a sweep has besides */

/* The body: the spec file's document with the options' `document` laid over it (values are
   shared, not copied); the server fills in every default. The caller owns *out (NULL on failure).
   Files are not yet in it. */
NODISCARD enum status job_body_make(json_t **out, const struct create_options *options, json_t *document,
                                    struct error *err);

/* "file-..." without a slash is an id; everything else is a path. */
bool job_body_is_file_id(const char *text);

#endif
