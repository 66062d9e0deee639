/* The daemon's parts, made in main and passed down; nothing else is shared. Everything under server/
   runs in one thread, on one loop. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "server/attempts.h"
#include "server/budget.h"
#include "server/cgroup.h"
#include "server/devices.h"
#include "server/hold.h"
#include "server/metrics.h"
#include "server/questions.h"
#include "server/sandbox.h"
#include "storage/db.h"

struct uv_loop_s;
struct feeds;
struct forecast_cache;
struct front;
struct inspected_list;
struct scheduler;
struct streams;
struct supervisor;
struct serving_list;
struct removal;
struct upload;
struct webhooks;
struct joining;
struct shown;

struct server {
  const struct config *config;
  struct db *db;
  struct uv_loop_s *uv;
  struct front *front;
  struct streams *streams;  /* answers that go on */
  struct feeds *feeds;      /* jobs that they tell of */
  struct scheduler *scheduler;
  struct supervisor *supervisor;
  struct inspected_list *inspected;
  struct question_list questions;
  struct serving_list *servings; /* what is asked of models */
  struct webhooks *webhooks;
  struct forecast_cache *forecaster; /* NULL: nobody has asked */
  struct removal *removal;  /* bytes that are being removed; NULL: none */
  bool events_due;          /* there may be events of jobs that were deleted */
  bool removal_due;         /* removal_start was called when what it is to read was not stored yet */
  struct upload *uploads;   /* that arrive now */
  struct joining *joinings; /* uploads whose parts are being joined */
  struct shown *shown;       /* answers that still hold */
  unsigned sweeps;          /* of upkeep.h, so far */
  size_t publishing;        /* uploads that are being made durable */
  uint64_t body_bytes;      /* of JSON requests that are in memory */
  struct devices devices;   /* that jobs may run on */
  struct attempts attempts; /* wrong keys */
  struct metrics metrics;   /* what /metrics counts */
  int64_t key_use_after_ms; /* boot clock: until then no last use of a key is noted */
  struct hold hold;         /* the host kept something from running */
  struct budget budget;     /* what runs may take together */
  struct sandbox sandbox;   /* of workers */
  struct cgroups cgroups;   /* theirs */
  bool draining;            /* SIGTERM came: no new work */
};

#endif
