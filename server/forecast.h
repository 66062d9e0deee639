/* When queued jobs will start, as far as that can be known: what runs says how long it will still, and what waits will
   take as long as the last jobs took. Made at most once a second, so that it costs a request nothing. */
#ifndef SERVER_FORECAST_H
#define SERVER_FORECAST_H

#include "server/server.h"
#include "storage/db_queue.h"

enum { FORECAST_PLACES_MAX = 64 + DEVICES_MAX };

extern const struct device_info forecast_cpu; /* what each of the CPU's places is */

struct forecast {
  size_t places;
  struct {
    const struct device_info *device;
    double free_in; /* seconds until what runs there has ended; < 0: nobody knows */
    bool busy;
    int64_t priority; /* of the job that runs there */
  } place[FORECAST_PLACES_MAX];
  int64_t preemption; /* config */
  double job_seconds; /* that a job takes; < 0: nobody knows */
  struct queue_lane *lanes;
  size_t lane_count;
};

/* Queued jobs of other tenants that are likely to start before the one that has that position among its own
   (db_queue_positions): those of higher priority, and of equal priority as many as there are turns. Pure. */
int64_t forecast_others(const struct forecast *forecast, const struct job_row *job, int64_t position);
/* How many queued jobs of its tenant go before one that comes now with its priority. Pure. */
int64_t forecast_position(const struct forecast *forecast, const struct job_row *job);
/* Seconds until it starts when `ahead` jobs of all go before it, its device_wanted and priority being asked for; < 0:
   nobody knows. On the CPU as many jobs as it is run side by side (budget_side_by_side): those that run, and those that
   wait, are taken to be of its size. Pure. */
double forecast_seconds(const struct forecast *forecast, const struct job_row *job, int64_t side_by_side,
                        int64_t ahead);

/* The unix time at which it is expected to start; 0: nobody knows, or it is not queued (position < 0). *others, where
   not NULL: forecast_others. Fails only when the store does. */
NODISCARD enum status forecast_start(int64_t *out, int64_t *others, struct server *server, const struct job_row *job,
                                     int64_t position, struct error *err);

/* Seconds that a job which comes now would wait (its tenant, priority and device_wanted are asked for, and what it
   takes of the budget on the CPU); < 0: nobody knows. Fails only when the store does. */
NODISCARD enum status forecast_wait(double *out, struct server *server, const struct job_row *job,
                                    const struct budget_need *need, struct error *err);

/* The daemon's, kept with it. NULL is fine. */
struct forecast_cache;
void forecast_free(struct forecast_cache *forecaster);

#endif
