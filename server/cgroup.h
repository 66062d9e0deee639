/* A control group of each worker (cgroup v2), where the daemon was given a group of its own to divide, as systemd does
   for Delegate=memory: the kernel counts all memory that a worker holds, and ends that worker alone when it is too
   much. Source: the kernel's Documentation/admin-guide/cgroup-v2.rst. */
#ifndef SERVER_CGROUP_H
#define SERVER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "server/paths.h"

/* Where the groups of workers are made. */
struct cgroups {
  char root[PATH_BYTES]; /* "": there are none */
  int64_t made;          /* so many, for their names */
};

/* Groups can only be made beside processes, not around them: the process `self` moves into one of its own, and what
   former daemons left is removed. `membership` is "/proc/self/cgroup", `mount` "/sys/fs/cgroup". Without a group that
   may be divided nothing changes, and the log says why. */
void cgroups_open(struct cgroups *out, const char *membership, const char *mount, pid_t self);

/* A group that may hold so many bytes, without swap. */
NODISCARD enum status cgroup_make(char out[PATH_BYTES], struct cgroups *groups, uint64_t bytes, struct error *err);
/* Removes it, its processes being gone. Did the kernel end one of them for want of memory? */
bool cgroup_end(const char *path);

#endif
