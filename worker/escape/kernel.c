/* Escapes by the kernel's wide interfaces, by new processes, and past the limits. */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/escape/escape.h"

/* ---- processes ---- */

/* Runs `child` in a process of its own, where one can be made. */
static bool in_child(bool (*child)(void)) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0)
    _exit(child() ? 0 : errno);
  if (pid < 0 || waitpid(pid, &status, 0) != pid)
    return false;
  errno = WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
  return status == 0;
}

static bool nothing(void) {
  return true;
}

static bool become_true(void) {
  execl("/bin/true", "true", (char *)NULL);
  return false;
}

static bool become_anonymous(void) {
  char bytes[4096];
  int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = memfd_create("program", MFD_CLOEXEC);
  if (from < 0 || to < 0)
    return false;
  for (ssize_t n; (n = read(from, bytes, sizeof bytes)) > 0;)
    if (write(to, bytes, (size_t)n) != n)
      return false;
  char *arguments[] = {(char *)(uintptr_t) "reflect-worker", (char *)(uintptr_t) "--help", NULL};
  if (!freopen("/dev/null", "w", stdout))
    return false;
  fexecve(to, arguments, environ);
  return false;
}

static bool fork_one(const struct escape_target *t) {
  (void)t;
  return in_child(nothing);
}

/* Without a process of its own it would be this one that is replaced: then it must be refused, or the test ends here.
 */
static bool run_program(const struct escape_target *t) {
  (void)t;
  pid_t probe = fork();
  if (probe == 0)
    _exit(0);
  if (probe < 0)
    return become_true();
  waitpid(probe, NULL, 0);
  return in_child(become_true);
}

static bool run_anonymous(const struct escape_target *t) {
  (void)t;
  return in_child(become_anonymous);
}

static bool new_process_by_clone3(const struct escape_target *t) {
  struct {
    uint64_t flags, rest[10];
  } arguments = {.flags = CLONE_NEWUSER | CLONE_THREAD}; /* never valid */
  (void)t;
  return escape_reached(syscall(SYS_clone3, &arguments, sizeof arguments));
}

static bool outlive_daemon(const struct escape_target *t) {
  (void)t;
  return prctl(PR_SET_PDEATHSIG, 0) == 0;
}

/* ---- the kernel's interfaces: arguments that could do no harm ---- */

static bool mount_something(const struct escape_target *t) {
  return escape_reached(mount("none", escape_path(t, "out"), "no such file system", 0, NULL));
}

static bool new_user_namespace(const struct escape_target *t) {
  (void)t;
  return unshare(CLONE_NEWUSER) == 0;
}

static bool enter_namespace(const struct escape_target *t) {
  (void)t;
  return escape_reached(setns(-1, 0));
}

static bool change_root(const struct escape_target *t) {
  return chroot(escape_path(t, "out")) == 0;
}

static bool use_bpf(const struct escape_target *t) {
  (void)t;
  return escape_reached(syscall(SYS_bpf, -1, NULL, 0));
}

static bool use_io_uring(const struct escape_target *t) {
  char parameters[120] = "";
  (void)t;
  return escape_reached(syscall(SYS_io_uring_setup, 1, parameters));
}

static bool use_userfaultfd(const struct escape_target *t) {
  (void)t;
  return escape_reached(syscall(SYS_userfaultfd, 1)); /* user mode only */
}

static bool use_perf(const struct escape_target *t) {
  char attributes[128] = "";
  (void)t;
  return escape_reached(syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0));
}

