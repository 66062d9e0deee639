/* Proves: rows are read by their table of columns, whatever the kind, and a list ends where it must. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/row.h"

struct thing {
  int64_t number, none;
  bool flag;
  const char *text, *missing;
  enum { WORD_A, WORD_B } word;
  const char *untouched;
};

static bool parse_word(void *member, const char *word) {
  *(int *)member = strcmp(word, "b") == 0 ? WORD_B : WORD_A;
  return word[0] != 'c';
}

#define AT(member) offsetof(struct thing, member)
static const struct column columns[] = {
    {"value + value", COLUMN_INT, AT(number), NULL}, {"nullif(value, value)", COLUMN_INT, AT(none), NULL},
    {"value > 1", COLUMN_BOOL, AT(flag), NULL},  {"'t' || value", COLUMN_TEXT, AT(text), NULL},
    {"NULL", COLUMN_TEXT, AT(missing), NULL},
    {"iif(value = 2, 'b', iif(value = 9, 'c', 'a'))", COLUMN_WORD, AT(word), parse_word},
};
#undef AT
static const struct row_type thing_type = {"a thing", sizeof(struct thing), columns, COUNT_OF(columns)};
static const char things[] = "SELECT * FROM json_each('[1,2,3]')";

struct fixture {
  char folder[32], path[64];
  struct db *db;
  struct arena arena;
  struct error err;
};

static int set_up(void **state) {
  static struct fixture f;
  snprintf(f.folder, sizeof f.folder, "/tmp/reflect-row-XXXXXX");
  if (!mkdtemp(f.folder))
    return -1;
  snprintf(f.path, sizeof f.path, "%s/db", f.folder);
  arena_init(&f.arena, 1 << 20);
  *state = &f;
  return db_open(&f.db, f.path, true, &f.err) ? -1 : 0;
}

static int tear_down(void **state) {
  struct fixture *f = *state;
  db_close(f->db);
  arena_done(&f->arena);
  unlink(f->path);
  return rmdir(f->folder);
}

static void every_kind_of_column(void **state) {
  struct fixture *f = *state;
  for (int round = 0; round < 2; round++) { /* prepared, and prepared already */
    AUTO(stmt_done) struct stmt stmt = {0};
    struct thing thing;
    bool found;
    assert_int_equal(row_open(&stmt, f->db, &thing_type, things, &f->err), STATUS_OK);
    for (int64_t i = 1; i <= 3; i++) {
      memset(&thing, 0xFF, sizeof thing);
      assert_int_equal(row_next(&thing, &found, &thing_type, &stmt, &f->arena, &f->err), STATUS_OK);
      assert_true(found);
      assert_int_equal(thing.number, 2 * i);
      assert_int_equal(thing.none, 0);
      assert_int_equal(thing.flag, i > 1);
      assert_int_equal(thing.text[1], '0' + i);
      assert_null(thing.missing);
      assert_int_equal(thing.word, i == 2 ? WORD_B : WORD_A);
      assert_null(thing.untouched);
    }
    assert_int_equal(row_next(&thing, &found, &thing_type, &stmt, &f->arena, &f->err), STATUS_OK);
    assert_false(found);
  }
}

static void a_list_ends_at_its_limit(void **state) {
  struct fixture *f = *state;
  for (int64_t limit = 2; limit <= 3; limit++) {
    AUTO(stmt_done) struct stmt stmt = {0};
    struct row_list list;
    assert_int_equal(row_open(&stmt, f->db, &thing_type, things, &f->err), STATUS_OK);
    assert_int_equal(row_list(&list, &thing_type, &stmt, limit, &f->arena, &f->err), STATUS_OK);
    assert_int_equal(list.count, limit);
    assert_int_equal(list.more, limit < 3);
    assert_string_equal(((const struct thing *)list.rows)[1].text, "t2");
  }
}

static void a_row_without_memory(void **state) {
  struct fixture *f = *state;
  AUTO(stmt_done) struct stmt stmt = {0};
  AUTO(arena_done) struct arena none;
  struct thing thing;
  bool found;
  arena_init(&none, 1);
  assert_int_equal(row_open(&stmt, f->db, &thing_type, things, &f->err), STATUS_OK);
  assert_int_equal(row_next(&thing, &found, &thing_type, &stmt, &none, &f->err), STATUS_OUT_OF_MEMORY);
}

static void a_word_that_is_none(void **state) {
  struct fixture *f = *state;
  AUTO(stmt_done) struct stmt stmt = {0};
  struct thing thing;
  bool found;
  assert_int_equal(row_open(&stmt, f->db, &thing_type, "SELECT * FROM json_each('[9]')", &f->err), STATUS_OK);
  assert_int_equal(row_next(&thing, &found, &thing_type, &stmt, &f->arena, &f->err), STATUS_DAMAGED);
  assert_non_null(strstr(f->err.text, "the row of a thing is damaged"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(every_kind_of_column, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_list_ends_at_its_limit, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_row_without_memory, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_word_that_is_none, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
