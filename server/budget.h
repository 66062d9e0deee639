/* Whether what waits fits beside what runs: memory of the host and cores that jobs, exports and the base models that
   are held may take together. All functions are pure.
   What is asked of models has no cores of its own: it comes in short bursts, and a job would wait behind it for ever.
   Checks of files, looks at models and questions are small, and live by what the default leaves. */
#ifndef SERVER_BUDGET_H
#define SERVER_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct budget {
  int64_t memory_mib; /* 0: no limit, since the machine does not say what it has */
  int64_t cores;
  int64_t processors; /* that there are */
};
/* As configured, or by default what there is, less an eighth of the memory (from 512 MiB to 4 GiB); where workers, or
   the threads that the configuration gives one, are more than the processors, as many cores. */
struct budget budget_of(const struct config *config, uint64_t memory_bytes, int processors);

/* Threads for a worker of which so many were requested (0: none in particular): a share, and never more than the
   operator allows. */
int budget_threads(const struct budget *budget, const struct config *config, int64_t requested);
/* The most that the operator allows one. */
int64_t budget_threads_max(const struct budget *budget, const struct config *config);

enum { BUDGET_UNKNOWN = -1 };
/* Rounded up. */
int64_t budget_mib(int64_t bytes);
/* Of so many MiB; of fewer than none: 0. */
int64_t budget_bytes(int64_t mib);

struct budget_need {
  int64_t memory_mib; /* BUDGET_UNKNOWN: nobody knows yet */
  int64_t cores;
};

/* What runs has of it. */
struct budget_use {
  int64_t memory_mib;  /* of jobs, exports, and models that are asked something */
  int64_t idle_mib;    /* of models that nobody asks: they can be ended */
  int64_t leaving_mib; /* of those that are about to end */
  int64_t cores;
  size_t unknown; /* runs of which nobody knows the memory */
};
void budget_count(struct budget_use *use, const struct budget_need *need);
/* How many jobs of that need run side by side at most; at least 1, for alone it starts in any case. */
int64_t budget_side_by_side(const struct budget *budget, const struct budget_need *need);

enum budget_verdict {
  BUDGET_START,
  BUDGET_ASK,         /* a worker has to say first what it takes */
  BUDGET_END_IDLE,    /* it fits once models that nobody asks are ended */
  BUDGET_WAIT_MEMORY,
  BUDGET_WAIT_CORES,
  BUDGET_NEVER,       /* it takes more memory than there is */
};
/* For the job that is next. One whose memory nobody knows starts where nothing runs, and is then alone until its worker
   has planned it; beside others it is asked for. */
enum budget_verdict budget_judge(const struct budget *budget, const struct budget_use *use,
                                 const struct budget_need *need);
/* What a job waits for by that verdict, as job objects say it: "memory", "cores"; NULL: it does not wait. */
const char *budget_waits_for(enum budget_verdict verdict);

#endif
