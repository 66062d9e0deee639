/* Tests: what stands after `is`. */
#include "worker/jinja/run.h"

static bool answer(struct jinja_value *out, bool b) {
  *out = jinja_bool(b);
  return true;
}

#define KIND_TEST(name, condition)                                                                                     \
  static bool test_##name(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,                \
                          const struct jinja_bound *b) {                                                               \
    (void)run;                                                                                                         \
    (void)b;                                                                                                           \
    return answer(out, condition);                                                                                     \
  }

KIND_TEST(defined, in->kind != VALUE_UNDEFINED)
KIND_TEST(undefined, in->kind == VALUE_UNDEFINED)
KIND_TEST(none, jinja_is_none(in))
KIND_TEST(string, in->kind == VALUE_STRING)
KIND_TEST(number, jinja_is_number(in))
KIND_TEST(integer, in->kind == VALUE_INT)
KIND_TEST(float, in->kind == VALUE_FLOAT)
KIND_TEST(boolean, in->kind == VALUE_BOOL)
KIND_TEST(true, in->kind == VALUE_BOOL && in->boolean)
KIND_TEST(false, in->kind == VALUE_BOOL && !in->boolean)
KIND_TEST(mapping, in->kind == VALUE_DICT)
KIND_TEST(escaped, in->kind == VALUE_STRING && in->text->safe)
KIND_TEST(callable, in->kind == VALUE_MACRO || in->kind == VALUE_FUNCTION || in->kind == VALUE_METHOD ||
                        in->kind == VALUE_LOOP)

static bool is_iterable(const struct jinja_value *v) {
  return v->kind == VALUE_UNDEFINED || v->kind == VALUE_STRING || v->kind == VALUE_LIST || v->kind == VALUE_TUPLE ||
         v->kind == VALUE_GENERATOR || v->kind == VALUE_DICT || v->kind == VALUE_LOOP;
}
KIND_TEST(iterable, is_iterable(in))
/* Has a length and items: undefined has neither here, as its __getitem__ exists but its uses fail. */
KIND_TEST(sequence, is_iterable(in) && in->kind != VALUE_GENERATOR && in->kind != VALUE_LOOP)

static bool letters(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                    enum jinja_letter_case want) {
  struct jinja_string t, same, other;
  if (!jinja_str(run, &t, in) || !jinja_change_case(run, &same, &t, want) ||
      !jinja_change_case(run, &other, &t, want == CASE_UPPER ? CASE_LOWER : CASE_UPPER))
    return false;
  /* Needs at least one letter that has a case. */
  return answer(out, jinja_same(&t, &same) && !jinja_same(&same, &other));
}

static bool test_upper(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  (void)b;
  return letters(run, out, in, CASE_UPPER);
}

static bool test_lower(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                       const struct jinja_bound *b) {
  (void)b;
  return letters(run, out, in, CASE_LOWER);
}

/* in % divisor == remainder */
static bool remainder_is(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                         const struct jinja_value *divisor, int64_t remainder) {
  struct jinja_value rest, want = jinja_int(remainder);
  bool equal;
  if (!jinja_binary(run, &rest, '%', in, divisor) || !jinja_equal(run, &equal, &rest, &want))
    return false;
  return answer(out, equal);
}

static bool test_odd(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                     const struct jinja_bound *b) {
  struct jinja_value two = jinja_int(2);
  (void)b;
  return remainder_is(run, out, in, &two, 1);
}

static bool test_even(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                      const struct jinja_bound *b) {
  struct jinja_value two = jinja_int(2);
  (void)b;
  return remainder_is(run, out, in, &two, 0);
}

static bool test_divisibleby(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                             const struct jinja_bound *b) {
  return remainder_is(run, out, in, &b->item[0], 0);
}

#define COMPARISON_TEST(name, op)                                                                                      \
  static bool test_##name(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,                \
                          const struct jinja_bound *b) {                                                               \
    bool holds;                                                                                                        \
    return jinja_compare(run, &holds, op, in, &b->item[0]) && answer(out, holds);                                      \
  }

COMPARISON_TEST(eq, OP_EQ)
COMPARISON_TEST(ne, OP_NE)
COMPARISON_TEST(lt, '<')
COMPARISON_TEST(le, OP_LE)
COMPARISON_TEST(gt, '>')
COMPARISON_TEST(ge, OP_GE)
COMPARISON_TEST(in, OP_IN)

static bool test_sameas(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  const struct jinja_value *other = &b->item[0];
  bool simple = in->kind == VALUE_NONE || in->kind == VALUE_BOOL || in->kind != other->kind;
  bool equal;
  if (!simple)
    return jinja_unsupported(run, "the test \"sameas\" is supported for none, true and false alone");
  return jinja_equal(run, &equal, in, other) && answer(out, equal && in->kind == other->kind);
}

static bool exists(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                   const struct jinja_builtin *(*find)(const struct jinja_string *name)) {
  struct jinja_string name;
  return jinja_str(run, &name, in) && answer(out, find(&name) != NULL);
}

static bool test_filter(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                        const struct jinja_bound *b) {
  (void)b;
  return exists(run, out, in, jinja_find_filter);
}

static bool test_test(struct jinja_run *run, struct jinja_value *out, const struct jinja_value *in,
                      const struct jinja_bound *b) {
  (void)b;
  return exists(run, out, in, jinja_find_test);
}

const struct jinja_builtin *jinja_find_test(const struct jinja_string *name) {
  static const struct jinja_builtin tests[] = {
      {"boolean", "", 0, test_boolean},     {"callable", "", 0, test_callable},
      {"defined", "", 0, test_defined},     {"divisibleby", "num", 1, test_divisibleby},
      {"eq", "other", 1, test_eq},          {"==", "other", 1, test_eq},
      {"equalto", "other", 1, test_eq},     {"escaped", "", 0, test_escaped},
      {"even", "", 0, test_even},           {"false", "", 0, test_false},
      {"filter", "", 0, test_filter},       {"float", "", 0, test_float},
      {"ge", "other", 1, test_ge},          {">=", "other", 1, test_ge},
      {"greaterthan", "other", 1, test_gt}, {"gt", "other", 1, test_gt},
      {">", "other", 1, test_gt},           {"in", "seq", 1, test_in},
      {"integer", "", 0, test_integer},     {"iterable", "", 0, test_iterable},
      {"le", "other", 1, test_le},          {"<=", "other", 1, test_le},
      {"lessthan", "other", 1, test_lt},    {"lower", "", 0, test_lower},
      {"lt", "other", 1, test_lt},          {"<", "other", 1, test_lt},
      {"mapping", "", 0, test_mapping},     {"ne", "other", 1, test_ne},
      {"!=", "other", 1, test_ne},          {"none", "", 0, test_none},
      {"number", "", 0, test_number},       {"odd", "", 0, test_odd},
      {"sameas", "other", 1, test_sameas},  {"sequence", "", 0, test_sequence},
      {"string", "", 0, test_string},       {"test", "", 0, test_test},
      {"true", "", 0, test_true},           {"undefined", "", 0, test_undefined},
      {"upper", "", 0, test_upper},
  };
  return jinja_find_row(tests, COUNT_OF(tests), name);
}
