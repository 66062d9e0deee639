/* What tells whether anything was stored (db_version). */
#ifndef STORAGE_VERSION_H
#define STORAGE_VERSION_H

#include <stdint.h>

/* Two that are equal: nothing was stored, and nothing changed that may be, between them. */
struct db_version {
  int64_t changes;         /* of rows, by this connection; those that were taken back count too */
  unsigned char index[48]; /* the header of the log's index, another one after each commit, by whomever */
};

#endif
