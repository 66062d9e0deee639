/* Escapes to the daemon, other processes and the network. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "worker/escape/escape.h"

static const char *proc_path(const struct escape_target *t, const char *name) {
  static char path[64];
  snprintf(path, sizeof path, "/proc/%ld/%s", (long)t->daemon, name);
  return path;
}

static bool is_secret(const char *bytes) {
  return memcmp(bytes, escape_secret, ESCAPE_SECRET_BYTES) == 0;
}

static bool read_memory(const struct escape_target *t) {
  char bytes[ESCAPE_SECRET_BYTES] = "";
  int fd = open(proc_path(t, "mem"), O_RDONLY | O_CLOEXEC);
  bool ok = fd >= 0 && pread(fd, bytes, sizeof bytes, (off_t)t->secret) == (ssize_t)sizeof bytes && is_secret(bytes);
  int code = errno;
  if (fd >= 0)
    close(fd);
  errno = code;
  return ok;
}

static bool read_memory_by_call(const struct escape_target *t) {
  char bytes[ESCAPE_SECRET_BYTES] = "";
  struct iovec here = {bytes, sizeof bytes}, there = {(void *)t->secret, sizeof bytes}; /* NOLINT: of that process */
  return process_vm_readv(t->daemon, &here, 1, &there, 1, 0) == (ssize_t)sizeof bytes && is_secret(bytes);
}

static bool read_environment(const struct escape_target *t) {
  return escape_opens(proc_path(t, "environ"), O_RDONLY);
}

static bool list_descriptors(const struct escape_target *t) {
  return escape_opens(proc_path(t, "fd"), O_RDONLY | O_DIRECTORY);
}

static bool enter_root(const struct escape_target *t) {
  return escape_opens(proc_path(t, "root/etc/passwd"), O_RDONLY);
}

/* Without stopping it; it ends with this process. */
static bool trace(const struct escape_target *t) {
  return ptrace(PTRACE_SEIZE, t->daemon, NULL, NULL) == 0;
}

static bool signal_it(const struct escape_target *t) {
  return kill(t->daemon, 0) == 0;
}

static bool signal_thread(const struct escape_target *t) {
  return syscall(SYS_tgkill, t->daemon, t->daemon, 0) == 0;
}

static bool signal_group(const struct escape_target *t) {
  (void)t;
  return kill(-1, 0) == 0;
}

static bool queue_signal(const struct escape_target *t) {
  return sigqueue(t->daemon, 0, (union sigval){.sival_int = 0}) == 0;
}

static bool take_descriptor(const struct escape_target *t) {
  long process = syscall(SYS_pidfd_open, t->daemon, 0);
  return process >= 0 && syscall(SYS_pidfd_getfd, process, ESCAPE_LEFT_FD, 0) >= 0;
}

static bool limit_it(const struct escape_target *t) {
  struct rlimit files;
  return prlimit(t->daemon, RLIMIT_NOFILE, NULL, &files) == 0;
}

static bool slow_it(const struct escape_target *t) {
  return setpriority(PRIO_PROCESS, (id_t)t->daemon, getpriority(PRIO_PROCESS, (id_t)t->daemon)) == 0;
}

static bool move_it(const struct escape_target *t) {
  cpu_set_t all;
  memset(&all, 0xFF, sizeof all);
  return sched_setaffinity(t->daemon, sizeof all, &all) == 0;
}

static bool read_variable(const struct escape_target *t) {
  (void)t;
  errno = ENOENT;
  return getenv("REFLECT_TEST_SECRET") != NULL;
}

static bool read_others_memory(const struct escape_target *t) {
  void *memory = shmat(t->shared, NULL, SHM_RDONLY);
  bool ok = memory != (void *)-1 && is_secret(memory);
  if (memory != (void *)-1)
    shmdt(memory);
  return ok;
}

/* ---- network ---- */

static bool connects(int family, int type, const void *address, socklen_t length) {
  int fd = socket(family, type | SOCK_CLOEXEC, 0);
  bool ok = fd >= 0 && connect(fd, address, length) == 0;
  int code = errno;
  if (fd >= 0)
    close(fd);
  errno = code;
  return ok;
}

static bool connect_daemon(const struct escape_target *t) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t->port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connects(AF_INET, SOCK_STREAM, &address, sizeof address);
}

static bool send_datagram(const struct escape_target *t) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t->port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connects(AF_INET, SOCK_DGRAM, &address, sizeof address);
}

static bool connect_unix(const struct escape_target *t) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "reflect-sandbox-test-%d", t->port);
  return connects(AF_UNIX, SOCK_STREAM, &address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length));
}

static bool listen_on_port(const struct escape_target *t) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  (void)t;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
  int code = errno;
  if (fd >= 0)
    close(fd);
  errno = code;
  return ok;
}

static bool opens_socket(int family, int type) {
  int fd = socket(family, type | SOCK_CLOEXEC, 0);
  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

static bool raw_socket(const struct escape_target *t) {
  (void)t;
  return opens_socket(AF_INET, SOCK_RAW) || opens_socket(AF_PACKET, SOCK_RAW);
}

static bool netlink_socket(const struct escape_target *t) {
  (void)t;
  return opens_socket(AF_NETLINK, SOCK_RAW);
}

static bool socket_pair(const struct escape_target *t) {
  int ends[2];
  (void)t;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
    return false;
  close(ends[0]);
  close(ends[1]);
  return true;
}

/* Which addresses the machine talks to. */
static bool read_connections(const struct escape_target *t) {
  char line[256], port[16];
  bool found = false;
  FILE *file = fopen("/proc/self/net/tcp", "re");
  if (!file)
    return false;
  snprintf(port, sizeof port, ":%04X ", t->port);
  while (fgets(line, sizeof line, file))
    found = found || strstr(line, port);
  fclose(file);
  errno = ENOENT;
  return found;
}

const struct escape escape_daemon[] = {{"read the daemon's memory", read_memory},
                                       {"read the daemon's memory by process_vm_readv", read_memory_by_call},
                                       {"read the daemon's environment", read_environment},
                                       {"list the daemon's descriptors", list_descriptors},
                                       {"read through the daemon's root", enter_root},
                                       {"trace the daemon", trace},
                                       {"signal the daemon", signal_it},
                                       {"signal the daemon's thread", signal_thread},
                                       {"signal everyone", signal_group},
                                       {"queue a signal to the daemon", queue_signal},
                                       {"take a descriptor of the daemon", take_descriptor},
                                       {"limit the daemon", limit_it},
                                       {"change the daemon's priority", slow_it},
                                       {"move the daemon to other processors", move_it},
                                       {"read a secret in the environment", read_variable},
                                       {"read System V shared memory of others", read_others_memory},
                                       {"connect to the daemon", connect_daemon},
                                       {"send a datagram", send_datagram},
                                       {"connect to an abstract socket", connect_unix},
                                       {"listen on a port", listen_on_port},
                                       {"open a raw socket", raw_socket},
                                       {"open a netlink socket", netlink_socket},
                                       {"make a pair of sockets", socket_pair},
                                       {"read the machine's connections", read_connections},
                                       {NULL, NULL}};
