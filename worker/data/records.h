/* Reads a data file record by record: JSON Lines, CSV (RFC 4180) or TSV with a header. TSV is split at
   tabs and line ends alone, a quote in it is a character: so GLUE and spreadsheets' paste have it. One window of the
   file is in memory at a time, whatever the file's size. Every fault is
   STATUS_DATASET_INVALID with the text "line L, column C: what" (columns count characters from 1)
   and the field as param. */
#ifndef WORKER_DATA_RECORDS_H
#define WORKER_DATA_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "worker/data/format.h"
#include "worker/data/mapping.h"
#include "worker/data/record.h"

enum {
  RECORD_BYTES_MAX = 1 << 20, /* of one record, quoted newlines included */
  RECORD_COLUMNS_MAX = 256,   /* of CSV and TSV; members of a JSON line */
};

struct records;

/* Opens the file at `path`; one that is packed by gzip or zip is unpacked as it is read. `filename` is its name as the
   user gave it: .jsonl, .ndjson, .json, .csv and .tsv decide the format; for any other name the first line does. What
   is no text in UTF-8 with lines is refused by what it is. The header of CSV and TSV is read at once (some files of
   GLUE have none); a line "sep=X" before it names the delimiter. */
NODISCARD enum status records_open(struct records **out, const char *path, const char *filename, struct error *err);
/* From memory, which must outlive *out. */
NODISCARD enum status records_open_memory(struct records **out, const char *bytes, size_t length,
                                          enum record_format format, struct error *err);
void records_close(struct records *records);

/* The next record, or *out == NULL at the end. A file without any record is a fault. */
NODISCARD enum status records_next(struct records *records, const struct record **out, struct error *err);

/* Goes past the record that records_next has just refused. False: nobody knows where it ends. */
bool records_skip(struct records *records);

/* Cuts the next records, about `bytes` bytes of them, off into a reader of their own, for another thread; *out NULL at
   the end. `records`, of which one record was read, must outlive it. What is wrong with a record is reported by its
   reader; when no end of a record can be found, this is reported once all before it has been cut off. */
NODISCARD enum status records_cut(struct records **out, struct records *records, size_t bytes, struct error *err);

/* A table of GLUE that has no header; its columns have names all the same (format_headerless). */
/* What the lines are in another tool's terms, known when one was read: each is mapped, and one of another kind is a
   fault. */
enum mapping records_mapping(const struct records *records);
bool records_headerless(const struct records *records);
char records_delimiter(const struct records *records); /* CSV: a comma, or what is used in its place; 0 for JSONL */
enum record_format records_format(const struct records *records);
size_t records_lines(const struct records *records);   /* read so far, empty ones included */
size_t records_blank(const struct records *records);   /* empty lines skipped so far */
uint64_t records_bytes(const struct records *records); /* consumed so far */
/* CSV, TSV: the header's names. Count 0 for JSONL. */
size_t records_columns(const struct records *records, const char *const **names);
/* The index of a column, or -1. */
int records_column(const struct records *records, const char *name);

#endif