static bool use_keys(const struct escape_target *t) {
  (void)t;
  return escape_reached(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
}

static bool load_kernel(const struct escape_target *t) {
  (void)t;
  return escape_reached(syscall(SYS_kexec_load, 0, -1, NULL, -1));
}

static bool load_module(const struct escape_target *t) {
  (void)t;
  return escape_reached(syscall(SYS_finit_module, -1, "", -1));
}

static bool read_kernel_log(const struct escape_target *t) {
  char byte;
  (void)t;
  return escape_reached(syscall(SYS_syslog, 3, &byte, 1));
}

static bool set_clock(const struct escape_target *t) {
  (void)t;
  return escape_reached(syscall(SYS_clock_settime, -1, NULL));
}

static bool use_aio(const struct escape_target *t) {
  unsigned long context = 0;
  (void)t;
  return escape_reached(syscall(SYS_io_setup, 1, &context));
}

static bool watch_files(const struct escape_target *t) {
  (void)t;
  return escape_reached(syscall(SYS_fanotify_init, -1, 0));
}

static bool type_on_terminal(const struct escape_target *t) {
  (void)t;
  return escape_reached(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

/* ---- limits ---- */

static bool raise_limit(int what) {
  struct rlimit limit;
  if (getrlimit((__rlimit_resource_t)what, &limit) != 0 || limit.rlim_max == RLIM_INFINITY)
    return true;
  limit.rlim_cur = ++limit.rlim_max;
  return setrlimit((__rlimit_resource_t)what, &limit) == 0;
}

static bool raise_memory(const struct escape_target *t) {
  (void)t;
  return raise_limit(RLIMIT_DATA);
}

static bool raise_files(const struct escape_target *t) {
  (void)t;
  return raise_limit(RLIMIT_NOFILE);
}

static bool leave_core(const struct escape_target *t) {
  (void)t;
  return raise_limit(RLIMIT_CORE);
}

static bool maps(int flags) {
  size_t bytes = (size_t)ESCAPE_MEMORY + (1 << 20);
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED)
    munmap(memory, bytes);
  return memory != MAP_FAILED;
}

static bool take_memory(const struct escape_target *t) {
  (void)t;
  return maps(MAP_PRIVATE | MAP_NORESERVE);
}

static bool take_shared_memory(const struct escape_target *t) {
  (void)t;
  return maps(MAP_SHARED | MAP_NORESERVE);
}

static bool write_large_file(const struct escape_target *t) {
  int fd = open(escape_path(t, "out/large"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  signal(SIGXFSZ, SIG_IGN);
  bool ok = fd >= 0 && ftruncate(fd, (off_t)ESCAPE_FILE + 1) == 0;
  int code = errno;
  if (fd >= 0)
    close(fd);
  errno = code;
  return ok;
}

static bool open_many(const struct escape_target *t) {
  int first = -1, last = -1, code;
  (void)t;
  for (int i = 0; i < 1100 && (last = dup(STDIN_FILENO)) >= 0; i++)
    first = first < 0 ? last : first;
  code = errno;
  bool ok = last >= 0;
  for (int fd = first; first >= 0 && fd < 1200; fd++)
    close(fd);
  errno = code;
  return ok;
}

static bool be_spared(const struct escape_target *t) {
  (void)t;
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write(fd, "0", 1) == 1;
  int code = errno;
  if (fd >= 0)
    close(fd);
  errno = code;
  return ok;
}

const struct escape escape_kernel[] = {{"make a process", fork_one},
                                       {"make a process by clone3", new_process_by_clone3},
                                       {"run a program", run_program},
                                       {"run a program from memory", run_anonymous},
                                       {"outlive the daemon", outlive_daemon},
                                       {"mount a file system", mount_something},
                                       {"make a user namespace", new_user_namespace},
                                       {"enter a namespace", enter_namespace},
                                       {"change the root folder", change_root},
                                       {"bpf", use_bpf},
                                       {"io_uring", use_io_uring},
                                       {"userfaultfd", use_userfaultfd},
                                       {"performance events", use_perf},
                                       {"the kernel's keys", use_keys},
                                       {"load a kernel", load_kernel},
                                       {"load a module", load_module},
                                       {"read the kernel's log", read_kernel_log},
                                       {"set the clock", set_clock},
                                       {"asynchronous input and output", use_aio},
                                       {"watch files", watch_files},
                                       {"type on the terminal", type_on_terminal},
                                       {NULL, NULL}};

const struct escape escape_limits[] = {{"raise the limit of memory", raise_memory},
                                       {"raise the limit of open files", raise_files},
                                       {"leave a core file", leave_core},
                                       {"take more memory than its limit", take_memory},
                                       {"take shared memory, which no limit counts", take_shared_memory},
                                       {"write a file larger than its limit", write_large_file},
                                       {"open 1,100 files", open_many},
                                       {"be the last that is killed for memory", be_spared},
                                       {NULL, NULL}};
