/* The same question is asked once, an answer is found while it is fresh, and there is an end to what waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "server/questions.h"

static struct arena arena;
static json_t *body;

static struct job_spec spec_of(const char *suffix) {
  struct job_spec spec;
  struct fault_list faults = {0};
  json_decref(body);
  body = json_pack("{s:s, s:s, s:s}", "model", "m", "training_file", "file-1", "suffix", suffix);
  job_spec_parse(&spec, body, 0, &arena, &faults);
  assert_int_equal(faults.count, 0);
  return spec;
}

static struct question *ask(struct question_list *list, const char *tenant, const char *suffix, uint64_t version) {
  struct question *question;
  struct error err;
  const struct job_spec spec = spec_of(suffix);
  assert_int_equal(questions_ask(&question, list, TASK_ESTIMATE, tenant, &spec, version, &err), STATUS_OK);
  return question;
}

static void answer(struct question *question) {
  question->state = QUESTION_KNOWN;
  question->known_ms = clock_boot_ms();
  question->report = json_pack("{s:b}", "fits", 1);
}

static void the_same_is_asked_once(void **state) {
  (void)state;
  struct question_list list = {0};
  struct question *first = ask(&list, "a", "x", 1);
  assert_ptr_equal(ask(&list, "a", "x", 1), first);
  assert_ptr_not_equal(ask(&list, "b", "x", 1), first); /* another tenant's */
  assert_ptr_not_equal(ask(&list, "a", "x", 2), first); /* another version of the model */
  assert_ptr_not_equal(ask(&list, "a", "y", 1), first);
  assert_int_equal(questions_waiting(&list), 4);
  assert_ptr_equal(questions_next(&list), first); /* the oldest */
  const struct job_spec spec = spec_of("x");
  assert_null(questions_known(&list, TASK_ESTIMATE, "a", &spec, 1));
  answer(first);
  assert_ptr_equal(questions_known(&list, TASK_ESTIMATE, "a", &spec, 1), first);
  assert_null(questions_known(&list, TASK_SURVEY, "a", &spec, 1));
  assert_int_equal(questions_waiting(&list), 3);
  questions_free(&list);
  assert_null(list.first);
}

static void answers_grow_old(void **state) {
  (void)state;
  struct question_list list = {0};
  struct question *old = ask(&list, "a", "x", 1);
  answer(old);
  old->known_ms -= (QUESTION_FRESH_S + 1) * 1000;
  assert_int_equal(ask(&list, "a", "x", 1)->state, QUESTION_WANTED);
  assert_null(list.first->next);
  questions_free(&list);
}

static void there_is_an_end_to_it(void **state) {
  (void)state;
  struct question_list list = {0};
  struct question *question;
  struct error err;
  char suffix[16];
  size_t count = 0;
  for (int i = 0; i < QUESTIONS_WAITING_MAX; i++) {
    snprintf(suffix, sizeof suffix, "s%d", i);
    ask(&list, "a", suffix, 1);
  }
  const struct job_spec spec = spec_of("more");
  assert_int_equal(questions_ask(&question, &list, TASK_ESTIMATE, "a", &spec, 1, &err), STATUS_OVERLOADED);
  for (int i = 0; i < 3 * QUESTIONS_MAX; i++) { /* answers are dropped, the oldest first */
    for (question = list.first; question; question = question->next)
      if (question->state == QUESTION_WANTED)
        answer(question);
    snprintf(suffix, sizeof suffix, "t%d", i);
    ask(&list, "a", suffix, 1);
  }
  for (question = list.first; question; question = question->next)
    count++;
  assert_true(count <= QUESTIONS_MAX + 1);
  questions_free(&list);
}

int main(void) {
  arena_init(&arena, 64 << 20);
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_is_asked_once), cmocka_unit_test(answers_grow_old),
                                     cmocka_unit_test(there_is_an_end_to_it)};
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  json_decref(body);
  arena_done(&arena);
  return failed;
}
