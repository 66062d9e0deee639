/* Proves the daemon's pure decisions: what to start when, what a worker's death means, and whether a file suits
   a job. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/job.h"
#include "base/clock.h"
#include "base/json.h"
#include "config/config.h"
#include "server/admission.h"
#include "server/hold.h"
#include "server/host.h"
#include "server/process.h"
#include "server/scheduler.h"
#include "server/verdict.h"

/* The default names of what language models learn from. */
#define NAMES                                                                                                          \
  .labels = "labels", .tokens = "tokens", .tags = "tags", .messages = "messages", .prompt = "prompt",                  \
  .completion = "completion"

/* Exports go before jobs, one at a time, and take a place from them. */
static void test_exports(void **state) {
  (void)state;
  struct schedule_view view = {.jobs_queued = 5, .jobs_max = 2, .exports_queued = 3};
  struct schedule_plan plan = scheduler_decide(&view);
  assert_true(plan.exports == 1 && plan.jobs == 1);
  view.exports_running = 1;
  plan = scheduler_decide(&view);
  assert_true(plan.exports == 0 && plan.jobs == 1);
  view.exports_running = 0;
  view.jobs_running = 2;
  plan = scheduler_decide(&view);
  assert_true(plan.exports == 0 && plan.jobs == 0);
}

static void test_schedule(void **state) {
  (void)state;
  struct schedule_view view = {
      .jobs_queued = 5, .jobs_running = 1, .jobs_max = 3, .checks_waiting = 1, .checks_max = 2, .now_ms = 1000};
  struct schedule_plan plan = scheduler_decide(&view);
  assert_int_equal(plan.jobs, 2);
  assert_int_equal(plan.checks, 1);
  assert_int_equal(plan.wake_ms, -1);
  view.jobs_running = 4; /* the limit was lowered: nothing starts, nothing wraps */
  assert_int_equal(scheduler_decide(&view).jobs, 0);
  view.jobs_running = 0;
  view.jobs_queued = 1;
  assert_int_equal(scheduler_decide(&view).jobs, 1);
  view.hold_until_ms = 1500; /* a start failed: wait, but do look again */
  plan = scheduler_decide(&view);
  assert_int_equal(plan.jobs, 0);
  assert_int_equal(plan.checks, 0);
  assert_int_equal(plan.wake_ms, 500);
  view.now_ms = 1500;
  assert_int_equal(scheduler_decide(&view).jobs, 1);
  view.inspections_waiting = 3; /* one look at a model at a time, whatever runs */
  assert_int_equal(scheduler_decide(&view).inspections, 1);
  view.inspections_running = 1;
  assert_int_equal(scheduler_decide(&view).inspections, 0);
  view.inspections_running = 0;
  view.questions_waiting = 2; /* and one estimate, whatever runs */
  assert_int_equal(scheduler_decide(&view).questions, 1);
  view.questions_running = 1;
  assert_int_equal(scheduler_decide(&view).questions, 0);
  view.questions_running = 0;
  view.servings_waiting = 3; /* base models have places of their own; where they are too few, one leaves */
  view.servings_running = 1;
  view.servings_max = 2;
  plan = scheduler_decide(&view);
  assert_int_equal(plan.servings, 1);
  assert_true(plan.retire);
  view.servings_max = 4;
  assert_false(scheduler_decide(&view).retire);
  view.servings_waiting = 0;
  view.draining = true;
  plan = scheduler_decide(&view);
  assert_int_equal(plan.jobs + plan.checks + plan.inspections + plan.questions, 0);
}

/* A GPU is a place of its own beside those of the CPU. */
static void test_gpus(void **state) {
  (void)state;
  struct schedule_view view = {.jobs_queued = 1, .jobs_running = 2, .jobs_max = 2, .devices_free = 3};
  struct schedule_plan plan = scheduler_decide(&view);
  assert_true(plan.device_jobs == 1 && plan.jobs == 0);
  view.jobs_queued = 9;
  view.jobs_running = 1;
  plan = scheduler_decide(&view);
  assert_true(plan.device_jobs == 3 && plan.jobs == 1);
  view.draining = true;
  assert_int_equal(scheduler_decide(&view).device_jobs, 0);
}

/* The lowest makes room, of equal ones the last to begin; nobody for a job that does not outweigh it, and one at a
   time. */
