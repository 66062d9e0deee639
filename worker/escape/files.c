/* Escapes by files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "worker/escape/escape.h"

static bool read_shadow(const struct escape_target *t) {
  (void)t;
  return escape_opens("/etc/shadow", O_RDONLY);
}

static bool read_passwd(const struct escape_target *t) {
  (void)t;
  return escape_opens("/etc/passwd", O_RDONLY);
}

static bool read_outside(const struct escape_target *t) {
  return escape_opens(escape_path(t, "outside/secret"), O_RDONLY);
}

static bool read_other_job(const struct escape_target *t) {
  return escape_opens(escape_path(t, "job/adapter"), O_RDONLY);
}

static bool list_jobs(const struct escape_target *t) {
  return escape_opens(escape_path(t, "job"), O_RDONLY | O_DIRECTORY);
}

static bool write_outside(const struct escape_target *t) {
  return escape_opens(escape_path(t, "outside/new"), O_WRONLY | O_CREAT);
}

static bool write_model(const struct escape_target *t) {
  return escape_opens(escape_path(t, "model/config.json"), O_WRONLY);
}

static bool make_in_model(const struct escape_target *t) {
  return escape_opens(escape_path(t, "model/new"), O_WRONLY | O_CREAT);
}

static bool write_data(const struct escape_target *t) {
  return escape_opens(escape_path(t, "data.jsonl"), O_WRONLY);
}

static bool cut_data(const struct escape_target *t) {
  return truncate(escape_path(t, "data.jsonl"), 1) == 0;
}

static bool delete_data(const struct escape_target *t) {
  return unlink(escape_path(t, "data.jsonl")) == 0;
}

static bool take_data(const struct escape_target *t) {
  char to[512];
  snprintf(to, sizeof to, "%s", escape_path(t, "out/taken"));
  return rename(escape_path(t, "data.jsonl"), to) == 0;
}

static bool climb(const struct escape_target *t) {
  return escape_opens(escape_path(t, "out/../outside/secret"), O_RDONLY);
}

static bool climb_from_folder(const struct escape_target *t) {
  int dir = open(escape_path(t, "out"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int fd = dir >= 0 ? openat(dir, "../outside/secret", O_RDONLY | O_CLOEXEC) : -1;
  int code = errno;
  if (dir >= 0)
    close(dir);
  if (fd >= 0)
    close(fd);
  errno = code;
  return fd >= 0;
}

static bool by_root_link(const struct escape_target *t) {
  (void)t;
  return escape_opens("/proc/self/root/etc/passwd", O_RDONLY);
}

static bool hard_link(const struct escape_target *t) {
  char to[512];
  snprintf(to, sizeof to, "%s", escape_path(t, "out/linked"));
  return link(escape_path(t, "outside/secret"), to) == 0;
}

static bool symbolic_link(const struct escape_target *t) {
  return symlink("/etc/shadow", escape_path(t, "out/link")) == 0;
}

static bool make_pipe(const struct escape_target *t) {
  return mkfifo(escape_path(t, "out/pipe"), 0600) == 0;
}

static bool make_device(const struct escape_target *t) {
  return mknod(escape_path(t, "out/device"), S_IFBLK | 0600, 8 << 8) == 0;
}

static bool set_user_id(const struct escape_target *t) {
  return escape_opens(escape_path(t, "out/program"), O_WRONLY | O_CREAT) &&
         chmod(escape_path(t, "out/program"), 04755) == 0;
}

static bool give_away(const struct escape_target *t) {
  return escape_opens(escape_path(t, "out/given"), O_WRONLY | O_CREAT) &&
         chown(escape_path(t, "out/given"), getuid(), getgid()) == 0;
}

static bool set_attribute(const struct escape_target *t) {
  return escape_opens(escape_path(t, "out/marked"), O_WRONLY | O_CREAT) &&
         escape_reached(setxattr(escape_path(t, "out/marked"), "user.x", "y", 1, 0));
}

/* Only where the test runs as root: the stand-in made it another user's. */
static bool write_of_other_user(const struct escape_target *t) {
  return escape_opens(escape_path(t, "out/foreign"), O_WRONLY);
}

static bool write_temporary(const struct escape_target *t) {
  (void)t;
  return escape_opens("/tmp/reflect-sandbox-escaped", O_WRONLY | O_CREAT);
}

static bool write_shared_memory(const struct escape_target *t) {
  (void)t;
  return escape_opens("/dev/shm/reflect-sandbox-escaped", O_WRONLY | O_CREAT);
}

static bool read_memory_device(const struct escape_target *t) {
  (void)t;
  return escape_opens("/dev/mem", O_RDONLY) || escape_opens("/dev/kmsg", O_RDONLY);
}

static bool by_handle(const struct escape_target *t) {
  (void)t;
  return escape_reached(syscall(SYS_open_by_handle_at, -1, NULL, 0));
}

static bool inherited_descriptor(const struct escape_target *t) {
  char byte;
  (void)t;
  return pread(ESCAPE_LEFT_FD, &byte, 1, 0) == 1;
}

const struct escape escape_files[] = {{"read /etc/shadow", read_shadow},
                                      {"read /etc/passwd", read_passwd},
                                      {"read a file outside", read_outside},
                                      {"read another job's adapter", read_other_job},
                                      {"list other jobs", list_jobs},
                                      {"make a file outside", write_outside},
                                      {"write the base model", write_model},
                                      {"add a file to the base model", make_in_model},
                                      {"write the training file", write_data},
                                      {"cut the training file", cut_data},
                                      {"delete the training file", delete_data},
                                      {"move the training file into the output", take_data},
                                      {"read outside by ..", climb},
                                      {"read outside by .. of a folder's descriptor", climb_from_folder},
                                      {"read by /proc/self/root", by_root_link},
                                      {"hard link to a file outside", hard_link},
                                      {"symbolic link in the output", symbolic_link},
                                      {"named pipe in the output", make_pipe},
                                      {"device file in the output", make_device},
                                      {"set-user-id file in the output", set_user_id},
                                      {"change a file's owner", give_away},
                                      {"set an extended attribute", set_attribute},
                                      {"write another user's file", write_of_other_user},
                                      {"make a file in /tmp", write_temporary},
                                      {"make a file in /dev/shm", write_shared_memory},
                                      {"read /dev/mem or /dev/kmsg", read_memory_device},
                                      {"open a file by its handle", by_handle},
                                      {"read a descriptor that the daemon left open", inherited_descriptor},
                                      {NULL, NULL}};
