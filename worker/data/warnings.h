/* What in a data file is probably not meant so, found in the same pass as its check and in bounded memory: each kind is
   reported once, with the place of the first and how many there are. */
#ifndef WORKER_DATA_WARNINGS_H
#define WORKER_DATA_WARNINGS_H

#include <jansson.h>

#include "worker/data/column_facts.h"

/* A text that was seen: its hash (0: free), and the label and the line it had first. */
struct warnings_text {
  uint64_t hash;
  uint32_t label, line;
};

struct warnings {
  const struct records *records;
  uint64_t *seen; /* hashes of records; 0: free */
  size_t seen_count;
  size_t repeated; /* records that are equal to an earlier one */
  struct warnings_text *texts;
  size_t text_count;
  struct location_count relabelled; /* texts that had another label before */
  uint32_t relabelled_line;         /* where the first of them was before */
  struct location_count header;     /* records that are the header again */
  struct location_count quoted;     /* fields of TSV in quotes */
  struct location_count blank;      /* texts of which nothing is to be seen */
  char blank_name[64];
  struct location_count control; /* texts with a word that tokenizers take for a special token */
  char control_name[64], control_word[64];
};

/* `records` must outlive it. warnings_done may be called whatever warnings_init returned. */
NODISCARD enum status warnings_init(struct warnings *warnings, const struct records *records, struct error *err);
void warnings_done(struct warnings *warnings);
void warnings_add(struct warnings *warnings, const struct record *record);
/* Adds sentences to `list`, those about labels among them, once the columns are settled. */
void warnings_report(json_t *list, const struct warnings *warnings, const struct columns *columns);

#endif
