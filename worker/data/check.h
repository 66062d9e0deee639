/* The check of an upload: reads a data file from end to end in bounded memory and says what is in it. */
#ifndef WORKER_DATA_CHECK_H
#define WORKER_DATA_CHECK_H

#include <jansson.h>

#include "base/error.h"

/* A new object in *report:
     format "jsonl" | "csv" | "tsv"; kind "classification" | "regression" | "text" | "chat" |
     "completion" | "table" (none of these); lines, examples, bytes; columns [names];
     labels {kind "class" | "float", count, names (at most 100)} or null;
     text_bytes {min, mean, max} of `text` or null;
     chat {turns (messages that are not the system's), assistant_messages} or null; warnings [sentences].
   A file that no job could use is STATUS_DATASET_INVALID naming line, column and field, and *report
   is NULL: lines that carry `text`, `text_pair`, `label`, `messages` or `prompt` with `completion`
   are checked member by member. */
NODISCARD enum status check_file(json_t **report, const char *path, const char *filename, struct error *err);

#endif
