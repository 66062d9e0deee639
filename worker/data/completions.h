/* Records of preference tuning, in OpenAI's form or TRL's: a pair of answers to one prompt, or one that is rated.
     {"input": {"messages": [...], "tools": [...]}, "preferred_output": [...], "non_preferred_output": [...]}
     {"prompt": P, "chosen": A, "rejected": A}, or without prompt: what both answers begin with is the prompt
     {"prompt": P, "completion": A, "label": true | false}
   P and A are texts (of CSV and TSV too), or lists of messages, all of a line alike. */
#ifndef WORKER_DATA_COMPLETIONS_H
#define WORKER_DATA_COMPLETIONS_H

#include "worker/data/records.h"

enum completions_kind { COMPLETIONS_NONE, COMPLETIONS_PAIR, COMPLETIONS_RATED };

/* What the record is by the names of its members or columns; COMPLETIONS_RATED only where its label could rate. */
enum completions_kind completions_kind_of(const struct records *records, const struct record *record);
/* "pairs of answers (...)" */
const char *completions_kind_words(enum completions_kind kind);

struct completions_record {
  size_t count;   /* 2 of a pair: the chosen one, the rejected one; 1 of a rated one */
  bool desirable; /* of a rated one */
  bool chat;      /* messages; else texts */
  /* chat: objects with `messages` and `tools`, whose prompt has the weight 0; owned */
  json_t *chats[2];
  struct record_alias aliases[2][2]; /* where `messages` stand in the line */
  /* texts: borrowed from the record; the prompt may be NULL, of length 0 */
  const char *prompt, *texts[2];
  size_t prompt_length, lengths[2];
};

/* Reads and checks a record of that kind. STATUS_DATASET_INVALID names line, column and member: one that is missing or
   of another type, answers in which the assistant says nothing, and answers of a pair that are equal. */
NODISCARD enum status completions_read(struct completions_record *out, const struct records *records,
                                       const struct record *record, enum completions_kind kind, struct error *err);
void completions_done(struct completions_record *completions);

#endif
