#include "server/host.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { LOW_WATER_BYTES = 1 << 20 }; /* less is a full disk: the store itself needs as much */
static const uint64_t HUGE_BYTES = (uint64_t)1 << 60;

static enum status check_disk(const struct config *config, struct error *err) {
  struct statvfs disk;
  if (statvfs(config->data, &disk) != 0)
    return error_set(err, STATUS_UNAVAILABLE, "data", "the data folder %s cannot be used: %s", config->data,
                     strerror(errno));
  uint64_t bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
  if (bytes < LOW_WATER_BYTES)
    return error_set(err, STATUS_NO_SPACE, "data", "the disk of the data folder %s is full: %llu KiB are free",
                     config->data, (unsigned long long)(bytes >> 10));
  if (disk.f_files > 0 && disk.f_favail == 0)
    return error_set(err, STATUS_NO_SPACE, "data", "the disk of the data folder %s is full: no file can be made",
                     config->data);
  return STATUS_OK;
}

enum status host_check(const struct config *config, struct error *err) {
  DIR *dir = opendir(config->models);
  if (!dir)
    return error_set(err, STATUS_UNAVAILABLE, "models", "the models folder %s cannot be read: %s", config->models,
                     strerror(errno));
  closedir(dir);
  if (access(config->worker_path, X_OK) != 0)
    return error_set(err, STATUS_UNAVAILABLE, "worker_path", "the worker %s cannot be run: %s", config->worker_path,
                     strerror(errno));
  return check_disk(config, err);
}

int64_t host_free_bytes(const struct config *config) {
  struct statvfs disk;
  uint64_t bytes;
  if (statvfs(config->data, &disk) != 0 || __builtin_mul_overflow((uint64_t)disk.f_bavail, disk.f_frsize, &bytes) ||
      bytes > HUGE_BYTES)
    return HUGE_BYTES;
  return (int64_t)bytes;
}

bool host_caused(enum status status) {
  return status_http(status) >= 500 && status != STATUS_DAMAGED; /* a row that is damaged stays so */
}
