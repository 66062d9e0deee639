#include "sandbox/calls.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* By name, since not every architecture has each. What is in no list does not exist for a worker (ENOSYS): libraries
   then fall back to what they did on older kernels. Sockets, processes, mounts, keys, tracing, io_uring, bpf, other
   processes' memory, times and priorities are in none. */
static const char *const everyone[] = {
    /* files: which ones is landlock's */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "open",
    "openat", "close", "close_range", "lseek", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs",
    "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd", "rename", "renameat",
    "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "truncate", "ftruncate", "fallocate", "fsync",
    "fdatasync", "sync_file_range", "fadvise64", "copy_file_range", "sendfile", "flock", "dup", "dup2", "dup3", "pipe",
    "pipe2", "umask", "poll", "ppoll", "select", "pselect6",
    /* memory */
    "brk", "munmap", "mremap", "mprotect", "madvise", "mincore", "msync", "mlock", "munlock", "mbind", "get_mempolicy",
    "membarrier",
    /* threads and signals of its own */
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "gettid", "sched_yield",
    "sched_getaffinity", "getcpu", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait",
    "rt_sigsuspend", "sigaltstack", "restart_syscall", "exit", "exit_group", "arch_prctl",
    /* what it may know */
    "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getpgrp",
    "getpgid", "getsid", "uname", "sysinfo", "getrandom", "getrusage", "getrlimit", "times", "time", "gettimeofday",
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep",
    /* itself, and less; the worker's own start (after it, it forbids these to itself) */
    "seccomp", "execve"};

/* Drivers share memory with the kernel, and set threads on processors. */
static const char *const any_device[] = {
    "mmap",           "memfd_create",       "eventfd2",         "epoll_create1", "epoll_ctl",  "epoll_wait",
    "epoll_pwait",    "sched_setaffinity",  "mlock2",           "mlockall",      "munlockall", "set_mempolicy",
    "sched_getparam", "sched_getscheduler", "process_mrelease", "ioctl",         "getdents",   "readahead",
    "timerfd_create", "timerfd_settime"};
/* A driver that compiles by starting programs (landlock says which). */
static const char *const compiling[] = {"fork", "vfork", "wait4", "waitid", "execveat", "chdir", "fchdir", "tgkill"};
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
/* Leaks are looked for from a process beside the worker, which stops its threads. */
static const char *const instrumented[] = {"clone", "wait4", "ptrace",           "prctl", "personality", "tgkill",
                                           "kill",  "mmap",  "sched_setaffinity"};
#else
static const char *const instrumented[] = {NULL};
#endif

enum {
  NEW_NAMESPACES =
      CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
};

/* A rule that failed makes all fail: none is left out. A name that this architecture has not is none. */
static bool allow(scmp_filter_ctx filter, const char *name, unsigned count, const struct scmp_arg_cmp *arguments) {
  int call = name ? seccomp_syscall_resolve_name(name) : __NR_SCMP_ERROR;
  if (call == __NR_SCMP_ERROR || call < 0)
    return true;
  return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, count, arguments) == 0;
}

static bool allow_all(scmp_filter_ctx filter, const char *const *names, size_t count) {
  bool ok = true;
  for (size_t i = 0; ok && i < count; i++)
    ok = allow(filter, names[i], 0, NULL);
  return ok;
}

static bool allow_if(scmp_filter_ctx filter, const char *name, struct scmp_arg_cmp argument) {
  return allow(filter, name, 1, &argument);
}

/* Calls of which the first argument, or the second, is one of a few. */
static bool allow_some(scmp_filter_ctx filter) {
  static const unsigned fcntls[] = {F_DUPFD,     F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,    F_GETFL,
                                    F_SETFL,     F_GETLK,         F_SETLK,     F_SETLKW,   F_OFD_GETLK,
                                    F_OFD_SETLK, F_OFD_SETLKW,    F_ADD_SEALS, F_GET_SEALS};
  static const unsigned ioctls[] = {TCGETS, FIONREAD, FIOCLEX, FIONBIO, TIOCGWINSZ};
  /* PR_SET_VMA names memory. None that lets it outlive the daemon, or be traced. */
  static const unsigned prctls[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_NO_NEW_PRIVS, PR_GET_DUMPABLE, 0x53564d41};
  bool ok = true;
  for (size_t i = 0; ok && i < COUNT_OF(fcntls); i++)
    ok = allow_if(filter, "fcntl", SCMP_A1(SCMP_CMP_EQ, fcntls[i]));
  for (size_t i = 0; ok && i < COUNT_OF(ioctls); i++)
    ok = allow_if(filter, "ioctl", SCMP_A1(SCMP_CMP_EQ, ioctls[i]));
  for (size_t i = 0; ok && i < COUNT_OF(prctls); i++)
    ok = allow_if(filter, "prctl", SCMP_A0(SCMP_CMP_EQ, prctls[i]));
  return ok;
}

/* Threads, but no processes and no namespaces. clone3 keeps its flags where a filter cannot see them: it does not
   exist, and the C library takes clone. Memory that is shared without a file is no limit's, so there is none. */
static bool allow_itself(scmp_filter_ctx filter) {
  scmp_datum_t self = (scmp_datum_t)getpid(); /* the worker's, too */
  return allow_if(filter, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | NEW_NAMESPACES, CLONE_THREAD)) &&
         allow_if(filter, "mmap", SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0)) &&
         allow_if(filter, "mmap", SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_TYPE, MAP_PRIVATE)) &&
         allow_if(filter, "kill", SCMP_A0(SCMP_CMP_EQ, self)) &&
         allow_if(filter, "tgkill", SCMP_A0(SCMP_CMP_EQ, self)) &&
         allow_if(filter, "prlimit64", SCMP_A0(SCMP_CMP_EQ, 0)) &&
         allow_if(filter, "sched_setaffinity", SCMP_A0(SCMP_CMP_EQ, 0));
}

static bool allow_driver(scmp_filter_ctx filter, enum device_kind device) {
  bool ok = device == DEVICE_CPU || allow_all(filter, any_device, COUNT_OF(any_device));
  if (device == DEVICE_OPENCL) {
    ok = ok && allow_all(filter, compiling, COUNT_OF(compiling)) &&
         allow_if(filter, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, NEW_NAMESPACES, 0));
    for (size_t i = 0; ok && i < 2; i++) /* no set-user-id bits on what it compiles */
      ok = allow_if(filter, i ? "chmod" : "fchmod", SCMP_A1(SCMP_CMP_MASKED_EQ, 07000, 0));
    ok = ok && allow_if(filter, "fchmodat", SCMP_A2(SCMP_CMP_MASKED_EQ, 07000, 0));
  }
  return ok;
}

enum status calls_set(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
  (void)detail;
  if (!filter)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "no memory");
  /* The kernel's default for filtered processes is a slower processor (no speculative stores): a worker has no secrets
     from itself. A kernel that does not know the attribute has no such default. */
  seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
  bool ok = allow_all(filter, everyone, COUNT_OF(everyone)) && allow_some(filter) && allow_itself(filter) &&
            allow_driver(filter, plan->device) && allow_all(filter, instrumented, COUNT_OF(instrumented));
  int code = ok ? seccomp_load(filter) : 0;
  seccomp_release(filter);
  if (!ok)
    return error_set(err, STATUS_UNAVAILABLE, NULL, "the rules cannot be made");
  errno = -code;
  return code ? error_set_errno(err, STATUS_UNAVAILABLE, NULL, "the kernel refuses filters") : STATUS_OK;
}
