#include "worker/escape/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/file.h"
#include "worker/confine.h"

enum { ARGUMENTS_MAX = 64, NOBODY = 65534 };

char escape_secret[ESCAPE_SECRET_BYTES] = "not to be read.";

/* ---- inside ---- */

/* The errors that say it was refused; others say that the attempt is out of order, which must not pass for a refusal.
 */
static const char *refusal(int code) {
  switch (code) {
  case ENOSYS: return "there is no such call";
  case EACCES:
  case EPERM:
  case EXDEV:
  case ENOENT: /* a variable, a connection that cannot be seen */
  case EBADF:  /* a descriptor that was closed */
  case ENOMEM:
  case EFBIG:
  case EMFILE:
  case EINVAL: return strerror(code);
  default: return NULL;
  }
}

static size_t try_all(const struct escape *escapes, const struct escape_target *target, size_t *count) {
  size_t passed = 0;
  for (const struct escape *e = escapes; e->name; e++, ++*count) {
    errno = 0;
    bool ok = e->try(target);
    const char *why = ok ? NULL : refusal(errno);
    passed += !why;
    if (why)
      printf("refused: %s (%s)\n", e->name, why);
    else
      printf("NOT REFUSED: %s%s%s\n", e->name, ok ? "" : ": ", ok ? "" : strerror(errno));
    fflush(stdout);
  }
  return passed;
}

int escape_inside(int argc, char **argv) {
  static const struct escape *const all[] = {escape_files, escape_daemon, escape_limits, escape_kernel};
  size_t count = 0, passed = 0;
  if (argc != 5)
    return 2;
  struct escape_target target = {.folder = argv[0],
                                 .port = (int)strtol(argv[1], NULL, 10),
                                 .secret = (uintptr_t)strtoull(argv[2], NULL, 10),
                                 .shared = (int)strtol(argv[3], NULL, 10),
                                 .daemon = getppid()};
  if (strcmp(argv[4], "0") == 0)
    confine_forbid_exec();
  for (size_t i = 0; i < COUNT_OF(all); i++)
    passed += try_all(all[i], &target, &count);
  printf("%zu of %zu escapes were refused\n", count - passed, count);
  return passed > 0;
}

/* ---- outside ---- */

static bool put(const struct escape_target *t, const char *name) {
  struct error err;
  return file_put(escape_path(t, name), "secret\n", 7, &err) == STATUS_OK;
}

static bool lay_out(const struct escape_target *t) {
  static const char *const folders[] = {"outside", "job", "model", "out"};
  static const char *const files[] = {"outside/secret", "job/adapter", "model/config.json", "data.jsonl",
                                      "out/foreign"};
  bool ok = true;
  for (size_t i = 0; i < COUNT_OF(folders); i++)
    ok = ok && mkdir(escape_path(t, folders[i]), 0700) == 0;
  for (size_t i = 0; i < COUNT_OF(files); i++)
    ok = ok && put(t, files[i]);
  /* Of another user where that can be; else a file that its own user may not write. */
  if (ok && chown(escape_path(t, "out/foreign"), NOBODY, NOBODY) != 0)
    ok = getuid() != 0;
  return ok && chmod(escape_path(t, "out/foreign"), 0400) == 0;
}

/* Two sockets like a daemon's. */
static bool serve(struct escape_target *t) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  socklen_t length = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || local < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &length) != 0)
    return false;
  t->port = ntohs(address.sin_port);
  int bytes = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "reflect-sandbox-test-%d", t->port);
  length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)bytes);
  return bind(local, (struct sockaddr *)&name, length) == 0 && listen(local, 8) == 0;
}

/* What a daemon holds that its workers are not to see. */
static bool hold_secrets(struct escape_target *t) {
  int fd = open(escape_path(t, "outside/secret"), O_RDONLY); /* stays open in what is executed */
  t->secret = (uintptr_t)escape_secret;
  t->shared = shmget(IPC_PRIVATE, sizeof escape_secret, IPC_CREAT | 0600);
  void *memory = t->shared >= 0 ? shmat(t->shared, NULL, 0) : (void *)-1;
  if (memory != (void *)-1) {
    memcpy(memory, escape_secret, sizeof escape_secret);
    shmdt(memory);
  }
  return fd >= 0 && dup2(fd, ESCAPE_LEFT_FD) == ESCAPE_LEFT_FD && setenv("REFLECT_TEST_SECRET", "secret", 1) == 0;
}

