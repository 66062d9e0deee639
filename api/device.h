/* The devices that jobs run on: their names in jobs and options, and the lines in which a worker lists those of its
   machine (reflect-worker --list-devices). */
#ifndef API_DEVICE_H
#define API_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { DEVICE_NAME_MAX = 16, DEVICE_PROCESSOR_MAX = 128 };

struct device_info {
  char name[DEVICE_NAME_MAX];           /* "cpu", "opencl:0", "cuda:1" */
  char processor[DEVICE_PROCESSOR_MAX]; /* for people: the instruction set, the GPU's name */
  int64_t memory;                       /* bytes of its own; 0: the host's */
  bool gpu;                             /* "auto" may mean it */
};

/* "auto", a kind ("cpu", "opencl", "cuda"), or one device of it ("opencl:0"). */
bool device_wanted_valid(const char *wanted);
/* Is the device one of those that are wanted? */
bool device_matches(const char *wanted, const char *name);

/* Does it run jobs that want that? "auto" is the CPU or a GPU. */
bool device_takes(const struct device_info *device, const char *wanted);

/* A JSON object on a line of its own; appended. False when it does not fit. */
bool device_info_write(struct str *out, const struct device_info *device);
/* A line without its newline. */
NODISCARD enum status device_info_parse(struct device_info *out, const char *line, size_t length, struct error *err);

#endif
