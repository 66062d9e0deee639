/* What a worker takes from itself once its libraries are loaded (sandbox/ took the rest before). */
#ifndef WORKER_CONFINE_H
#define WORKER_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

/* No thread of this process starts a program any more. False where the kernel has no filters: the daemon's log has said
   so. */
bool confine_forbid_exec(void);
/* Bytes that this process may take; 0: no limit. */
size_t confine_memory(void);

#endif
