/* Proves that file systems are named by their numbers, however the kernel signs them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>

#include <cmocka.h>

#include "base/disk.h"

static void kinds_are_told_apart(void **state) {
  (void)state;
  struct statfs disk;
  assert_string_equal(disk_network_name(0x6969), "NFS");
  assert_string_equal(disk_network_name((int32_t)0xFF534D42), "CIFS"); /* f_type is signed on some machines */
  assert_null(disk_network_name(0xEF53));
  assert_string_equal(disk_local_name(0xEF53), "ext4");
  assert_string_equal(disk_local_name((int32_t)0x9123683E), "btrfs");
  assert_null(disk_local_name(0x6969));
  assert_int_equal(statfs("/proc", &disk), 0);
  assert_null(disk_network_name((int64_t)disk.f_type));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(kinds_are_told_apart)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
