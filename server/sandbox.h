/* What each worker may touch: the command line of reflect-sandbox that starts it for one task. */
#ifndef SERVER_SANDBOX_H
#define SERVER_SANDBOX_H

#include "api/task.h"
#include "base/arena.h"
#include "config/config.h"

enum { SANDBOX_LAYERS_MAX = 16, SANDBOX_ARGUMENTS_MAX = 128, SANDBOX_NAME_BYTES = 24 };

/* In the output folder of a run on a device: what its driver keeps. Removed when the run ends. */
#define SANDBOX_SCRATCH ".scratch"

/* Layers that are left out of every run: "all", or those that this machine was found to lack. */
struct sandbox {
  char without[SANDBOX_LAYERS_MAX][SANDBOX_NAME_BYTES];
  size_t without_count;
};

struct sandbox_command {
  const char *argument[SANDBOX_ARGUMENTS_MAX + 1]; /* NULL ends them */
  size_t count;
};

/* Finds out which layers there are, and says in the log which are missing. STATUS_INVALID_VALUE, param "sandbox", when
   one is missing that the configuration requires. */
NODISCARD enum status sandbox_open(struct sandbox *out, const struct config *config, struct error *err);

/* Bytes that the task's worker may hold, its model's mapped weights included; 0: no limit. */
uint64_t sandbox_memory(const struct task *task);

/* Of a model: of its file, or of all files in its folder. */
uint64_t sandbox_model_bytes(const char *path);

/* `cgroup`: that the worker joins; "": none. Strings live in `arena`, or are the arguments'. */
NODISCARD enum status sandbox_command(struct sandbox_command *out, const struct sandbox *sandbox,
                                      const struct config *config, const struct task *task, const char *cgroup,
                                      struct arena *arena, struct error *err);

#endif
