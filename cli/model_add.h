/* reflect models add. */
#ifndef CLI_MODEL_ADD_H
#define CLI_MODEL_ADD_H

#include "cli/command.h"

struct model_add_options {
  const char *models; /* the models folder of a daemon on this machine */
  const char *name;   /* its id there; NULL: as the folder is called */
  bool link;
};
extern const struct option_table model_add_table;

/* Has the worker look at the model, in its sandbox, and puts it into the models folder if a job can use it. */
enum exit_code model_add(struct cli *cli, const char *path, const struct model_add_options *options);

#endif
