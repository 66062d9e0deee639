/* How many processors this process may really use, and a moment's rest for one. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

/* The processors of the affinity mask, or fewer where the control group's quota of time (cpu.max) buys fewer: a
   container of half a core with 64 in its mask gets 1. At least 1. */
int cpu_allowed(void);
/* The processors that a line of cpu.max buys ("150000 100000": 2, rounded up); 0: no limit, or no such line. */
int cpu_quota(const char *line);

/* In a loop that waits for another processor: leaves the core's other thread more of it. */
static inline void cpu_pause(void) {
#if defined __x86_64__
  __builtin_ia32_pause();
#elif defined __aarch64__
  __asm__ volatile("isb");
#endif
}

#endif
