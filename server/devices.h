/* The devices that jobs may run on here: those that the worker finds and config `devices` names. The CPU has
   workers_max places, each other device one. */
#ifndef SERVER_DEVICES_H
#define SERVER_DEVICES_H

#include "api/device.h"
#include "config/config.h"

enum { DEVICES_MAX = 16 };

struct devices {
  bool cpu;                                 /* jobs may run on it */
  char cpu_processor[DEVICE_PROCESSOR_MAX]; /* "": the worker did not say */
  size_t count;
  struct device_info other[DEVICES_MAX];
};

/* STATUS_INVALID_VALUE naming the entry of config `devices` that is no device's name. */
NODISCARD enum status devices_check(const struct config *config, struct error *err);
/* Asks the worker (reflect-worker --list-devices), which opens the drivers: the daemon never does. What is there and
   not named is left out; what config names and is not there is logged. A worker that lists nothing leaves the CPU. */
void devices_find(struct devices *out, const struct config *config);
/* The worker's whole list in a table, for people. STATUS_UNAVAILABLE when it lists nothing. */
NODISCARD enum status devices_print(struct str *out, const struct config *config, struct error *err);
/* The values of scheduling.device that the place of `device` takes, or, NULL, those that another device takes and the
   CPU's places do not; as a JSON array, appended. */
void devices_takes(struct str *out, const struct devices *devices, const struct device_info *device);
/* Is there a device for a job that wants that? */
bool devices_has(const struct devices *devices, const char *wanted);
/* Their names, "cpu, opencl:0". */
void devices_names(struct str *out, const struct devices *devices);

#endif
