/* What is in a data file, for whoever looks before a job is made of it: counts of labels, texts that come again, that
   have another label or that another file has too, and every line that no job of that kind could use. */
#ifndef WORKER_DATA_SURVEY_H
#define WORKER_DATA_SURVEY_H

#include <jansson.h>

#include "api/data_use.h"

enum { SURVEY_SHOWN = 100 }; /* faults and places that are listed; all are counted */

struct survey_file {
  const char *path, *filename;
};

/* A new object in *out, read in one pass in bounded memory (of more than some millions of texts only the first are
   remembered):
     examples; label_counts [{label, count}], most frequent first, at most SURVEY_SHOWN, or null; label_count;
     duplicates, conflicts {count, first [{line, other_line, (label, other_label)}]}: the same text again, and with
     another label; overlap {count, share, first [{line, other_line}]} of texts that `against` has, or null;
     errors [{line, column, param, code, message}] in the file's order and error_count.
   `against` NULL: none. Faults of the data are in the report; what is returned is of the machine. */
NODISCARD enum status survey_data(json_t **out, const struct survey_file *file, const struct survey_file *against,
                                  const struct job_spec *spec, enum data_use use, struct error *err);

#endif
