#include "sandbox/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Files of a large model in shards, and what drivers open. A thread counts as a process; other processes of the same
   user count too, so the number is only what keeps a worker from using up the machine's. */
enum { FILES_MAX = 1024, PROCESSES_MAX = 8192 };

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { IS_INSTRUMENTED = true }; /* these reserve terabytes */
#else
enum { IS_INSTRUMENTED = false };
#endif

/* Never more than there was. */
static bool lower(int what, rlim_t limit) {
  struct rlimit now;
  if (getrlimit((__rlimit_resource_t)what, &now) != 0)
    return false;
  if (limit > now.rlim_max)
    limit = now.rlim_max;
  return setrlimit((__rlimit_resource_t)what, &(struct rlimit){limit, limit}) == 0;
}

/* When memory is short the kernel ends workers first, never the daemon for a worker's sake. */
static void be_first(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return;
  if (write(fd, "1000", 4) < 0) {
    /* without /proc it is chosen by its size, as all are */
  }
  close(fd);
}

/* All threads of this process; what it starts follows. */
static enum status join(const char *cgroup, struct error *err) {
  char path[4096];
  snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool joined = fd >= 0 && write(fd, "0", 1) == 1;
  int code = errno;
  if (fd >= 0)
    close(fd);
  errno = code;
  return joined ? STATUS_OK : error_set_errno(err, STATUS_UNAVAILABLE, NULL, "cannot join %s", cgroup);
}

enum status limits_set(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err) {
  bool limits_memory = plan->memory && !IS_INSTRUMENTED;
  be_first();
  if (plan->cgroup && join(plan->cgroup, err))
    return err->status;
  /* RLIMIT_DATA counts what is private and can be written: a mapped model is not in it. */
  if (!lower(RLIMIT_CORE, 0) || !lower(RLIMIT_NOFILE, FILES_MAX) || !lower(RLIMIT_NPROC, PROCESSES_MAX) ||
      !lower(RLIMIT_FSIZE, plan->file_bytes) || !lower(RLIMIT_MSGQUEUE, 0) || !lower(RLIMIT_RTPRIO, 0) ||
      (limits_memory && !lower(RLIMIT_DATA, plan->memory)))
    return error_set_errno(err, STATUS_UNAVAILABLE, NULL, "setrlimit");
  if (IS_INSTRUMENTED)
    snprintf(detail, LAYER_DETAIL_BYTES, "instrumented build: memory is not limited");
  return STATUS_OK;
}
