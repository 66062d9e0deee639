#include "cli/model_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/split_file.h"
#include "base/str.h"

enum { DEPTH_MAX = 4, CHUNK_BYTES = 1 << 20, FILE_MODE = 0644, FOLDER_MODE = 0755 };

struct copying {
  bool link;
  uint64_t bytes;
  struct error *err;
};

bool model_id_valid(const char *id) {
  const char *slash = strchr(id, '/');
  if (!*id || *id == '.' || *id == '/' || strlen(id) > 250 || !utf8_valid(id, strlen(id), NULL))
    return false;
  return !slash || (slash[1] && slash[1] != '.' && !strchr(slash + 1, '/'));
}

static enum status join(char out[PATH_MAX], const char *folder, const char *name, struct error *err) {
  return snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX
             ? STATUS_OK
             : error_set(err, STATUS_INVALID_VALUE, NULL, "the path %s/%s is too long", folder, name);
}

static enum status copy_bytes(int from, int to, const char *source, struct error *err) {
  char *chunk = malloc(CHUNK_BYTES);
  enum status status = chunk ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
  while (!status) {
    ssize_t got = read(from, chunk, CHUNK_BYTES);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      status = error_set_errno(err, STATUS_IO, NULL, "%s", source);
    if (got <= 0)
      break;
    for (ssize_t done = 0; !status && done < got;) {
      ssize_t put = write(to, chunk + done, (size_t)(got - done));
      if (put >= 0)
        done += put;
      else if (errno != EINTR)
        status = error_set_errno(err, STATUS_IO, NULL, "copying %s", source);
    }
  }
  free(chunk);
  return status;
}

static enum status copy_file(struct copying *copying, const char *source, const char *target, const struct stat *info) {
  struct error *err = copying->err;
  copying->bytes += (uint64_t)info->st_size;
  if (copying->link && linkat(AT_FDCWD, source, AT_FDCWD, target, AT_SYMLINK_FOLLOW) == 0)
    return STATUS_OK; /* across file systems, or where it is not allowed, it is copied */
  int from = open(source, O_RDONLY | O_CLOEXEC);
  int to = from < 0 ? -1 : open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
  enum status status = STATUS_OK;
  if (to < 0)
    status = error_set_errno(err, STATUS_IO, NULL, "%s", from < 0 ? source : target);
  if (!status && ioctl(to, FICLONE, from) != 0) /* shared blocks, which part when one is written */
    status = copy_bytes(from, to, source, err);
  if (!status && (fchmod(to, FILE_MODE) != 0 || fsync(to) != 0))
    status = error_set_errno(err, STATUS_IO, NULL, "%s", target);
  if (to >= 0)
    close(to);
  if (from >= 0)
    close(from);
  return status;
}

static enum status copy_entry(struct copying *copying, const char *source, const char *target, int depth);

static enum status copy_folder(struct copying *copying, const char *source, const char *target, int depth) {
  struct error *err = copying->err;
  char from[PATH_MAX], to[PATH_MAX];
  if (depth == DEPTH_MAX)
    return error_set(err, STATUS_INVALID_VALUE, NULL, "%s lies too deep for a model", source);
  if (mkdir(target, FOLDER_MODE) != 0 || chmod(target, FOLDER_MODE) != 0)
    return error_set_errno(err, STATUS_IO, NULL, "%s", target);
  DIR *dir = opendir(source);
  if (!dir)
    return error_set_errno(err, STATUS_IO, NULL, "%s", source);
  enum status status = STATUS_OK;
  for (struct dirent *entry; !status && (entry = readdir(dir));) {
    if (entry->d_name[0] == '.')
      continue;
    status = join(from, source, entry->d_name, err);
    if (!status)
      status = join(to, target, entry->d_name, err);
    if (!status)
      status = copy_entry(copying, from, to, depth + 1);
  }
  closedir(dir);
  return status ? status : file_sync_dir(target, err);
}

static enum status copy_entry(struct copying *copying, const char *source, const char *target, int depth) {
  struct stat info;
  if (stat(source, &info) != 0)
    return error_set_errno(copying->err, STATUS_IO, NULL, "%s", source);
  if (S_ISDIR(info.st_mode))
    return copy_folder(copying, source, target, depth);
  if (S_ISREG(info.st_mode))
    return copy_file(copying, source, target, &info);
  return error_set(copying->err, STATUS_INVALID_VALUE, NULL, "%s is neither a file nor a folder", source);
}

