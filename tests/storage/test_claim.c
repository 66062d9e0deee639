/* Proves: a job is handed out to the devices that it asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/tenant.h"
#include "storage/db_file.h"
#include "storage/db_job.h"
#include "tests/storage/store.h"

static int set_up(void **state) {
  struct fixture *f = store_new();
  *state = f;
  return 0;
}

/* A GPU takes the first job that may run on it, the CPU the first that no GPU is asked for. */
static void test_claim_by_device(void **state) {
  struct fixture *f = *state;
  const char *const wanted[] = {"opencl:0", "cuda", "cpu", NULL, "cuda:1"};
  const struct job_place opencl = {INT64_MAX, "[\"auto\",\"opencl\",\"opencl:0\"]", false, 0, 0};
  const struct job_place cpu = {INT64_MAX, "[\"opencl\",\"opencl:0\",\"cuda\",\"cuda:0\"]", true, 0, 0};
  struct job_row job;
  bool found, held;
  for (size_t i = 0; i < COUNT_OF(wanted); i++) {
    char id[16];
    snprintf(id, sizeof id, "ftjob-%zu", i);
    struct job_row row = store_job(id, TENANT_DEFAULT);
    row.device_wanted = wanted[i];
    assert_int_equal(db_job_insert(f->db, &row, &f->err), STATUS_OK);
  }
  const struct {
    const struct job_place *place;
    const char *id; /* NULL: there is none */
  } claims[] = {{&opencl, "ftjob-0"}, {&opencl, "ftjob-3"}, {&opencl, NULL},
                {&cpu, "ftjob-2"},    {&cpu, "ftjob-4"},    {&cpu, NULL}};
  for (size_t i = 0; i < COUNT_OF(claims); i++) {
    assert_int_equal(db_job_claim(&job, &found, f->db, claims[i].place, 200, &f->arena, &f->err), STATUS_OK);
    assert_int_equal(found, claims[i].id != NULL);
    if (found)
      assert_string_equal(job.id, claims[i].id);
  }
  struct lease lease = {.job_id = "ftjob-3", .token = 1};
  assert_int_equal(db_job_set_device(f->db, &lease, "opencl:0", &held, &f->err), STATUS_OK);
  assert_int_equal(db_job_get(&job, f->db, TENANT_DEFAULT, "ftjob-3", &f->arena, &f->err), STATUS_OK);
  assert_true(held && strcmp(job.device, "opencl:0") == 0 && strcmp(job.device_wanted, "auto") == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_claim_by_device, set_up, store_done)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
