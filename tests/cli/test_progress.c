/* Proves that progress lines say what a job object says, fit the terminal, and survive objects with
   missing or absurd members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "cli/progress.h"

static json_t *running_job(void) {
  json_t *job = json_pack("{s:s, s:{s:s,s:i,s:i,s:f,s:f,s:i}}", "status", "running", "progress", "phase", "train",
                          "step", 120, "total_steps", 266, "train_loss", 1.23456, "tokens_per_second", 1234.4,
                          "seconds_remaining", 65);
  assert_non_null(job);
  return job;
}

/* The line of `job`, which is released. */
static void line_of(struct str *line, json_t *job, size_t columns) {
  struct job_progress progress;
  assert_non_null(job);
  str_init(line, 1000);
  progress_read(&progress, job);
  progress_job(line, &progress, columns);
  json_decref(job);
}

static void a_wide_line_has_everything(void **state) {
  struct str line;
  (void)state;
  line_of(&line, running_job(), 100);
  assert_string_equal(line.text,
                      "[=============>                ]   45%  step 120/266  loss 1.2346  1:05 left  1,234 tok/s");
  str_done(&line);
}

static void a_language_model_tells_its_token_accuracy(void **state) {
  struct str line;
  json_t *job = running_job();
  json_t *progress = json_object_get(job, "progress");
  (void)state;
  json_object_set_new(progress, "learning_rate", json_real(0.00095));
  json_object_set_new(progress, "train_mean_token_accuracy", json_real(0.61249));
  line_of(&line, json_incref(job), 0);
  assert_string_equal(line.text, " 45%  step 120/266  loss 1.2346  1:05 left  1,234 tok/s  lr 0.00095  accuracy 0.612");
  str_done(&line);
  line_of(&line, json_incref(job), 79); /* what matters least is left out first, and the bar takes the room */
  assert_string_equal(line.text,
                      "[===>    ]   45%  step 120/266  loss 1.2346  1:05 left  1,234 tok/s  lr 0.00095");
  str_done(&line);
  json_object_del(progress, "learning_rate");
  json_object_set_new(progress, "train_mean_token_accuracy", json_real(61.249));
  line_of(&line, job, 0);
  assert_string_equal(line.text, " 45%  step 120/266  loss 1.2346  1:05 left  1,234 tok/s");
  str_done(&line);
}

static void a_plain_line_has_no_bar(void **state) {
  struct str line;
  (void)state;
  line_of(&line, running_job(), 0);
  assert_string_equal(line.text, " 45%  step 120/266  loss 1.2346  1:05 left  1,234 tok/s");
  str_done(&line);
}

static void no_line_is_too_wide(void **state) {
  (void)state;
  for (size_t columns = 1; columns < 130; columns++) {
    struct str line;
    line_of(&line, running_job(), columns);
    assert_true(line.length <= columns);
    str_done(&line);
  }
}

static void other_phases_are_named(void **state) {
  struct str line;
  json_t *job = running_job();
  (void)state;
  json_object_set_new(json_object_get(job, "progress"), "phase", json_string("evaluate"));
  line_of(&line, job, 0);
  assert_string_equal(line.text, " 45%  evaluate  step 120/266  loss 1.2346  1:05 left  1,234 tok/s");
  str_done(&line);
}

static void jobs_that_do_not_run_show_their_status(void **state) {
  struct str line;
  (void)state;
  line_of(&line, json_pack("{s:s, s:{s:i}}", "status", "queued", "scheduling", "queue_position", 3), 80);
  assert_string_equal(line.text, "queued  3 ahead in the queue");
  str_done(&line);
  json_t *job = running_job();
  json_object_set_new(job, "pausing", json_true());
  line_of(&line, job, 100);
  assert_non_null(strstr(line.text, "45%  pausing  step 120/266"));
  str_done(&line);
  job = running_job();
  json_object_set_new(job, "status", json_string("paused"));
  line_of(&line, job, 100);
  assert_string_equal(line.text, "paused  step 120/266");
  str_done(&line);
  line_of(&line, json_pack("{s:s, s:n}", "status", "running", "progress"), 80);
  assert_string_equal(line.text, "running");
  str_done(&line);
}

static void absurd_members_are_unknown(void **state) {
  struct str line;
  (void)state;
  line_of(&line, json_object(), 80);
  assert_string_equal(line.text, "unknown");
  str_done(&line);
  line_of(&line,
          json_pack("{s:s, s:{s:s,s:i,s:i,s:s,s:f,s:f}}", "status", "running", "progress", "phase", "train", "step",
                    900, "total_steps", 10, "train_loss", "low", "tokens_per_second", 1e300,
                    "seconds_remaining", 1e300),
          0);
  assert_string_equal(line.text, "100%  step 900/10  - left");
  str_done(&line);
  line_of(&line, json_pack("{s:s, s:{s:s}}", "status", "running", "progress", "phase", "tr\x1b[2Jain"), 80);
  assert_string_equal(line.text, "tr\\u001b[2Jain");
  str_done(&line);
}

static void bytes_are_shown(void **state) {
  struct str line;
  (void)state;
  str_init(&line, 1000);
  progress_bytes(&line, 1200000, 2400000, 2.0, 79);
  assert_string_equal(line.text, "[===============>              ]   50%  1.2 MB of 2.4 MB  600.0 kB/s");
  str_clear(&line);
  progress_bytes(&line, 999, 0, 0.1, 79);
  assert_string_equal(line.text, "999 B");
  str_done(&line);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_wide_line_has_everything),
    cmocka_unit_test(a_language_model_tells_its_token_accuracy),
    cmocka_unit_test(a_plain_line_has_no_bar),
    cmocka_unit_test(no_line_is_too_wide),
    cmocka_unit_test(other_phases_are_named),
    cmocka_unit_test(jobs_that_do_not_run_show_their_status),
    cmocka_unit_test(absurd_members_are_unknown),
    cmocka_unit_test(bytes_are_shown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