static void test_victim(void **state) {
  (void)state;
  struct running_job jobs[] = {{"a", "cpu", 2, 10, false}, {"b", "cpu", 0, 20, false}, {"c", "cpu", 0, 30, false}};
  assert_ptr_equal(scheduler_victim(jobs, 3, 5, 5), &jobs[2]);
  assert_null(scheduler_victim(jobs, 3, 4, 5));
  assert_null(scheduler_victim(jobs, 3, 100, 0)); /* never */
  assert_ptr_equal(scheduler_victim(jobs, 1, 3, 1), &jobs[0]);
  assert_null(scheduler_victim(jobs, 1, 2, 1));
  jobs[1].began = 40;
  assert_ptr_equal(scheduler_victim(jobs, 3, 1, 1), &jobs[1]);
  jobs[0].leaves = true;
  assert_null(scheduler_victim(jobs, 3, 100, 1));
  assert_null(scheduler_victim(jobs, 0, 100, 1));
}

static enum job_state judge(struct error *why, const struct evidence *evidence) {
  struct verdict verdict = verdict_of_training(evidence);
  *why = verdict.why;
  return verdict.to;
}

/* A worker that dies without a reason is tried again, until it has got no further so many times. */
static void test_crashes(void **state) {
  (void)state;
  const struct error reported = {.status = STATUS_NAN_LOSS, .text = "not finite"};
  struct evidence e = {.death = {.signal = SIGSEGV}, .step = 12, .attempt = 1, .attempts_max = 3, .log_tail = ""};
  struct verdict verdict = verdict_of_training(&e);
  assert_true(verdict.to == JOB_QUEUED && verdict.cause == CAUSE_CRASH);
  assert_non_null(strstr(verdict.why.text, "SIGSEGV at step 12"));
  e.attempt = 3;
  e.furthest = 8;
  verdict = verdict_of_training(&e);
  assert_true(verdict.to == JOB_FAILED && verdict.why.status == STATUS_WORKER_CRASHED);
  assert_non_null(strstr(verdict.why.text, "3 attempts"));
  assert_non_null(strstr(verdict.why.text, "beyond step 8: the worker was killed by SIGSEGV at step 12"));
  e.attempt = 1;
  e.death = (struct death){.signal = SIGKILL, .fault = WORKER_FAULT_SILENT, .fault_text = "silent"};
  verdict = verdict_of_training(&e);
  assert_true(verdict.to == JOB_QUEUED && verdict.cause == CAUSE_CRASH);
  assert_int_equal(verdict.why.status, STATUS_WORKER_UNRESPONSIVE);
  e.death = (struct death){.exit_status = 7};
  assert_int_equal(verdict_of_training(&e).to, JOB_QUEUED);
  e.error_event = &reported; /* it would say so again */
  verdict = verdict_of_training(&e);
  assert_true(verdict.to == JOB_FAILED && verdict.cause == CAUSE_JOB);
  e.error_event = NULL;
  e.death.fault = WORKER_FAULT_PROTOCOL; /* another worker than ours */
  assert_int_equal(verdict_of_training(&e).to, JOB_FAILED);
  e.death.fault = WORKER_FAULT_UNHEARD; /* no fault of the worker's, whatever it had said before */
  e.error_event = &reported;
  verdict = verdict_of_training(&e);
  assert_true(verdict.to == JOB_QUEUED && verdict.cause == CAUSE_HOST);
  e.error_event = NULL;
  e.death = (struct death){0}; /* it went as if all were well, without an artifact */
  assert_int_equal(verdict_of_training(&e).to, JOB_FAILED);
  int64_t least = 1000;
  for (int64_t attempt = 1; attempt < 9; attempt++, least = least * 4 < 30000 ? least * 4 : 30000) {
    assert_int_equal(verdict_retry_ms(attempt, 0), least);
    assert_in_range(verdict_retry_ms(attempt, 0xFFFFFFFF), least, 2 * least);
    assert_int_not_equal(verdict_retry_ms(attempt, 1), least);
  }
}

