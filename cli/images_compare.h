/* reflect images compare. */
#ifndef CLI_IMAGES_COMPARE_H
#define CLI_IMAGES_COMPARE_H

#include "cli/command.h"

struct images_compare_options {
  const char *kind;   /* of map_kind_names (api/task.h) */
  const char *ignore; /* "255", "#ffffff"; NULL: none */
};
extern const struct option_table images_compare_table;

/* Has the worker compare the maps in its sandbox. `document` has "scale" where it was given. */
enum exit_code images_compare(struct cli *cli, const char *truth, const char *maps,
                              const struct images_compare_options *options, const json_t *document);

#endif
