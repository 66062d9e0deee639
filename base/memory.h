/* What memory this process holds, and how much more it could take. Bytes; 0: the system does not say. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

/* Pages of this process that are in memory, shared ones included. */
size_t memory_resident(void);
/* The same when everything that was allocated is written to: malloc's memory is not in memory before. */
size_t memory_written(void);
/* The most pages in memory so far. */
size_t memory_peak(void);
/* What can be taken without swapping: the machine's available memory, or less where the control group's limit
   (memory.max) leaves less. */
size_t memory_available(void);
/* What there is at all: the machine's memory, or the control group's limit where that is less. */
size_t memory_total(void);
/* The number behind "name:" in lines like /proc/meminfo's ("MemAvailable:   123 kB"), in bytes; 0: none. */
size_t memory_field(const char *text, const char *name);

#endif
