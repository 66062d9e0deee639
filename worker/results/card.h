/* What a model card says of the training that made the adapter: data, results, curve, settings. It follows from the job
   alone, so that the same job has the same card. */
#ifndef WORKER_RESULTS_CARD_H
#define WORKER_RESULTS_CARD_H

#include "worker/peft/peft.h"
#include "worker/train/training.h"

struct card {
  struct peft_card text; /* of the two below */
  struct str front, body;
};

NODISCARD enum status card_make(struct card *out, const struct training *training, struct error *err);
/* One that is all zero is fine. */
void card_done(struct card *card);

#endif
