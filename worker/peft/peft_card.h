/* The model card of an adapter, its folder's README.md: front matter as the Hugging Face hub reads it, and Python that
   loads the adapter with PEFT and asks it. */
#ifndef WORKER_PEFT_PEFT_CARD_H
#define WORKER_PEFT_PEFT_CARD_H

#include "worker/model/model.h"

#define PEFT_VERSION "0.21.2" /* whose formats are written */

/* What the card says of a training beside what follows from the adapter: lines of its front matter, and Markdown before
   the versions. */
struct peft_card {
  const char *front, *body;
};

/* Writes it into the folder. `base` is the base model's name; `more` may be NULL. */
NODISCARD enum status peft_card_save(const struct model *model, const struct adapter_spec *spec, const char *folder,
                                     const char *base, const struct peft_card *more, struct error *err);

#endif
