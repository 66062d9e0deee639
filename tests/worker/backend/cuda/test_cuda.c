/* What CUDA's driver is asked for, and what becomes of its answers, on the libraries that stand in for it: what is not
   there, what fails, and kernels that are compiled at run time. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/file.h"
#include "tests/worker/backend/cuda/with_cuda.h"
#include "worker/backend/cuda/cuda_kernels.h"
#include "worker/backend/cuda/cuda_list.h"
#include "worker/backend/cuda/cuda_program.h"
#include "worker/backend/device/device_backend.h"

static char folder[] = "/tmp/reflect-cuda-XXXXXX";

static void settings(const char *text) {
  setenv("STANDIN", text, 1);
}

/* A test in a process of its own: what a driver answers once may be what it answers for ever. */
static void apart(void (*test)(void)) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    test();
    _exit(0);
  }
  int how;
  assert_true(waitpid(child, &how, 0) == child && WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

#define EXPECT(condition)                                                                                              \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                  \
      _exit(1);                                                                                                        \
    }                                                                                                                  \
  } while (0)

static struct device *opened(void) {
  struct device *d;
  struct error err;
  if (cuda_open(&d, "cuda:0", &err))
    fail_msg("%s", err.text);
  return d;
}

/* --- what there is -------------------------------------------------------------------------------- */

static void test_library(void **state) {
  (void)state;
  struct cuda_driver cu;
  struct error err;
  int version;
  assert_int_equal(cuda_library_driver(&cu, &version, "libcuda-of-nobody.so.1", &err), STATUS_UNSUPPORTED_VALUE);
  assert_non_null(strstr(err.text, "CUDA is not installed here: libcuda-of-nobody.so.1"));
  assert_string_equal(err.param, "scheduling.device");
  assert_int_equal(cuda_library_driver(&cu, &version, "libm.so.6", &err), STATUS_UNSUPPORTED_VALUE);
  assert_non_null(strstr(err.text, "libm.so.6 has no function cuInit"));
}

static void list_says(const char *with, const char *text) {
  struct cuda_listed listed;
  struct error err = {0};
  size_t count = 77;
  settings(with);
  assert_int_equal(cuda_list(&listed, 1, &count, &err), STATUS_UNSUPPORTED_VALUE);
  if (!strstr(err.text, text))
    fail_msg("%s: %s", with, err.text);
  assert_int_equal(count, 77);
}

static void test_list(void **state) {
  (void)state;
  struct cuda_listed listed[4];
  struct error err;
  size_t count = 0;
  struct device *d;
  list_says("devices=0", "CUDA finds no GPU");
  list_says("version=11080", "too old: it knows CUDA 11.8, and 12.0 is needed");
  list_says("arch=70", "cuda:0, Stand-in 0 (compute capability 7.0), is too old: compute capability 7.5 is needed");
  settings("devices=3,arch=100,memory=2048");
  assert_int_equal(cuda_list(listed, 2, &count, &err), STATUS_OK);
  assert_int_equal(count, 3);
  assert_string_equal(listed[1].id, "cuda:1");
  assert_string_equal(listed[1].name, "Stand-in 1 (compute capability 10.0)");
  assert_true(listed[1].memory == (uint64_t)2048 << 20 && listed[1].arch == 100);
  const char *const absent[] = {"cuda:3", "cuda:00", "cuda", "gpu", ""};
  for (size_t i = 0; i < COUNT_OF(absent); i++) {
    assert_int_equal(cuda_open(&d, absent[i], &err), STATUS_UNSUPPORTED_VALUE);
    assert_non_null(strstr(err.text, "there is no device"));
  }
  settings("");
}

/* --- memory and launches -------------------------------------------------------------------------- */

static void test_memory(void **state) {
  (void)state;
  struct device *d = opened();
  struct error err;
  struct place a = {0}, b = {0};
  settings("memory=96"); /* 32 are cuBLASLt's */
  assert_int_equal(d->ops->allocate(d, &a.buffer, (size_t)65 << 20, &err), STATUS_OUT_OF_MEMORY);
  assert_string_equal(err.text,
                      "65 MiB on Stand-in 0 (compute capability 9.0), which has 64 MiB free: cuMemAlloc failed: "
                      "CUDA_ERROR_OUT_OF_MEMORY (2, something failed)");
  char text[16] = "0123456789abcde", back[16] = "";
  assert_int_equal(d->ops->allocate(d, &a.buffer, sizeof text, &err), STATUS_OK);
  assert_int_equal(d->ops->memory_free(d), ((size_t)64 << 20) - sizeof text);
  assert_int_equal(d->ops->allocate(d, &b.buffer, 0, &err), STATUS_OK);
  d->ops->release(d, b.buffer);
  assert_int_equal(d->ops->allocate(d, &b.buffer, sizeof text, &err), STATUS_OK);
  assert_int_equal(d->ops->write(d, a, text, sizeof text, &err), STATUS_OK);
  assert_int_equal(d->ops->write(d, b, text, sizeof text, &err), STATUS_OK);
  memset(text, 0, sizeof text); /* what was written is there when the call returns */
  const struct place to = {b.buffer, 3}, from = {a.buffer, 10};
  assert_int_equal(d->ops->copy(d, to, from, 5, &err), STATUS_OK);
  assert_int_equal(d->ops->copy(d, to, from, 0, &err), STATUS_OK);
  assert_int_equal(d->ops->read(d, back, b, sizeof back, &err), STATUS_OK);
  assert_string_equal(back, "012abcde89abcde");
  assert_int_equal(d->ops->finish(d, &err), STATUS_OK);
  d->ops->release(d, a.buffer);
  d->ops->release(d, b.buffer);
  d->ops->release(d, NULL);
  d->ops->close(d);
  settings("");
}

