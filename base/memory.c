#include "base/memory.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A small file of the kernel's as a string; "" when it cannot be read. */
static void read_text(char *out, size_t size, const char *path) {
  FILE *file = fopen(path, "re");
  size_t got = file ? fread(out, 1, size - 1, file) : 0;
  out[got] = 0;
  if (file)
    fclose(file);
}

size_t memory_field(const char *text, const char *name) {
  size_t length = strlen(name);
  while (text && !(strncmp(text, name, length) == 0 && text[length] == ':')) {
    text = strchr(text, '\n');
    text = text ? text + 1 : NULL;
  }
  return text ? (size_t)strtoull(text + length + 1, NULL, 10) * 1024 : 0;
}

/* Bytes of pages in memory, and of them those that are files' or shared. */
static void read_statm(size_t *resident, size_t *of_files) {
  char text[128];
  unsigned long long pages[2] = {0};
  read_text(text, sizeof text, "/proc/self/statm");
  sscanf(text, "%*u %llu %llu", &pages[0], &pages[1]);
  *resident = (size_t)pages[0] * (size_t)sysconf(_SC_PAGESIZE);
  *of_files = (size_t)pages[1] * (size_t)sysconf(_SC_PAGESIZE);
}

size_t memory_resident(void) {
  size_t resident, of_files;
  read_statm(&resident, &of_files);
  return resident;
}

size_t memory_written(void) {
  size_t resident, of_files;
  const struct mallinfo2 info = mallinfo2();
  read_statm(&resident, &of_files);
  size_t own = resident - of_files, allocated = info.uordblks + info.hblkhd;
  return of_files + (own > allocated ? own : allocated);
}

size_t memory_peak(void) {
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

static unsigned long long group_number(const char *group, const char *name) {
  char path[640], text[64];
  snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", group, name);
  read_text(text, sizeof text, path);
  return strtoull(text, NULL, 10); /* "max": 0 */
}

/* A control group's limit; SIZE_MAX: none. */
static size_t group_limit(const char *group) {
  unsigned long long limit = group_number(group, "memory.max");
  return limit ? (size_t)limit : SIZE_MAX;
}

/* What that leaves. */
static size_t group_left(const char *group) {
  size_t limit = group_limit(group), used = (size_t)group_number(group, "memory.current");
  if (limit == SIZE_MAX)
    return SIZE_MAX;
  return limit > used ? limit - used : 1;
}

/* What /proc/meminfo says by that name, or what a control group says, our own or the root that a container sees,
   where that is less. */
static size_t least(const char *name, size_t (*of_group)(const char *group)) {
  char text[8192], group[512];
  read_text(text, sizeof text, "/proc/meminfo");
  size_t bytes = memory_field(text, name);
  read_text(group, sizeof group, "/proc/self/cgroup"); /* "0::/path" */
  group[strcspn(group, "\n")] = 0;
  const char *const groups[] = {strncmp(group, "0::/", 4) == 0 ? group + 3 : "", ""};
  for (int i = 0; i < 2; i++) {
    size_t most = of_group(groups[i]);
    if (most < bytes)
      bytes = most;
  }
  return bytes;
}

size_t memory_available(void) {
  return least("MemAvailable", group_left);
}

size_t memory_total(void) {
  return least("MemTotal", group_limit);
}
