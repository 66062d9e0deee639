#include "sandbox/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/split_file.h"

/* What newer kernels have than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif
enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NETWORK = 4, ABI_IOCTL = 5, ABI_SCOPE = 6 };

struct attributes {
  uint64_t files;
  uint64_t network; /* bind, connect */
  uint64_t scope;   /* abstract sockets, signals */
};

static const uint64_t FILE_READ = LANDLOCK_ACCESS_FS_READ_FILE;
static const uint64_t READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t EXECUTE = LANDLOCK_ACCESS_FS_EXECUTE;
/* Neither links nor sockets, pipes or device nodes: what others read later are files and folders. */
static const uint64_t WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_REFER |
                              LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |
                              LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR;
static const uint64_t DEVICE =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_IOCTL_DEV;
/* Those that a file can have; all others are a folder's. */
static const uint64_t OF_FILES = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                 LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |
                                 LANDLOCK_ACCESS_FS_IOCTL_DEV;

/* What libraries need, whatever the task. Read-only; what is not there is left out. */
static const char *const system_files[] = {
    "/lib",           "/lib64",        "/usr/lib",   "/usr/lib64",     "/usr/local/lib",     "/etc/ld.so.cache",
    "/proc/self",     "/proc/cpuinfo", "/proc/stat", "/proc/meminfo",  "/proc/sys/vm",       "/sys/devices/system",
    "/sys/fs/cgroup", "/dev/urandom",  "/dev/zero",  "/etc/localtime", "/usr/share/zoneinfo"};

/* What drivers of a kind need besides. The files of all GPUs of that kind: a job names the GPU by its number, which is
   the driver's. */
struct driver {
  const char *read[12];
  const char *execute[4]; /* a driver that compiles by starting programs */
  const char *devices[4]; /* folders of device files, or the beginning of their names */
};

static const struct driver drivers[DEVICE_KIND_COUNT] = {
    [DEVICE_OPENCL] = {.read = {"/etc/OpenCL", "/usr/share", "/usr/include", "/usr/local/cuda", "/proc/driver",
                                "/sys/class", "/sys/bus", "/sys/dev", "/sys/devices", "/sys/module", "/etc/ld.so.conf",
                                "/opt"},
                       .execute = {"/usr/bin", "/usr/lib", "/usr/libexec"},
                       .devices = {"/dev/dri", "/dev/nvidia", "/dev/kfd"}},
    [DEVICE_CUDA] = {.read = {"/proc/driver", "/proc/devices", "/sys/devices", "/sys/bus", "/sys/class", "/sys/module",
                              "/usr/share/nvidia", "/usr/local/cuda"},
                     .devices = {"/dev/nvidia"}}};

struct rules {
  int fd;
  uint64_t handled;
};

