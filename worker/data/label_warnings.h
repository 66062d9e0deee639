/* Labels that are probably not meant so. */
#ifndef WORKER_DATA_LABEL_WARNINGS_H
#define WORKER_DATA_LABEL_WARNINGS_H

#include <jansson.h>

#include "worker/data/labels.h"

/* Adds sentences to `list`, each with the first place, about settled labels of the column `name`: a few words among
   numbers, names that differ in case, blanks or Unicode form alone, numbers that became classes or names. Only the
   first few are reported; an item that memory does not suffice for is left out. */
void label_warnings_report(json_t *list, const struct labels *labels, const char *name);

/* " (and so are N more)", or "" where it is the only one. */
const char *label_warning_more(char out[64], const struct location_count *of);
/* Adds a sentence. */
void label_warning(json_t *list, const char *format, ...) PRINTF(2, 3);

#endif
