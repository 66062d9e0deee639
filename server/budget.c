#include "server/budget.h"

static const int64_t MIB = 1 << 20, RESERVE_MIB_MIN = 512, RESERVE_MIB_MAX = 4096;
enum { RESERVE_PART = 8 };

static int64_t greater(int64_t a, int64_t b) {
  return a > b ? a : b;
}

static int64_t lesser(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t default_memory(uint64_t bytes) {
  int64_t total = (int64_t)(bytes / (uint64_t)MIB), reserve = total / RESERVE_PART;
  reserve = lesser(greater(reserve, RESERVE_MIB_MIN), RESERVE_MIB_MAX);
  if (total == 0)
    return 0;
  return reserve < total / 2 ? total - reserve : (total + 1) / 2; /* on the smallest machines half */
}

struct budget budget_of(const struct config *config, uint64_t memory_bytes, int processors) {
  struct budget out = {
      .memory_mib = config->memory_budget_mib, .cores = config->core_budget, .processors = processors};
  if (!out.memory_mib)
    out.memory_mib = default_memory(memory_bytes);
  if (!out.cores)
    out.cores = greater(processors, greater(config->workers_max, config->threads));
  return out;
}

int64_t budget_threads_max(const struct budget *budget, const struct config *config) {
  return lesser(config->threads ? config->threads : budget->processors, budget->cores);
}

int budget_threads(const struct budget *budget, const struct config *config, int64_t requested) {
  int64_t share = greater(lesser(budget->cores, budget->processors) / config->workers_max, 1);
  return (int)lesser(requested ? requested : config->threads ? config->threads : share,
                     budget_threads_max(budget, config));
}

int64_t budget_mib(int64_t bytes) {
  return bytes / MIB + (bytes % MIB > 0);
}

int64_t budget_bytes(int64_t mib) {
  return mib > 0 ? mib * MIB : 0;
}

void budget_count(struct budget_use *use, const struct budget_need *need) {
  if (need->memory_mib == BUDGET_UNKNOWN)
    use->unknown++;
  else
    use->memory_mib += need->memory_mib;
  use->cores += need->cores;
}

int64_t budget_side_by_side(const struct budget *budget, const struct budget_need *need) {
  int64_t by_cores = need->cores > 0 ? budget->cores / need->cores : INT64_MAX;
  int64_t by_memory = budget->memory_mib && need->memory_mib > 0 ? budget->memory_mib / need->memory_mib : INT64_MAX;
  return greater(lesser(by_cores, by_memory), 1);
}

static bool nothing_runs(const struct budget_use *use) {
  return !use->unknown && use->memory_mib + use->idle_mib + use->leaving_mib == 0;
}

enum budget_verdict budget_judge(const struct budget *budget, const struct budget_use *use,
                                 const struct budget_need *need) {
  bool limited = budget->memory_mib > 0;
  int64_t room = budget->memory_mib - use->memory_mib;
  if (use->cores > 0 && use->cores + need->cores > budget->cores)
    return BUDGET_WAIT_CORES;
  if (!limited)
    return BUDGET_START;
  if (need->memory_mib == BUDGET_UNKNOWN)
    return nothing_runs(use) ? BUDGET_START : BUDGET_ASK;
  if (need->memory_mib > budget->memory_mib)
    return BUDGET_NEVER;
  if (use->unknown || need->memory_mib > room)
    return BUDGET_WAIT_MEMORY;
  if (need->memory_mib <= room - use->idle_mib - use->leaving_mib)
    return BUDGET_START;
  return need->memory_mib <= room - use->idle_mib ? BUDGET_WAIT_MEMORY : BUDGET_END_IDLE;
}

const char *budget_waits_for(enum budget_verdict verdict) {
  switch (verdict) {
  case BUDGET_ASK:
  case BUDGET_END_IDLE:
  case BUDGET_WAIT_MEMORY: return "memory";
  case BUDGET_WAIT_CORES: return "cores";
  case BUDGET_START:
  case BUDGET_NEVER: break;
  }
  return NULL;
}