/* Two places of one buffer in one launch; no groups; more groups than CUDA has. */
static void test_launch(void **state) {
  (void)state;
  enum { COUNT = PLACE_ALIGN / sizeof(float) };
  struct device *d = opened();
  struct error err;
  struct place all = {0};
  float numbers[3 * COUNT];
  for (size_t i = 0; i < COUNT_OF(numbers); i++)
    numbers[i] = (float)i;
  assert_int_equal(d->ops->allocate(d, &all.buffer, sizeof numbers, &err), STATUS_OK);
  assert_int_equal(d->ops->write(d, all, numbers, sizeof numbers, &err), STATUS_OK);
  const struct place pointers[] = {{all.buffer, 2 * PLACE_ALIGN}, {all.buffer, PLACE_ALIGN}};
  struct elements_args args = {COUNT, 1, 0};
  assert_int_equal(d->ops->launch(d, DEVICE_add_to, (const size_t[]){1, 1, 1}, pointers, &args, &err), STATUS_OK);
  assert_int_equal(d->launches, 1);
  args.count = 0; /* a launch has its own copy */
  assert_int_equal(d->ops->launch(d, DEVICE_add_to, (const size_t[]){1, 0, 1}, pointers, &args, &err), STATUS_OK);
  assert_int_equal(d->launches, 1);
  assert_int_equal(d->ops->launch(d, DEVICE_add_to, (const size_t[]){1, 1, 65536}, pointers, &args, &err),
                   STATUS_UNSUPPORTED_VALUE);
  assert_non_null(strstr(err.text, "the add_to kernel would need 1 x 1 x 65536 groups"));
  assert_int_equal(d->ops->read(d, numbers, all, sizeof numbers, &err), STATUS_OK);
  for (size_t i = 0; i < COUNT_OF(numbers); i++)
    assert_true(numbers[i] == (float)(i < 2 * COUNT ? i : i + i - COUNT));
  settings("fail_launch=2");
  args.count = COUNT;
  assert_int_equal(d->ops->launch(d, DEVICE_add_to, (const size_t[]){1, 1, 1}, pointers, &args, &err), STATUS_INTERNAL);
  assert_string_equal(err.text, "the add_to kernel: cuLaunchKernel failed: CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES (701, "
                                "something failed)");
  d->ops->release(d, all.buffer);
  d->ops->close(d);
  settings("");
}

/* A kernel that fails is told where the stream is waited for, and every later call fails and does no harm. */
static void lose(void) {
  struct device *d = opened();
  struct backend backend;
  struct place place;
  struct error err = {0};
  float numbers[3] = {1, 2, 3};
  EXPECT(device_backend_open(&backend, d, 1, &err) == STATUS_OK);
  settings("lost=2");
  EXPECT(backend.ops->allocate(&backend, &place, sizeof numbers, &err) == STATUS_OK); /* zeroes it: the first launch */
  EXPECT(backend.ops->synchronise(&backend, &err) == STATUS_OK);
  backend.ops->zero(&backend, place, sizeof numbers);
  backend.ops->read(&backend, numbers, place, sizeof numbers);
  EXPECT(numbers[0] == 0 && numbers[2] == 0);
  for (int i = 0; i < 2; i++) {
    EXPECT(backend.ops->synchronise(&backend, &err) == STATUS_DEVICE_LOST);
    EXPECT(strstr(err.text, "cuStreamSynchronize failed: CUDA_ERROR_LAUNCH_FAILED (719, unspecified launch failure)"));
  }
  EXPECT(strcmp(status_code(err.status), "device_lost") == 0);
  EXPECT(backend.ops->memory_available(&backend) == 0);
  backend.ops->release(&backend, place, sizeof numbers);
  backend_close(&backend);
  EXPECT(cuda_open(&d, "cuda:0", &err) == STATUS_DEVICE_LOST);
}

static void test_lost(void **state) {
  (void)state;
  apart(lose);
}

/* --- kernels -------------------------------------------------------------------------------------- */

static size_t files_in(char *last, size_t room) {
  DIR *dir = opendir(folder);
  size_t count = 0;
  assert_non_null(dir);
  for (struct dirent *entry; (entry = readdir(dir));)
    if (entry->d_name[0] != '.') {
      snprintf(last, room, "%s/%.200s", folder, entry->d_name);
      count++;
    }
  closedir(dir);
  return count;
}

static char *content(const char *path, size_t *length) {
  char *bytes;
  struct error err;
  assert_int_equal(file_read(&bytes, length, path, 1 << 20, &err), STATUS_OK);
  return bytes;
}

