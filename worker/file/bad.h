/* What is said of a file that cannot be read as what it is taken for: STATUS_MODEL_INVALID is set and returned. */
#ifndef WORKER_FILE_BAD_H
#define WORKER_FILE_BAD_H

#include "base/attr.h"
#include "base/error.h"

enum status bad_file(struct error *err, const char *format, ...) PRINTF(2, 3);
/* "tensor NAME: what", with the name as param too. */
enum status bad_tensor(struct error *err, const char *name, const char *format, ...) PRINTF(3, 4);

#endif
