#include "tests/fault/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/file.h"

enum { IMAGE_BYTES = 32 << 20, CHUNK_BYTES = 1 << 20 };

/* Runs a program without its words; true: it succeeded. */
static bool run(const char *const words[]) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3 && null >= 0; fd++)
      dup2(null, fd);
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    execvp(words[0], (char *const *)(uintptr_t)words);
    _exit(127);
  }
  int status;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool image_make(const char *image, const char *folder) {
  int fd = open(image, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, IMAGE_BYTES) != 0)
    return false;
  close(fd);
  const char *const make[] = {"mkfs.ext4", "-q", "-F", "-b", "1024", image, NULL};
  return run(make) && image_mount(image, folder);
}

bool image_mount(const char *image, const char *folder) {
  const char *const words[] = {"mount", "-o", "loop", "-t", "ext4", image, folder, NULL};
  return file_mkdirs(folder, NULL) == STATUS_OK && run(words);
}

void image_unmount(const char *folder) {
  const char *const words[] = {"umount", folder, NULL}, *const later[] = {"umount", "-l", folder, NULL};
  for (int i = 0; i < 20; i++) {
    if (run(words))
      return;
    usleep(50 * 1000);
  }
  (void)run(later);
}

void image_copy(const char *from, const char *to) {
  static char chunk[CHUNK_BYTES];
  int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CHECK(in >= 0 && out >= 0);
  for (ssize_t n; (n = read(in, chunk, sizeof chunk)) > 0;)
    CHECK(write(out, chunk, (size_t)n) == n);
  close(in);
  close(out);
}