static void test_training(void **state) {
  struct error why, reported, broken;
  (void)state;
  error_set(&reported, STATUS_NAN_LOSS, NULL, "not finite");
  error_set(&broken, STATUS_DAMAGED, NULL, "a.bin has another hash");
  struct evidence good = {.artifact_count = 1, .log_tail = ""}, e = good;
  assert_int_equal(judge(&why, &e), JOB_SUCCEEDED);
  e.artifact_count = 0;
  assert_int_equal(judge(&why, &e), JOB_FAILED);
  assert_int_equal(why.status, STATUS_WORKER_CRASHED);
  e = good;
  e.broken = &broken;
  assert_int_equal(judge(&why, &e), JOB_FAILED);
  assert_non_null(strstr(why.text, "another hash"));
  error_set(&broken, STATUS_IO, NULL, "reading a.bin: Input/output error"); /* that is no fault of the job */
  e.attempt = 1;
  e.attempts_max = 2;
  assert_int_equal(judge(&why, &e), JOB_QUEUED);
  assert_string_equal(why.text, "an artifact cannot be read back: reading a.bin: Input/output error");
  e.attempt = 2;
  assert_int_equal(judge(&why, &e), JOB_FAILED);
  assert_non_null(strstr(why.text, "2 attempts"));
  e = good;
  e.error_event = &reported; /* with status 0: the complaint counts */
  assert_int_equal(judge(&why, &e), JOB_FAILED);
  assert_int_equal(why.status, STATUS_NAN_LOSS);
  e = good;
  e.death.exit_status = 9;
  e.log_tail = "last words";
  assert_int_equal(judge(&why, &e), JOB_FAILED);
  assert_non_null(strstr(why.text, "status 9"));
  assert_non_null(strstr(why.text, "last words"));
  e.death = (struct death){.signal = SIGSEGV};
  e.error_event = &reported; /* a signal outweighs what was said before */
  assert_int_equal(judge(&why, &e), JOB_FAILED);
  assert_int_equal(why.status, STATUS_WORKER_CRASHED);
  assert_non_null(strstr(why.text, "SIGSEGV"));
  e.death = (struct death){.signal = SIGKILL, .fault = WORKER_FAULT_SILENT, .fault_text = "silent"};
  assert_int_equal(judge(&why, &e), JOB_FAILED);
  assert_int_equal(why.status, STATUS_WORKER_UNRESPONSIVE);
  e.death = (struct death){.signal = SIGKILL, .short_of_memory = true}; /* the kernel's choice */
  assert_int_equal(judge(&why, &e), JOB_FAILED);
  assert_int_equal(why.status, STATUS_OUT_OF_MEMORY);
  assert_non_null(strstr(why.text, "memory_limit"));
}

/* The host is at fault, not the job: it waits again, and *why says for what. */
static void test_host(void **state) {
  struct error why, reported;
  (void)state;
  struct evidence e = {.death = {.exit_status = 127}, .log_tail = "libm.so.6: cannot open shared object file"};
  assert_int_equal(judge(&why, &e), JOB_QUEUED);
  assert_int_equal(why.status, STATUS_UNAVAILABLE);
  assert_non_null(strstr(why.text, "libm.so.6"));
  assert_int_equal(verdict_of_check(&why, &e, false), STATUS_UNAVAILABLE);
  e.death.exit_status = 126; /* its sandbox could not be made */
  assert_int_equal(judge(&why, &e), JOB_QUEUED);
  assert_int_equal(why.status, STATUS_UNAVAILABLE);
  assert_string_equal(why.param, "sandbox");
  e.death.exit_status = 127;
  e.death.heard = true; /* it ran: 127 is what it chose */
  assert_int_equal(judge(&why, &e), JOB_FAILED);
  error_set(&reported, STATUS_NO_SPACE, NULL, "writing a checkpoint: No space left on device");
  e.error_event = &reported;
  assert_int_equal(judge(&why, &e), JOB_QUEUED);
  assert_int_equal(why.status, STATUS_NO_SPACE);
  error_set(&reported, STATUS_UNAVAILABLE, NULL, "too many open files"); /* of the worker's own */
  assert_int_equal(judge(&why, &e), JOB_FAILED);
  e.stop = STOP_CANCEL;
  assert_int_equal(judge(&why, &e), JOB_CANCELLED);
}

static void test_stopped(void **state) {
  struct error why;
  (void)state;
  struct evidence e = {.stop = STOP_CANCEL, .artifact_count = 1, .log_tail = ""};
  assert_int_equal(judge(&why, &e), JOB_CANCELLED); /* the promise stands, even if it was done by then */
  e.stop = STOP_DRAIN;
  assert_int_equal(judge(&why, &e), JOB_SUCCEEDED);
  e.death.signal = SIGTERM;
  assert_int_equal(judge(&why, &e), JOB_QUEUED);
  assert_int_equal(why.status, STATUS_OK); /* nobody's fault */
  e.death = (struct death){0};
  e.artifact_count = 0;
  assert_int_equal(judge(&why, &e), JOB_QUEUED);
  e.stop = STOP_RESUME;
  assert_int_equal(judge(&why, &e), JOB_QUEUED);
  assert_int_equal(verdict_of_training(&e).cause, CAUSE_NOBODY);
  e.stop = STOP_PREEMPT;
  assert_int_equal(judge(&why, &e), JOB_QUEUED);
  assert_int_equal(verdict_of_training(&e).cause, CAUSE_NOBODY); /* no attempt is counted */
  e.stop = STOP_PAUSE;
  assert_int_equal(judge(&why, &e), JOB_PAUSED);
  e.death.signal = SIGKILL; /* it took too long: what it went on from holds */
  assert_int_equal(judge(&why, &e), JOB_PAUSED);
  e.death = (struct death){0};
  e.artifact_count = 1; /* it was done */
  assert_int_equal(judge(&why, &e), JOB_SUCCEEDED);
  assert_true(STOP_CANCEL > STOP_PAUSE && STOP_PAUSE > STOP_DRAIN &&
              STOP_DRAIN > STOP_PREEMPT); /* run_stop goes by that */
}

