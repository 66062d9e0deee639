/* Preloaded into a program (LD_PRELOAD): counts calls that touch files, sockets or memory, and makes the Nth fail, or
   kills the program there. From the environment:
     FAULT_CALLS  which calls count: names with commas, or "file", "socket", "malloc"
     FAULT_AT     the number of the first that fails; 0: none, they are only counted
     FAULT_LAST   the last one that fails; absent: that one alone; "all": from there on
     FAULT_ERROR  ENOSPC, EIO, EMFILE, ENOMEM or KILL
     FAULT_COUNT  a file that gets the number of calls as the program ends
     FAULT_ARM    a file: calls count once it exists
   What programs start does not get it: nothing of this is passed on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call {
  OPEN,
  WRITE,
  PWRITE,
  FSYNC,
  RENAME,
  TRUNCATE,
  ALLOCATE,
  UNLINK,
  MKDIR,
  MMAP,
  READ,
  PREAD,
  LOCK,
  ACCEPT,
  SEND,
  RECV,
  SOCKETPAIR,
  PIPE,
  MALLOC,
  CALLS
};
static const char *const names[CALLS] = {"open",   "write", "pwrite",     "fsync", "rename", "truncate", "allocate",
                                         "unlink", "mkdir", "mmap",       "read",  "pread",  "lock",     "accept",
                                         "send",   "recv",  "socketpair", "pipe",  "malloc"};
enum { FIRST_SOCKET = ACCEPT };

static bool counts[CALLS];
static long first, last, seen_before_arm;
static int error_number;
static const char *count_path, *arm_path;
static atomic_long seen;
static atomic_bool armed, ready;
static __thread bool inside;

static int error_of(const char *name) {
  return strcmp(name, "ENOSPC") == 0   ? ENOSPC
         : strcmp(name, "EMFILE") == 0 ? EMFILE
         : strcmp(name, "ENOMEM") == 0 ? ENOMEM
         : strcmp(name, "KILL") == 0   ? -1
                                       : EIO;
}

/* Where a crash happened, for the log. */
static void on_crash(int signal) {
  void *frames[40];
  backtrace_symbols_fd(frames, backtrace(frames, 40), STDERR_FILENO);
  raise(signal); /* as it would have been: SA_RESETHAND */
}

__attribute__((constructor)) static void set_up(void) {
  const char *calls = getenv("FAULT_CALLS"), *at = getenv("FAULT_AT"), *to = getenv("FAULT_LAST");
  const char *error = getenv("FAULT_ERROR");
  char word[256];
  (void)seen_before_arm;
  if (!calls)
    return;
  void *frame;
  backtrace(&frame, 1); /* loads what it needs now */
  struct sigaction crash = {.sa_handler = on_crash, .sa_flags = SA_RESETHAND | SA_NODEFER};
  sigaction(SIGSEGV, &crash, NULL);
  sigaction(SIGABRT, &crash, NULL);
  snprintf(word, sizeof word, ",%s,", calls);
  for (int i = 0; i < CALLS; i++) {
    char name[32];
    snprintf(name, sizeof name, ",%s,", names[i]);
    const char *group = i == MALLOC ? ",malloc," : i >= FIRST_SOCKET ? ",socket," : ",file,";
    counts[i] = strstr(word, name) || strstr(word, group);
  }
  first = at ? strtol(at, NULL, 10) : 0;
  last = to ? strcmp(to, "all") == 0 ? INT64_MAX : strtol(to, NULL, 10) : first;
  error_number = error_of(error ? error : "EIO");
  count_path = getenv("FAULT_COUNT");
  arm_path = getenv("FAULT_ARM");
  atomic_store(&armed, !arm_path);
  atomic_store(&ready, true);
}

__attribute__((destructor)) static void tell(void) {
  char text[32];
  if (!count_path)
    return;
  inside = true;
  int fd = open(count_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd >= 0 && write(fd, text, (size_t)snprintf(text, sizeof text, "%ld\n", atomic_load(&seen))) > 0)
    close(fd);
}

static bool is_armed(void) {
  if (atomic_load_explicit(&armed, memory_order_relaxed))
    return true;
  if (syscall(SYS_faccessat, AT_FDCWD, arm_path, F_OK) == 0)
    atomic_store(&armed, true);
  return atomic_load(&armed);
}

/* Is it this call's turn? Then errno is set; or the program is no more. */
static bool fails(enum call call) {
  int number = errno;
  if (!atomic_load_explicit(&ready, memory_order_relaxed) || inside || !counts[call])
    return false;
  bool arm = is_armed();
  errno = number;
  if (!arm)
    return false;
  long n = atomic_fetch_add(&seen, 1) + 1;
  if (first == 0 || n < first || n > last)
    return false;
  if (error_number < 0)
    syscall(SYS_kill, getpid(), SIGKILL);
  errno = error_number;
  return true;
}

