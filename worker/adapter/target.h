/* Which modules an adapter goes on, by PEFT's rules (target_modules, exclude_modules,
   layers_to_transform, layers_pattern, modules_to_save). */
#ifndef WORKER_ADAPTER_TARGET_H
#define WORKER_ADAPTER_TARGET_H

#include "api/job.h"
#include "base/error.h"

/* What the model has to offer. */
struct target_modules {
  const char *const *names; /* paths of every linear module that can be adapted */
  size_t count;
  const char *const *others; /* of its embeddings, norms, Conv1d modules and a language model's head, which cannot */
  size_t other_count;
  const char *not_adapted;            /* that these "cannot be adapted here: ..."; NULL: target_not_adapted */
  const char *head;                   /* the output layer's path: never part of "all-linear" */
  const struct string_list *defaults; /* where target_modules is null */
  const struct string_list *saved;    /* names in modules_to_save: never adapted */
  const bool *convolutions;           /* [count]: never part of "all-linear"; NULL: there are none */
};

/* The usual reasons. */
extern const char target_not_adapted[];

/* selected[i] tells whether names[i] is adapted. Nothing selected is STATUS_UNSUPPORTED_TARGET: the
   text names close matches or what there is. A pattern that is no regular expression is
   STATUS_INVALID_VALUE with the place. */
NODISCARD enum status target_select(bool *selected, const struct target_modules *modules,
                                    const struct adapter_spec *spec, struct error *err);
/* Does every name and pattern of the spec mean something in this model? STATUS_UNSUPPORTED_TARGET names what does not,
   with close matches: a target that is not there, that cannot be adapted or is trained in full; an exclusion, layer or
   key of a pattern map that nothing matches. PEFT would pass over most of them without a word, and over a module that
   it can adapt but this engine cannot it would put an adapter that was never trained. */
NODISCARD enum status target_check(const struct target_modules *modules, const struct adapter_spec *spec,
                                   struct error *err);
/* STATUS_UNSUPPORTED_TARGET for a name in adapter.<member>: that its module `cannot`, or that there is none. */
enum status target_refuse(const struct target_modules *modules, const char *member, const char *name,
                          const char *cannot, struct error *err);
/* The first entry of a pattern map (LoRA's rank_pattern) for a module: its key, a regular expression, matches the
   end of the path after a dot, or all of it. *out keeps its value when none does. */
NODISCARD enum status target_pattern(double *out, const struct number_map *map, const char *path, const char *param,
                                     struct error *err);
/* Does `path` equal `name` or end with "." and it? */
bool target_suffix(const char *path, const char *name);
/* Does PEFT save the module at `path` for the `name` in modules_to_save? All that lie in a module of that name
   ("pooler": "bert.pooler.dense"), and all whose path ends with it, within a word too ("classifier": "pre_classifier").
 */
bool target_saves(const char *name, const char *path);

#endif