static bool add_fd(const struct rules *rules, int fd, uint64_t rights) {
  struct stat info;
  if (fstat(fd, &info) != 0)
    return false;
  struct landlock_path_beneath_attr rule = {.parent_fd = fd, .allowed_access = rights & rules->handled};
  if (!S_ISDIR(info.st_mode))
    rule.allowed_access &= OF_FILES;
  return !rule.allowed_access || syscall(SYS_landlock_add_rule, rules->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

/* What is not there is the worker's to tell. */
static enum status allow(const struct rules *rules, const char *path, uint64_t rights, int flags, struct error *err) {
  int fd = open(path, O_PATH | O_CLOEXEC | flags);
  if (fd < 0)
    return errno == ENOENT || errno == ENOTDIR || errno == EACCES
               ? STATUS_OK
               : error_set_errno(err, STATUS_UNAVAILABLE, NULL, "%s", path);
  bool ok = add_fd(rules, fd, rights);
  enum status status = ok ? STATUS_OK : error_set_errno(err, STATUS_UNAVAILABLE, NULL, "a rule for %s", path);
  close(fd);
  return status;
}

static enum status allow_all(const struct rules *rules, const struct plan_paths *paths, uint64_t rights,
                             struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < paths->count; i++)
    status = allow(rules, paths->item[i], rights, O_NOFOLLOW, err);
  return status;
}

/* A folder, or a file with the other parts of a split one. */
static enum status allow_model(const struct rules *rules, const char *model, struct error *err) {
  struct split_walk walk;
  enum status status = STATUS_OK;
  split_walk_begin(&walk, model);
  while (!status && split_walk_next(&walk))
    status = allow(rules, walk.path, READ, 0, err);
  return status;
}

/* A cache of models is a folder of links, and so are the folders of a pipeline's components in it. Whoever made the
   folder is trusted with what they lead to. */
static enum status allow_links(const struct rules *rules, const char *folder, int depth, struct error *err) {
  DIR *dir = opendir(folder);
  enum status status = STATUS_OK;
  if (!dir)
    return STATUS_OK;
  for (struct dirent *entry; !status && (entry = readdir(dir));) {
    struct stat info;
    if (fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    if (S_ISDIR(info.st_mode) && depth > 0 && entry->d_name[0] != '.') {
      char inside[PATH_MAX];
      if (snprintf(inside, sizeof inside, "%s/%s", folder, entry->d_name) < (int)sizeof inside)
        status = allow_links(rules, inside, depth - 1, err);
      continue;
    }
    if (!S_ISLNK(info.st_mode))
      continue;
    int fd = openat(dirfd(dir), entry->d_name, O_PATH | O_CLOEXEC);
    if (fd < 0)
      continue;
    if (!add_fd(rules, fd, READ))
      status = error_set_errno(err, STATUS_UNAVAILABLE, NULL, "a rule for %s/%s", folder, entry->d_name);
    close(fd);
  }
  closedir(dir);
  return status;
}

/* /dev/nvidia0, /dev/nvidiactl ... for "/dev/nvidia", and /dev/dri with all in it. */
static enum status allow_devices(const struct rules *rules, const char *beginning, struct error *err) {
  char path[300];
  const char *name = beginning + strlen("/dev/");
  enum status status = STATUS_OK;
  DIR *dir = opendir("/dev");
  if (!dir)
    return STATUS_OK;
  for (struct dirent *entry; !status && (entry = readdir(dir));) {
    if (strncmp(entry->d_name, name, strlen(name)) != 0)
      continue;
    snprintf(path, sizeof path, "/dev/%s", entry->d_name);
    status = allow(rules, path, DEVICE | READ, 0, err);
  }
  closedir(dir);
  return status;
}

static enum status allow_driver(const struct rules *rules, const struct driver *driver, struct error *err) {
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(driver->read) && driver->read[i]; i++)
    status = allow(rules, driver->read[i], READ, 0, err);
  for (size_t i = 0; !status && i < COUNT_OF(driver->execute) && driver->execute[i]; i++)
    status = allow(rules, driver->execute[i], READ | EXECUTE, 0, err);
  for (size_t i = 0; !status && i < COUNT_OF(driver->devices) && driver->devices[i]; i++)
    status = allow_devices(rules, driver->devices[i], err);
  return status;
}

/* Libraries that the operator has elsewhere. */
static enum status allow_libraries(const struct rules *rules, struct error *err) {
  const char *at = getenv("LD_LIBRARY_PATH");
  enum status status = STATUS_OK;
  while (!status && at && *at) {
    char folder[PATH_MAX];
    size_t length = strcspn(at, ":");
    snprintf(folder, sizeof folder, "%.*s", (int)length, at);
    if (folder[0] == '/')
      status = allow(rules, folder, READ, 0, err);
    at += length + (at[length] == ':');
  }
  return status;
}

/* The loader that the kernel starts for a program: that of this one. */
static int find_loader(struct dl_phdr_info *info, size_t size, void *out) {
  (void)size;
  for (int i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_INTERP)
      *(const char **)out = (const char *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr; /* NOLINT */
  return 1; /* the program itself is first */
}

static enum status allow_system(const struct rules *rules, const struct plan *plan, struct error *err) {
  const char *loader = NULL;
  enum status status = STATUS_OK;
  for (size_t i = 0; !status && i < COUNT_OF(system_files); i++)
    status = allow(rules, system_files[i], READ, 0, err);
  if (!status)
    status = allow(rules, "/dev/null", FILE_READ | LANDLOCK_ACCESS_FS_WRITE_FILE, 0, err);
  if (!status)
    status = allow_libraries(rules, err);
  dl_iterate_phdr(find_loader, &loader);
  if (!status && loader)
    status = allow(rules, loader, FILE_READ | EXECUTE, 0, err);
  if (!status && plan->command[0])
    status = allow(rules, plan->command[0], FILE_READ | EXECUTE, 0, err);
  return status ? status : allow_driver(rules, &drivers[plan->device], err);
}

static enum status allow_plan(const struct rules *rules, const struct plan *plan, struct error *err) {
  enum status status = allow_system(rules, plan, err);
  if (!status && plan->model)
    status = allow_model(rules, plan->model, err);
  if (!status && plan->model)
    status = allow_links(rules, plan->model, 1, err);
  if (!status)
    status = allow_all(rules, &plan->read, READ, err);
  if (!status)
    status = allow_all(rules, &plan->write, READ | WRITE, err);
  return status ? status : allow_all(rules, &plan->execute, READ | EXECUTE, err);
}

/* All that the kernel knows to refuse. */
static size_t everything(struct attributes *out, long abi) {
  *out = (struct attributes){.files = (LANDLOCK_ACCESS_FS_REFER - 1) | LANDLOCK_ACCESS_FS_EXECUTE};
  if (abi >= ABI_REFER)
    out->files |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= ABI_TRUNCATE)
    out->files |= LANDLOCK_ACCESS_FS_TRUNCATE;
  if (abi >= ABI_IOCTL)
    out->files |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
  out->network = abi >= ABI_NETWORK ? 3 : 0;
  out->scope = abi >= ABI_SCOPE ? 3 : 0;
  return abi >= ABI_SCOPE ? sizeof *out : abi >= ABI_NETWORK ? offsetof(struct attributes, scope) : sizeof out->files;
}

enum status files_set(const struct plan *plan, char detail[LAYER_DETAIL_BYTES], struct error *err) {
  struct attributes attributes;
  long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1)
    return error_set_errno(err, STATUS_UNAVAILABLE, NULL, "the kernel has none");
  size_t bytes = everything(&attributes, abi);
  snprintf(detail, LAYER_DETAIL_BYTES, "ABI %ld%s%s%s", abi, abi < ABI_TRUNCATE ? ", no rule for truncation" : "",
           abi < ABI_NETWORK ? ", none for ports" : "", abi < ABI_SCOPE ? ", none for signals" : "");
  struct rules rules = {.handled = attributes.files,
                        .fd = (int)syscall(SYS_landlock_create_ruleset, &attributes, bytes, 0)};
  if (rules.fd < 0)
    return error_set_errno(err, STATUS_UNAVAILABLE, NULL, "landlock_create_ruleset");
  enum status status = allow_plan(&rules, plan, err);
  if (!status && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, rules.fd, 0) != 0))
    status = error_set_errno(err, STATUS_UNAVAILABLE, NULL, "landlock_restrict_self");
  close(rules.fd);
  return status;
}
