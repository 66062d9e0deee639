/* Adapters on disk, in the format of PEFT 0.21: a folder with adapter_config.json,
   adapter_model.safetensors and README.md; a classifier's also has labels.json (classes_config), and one of
   controllable generation conditioning_embedding.safetensors (conditioning_file.h), which PEFT ignores. */
#ifndef WORKER_PEFT_PEFT_H
#define WORKER_PEFT_PEFT_H

#include "worker/model/model.h"
#include "worker/peft/peft_card.h"
#include "worker/peft/peft_source.h"

/* What the adapter at `path` (peft_source.h) was trained as. The spec's strings live in `arena`. */
NODISCARD enum status peft_read_config(struct adapter_spec *out, const char *path, struct arena *arena,
                                       struct error *err);
/* Fills the parameters of a model that was adapted with that spec from the adapter at `path`. Every parameter must
   be there with its shape, and nothing else; those of another file are not filled. */
NODISCARD enum status peft_load(struct model *model, const char *path, struct error *err);
/* The same for a job that starts from another's adapter: its spec must mean the same as the adapter's. */
NODISCARD enum status peft_start(struct model *model, const struct adapter_spec *spec, const char *path,
                                 struct error *err);
/* The head that an adapter holds. Strings live in `arena`. */
NODISCARD enum status peft_read_head(struct peft_head *out, const char *path, struct arena *arena, struct error *err);
/* What its adapter_config.json calls the base model that it was trained on: a folder or a name; NULL: it does not say.
   In `arena`. */
NODISCARD enum status peft_read_base(const char **out, const char *path, struct arena *arena, struct error *err);
/* Writes the folder, which exists. `base` is the base model's name, for the card and the config; `card` may be NULL. */
NODISCARD enum status peft_save(const struct model *model, const struct adapter_spec *spec, const char *folder,
                                const char *base, const struct peft_card *card, struct error *err);

/* The same without the tensors: `spec` may describe another form of the adapter (an equal LoRA). */
NODISCARD enum status peft_save_about(const struct model *model, const struct adapter_spec *spec, const char *folder,
                                      const char *base, const struct peft_card *card, struct error *err);

#endif
