#include "base/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


enum { CPUS_MAX = 1024 };

int cpu_quota(const char *line) {
  char *end;
  long quota = strtol(line, &end, 10), period = end > line ? strtol(end, NULL, 10) : 0;
  if (quota <= 0 || period <= 0)
    return 0;
  long cpus = (quota + period - 1) / period;
  return cpus < CPUS_MAX ? (int)cpus : CPUS_MAX;
}

/* The first line of a file, or "". */
static void first_line(char *out, int size, const char *path) {
  out[0] = 0;
  FILE *file = fopen(path, "re");
  if (!file)
    return;
  if (!fgets(out, size, file))
    out[0] = 0;
  fclose(file);
}

/* Of our own group (version 2), or of the root that a container sees. */
static int group_limit(void) {
  char group[512], path[640], line[64];
  first_line(group, sizeof group, "/proc/self/cgroup"); /* "0::/path" */
  group[strcspn(group, "\n")] = 0;
  const char *own = strncmp(group, "0::/", 4) == 0 ? group + 3 : "";
  int least = 0;
  for (int root = 0; root < 2; root++) {
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", root ? "" : own);
    first_line(line, sizeof line, path);
    int limit = cpu_quota(line);
    if (limit && (!least || limit < least))
      least = limit;
  }
  return least;
}

int cpu_allowed(void) {
  cpu_set_t set;
  int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1, limit = group_limit();
  if (limit && limit < count)
    count = limit;
  return count < 1 ? 1 : count;
}
