/* A base model with one adapter, or none, ready to compute. Several of one base share the pages of its files, and one
   tape. */
#ifndef WORKER_GENERATE_SERVED_H
#define WORKER_GENERATE_SERVED_H

#include "worker/model/model.h"
#include "worker/model/sentence.h"

enum { SERVED_NAME = 129 };

struct served {
  struct served *next;
  char name[SERVED_NAME]; /* of the adapter; "": the base */
  struct arena arena;
  struct model *model; /* `own`, or somebody else's */
  struct model own;
  struct adapter_spec spec;
  bool normalised;   /* OUTPUT_EMBEDDING: vectors are brought to length 1 */
  struct plan *plan; /* of the tape */
  size_t requests;   /* that use it */
  uint64_t used;     /* when one began last: a count */
  uint64_t turn;     /* when a batch was computed last */
  bool forgotten;    /* it goes when no request uses it any more */
};

/* What a batch may be at most. */
struct served_limits {
  size_t sequences, tokens, longest;
};

/* Opens the base model at `path` with the adapter in `folder` (NULL: none). Without one it gives what `asked` says:
   text, classes by the head that its files have, or embeddings. STATUS_UNSUPPORTED_VALUE where it cannot give that. */
NODISCARD enum status served_open(struct served **out, const char *path, const char *folder, enum job_output asked,
                                  enum embedding_pooling pooling, struct backend *backend, struct error *err);
/* Makes tables and the tape's plan for batches of that size. */
NODISCARD enum status served_plan(struct served *served, struct tape *tape, const struct served_limits *limits,
                                  struct error *err);
/* A model that is open already, and stays its owner's: who computes sees to its adapters' factors. */
NODISCARD enum status served_borrow(struct served **out, struct model *model, struct error *err);
void served_close(struct served *served);

/* One forward pass without gradients. Of a language model with KV caches: a row of logits (vocabulary) of each
   sequence's last token. Else (B, num_labels) logits, or (B, C) embeddings. In the tape's memory: until the next. */
NODISCARD enum status served_forward(const float **out, size_t *cols, struct served *served, struct tape *tape,
                                     const struct sequences *sequences, struct error *err);

#endif