static void open_and_close(const char *with) {
  settings(with);
  struct device *d = opened();
  d->ops->close(d);
}

/* NVRTC's kernels are kept, and read again; what is damaged, or is not loaded, is compiled again. */
static void test_cache(void **state) {
  (void)state;
  char path[300], once[300];
  size_t length, again;
  struct error err;
  open_and_close("fatbin=0");
  assert_int_equal(files_in(path, sizeof path), 1);
  char *whole = content(path, &length), *other;
  open_and_close("fatbin=0,compiles=0"); /* not compiled a second time */
  static const char garbage[] = "reflectd kernels 1 but no more";
  for (int i = 0; i < 3; i++) {
    if (i == 0) { /* a bit */
      whole[length - 3] ^= 1;
      assert_int_equal(file_put(path, whole, length, &err), STATUS_OK);
      whole[length - 3] ^= 1;
    } else { /* half of it, something else */
      assert_int_equal(file_put(path, i == 1 ? whole : garbage, i == 1 ? length / 2 : strlen(garbage), &err),
                       STATUS_OK);
    }
    open_and_close("fatbin=0");
    other = content(path, &again);
    assert_true(again == length && memcmp(whole, other, length) == 0);
    free(other);
  }
  snprintf(once, sizeof once, "%s/.once", folder);
  setenv("STANDIN_ONCE", once, 1);
  assert_int_equal(file_put(once, "", 0, &err), STATUS_OK);
  open_and_close("fatbin=0,image=0"); /* the driver does not take what was kept */
  assert_true(access(once, F_OK) != 0);
  open_and_close("fatbin=0,version=12040"); /* another driver, another GPU: other kernels */
  open_and_close("fatbin=0,arch=89");
  assert_int_equal(files_in(path, sizeof path), 3);
  free(whole);
  settings("");
}

/* A fat binary needs nothing on the disk; a folder that cannot be written is no fault. */
static void test_no_cache(void **state) {
  (void)state;
  char path[300];
  size_t before = files_in(path, sizeof path);
  if (cuda_kernels)
    open_and_close("");
  setenv("REFLECT_CACHE", "/proc/nowhere", 1);
  open_and_close("fatbin=0");
  setenv("REFLECT_CACHE", folder, 1);
  assert_int_equal(files_in(path, sizeof path), before);
  settings("");
}

static void test_cache_folder(void **state) {
  (void)state;
  char path[200];
  setenv("XDG_CACHE_HOME", "/x", 1);
  setenv("HOME", "/home/h", 1);
  cuda_program_cache(path, sizeof path);
  assert_string_equal(path, folder);
  unsetenv("REFLECT_CACHE");
  cuda_program_cache(path, sizeof path);
  assert_string_equal(path, "/x/reflectd");
  unsetenv("XDG_CACHE_HOME");
  cuda_program_cache(path, sizeof path);
  assert_string_equal(path, "/home/h/.cache/reflectd");
  unsetenv("HOME");
  cuda_program_cache(path, sizeof path);
  assert_string_equal(path, "");
  setenv("REFLECT_CACHE", folder, 1);
}

static void test_not_compiled(void **state) {
  (void)state;
  struct device *d;
  struct error err = {0};
  settings("fatbin=0,compiles=0,arch=80");
  assert_int_equal(cuda_open(&d, "cuda:0", &err), STATUS_INTERNAL);
  assert_non_null(
      strstr(err.text, "NVRTC does not compile the kernels: NVRTC_ERROR_COMPILATION: kernels.cu(7): error"));
  if (cuda_kernels)
    assert_non_null(strstr(err.text, "CUDA_ERROR_NO_BINARY_FOR_GPU (209, something failed): a word of the loader"));
  settings("");
}

/* Memory that a device lacks when it is opened: cuBLASLt's, and that for its operands. */
static void test_no_memory(void **state) {
  (void)state;
  struct device *d;
  struct backend backend;
  struct error err;
  settings("fail_alloc=1");
  assert_int_equal(cuda_open(&d, "cuda:0", &err), STATUS_OUT_OF_MEMORY);
  assert_non_null(strstr(err.text, "cuBLASLt on Stand-in 0"));
  settings("fail_alloc=2");
  assert_int_equal(cuda_open(&d, "cuda:0", &err), STATUS_OK);
  assert_int_equal(device_backend_open(&backend, d, 1, &err), STATUS_OUT_OF_MEMORY);
  settings("");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_library),   cmocka_unit_test(test_list),         cmocka_unit_test(test_memory),
      cmocka_unit_test(test_launch),    cmocka_unit_test(test_lost),         cmocka_unit_test(test_cache),
      cmocka_unit_test(test_no_cache),  cmocka_unit_test(test_cache_folder), cmocka_unit_test(test_not_compiled),
      cmocka_unit_test(test_no_memory),
  };
  use_standin();
  if (!mkdtemp(folder))
    return 2;
  setenv("REFLECT_CACHE", folder, 1);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  struct error err;
  return failed + (file_remove_tree(folder, &err) != STATUS_OK);
}
