/* What the loads of load.c share. */
#ifndef TESTS_FAULT_LOAD_H
#define TESTS_FAULT_LOAD_H

#include <stddef.h>

#include "tests/fault/daemon.h"

/* Sorts `ms` and prints its middle, its 99th percentile and its end. */
void load_times(const char *what, double *ms, size_t count);
void load_memory(pid_t pid, const char *when);
/* Of a process, in seconds. */
double load_processor(pid_t pid);
/* Exits where the daemon does not start. */
void load_start(struct daemon *daemon, const struct place *place);
/* The id of a new file that jobs can train on. */
void load_upload(char id[128], const struct daemon *daemon);

/* Subscribers that follow one job's events, and how late they hear of each. False: one missed an event, heard of one
   twice, or was not told the end. */
bool load_stream(const struct place *place, long subscribers, long events);

#endif
