#include "tests/fault/crowd.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"

enum { ACKNOWLEDGED_MAX = 1 << 14, CANCELS = 4, PATIENT_MS = 10000, STEP_MS = 20 };

struct acknowledged {
  char id[64];
  bool cancelled;
};

/* Shared by all clients. */
struct crowd {
  atomic_size_t count;
  int clients;
  struct acknowledged job[ACKNOWLEDGED_MAX];
};

static struct answer answer;

struct crowd *crowd_new(void) {
  struct crowd *crowd = mmap(NULL, sizeof *crowd, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(crowd != MAP_FAILED);
  return crowd;
}

/* Submits, and sometimes cancels what it has submitted. False: the daemon is gone. */
static bool visit(struct crowd *crowd, const struct daemon *daemon, const char *file, int number, int i) {
  char body[512], target[200], id[128];
  snprintf(body, sizeof body, "{\"model\":\"tiny\",\"training_file\":\"%s\",\"suffix\":\"wait\",\"seed\":%d}", file,
           number * 100000 + i);
  int status = daemon_call(&answer, daemon, "POST", "/v1/fine_tuning/jobs", NULL, body);
  if (status != 200)
    return status != 0;
  size_t n = crowd->count++;
  if (n >= ACKNOWLEDGED_MAX)
    return false;
  struct acknowledged *job = &crowd->job[n];
  job->cancelled = false;
  snprintf(job->id, sizeof job->id, "%.63s", answer_value(id, &answer, "id"));
  if (i % CANCELS)
    return true;
  snprintf(target, sizeof target, "/v1/fine_tuning/jobs/%s/cancel", job->id);
  status = daemon_call(&answer, daemon, "POST", target, NULL, NULL);
  job->cancelled = status == 200;
  return status != 0;
}

void crowd_come(struct crowd *crowd, const struct daemon *daemon, const char *file, int clients) {
  crowd->count = 0;
  crowd->clients = clients;
  for (int number = 0; number < clients; number++) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    for (int i = 0; pid == 0; i++)
      if (!visit(crowd, daemon, file, number, i))
        _exit(0);
  }
}

size_t crowd_leave(struct crowd *crowd) {
  for (; crowd->clients > 0; crowd->clients--)
    wait(NULL);
  return crowd->count < ACKNOWLEDGED_MAX ? crowd->count : ACKNOWLEDGED_MAX;
}

/* Is it there, and cancelled where that was promised? */
static bool stands(const struct acknowledged *job, const struct daemon *daemon) {
  char target[200], state[128] = "";
  snprintf(target, sizeof target, "/v1/fine_tuning/jobs/%s", job->id);
  for (int ms = 0; ms < PATIENT_MS; ms += STEP_MS) {
    if (daemon_call(&answer, daemon, "GET", target, NULL, NULL) != 200)
      return false;
    if (!job->cancelled || strcmp(answer_value(state, &answer, "status"), "cancelled") == 0)
      return true;
    sleep_ms(STEP_MS);
  }
  return false;
}

size_t crowd_verify(const struct crowd *crowd, const struct daemon *daemon, const char *title) {
  size_t bad = 0;
  for (size_t i = 0; i < crowd->count && i < ACKNOWLEDGED_MAX; i++)
    if (!stands(&crowd->job[i], daemon)) {
      printf("# %s: %s was acknowledged%s: %d %.200s\n", title, crowd->job[i].id,
             crowd->job[i].cancelled ? " and cancelled" : "", answer.status, answer.body);
      bad++;
    }
  return bad;
}
