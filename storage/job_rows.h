/* The rows of table `job` as struct job_row, for the files of storage/ alone. */
#ifndef STORAGE_JOB_ROWS_H
#define STORAGE_JOB_ROWS_H

#include "storage/row.h"

extern const struct row_type job_rows;

#endif