/* The folder that models/org/name is to be in; made, where it is that of an organisation. */
static enum status make_parent(char out[PATH_MAX], const char *models, const char *id, struct error *err) {
  const char *slash = strchr(id, '/');
  struct stat info;
  if (stat(models, &info) != 0)
    return error_set_errno(err, STATUS_IO, "models", "the models folder %s", models);
  if (!S_ISDIR(info.st_mode))
    return error_set(err, STATUS_INVALID_VALUE, "models", "%s is no folder", models);
  int length =
      slash ? snprintf(out, PATH_MAX, "%s/%.*s", models, (int)(slash - id), id) : snprintf(out, PATH_MAX, "%s", models);
  if (length >= PATH_MAX)
    return error_set(err, STATUS_INVALID_VALUE, NULL, "the path of %s is too long", id);
  if (slash && mkdir(out, FOLDER_MODE) != 0 && errno != EEXIST)
    return error_set_errno(err, STATUS_IO, NULL, "%s", out);
  return slash ? file_sync_dir(models, err) : STATUS_OK;
}

/* What is copied: a folder or file, or a file with parts of its folder, which become one. */
struct content {
  const char *source;
  bool becomes_folder;
  const char *const *parts;
  size_t count;
};

static enum status copy_part(struct copying *copying, const char *folder, const char *part, const char *target) {
  char from[PATH_MAX], to[PATH_MAX];
  const char *slash = strchr(part, '/');
  enum status status = join(from, folder, part, copying->err);
  status = status ? status : join(to, target, part, copying->err);
  if (status)
    return status;
  char *between = slash ? strrchr(to, '/') : NULL;
  if (between) {
    *between = '\0';
    if (mkdir(to, FOLDER_MODE) != 0 || chmod(to, FOLDER_MODE) != 0)
      return error_set_errno(copying->err, STATUS_IO, NULL, "%s", to);
    *between = '/';
  }
  status = copy_entry(copying, from, to, 1);
  if (!status && between) {
    *between = '\0';
    status = file_sync_dir(to, copying->err);
  }
  return status;
}

static enum status copy_content(struct copying *copying, const struct content *content, const char *target) {
  if (!content->becomes_folder)
    return copy_entry(copying, content->source, target, 0);
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(content->source, '/') - content->source), content->source);
  if (mkdir(target, FOLDER_MODE) != 0 || chmod(target, FOLDER_MODE) != 0)
    return error_set_errno(copying->err, STATUS_IO, NULL, "%s", target);
  struct split_walk walk;
  enum status status = STATUS_OK;
  split_walk_begin(&walk, content->source);
  while (!status && split_walk_next(&walk))
    status = copy_part(copying, folder, strrchr(walk.path, '/') + 1, target);
  for (size_t i = 0; !status && i < content->count; i++)
    status = copy_part(copying, folder, content->parts[i], target);
  return status ? status : file_sync_dir(target, copying->err);
}

static enum status publish(const struct content *content, const char *models, const char *id, bool link,
                           uint64_t *bytes, struct error *err) {
  struct copying copying = {.link = link, .err = err};
  char parent[PATH_MAX], target[PATH_MAX], hidden[PATH_MAX], name[64];
  struct stat info;
  enum status status = join(target, models, id, err);
  if (!status && lstat(target, &info) == 0)
    status = error_set(err, STATUS_INVALID_VALUE, "name", "there is a model %s already; --name gives another", id);
  if (!status)
    status = make_parent(parent, models, id, err);
  snprintf(name, sizeof name, ".adding-%ld", (long)getpid());
  if (!status)
    status = join(hidden, parent, name, err);
  if (status)
    return status;
  status = copy_content(&copying, content, hidden);
  if (!status && renameat2(AT_FDCWD, hidden, AT_FDCWD, target, RENAME_NOREPLACE) != 0)
    status = error_set_errno(err, STATUS_IO, NULL, "%s", target);
  if (!status)
    status = file_sync_dir(parent, err);
  *bytes = copying.bytes;
  if (status) {
    struct error other;
    (void)!file_remove_tree(hidden, &other);
  }
  return status;
}

enum status model_copy(const char *source, const char *models, const char *id, bool link, uint64_t *bytes,
                       struct error *err) {
  return publish(&(struct content){.source = source}, models, id, link, bytes, err);
}

enum status model_copy_parts(const char *source, const char *const *parts, size_t count, const char *models,
                             const char *id, bool link, uint64_t *bytes, struct error *err) {
  const struct content content = {.source = source, .becomes_folder = true, .parts = parts, .count = count};
  return publish(&content, models, id, link, bytes, err);
}
