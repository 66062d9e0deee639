/* Reading the components of tokenizer.json: every fault is STATUS_MODEL_INVALID, named by its component. */
#ifndef WORKER_TEXT_COMPONENT_H
#define WORKER_TEXT_COMPONENT_H

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "worker/text/pattern.h"

/* The type of a component, with nested ones listed under `list` in a Sequence. */
NODISCARD enum status component_type(const char **out, const json_t *from, const char *name, struct error *err);
NODISCARD enum status component_unsupported(const char *name, const char *type, struct error *err);
NODISCARD enum status component_bool(bool *out, const json_t *from, const char *key, bool fallback, const char *name,
                                     struct error *err);
/* A string, copied into the arena. */
NODISCARD enum status component_string(const char **out, struct arena *arena, const json_t *from, const char *key,
                                       const char *fallback, const char *name, struct error *err);
/* {"String": "..."} or {"Regex": "..."}. */
NODISCARD enum status component_pattern(struct pattern *out, struct arena *arena, const json_t *from, const char *key,
                                        const char *name, struct error *err);
/* The array of a Sequence. */
NODISCARD enum status component_list(const json_t **out, const json_t *from, const char *key, const char *name,
                                     struct error *err);
/* A wrong type of a member is the model's fault. */
enum status component_blame(struct error *err, enum status status, const char *name);

#endif
