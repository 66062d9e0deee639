#include "sandbox/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FIRST_CLOSED = 4 };

static enum status refused(struct error *err, const char *what) {
  return error_set_errno(err, STATUS_UNAVAILABLE, NULL, "%s", what);
}

enum status process_follow(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err) {
  (void)detail;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    return refused(err, "PR_SET_PDEATHSIG");
  if (plan->parent && getppid() != plan->parent) /* it was gone before the signal was asked for */
    return error_set(err, STATUS_UNAVAILABLE, NULL, "the daemon is gone");
  setsid(); /* fails where it leads one already */
  return STATUS_OK;
}

enum status process_close(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err) {
  struct rlimit files;
  (void)plan;
  (void)detail;
  if (syscall(SYS_close_range, FIRST_CLOSED, ~0U, 0) == 0)
    return STATUS_OK;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > (1 << 20))
    return refused(err, "close_range");
  for (int fd = FIRST_CLOSED; fd < (int)files.rlim_cur; fd++)
    close(fd);
  return STATUS_OK;
}

/* The caches of drivers hold programs: each worker has its own, or jobs would run what other jobs left there. */
static bool set_scratch(const char *folder) {
  return (mkdir(folder, 0700) == 0 || errno == EEXIST) && setenv("TMPDIR", folder, 1) == 0 &&
         setenv("POCL_CACHE_DIR", folder, 1) == 0 && setenv("CUDA_CACHE_PATH", folder, 1) == 0 &&
         setenv("REFLECT_CACHE", folder, 1) == 0;
}

enum status process_clean(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err) {
  static const char *const kept[] = {"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "REFLECT_ISA",
                                     /* where the libraries of GPUs are, and which GPUs */
                                     "LD_LIBRARY_PATH", "OCL_ICD_VENDORS", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER",
                                     "ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"};
  char *values[COUNT_OF(kept)];
  (void)detail;
  for (size_t i = 0; i < COUNT_OF(kept); i++)
    values[i] = getenv(kept[i]);
  clearenv();                                            /* the strings live on */
  bool ok = setenv("OPENBLAS_NUM_THREADS", "1", 1) == 0; /* else it would start threads when it is loaded */
  for (size_t i = 0; i < COUNT_OF(kept); i++)
    ok = ok && (!values[i] || setenv(kept[i], values[i], 1) == 0);
  if (plan->scratch && !set_scratch(plan->scratch))
    return refused(err, plan->scratch);
  return ok ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory");
}

static bool put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (fd >= 0)
    close(fd);
  return ok;
}

/* Without root's power a network of one's own takes a user namespace of one's own. Names of users stay what they are.
 */
enum status process_unshare(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err) {
  char users[64], groups[64];
  (void)plan;
  if (unshare(CLONE_NEWNET | CLONE_NEWIPC) == 0)
    return STATUS_OK;
  snprintf(users, sizeof users, "%u %u 1\n", getuid(), getuid());
  snprintf(groups, sizeof groups, "%u %u 1\n", getgid(), getgid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) != 0)
    return refused(err, "unshare");
  if (!put("/proc/self/setgroups", "deny") || !put("/proc/self/gid_map", groups) || !put("/proc/self/uid_map", users))
    return refused(err, "the maps of a user namespace");
  snprintf(detail, LAYER_DETAIL_BYTES, "in a user namespace");
  return STATUS_OK;
}

/* A root's daemon reads models that are anyone's; so does its worker, beneath the paths that it was given. */
static bool is_kept(const struct plan *plan, int capability) {
  return capability == CAP_DAC_READ_SEARCH && !plan->without[LAYER_LANDLOCK];
}

enum status process_drop(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  (void)detail;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return refused(err, "PR_SET_NO_NEW_PRIVS");
  if (syscall(SYS_capget, &header, data) != 0)
    return refused(err, "capget");
  if (!(data[0].permitted | data[1].permitted))
    return STATUS_OK; /* it has none, and cannot come by any */
  for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
    if (!is_kept(plan, i) && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
      return refused(err, "PR_CAPBSET_DROP");
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  unsigned kept = is_kept(plan, CAP_DAC_READ_SEARCH) ? 1U << CAP_DAC_READ_SEARCH : 0;
  data[0].effective &= kept;
  data[0].permitted &= kept;
  data[0].inheritable = data[1].effective = data[1].permitted = data[1].inheritable = 0;
  return syscall(SYS_capset, &header, data) == 0 ? STATUS_OK : refused(err, "capset");
}
