#include "server/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { TEXT_BYTES = 4096 };
#define DAEMON_GROUP "daemon"
#define WORKER_GROUP "worker-"

static bool read_text(char out[TEXT_BYTES], const char *folder, const char *name) {
  char path[PATH_BYTES + 32];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, out, TEXT_BYTES - 1);
  if (fd >= 0)
    close(fd);
  out[n > 0 ? n : 0] = '\0';
  return n >= 0;
}

/* One write: the kernel takes each as a whole. */
static bool write_text(const char *folder, const char *name, const char *text) {
  char path[PATH_BYTES + 32];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (fd >= 0)
    close(fd);
  return written;
}

static bool write_number(const char *folder, const char *name, int64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%" PRId64, number);
  return write_text(folder, name, text);
}

/* Is it one of the words? */
static bool has_word(const char *words, const char *word) {
  size_t length = strlen(word);
  for (const char *at = words; (at = strstr(at, word)); at += length)
    if ((at == words || at[-1] == ' ') && strchr(" \n", at[length]))
      return true;
  return false;
}

/* The group that a process is in: the line "0::/path", which is that of version 2. */
static bool own_group(char out[PATH_BYTES], const char *membership, const char *mount) {
  char text[TEXT_BYTES], folder[PATH_BYTES];
  const char *slash = strrchr(membership, '/');
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - membership) : 0, membership);
  if (!slash || !read_text(text, folder, slash + 1))
    return false;
  for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    if (strncmp(line, "0::/", 4) != 0)
      continue;
    int length = (int)strcspn(line + 4, "\n");
    return snprintf(out, PATH_BYTES, "%s%s%.*s", mount, length ? "/" : "", length, line + 4) < PATH_BYTES;
  }
  return false;
}

/* Groups of workers whose daemon was killed: their processes died with it. */
static void remove_old(const char *root) {
  DIR *dir = opendir(root);
  if (!dir)
    return;
  for (struct dirent *entry; (entry = readdir(dir));)
    if (strncmp(entry->d_name, WORKER_GROUP, strlen(WORKER_GROUP)) == 0)
      unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR); /* what cannot be removed is in nobody's way */
  closedir(dir);
}

/* NULL, or why the group cannot be divided. A restarted daemon is in `daemon` already: then its parent is divided. */
static const char *divide(const char *root, pid_t self) {
  char text[TEXT_BYTES], daemon[PATH_BYTES + 16];
  snprintf(daemon, sizeof daemon, "%s/" DAEMON_GROUP, root);
  /* The machine's root group has no type: it is nobody's to divide. */
  if (!read_text(text, root, "cgroup.type"))
    return "it is the machine's own";
  if (!read_text(text, root, "cgroup.controllers") || !has_word(text, "memory"))
    return "memory is not delegated to it";
  if (mkdir(daemon, 0755) != 0 && errno != EEXIST)
    return strerror(errno);
  if (!write_number(daemon, "cgroup.procs", self)) {
    rmdir(daemon);
    return "processes cannot be moved in it";
  }
  if (write_text(root, "cgroup.subtree_control", "+memory"))
    return NULL;
  write_number(root, "cgroup.procs", self); /* back, as it was */
  rmdir(daemon);
  return "it holds other processes";
}

void cgroups_open(struct cgroups *out, const char *membership, const char *mount, pid_t self) {
  static const char below[] = "/" DAEMON_GROUP;
  *out = (struct cgroups){.made = 0};
  if (!own_group(out->root, membership, mount)) {
    out->root[0] = '\0';
    return;
  }
  size_t length = strlen(out->root), cut = sizeof below - 1;
  if (length > cut && strcmp(out->root + length - cut, below) == 0)
    out->root[length - cut] = '\0';
  const char *why = divide(out->root, self);
  if (why) {
    log_info("workers get no control group of their own in %s: %s", out->root, why);
    out->root[0] = '\0';
    return;
  }
  remove_old(out->root);
  log_info("each worker gets a control group in %s", out->root);
}

enum status cgroup_make(char out[PATH_BYTES], struct cgroups *groups, uint64_t bytes, struct error *err) {
  out[0] = '\0';
  if (!groups->root[0] || !bytes)
    return STATUS_OK;
  enum status status = path_format(out, err, "%s/" WORKER_GROUP "%lld-%lld", groups->root, (long long)getpid(),
                                   (long long)groups->made++);
  if (!status && mkdir(out, 0755) == 0) {
    int64_t most = bytes < INT64_MAX ? (int64_t)bytes : INT64_MAX;
    bool limited = write_number(out, "memory.max", most) && write_text(out, "memory.oom.group", "1");
    write_text(out, "memory.swap.max", "0"); /* a kernel without swap lacks the file */
    if (limited)
      return STATUS_OK;
    rmdir(out);
  }
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s", out);
  out[0] = '\0';
  return status ? status
                : error_set_errno(err, STATUS_UNAVAILABLE, "sandbox", "cannot make the control group %s", path);
}

bool cgroup_end(const char *path) {
  static const char name[] = "\noom_kill ";
  char text[TEXT_BYTES] = "\n";
  if (!path[0])
    return false;
  char events[TEXT_BYTES];
  bool read = read_text(events, path, "memory.events");
  snprintf(text + 1, sizeof text - 1, "%.*s", (int)sizeof text - 2, read ? events : "");
  const char *at = strstr(text, name);
  if (rmdir(path) != 0)
    log_warn("the control group %s stays: %s", path, strerror(errno));
  return at && strtoll(at + sizeof name - 1, NULL, 10) > 0;
}