/* Pipes and events have no disk that could be full. */
static bool on_disk(int fd) {
  struct stat info;
  int number = errno;
  bool is = fd >= 0 && fstat(fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
  errno = number;
  return is;
}

#define NEXT(name) ((__typeof__(&name))(uintptr_t)next_of(&next_##name, #name))
static void *next_of(void *_Atomic *kept, const char *name) {
  void *found = *kept;
  if (!found) {
    bool before = inside;
    inside = true;
    *kept = found = dlsym(RTLD_NEXT, name);
    inside = before;
  }
  return found;
}
#define WRAP(failing, failed, type, name, parameters, ...)                                                             \
  static void *_Atomic next_##name;                                                                                    \
  type name parameters;                                                                                                \
  type name parameters {                                                                                               \
    if (failing)                                                                                                       \
      return failed;                                                                                                   \
    return NEXT(name)(__VA_ARGS__);                                                                                    \
  }

static mode_t mode_of(int flags, va_list args) {
  return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(args, int) : 0;
}

#define WRAP_OPEN(name)                                                                                                \
  static void *_Atomic next_##name;                                                                                    \
  int name(const char *path, int flags, ...) {                                                                         \
    va_list args;                                                                                                      \
    va_start(args, flags);                                                                                             \
    mode_t mode = mode_of(flags, args);                                                                                \
    va_end(args);                                                                                                      \
    return fails(OPEN) ? -1 : NEXT(name)(path, flags, mode);                                                           \
  }
WRAP_OPEN(open)
WRAP_OPEN(open64)

static void *_Atomic next_openat;
int openat(int dir, const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = mode_of(flags, args);
  va_end(args);
  return fails(OPEN) ? -1 : NEXT(openat)(dir, path, flags, mode);
}

WRAP(on_disk(fd) && fails(WRITE), -1, ssize_t, write, (int fd, const void *bytes, size_t n), fd, bytes, n)
WRAP(on_disk(fd) && fails(WRITE), -1, ssize_t, writev, (int fd, const struct iovec *iov, int n), fd, iov, n)
WRAP(on_disk(fd) && fails(PWRITE), -1, ssize_t, pwrite, (int fd, const void *bytes, size_t n, off_t at), fd, bytes, n,
     at)
WRAP(on_disk(fd) && fails(PWRITE), -1, ssize_t, pwrite64, (int fd, const void *bytes, size_t n, off64_t at), fd, bytes,
     n, at)
WRAP(on_disk(fd) && fails(FSYNC), -1, int, fsync, (int fd), fd)
WRAP(on_disk(fd) && fails(FSYNC), -1, int, fdatasync, (int fd), fd)
WRAP(fails(RENAME), -1, int, rename, (const char *from, const char *to), from, to)
WRAP(on_disk(fd) && fails(TRUNCATE), -1, int, ftruncate, (int fd, off_t n), fd, n)
WRAP(on_disk(fd) && fails(TRUNCATE), -1, int, ftruncate64, (int fd, off64_t n), fd, n)
WRAP(fails(UNLINK), -1, int, unlink, (const char *path), path)
WRAP(fails(UNLINK), -1, int, unlinkat, (int dir, const char *path, int flags), dir, path, flags)
WRAP(fails(MKDIR), -1, int, mkdir, (const char *path, mode_t mode), path, mode)
WRAP(on_disk(fd) && fails(MMAP), MAP_FAILED, void *, mmap,
     (void *at, size_t n, int prot, int flags, int fd, off_t from), at, n, prot, flags, fd, from)
WRAP(on_disk(fd) && fails(MMAP), MAP_FAILED, void *, mmap64,
     (void *at, size_t n, int prot, int flags, int fd, off64_t from), at, n, prot, flags, fd, from)
WRAP(on_disk(fd) && fails(READ), -1, ssize_t, read, (int fd, void *bytes, size_t n), fd, bytes, n)
WRAP(on_disk(fd) && fails(PREAD), -1, ssize_t, pread, (int fd, void *bytes, size_t n, off_t at), fd, bytes, n, at)
WRAP(on_disk(fd) && fails(PREAD), -1, ssize_t, pread64, (int fd, void *bytes, size_t n, off64_t at), fd, bytes, n, at)
WRAP(fails(ACCEPT), -1, int, accept4, (int fd, struct sockaddr *address, socklen_t *n, int flags), fd, address, n,
     flags)
WRAP(fails(SEND), -1, ssize_t, send, (int fd, const void *bytes, size_t n, int flags), fd, bytes, n, flags)
WRAP(fails(SEND), -1, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), fd, message, flags)
WRAP(fails(RECV), -1, ssize_t, recv, (int fd, void *bytes, size_t n, int flags), fd, bytes, n, flags)
WRAP(fails(RECV), -1, ssize_t, recvfrom,
     (int fd, void *bytes, size_t n, int flags, struct sockaddr *address, socklen_t *length), fd, bytes, n, flags,
     address, length)
WRAP(fails(SOCKETPAIR), -1, int, socketpair, (int domain, int type, int protocol, int pair[2]), domain, type, protocol,
     pair)
WRAP(fails(PIPE), -1, int, pipe2, (int pair[2], int flags), pair, flags)

static void *_Atomic next_posix_fallocate;
int posix_fallocate(int fd, off_t from, off_t n) {
  return fails(ALLOCATE) ? errno : NEXT(posix_fallocate)(fd, from, n);
}

/* glibc's own names: dlsym may itself allocate. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *at, size_t n);
void *malloc(size_t n) {
  return fails(MALLOC) ? NULL : __libc_malloc(n);
}
void *calloc(size_t count, size_t n) {
  return fails(MALLOC) ? NULL : __libc_calloc(count, n);
}
void *realloc(void *at, size_t n) {
  return n && fails(MALLOC) ? NULL : __libc_realloc(at, n);
}
