/* What a name of a model leads to when it is asked something: a base model, and the adapter of a finished job or of a
   checkpoint beside it. */
#ifndef SERVER_SERVED_H
#define SERVER_SERVED_H

#include "server/models.h"
#include "server/server.h"

/* Strings live in the arena. */
struct served {
  struct base_model base;
  const char *adapter;        /* the id of its job or checkpoint; NULL: the base model alone */
  const char *adapter_folder; /* absolute */
};

/* A base model's id, or the name of a fine-tuned model or of a checkpoint of the tenant's. STATUS_MODEL_NOT_FOUND,
   param "model": it is none, or what it was trained from is not there any more; STATUS_UNAVAILABLE: the models folder
   is empty; else why the base model cannot be used. */
NODISCARD enum status served_find(struct served *out, struct server *server, const char *tenant, const char *name,
                                  struct arena *arena, struct error *err);

#endif
