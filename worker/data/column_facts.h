/* What is known of each column of a table, or of each member of JSON lines, after one pass over a file in bounded
   memory: enough to say whether any job can use it, and where not. */
#ifndef WORKER_DATA_COLUMN_FACTS_H
#define WORKER_DATA_COLUMN_FACTS_H

#include <jansson.h>

#include "worker/data/completions.h"
#include "worker/data/labels.h"
#include "worker/data/messages.h"

enum { COLUMN_LISTS_MAX = 8 };  /* columns of lists whose lengths are compared */
enum { COLUMN_NAME_MAX = 128 }; /* bytes: a job cannot name a column that has more, so nothing is known of it */

struct column_facts {
  const char *name;
  int index;   /* in CSV and TSV; -1 */
  size_t seen; /* JSONL: the last record that has it, from 1 */
  bool first;  /* given in the first record */
  struct location_count given;
  struct location_count absent; /* null too */
  bool null;                    /* the first absent one is null */
  struct location_count empty;
  struct location_count not_text;        /* given, but no string */
  const char *not_text_kind;             /* of the first: "an integer" */
  struct error *not_label;               /* the first that no label can be; NULL: none */
  struct labels labels;                  /* while there is none */
  bool list;                             /* the first given is a list: `labels` are those in lists */
  struct error *not_list;                /* the first that is no list of labels; NULL: none */
  struct error *not_words;               /* the first that is no list of words; NULL: none */
  struct location_count chats;           /* arrays of messages */
  struct messages_facts turns;           /* their sums */
  struct location_count beyond_one;      /* numbers that no cosine is: below -1 or above 1 */
  struct location_count below_zero;      /* numbers from -1 on that no share is */
  double beyond, below;                  /* the first of each */
  struct error *not_chat;                /* the first array that is not one; NULL: none */
  struct error *unlearnt;                /* the first chat that the assistant says nothing in; NULL: none */
  struct location_count assistant_first; /* chats that the assistant begins */
  struct location_count features[CHAT_FEATURE_COUNT]; /* chats that have it */
};

struct columns {
  const struct records *source;
  enum completions_kind completions; /* of the first record */
  struct error *not_completions;     /* the first record that preference tuning cannot use; NULL: none */
  struct arena arena;
  size_t records;
  size_t first_line;
  size_t count;
  struct column_facts *items; /* in the header's order, or in order of first occurrence */
  size_t size, cursor;
  size_t list[COLUMN_LISTS_MAX], list_count; /* indexes of columns of lists */
  /* The first record in which a column's list has another length than another column's; NULL: none. */
  struct error *unlike[COLUMN_LISTS_MAX][COLUMN_LISTS_MAX];
};

/* columns_done may be called after it, whatever it returned. */
NODISCARD enum status columns_init(struct columns *columns, const struct records *records, struct error *err);
void columns_done(struct columns *columns);

NODISCARD enum status columns_add(struct columns *columns, const struct record *record, struct error *err);
const struct column_facts *columns_find(const struct columns *columns, const char *name);
/* Can a job train on this column as texts (or completions), as chats, or as lists of words, in some way? */
bool column_has_texts(const struct column_facts *facts);
bool column_has_chats(const struct column_facts *facts);
bool column_has_words(const struct column_facts *facts);

/* After the last record: decides what the labels of each column are, and says what a job can do with it. An object of
   objects by name, as api/data_use.h reads it. NULL when memory runs out. */
NODISCARD json_t *columns_json(struct columns *columns);

#endif
