/* What a data file is by its first bytes, as far as these tell. */
#ifndef WORKER_DATA_FORMAT_H
#define WORKER_DATA_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

enum record_format { RECORD_JSONL, RECORD_CSV, RECORD_TSV, RECORD_FORMAT_COUNT };
const char *record_format_name(enum record_format format); /* "jsonl" */
/* By the ending of a file's name, which may be NULL. False: it says nothing. */
bool format_of_name(enum record_format *out, const char *filename);

/* Says what the file is and what to do, of one that is no text in UTF-8 with lines: "the file is ...". NULL: nothing
   speaks against it. `bytes` are all of the file, or so many of its first that a line end is among them. */
const char *format_refused(const char *bytes, size_t length);

/* Is it packed so that it can be unpacked as it is read? A zip that is an Office document is none. */
enum format_packing { FORMAT_PLAIN, FORMAT_GZIP, FORMAT_ZIP };
enum format_packing format_packing(const char *bytes, size_t length);

/* The length of a first line "sep=X" with its line end, which spreadsheets write and which names the delimiter; 0. */
size_t format_names_delimiter(char *delimiter, const char *bytes, size_t length);
/* The columns of a TSV that has no header, by its first line: GLUE's CoLA, and SST-2 as it is mostly handed on. Their
   number, or 0: the line is a header. */
size_t format_headerless(const char *const **names, const char *line, size_t length);
/* The delimiter of CSV by its header: a comma, or what stands there in its place outside quotes: a tab, a semicolon or
   a vertical bar. */
char format_delimiter(const char *bytes, size_t length);

#endif