static void clean_up(const struct escape_target *t) {
  struct error err;
  if (t->shared >= 0)
    shmctl(t->shared, IPC_RMID, NULL);
  if (file_remove_tree(t->folder, &err))
    fprintf(stderr, "reflect-worker: %s\n", err.text);
  unlink("/tmp/reflect-sandbox-escaped");
  unlink("/dev/shm/reflect-sandbox-escaped");
}

/* Text that lives as long as the process. */
static const char *number(unsigned long long value) {
  char *text = malloc(24);
  CHECK(text);
  snprintf(text, 24, "%llu", value);
  return text;
}

static void become_worker(const struct escape_target *t, int argc, char **argv, bool may_execute) {
  static char self[1024], sandbox[1100], paths[3][512];
  static const char *const names[] = {"model", "data.jsonl", "out"};
  const char *command[ARGUMENTS_MAX];
  size_t n = 0;
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length <= 0)
    return;
  self[length] = '\0';
  snprintf(sandbox, sizeof sandbox, "%.*s/reflect-sandbox", (int)(strrchr(self, '/') - self), self);
  for (size_t i = 0; i < COUNT_OF(names); i++)
    snprintf(paths[i], sizeof paths[i], "%s", escape_path(t, names[i]));
  const char *const given[] = {sandbox,
                               "--parent",
                               number((unsigned)getppid()),
                               "--model",
                               paths[0],
                               "--read",
                               paths[1],
                               "--write",
                               paths[2],
                               "--memory",
                               number(ESCAPE_MEMORY),
                               "--file-bytes",
                               number(ESCAPE_FILE)};
  for (size_t i = 0; i < COUNT_OF(given); i++)
    command[n++] = given[i];
  for (int i = 0; i < argc && n + 12 < ARGUMENTS_MAX; i++)
    if (strcmp(argv[i], "hidden") != 0)
      command[n++] = argv[i];
    else
      n--; /* the daemon's layer, not the sandbox's */
  const char *const rest[] = {"--",
                              self,
                              "--sandbox-test-inside",
                              t->folder,
                              number((unsigned)t->port),
                              number(t->secret),
                              number((unsigned)t->shared),
                              may_execute ? "1" : "0"};
  for (size_t i = 0; i < COUNT_OF(rest); i++)
    command[n++] = rest[i];
  command[n] = NULL;
  execv(sandbox, (char *const *)(uintptr_t)command);
  fprintf(stderr, "reflect-worker: %s: %s\n", sandbox, strerror(errno));
}

static bool leaves_out(int argc, char **argv, const char *layer) {
  bool found = false;
  for (int i = 0; i + 1 < argc; i += 2)
    found = found || strcmp(argv[i + 1], layer) == 0;
  return found;
}

int escape_main(int argc, char **argv) {
  char folder[] = "/tmp/reflect-sandbox-XXXXXX";
  int status = 0;
  for (int i = 0; i < argc; i += 2)
    if (strcmp(argv[i], "--without") != 0 || i + 1 == argc)
      return fprintf(stderr, "usage: reflect-worker --sandbox-test [--without LAYER]...\n"), 2;
  struct escape_target target = {.folder = mkdtemp(folder), .shared = -1};
  if (!target.folder)
    return perror("reflect-worker: a folder in /tmp"), 2;
  if (!leaves_out(argc, argv, "hidden"))
    prctl(PR_SET_DUMPABLE, 0); /* as the daemon does (server/process.c) */
  bool ok = lay_out(&target) && serve(&target) && hold_secrets(&target);
  pid_t pid = ok ? fork() : -1;
  if (pid == 0) {
    become_worker(&target, argc, argv, leaves_out(argc, argv, "seccomp"));
    _exit(2);
  }
  if (pid < 0)
    perror("reflect-worker: --sandbox-test");
  else
    waitpid(pid, &status, 0);
  clean_up(&target);
  if (pid > 0 && WIFSIGNALED(status))
    fprintf(stderr, "reflect-worker: the test ended by signal %d\n", WTERMSIG(status));
  return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