static void test_check(void **state) {
  struct error why, reported;
  (void)state;
  struct evidence e = {.log_tail = ""};
  assert_int_equal(verdict_of_check(&why, &e, true), STATUS_OK);
  assert_int_equal(verdict_of_check(&why, &e, false), STATUS_WORKER_CRASHED);
  error_set(&reported, STATUS_DATASET_INVALID, "training_file", "line 2");
  e.error_event = &reported;
  e.death.exit_status = 10;
  assert_int_equal(verdict_of_check(&why, &e, true), STATUS_DATASET_INVALID);
  assert_string_equal(why.text, "line 2");
}

static const struct data_tasks both = {.language = true, .classifier = true};

static void test_admission(void **state) {
  struct fault_list faults = {0};
  bool pending = false;
  (void)state;
  struct job_spec spec = {.columns = {.text = "text", .label = "label", NAMES}};
  struct file_row file = {.id = "file-1", .purpose = "fine-tune", .status = FILE_PROCESSED};
  struct file_row other = file;
  admission_judge(&spec, &file, NULL, both, &pending, &faults);
  assert_int_equal(faults.count, 0);
  file.status = FILE_UPLOADED;
  admission_judge(&spec, &other, &file, both, &pending, &faults);
  assert_true(pending);
  file.status = FILE_ERROR;
  file.status_details = "line 7";
  admission_judge(&spec, &file, NULL, both, &pending, &faults);
  assert_int_equal(faults.item[0].status, STATUS_DATASET_INVALID);
  assert_string_equal(faults.item[0].param, "training_file");
  assert_non_null(strstr(faults.item[0].text, "line 7"));
  file.purpose = "fine-tune-results";
  admission_judge(&spec, &other, &file, both, &pending, &faults);
  assert_int_equal(faults.item[1].status, STATUS_INVALID_PURPOSE);
  assert_string_equal(faults.item[1].param, "validation_file");
}

/* Names that no adapter can be put on are told apart from those that the model has not. */
static void test_targets(void **state) {
  (void)state;
  AUTO(json_release)
  json_t *report =
      json_pack("{s:[s, s], s:[s, s, s], s:s}", "target_modules", "q_proj", "v_proj", "other_modules", "mlp", "experts",
                "gate_proj", "not_adapted", "cannot be adapted here: experts are parameters");
  static const struct {
    const char *target, *says; /* NULL: nothing is wrong */
  } cases[] = {
      {"q_proj", NULL},
      {"layers.1.v_proj", NULL},
      {"gate_proj", "\"gate_proj\" of moe cannot be adapted here: experts are parameters; adapters can be put on "
                    "q_proj, v_proj"},
      {"layers.0.mlp", "\"layers.0.mlp\" of moe cannot be adapted here"},
      {"k_proj", "moe has no module \"k_proj\" that an adapter can be put on; did you mean \"q_proj\"?"},
      {"gat_proj", "moe has no module \"gat_proj\""},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct fault_list faults = {0};
    const char *names[] = {cases[i].target};
    struct job_spec spec = {.model = "moe", .adapter.target_modules.names = {.item = names, .count = 1}};
    admission_judge_model(&spec, report, &faults);
    assert_int_equal(faults.count, cases[i].says ? 1 : 0);
    if (cases[i].says) {
      assert_int_equal(faults.item[0].status, STATUS_UNSUPPORTED_TARGET);
      assert_string_equal(faults.item[0].param, "adapter.target_modules");
      assert_non_null(strstr(faults.item[0].text, cases[i].says));
    }
  }
}

