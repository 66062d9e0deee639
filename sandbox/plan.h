/* What a worker may touch, as the command line of reflect-sandbox says it. */
#ifndef SANDBOX_PLAN_H
#define SANDBOX_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In the order in which they are set. */
enum layer {
  LAYER_PARENT,       /* it dies with the daemon, in a session of its own */
  LAYER_DESCRIPTORS,  /* it has 0 to 3 and no others */
  LAYER_ENVIRONMENT,  /* a few variables */
  LAYER_LIMITS,       /* no cores, bounded files, threads, memory; the first that the kernel kills for want of memory */
  LAYER_NAMESPACES,   /* a network and System V IPC of its own, with nothing in them */
  LAYER_CAPABILITIES, /* root's powers are gone */
  LAYER_LANDLOCK,     /* files beneath the plan's paths; no ports; no signals to others */
  LAYER_SECCOMP,      /* the system calls that a worker needs */
  LAYER_COUNT,
};

/* What a driver needs besides. */
enum device_kind { DEVICE_CPU, DEVICE_OPENCL, DEVICE_CUDA, DEVICE_KIND_COUNT };

/* LAYER_DETAIL_BYTES: of what a layer says of itself. */
enum { PLAN_PATHS_MAX = 64, LAYER_DETAIL_BYTES = 160 };

struct plan_paths {
  const char *item[PLAN_PATHS_MAX];
  size_t count;
};

/* Strings are those of the command line. */
struct plan {
  bool without[LAYER_COUNT];
  pid_t parent; /* the process to die with; 0: whichever started it */
  enum device_kind device;
  const char *model;         /* NULL: none. A folder, with what the links in it lead to, or a file, with
                                the other parts of a split one; read-only */
  struct plan_paths read;    /* files and folders; never through a link at the end */
  struct plan_paths write;   /* folders */
  struct plan_paths execute; /* files and folders whose programs it may start; none: it starts none */
  const char *scratch;       /* NULL: none. A folder in one of `write`, made if it is not there: a driver's cache */
  const char *cgroup;        /* NULL: none. The folder of the control group to join */
  uint64_t memory;           /* bytes that it may have written to; 0: no limit */
  uint64_t file_bytes;       /* the largest file it may write; UINT64_MAX: any */
  char **command;            /* the worker and its arguments; NULL ends it */
};

#endif