/* Data are judged by their reports, once both files are checked (tests/api/test_data_use.c has the rules). */
static void test_data(void **state) {
  struct fault_list faults = {0};
  bool pending = false;
  (void)state;
  struct job_spec spec = {.columns = {.text = "text", .label = "label", NAMES}};
  struct file_row file = {.id = "file-1",
                          .purpose = "fine-tune",
                          .status = FILE_PROCESSED,
                          .report = "{\"columns\":[\"text\",\"label\"],\"facts\":{\"text\":{\"first\":true},\"label\":"
                                    "{\"first\":true,\"label\":\"line 3, column 2: label is empty\"}}}"};
  struct file_row waiting = {.id = "file-2", .purpose = "fine-tune", .status = FILE_UPLOADED};
  admission_judge(&spec, &file, &waiting, both, &pending, &faults);
  assert_true(pending && faults.count == 0);
  pending = false;
  admission_judge(&spec, &file, NULL, both, &pending, &faults);
  assert_int_equal(faults.count, 1);
  assert_int_equal(faults.item[0].status, STATUS_DATASET_INVALID);
  assert_string_equal(faults.item[0].param, "training_file");
  assert_non_null(strstr(faults.item[0].text, "file-1: line 3, column 2: label is empty"));
  file.report = "{\"format\":\"csv\",\"columns\":[\"review\",\"stars\"]}"; /* an older report: names alone */
  faults = (struct fault_list){0};
  admission_judge(&spec, &file, NULL, both, &pending, &faults);
  assert_int_equal(faults.count, 0);
  spec.columns.label = "star";
  admission_judge(&spec, &file, NULL, both, &pending, &faults);
  assert_int_equal(faults.count, 1);
  assert_string_equal(faults.item[0].param, "dataset.label");
  file.report = "{\"format\":\"jsonl\"}";
  faults = (struct fault_list){0};
  admission_judge(&spec, &file, NULL, both, &pending, &faults);
  assert_int_equal(faults.count, 0);
}

/* Each pause is twice the one before, up to 16 s, until a start succeeds. */
static void test_hold(void **state) {
  struct hold hold = {0};
  const struct error why = {.status = STATUS_UNAVAILABLE, .text = "no worker"};
  (void)state;
  for (int64_t ms = 1000; ms <= 64000; ms *= 2) {
    hold_begin(&hold, &why);
    assert_int_equal(hold.backoff_ms, ms < 16000 ? ms : 16000);
    assert_int_equal(hold.why.status, STATUS_UNAVAILABLE);
    assert_in_range(hold.until_ms - hold.backoff_ms, clock_boot_ms() - 1000, clock_boot_ms());
  }
  hold_end(&hold);
  assert_int_equal(hold.why.status, STATUS_OK);
  hold_begin(&hold, &why);
  assert_int_equal(hold.backoff_ms, 1000);
}

static void test_process_names(void **state) {
  char name[PROCESS_NAME_BYTES], again[PROCESS_NAME_BYTES], other[PROCESS_NAME_BYTES + 8];
  (void)state;
  assert_true(process_name(name, getpid()));
  assert_true(process_name(again, getpid()));
  assert_string_equal(name, again);
  assert_false(process_name(again, 0x3FFFFFFF));
  /* The same process id with another start time is somebody else, who is left alone: this test lives on. */
  snprintf(other, sizeof other, "%ld 1 boot", (long)getpid());
  assert_true(process_kill_named(other));
}

/* config may not include api: their tables of names are two. */
static void test_matmul_names(void **state) {
  (void)state;
  for (size_t i = 0; i < config_fields.count; i++)
    if (strcmp(config_fields.fields[i].name, "matmul") == 0) {
      const char *const *names = config_fields.fields[i].choices;
      for (size_t n = 0; n < MATMUL_LIBRARY_COUNT; n++)
        assert_string_equal(names[n], job_matmul_names[n]);
      assert_null(names[MATMUL_LIBRARY_COUNT]);
      return;
    }
  fail_msg("config has no row matmul");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_exports), cmocka_unit_test(test_schedule),      cmocka_unit_test(test_gpus),
      cmocka_unit_test(test_victim),  cmocka_unit_test(test_training),      cmocka_unit_test(test_stopped),
      cmocka_unit_test(test_crashes), cmocka_unit_test(test_host),          cmocka_unit_test(test_hold),
      cmocka_unit_test(test_check),   cmocka_unit_test(test_admission),     cmocka_unit_test(test_targets),
      cmocka_unit_test(test_data),    cmocka_unit_test(test_process_names), cmocka_unit_test(test_matmul_names)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
