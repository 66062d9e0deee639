/* Rotary frequencies are those of Transformers wherever config.json says them: in rope_parameters, in rope_scaling or
   at the top level. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/model/rotary.h"

enum { HEAD = 8, POSITIONS = 64 };

static const struct rotary_class plain = {.theta = 10000};

static enum status read_config(float out[HEAD / 2], const char *config, struct error *err) {
  struct model m = {.positions = POSITIONS};
  struct rotary_config rotary;
  arena_init(&m.arena, 1 << 20);
  m.checkpoint.config = json_loads(config, 0, NULL);
  assert_non_null(m.checkpoint.config);
  enum status status = rotary_read(&rotary, &m, HEAD, &plain, err);
  if (!status)
    memcpy(out, rotary.frequencies, HEAD / 2 * sizeof *out);
  json_decref(m.checkpoint.config);
  arena_done(&m.arena);
  return status;
}

/* Frequencies theta^(-2k/HEAD) / factor. */
static void gives(const char *config, double theta, double factor) {
  float f[HEAD / 2];
  struct error err = {0};
  if (read_config(f, config, &err))
    fail_msg("%s: %s", config, err.text);
  for (int k = 0; k < HEAD / 2; k++)
    if (fabs((double)f[k] / (pow(theta, -2.0 * k / HEAD) / factor) - 1) > 1e-6)
      fail_msg("%s: frequency %d is %g", config, k, (double)f[k]);
}

static void refuses(const char *config, const char *says) {
  float f[HEAD / 2];
  struct error err = {0};
  assert_int_equal(read_config(f, config, &err), STATUS_MODEL_INVALID);
  if (!strstr(err.text, says))
    fail_msg("%s: \"%s\" should say \"%s\"", config, err.text, says);
}

static void theta_is_found_where_it_stands(void **state) {
  (void)state;
  gives("{}", 10000, 1);
  gives("{\"rope_theta\": 777, \"rope_scaling\": null}", 777, 1);
  gives("{\"rope_theta\": 777, \"rope_scaling\": {}}", 777, 1);
  gives("{\"rope_theta\": 777, \"rope_parameters\": {\"rope_type\": \"default\"}}", 777, 1);
  gives("{\"rope_theta\": 5, \"rope_parameters\": {\"rope_theta\": 777}}", 777, 1);
  gives("{\"rope_theta\": 5, \"rope_scaling\": {\"rope_type\": \"default\", \"rope_theta\": 777}}", 777, 1);
}

static void scaling_is_found_where_it_stands(void **state) {
  (void)state;
  gives("{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}}", 10000, 4);
  gives("{\"rope_scaling\": {\"rope_type\": \"linear\", \"type\": \"default\", \"factor\": 4}}", 10000, 4);
  gives("{\"rope_parameters\": {\"type\": \"linear\", \"rope_theta\": 777, \"factor\": 2.5}}", 777, 2.5);
  /* both: rope_scaling is taken whole, and what it lacks is not looked for in the other */
  gives("{\"rope_parameters\": {\"rope_theta\": 777}, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}}", 10000,
        4);
  gives("{\"rope_parameters\": {\"rope_theta\": 777}, \"rope_scaling\": {}}", 777, 1);
}

#define LLAMA3 "\"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4, \"rope_type\": \"llama3\""

/* The numbers are Transformers' for theta 10000 and heads of 8. */
static void llama3_s_length_is_found_where_it_stands(void **state) {
  static const char *const of_16[] = {
      "{\"rope_scaling\": {\"original_max_position_embeddings\": 16, " LLAMA3 "}}",
      "{\"original_max_position_embeddings\": 16, \"rope_parameters\": {" LLAMA3 "}}",
      "{\"original_max_position_embeddings\": 16, \"rope_parameters\": {"
      "\"original_max_position_embeddings\": 32, " LLAMA3 "}}",
  };
  static const float want[] = {0.5760564F, 0.0125F, 0.00125F, 0.000125F};
  static const float of_64[] = {1, 0.01304226F, 0.00125F, 0.000125F};
  float f[HEAD / 2];
  struct error err = {0};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(of_16); i++) {
    assert_int_equal(read_config(f, of_16[i], &err), STATUS_OK);
    for (int k = 0; k < HEAD / 2; k++)
      assert_true(fabsf(f[k] / want[k] - 1) < 1e-5F);
  }
  assert_int_equal(read_config(f, "{\"rope_scaling\": {" LLAMA3 "}}", &err), STATUS_OK); /* max_position_embeddings */
  for (int k = 0; k < HEAD / 2; k++)
    assert_true(fabsf(f[k] / of_64[k] - 1) < 1e-5F);
}

static void what_is_not_understood_is_named(void **state) {
  (void)state;
  refuses("{\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 4}}",
          "rope_scaling: the type \"dynamic\" is not supported");
  refuses("{\"partial_rotary_factor\": 0.5}", "partial_rotary_factor 0.5 is not supported, 1 is");
  refuses("{\"rope_parameters\": {\"rope_type\": 3}}", "rope_parameters: rope_type must be a string");
  refuses("{\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 5}}}", "full_attention");
  refuses("{\"rope_scaling\": 4}", "rope_scaling: it must be an object");
  refuses("{\"rope_parameters\": {\"rope_theta\": 0}}", "rope_theta: it must be positive");
  refuses("{\"rope_parameters\": {\"rope_theta\": \"big\"}}", "rope_theta");
  refuses("{\"rope_scaling\": {\"type\": \"linear\"}}", "factor must be a positive number");
}

/* The frequencies of one kind of layers are theta^(-2k/HEAD) / factor, or it is refused with `says`. */
static void scaled_kind_gives(const char *config, const char *name, double theta, double factor, const char *says,
                              enum rotary_scaling scaling) {
  const struct rotary_kind kind = {name, "local_rope_theta", 300, scaling};
  struct model m = {.positions = POSITIONS};
  struct rotary_config rotary;
  struct error err = {0};
  arena_init(&m.arena, 1 << 20);
  m.checkpoint.config = json_loads(config, 0, NULL);
  assert_non_null(m.checkpoint.config);
  assert_int_equal(rotary_read_kind(&rotary, &m, HEAD, &kind, &err), says ? STATUS_MODEL_INVALID : STATUS_OK);
  if (says && !strstr(err.text, says))
    fail_msg("%s: \"%s\" should say \"%s\"", config, err.text, says);
  for (int k = 0; !says && k < HEAD / 2; k++)
    if (fabs((double)rotary.frequencies[k] / (pow(theta, -2.0 * k / HEAD) / factor) - 1) > 1e-6)
      fail_msg("%s: frequency %d is %g", config, k, (double)rotary.frequencies[k]);
  json_decref(m.checkpoint.config);
  arena_done(&m.arena);
}

static void kind_gives(const char *config, const char *name, double theta, double factor, const char *says) {
  scaled_kind_gives(config, name, theta, factor, says, ROTARY_SCALING_REFUSED);
}

/* One scaling for all layers belongs to one kind of them. */
static void a_kind_takes_the_scaling_or_not(void **state) {
  static const char config[] =
      "{\"local_rope_theta\": 5, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 8}}";
  (void)state;
  scaled_kind_gives(config, "one", 5, 8, NULL, ROTARY_SCALING_TAKEN);
  scaled_kind_gives(config, "one", 5, 1, NULL, ROTARY_SCALING_IGNORED);
  scaled_kind_gives(config, "one", 5, 1, "rope_scaling", ROTARY_SCALING_REFUSED);
}

static void kinds_of_layers_differ(void **state) {
  static const char both[] = "{\"local_rope_theta\": 5, \"rope_parameters\": {\"one\": {\"rope_theta\": 777},"
                             "\"two\": {\"rope_type\": \"linear\", \"factor\": 4}, \"three\": null}}";
  (void)state;
  kind_gives("{\"rope_theta\": 777}", "one", 300, 1, NULL);
  kind_gives("{\"local_rope_theta\": 777, \"rope_scaling\": null, \"rope_parameters\": null}", "one", 777, 1, NULL);
  kind_gives(both, "one", 777, 1, NULL);
  kind_gives(both, "two", 5, 4, NULL);
  kind_gives(both, "three", 5, 1, NULL);
  kind_gives(both, "four", 5, 1, NULL);
  kind_gives("{\"rope_parameters\": {\"rope_theta\": 7}}", "one", 0, 0, "rope_parameters: rope_theta: it must be an");
  kind_gives("{\"rope_parameters\": 7}", "one", 0, 0, "rope_parameters: it must be an object");
  kind_gives("{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}}", "one", 0, 0, "rope_scaling");
  kind_gives("{\"rope_parameters\": {\"one\": {\"rope_type\": \"dynamic\"}}}", "one", 0, 0, "\"dynamic\" is not");
  kind_gives("{\"rope_parameters\": {\"one\": {\"rope_type\": \"longrope\", \"short_factor\": [1, 1, 1, 1],"
             "\"long_factor\": [1, 1, 1, 1]}}}",
             "one", 0, 0, "longrope is not supported where");
  kind_gives("{\"local_rope_theta\": -1}", "one", 0, 0, "must be positive");
}

/* A config as a whole, for a class of that kind. */
static struct rotary_config read_all(struct model *m, const char *text, const struct rotary_class *class,
                                     const char *says) {
  struct rotary_config rotary = {0};
  struct error err = {0};
  *m = (struct model){.positions = POSITIONS};
  arena_init(&m->arena, 1 << 20);
  m->checkpoint.config = json_loads(text, 0, NULL);
  assert_non_null(m->checkpoint.config);
  assert_int_equal(rotary_read(&rotary, m, HEAD, class, &err), says ? STATUS_MODEL_INVALID : STATUS_OK);
  if (says && !strstr(err.text, says))
    fail_msg("%s: \"%s\" should say \"%s\"", text, err.text, says);
  return rotary;
}

static void done(struct model *m) {
  json_decref(m->checkpoint.config);
  arena_done(&m->arena);
}

static void near(const float *got, const float *want, size_t count) {
  for (size_t k = 0; k < count; k++)
    if (fabsf(got[k] / want[k] - 1) > 2e-6F)
      fail_msg("frequency %zu is %.9g, not %.9g", k, (double)got[k], (double)want[k]);
}

/* The numbers are Transformers' for theta 10000 and heads of 8, positions up to 64. */
static void yarn_blends(void **state) {
  static const struct {
    const char *members;
    float want[HEAD / 2];
    double attention_factor;
  } cases[] = {
      {"\"factor\": 4, \"original_max_position_embeddings\": 16", {1, 0.025F, 0.0025F, 0.00025F}, 1.138629436111989},
      {"\"factor\": 4, \"original_max_position_embeddings\": 16, \"beta_fast\": 2, \"beta_slow\": 0.25, "
       "\"mscale\": 0.5, \"mscale_all_dim\": 2",
       {1, 0.0625F, 0.0025F, 0.00025F},
       0.8371949816203595},
      {"\"factor\": 4, \"original_max_position_embeddings\": 32, \"beta_fast\": 4, \"beta_slow\": 0.5, "
       "\"truncate\": false, \"attention_factor\": 1.5",
       {1, 0.0256643984F, 0.0025F, 0.00025F},
       1.5},
      {"\"original_max_position_embeddings\": 16", {1, 0.025F, 0.0025F, 0.00025F}, 1.138629436111989},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[300];
    struct model m;
    snprintf(text, sizeof text, "{\"rope_scaling\": {\"type\": \"yarn\", %s}}", cases[i].members);
    struct rotary_config rotary = read_all(&m, text, &plain, NULL);
    near(rotary.frequencies, cases[i].want, HEAD / 2);
    assert_true(fabs(rotary.attention_factor - cases[i].attention_factor) < 1e-9);
    done(&m);
  }
}

static const struct rotary_class phi3 = {
    .theta = 10000, .original_positions = 16, .partial = true, .longrope_alone = true};
#define LONGROPE "\"short_factor\": [1, 1.25, 1.5], \"long_factor\": [1.1, 2.5, 4]"

/* Six of eight channels turn; the class's length goes before the object's. */
static void longrope_has_two_sets(void **state) {
  static const char *const names[] = {"longrope", "su", "yarn"};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    char text[300];
    struct model m;
    snprintf(text, sizeof text,
             "{\"partial_rotary_factor\": 0.75, \"rope_scaling\": {\"type\": \"%s\", "
             "\"original_max_position_embeddings\": 32, " LONGROPE "}}",
             names[i]);
    struct rotary_config rotary = read_all(&m, text, &phi3, NULL);
    const float third = powf(10000, -1.0F / 3);
    near(rotary.frequencies, (float[]){1, third / 1.25F, third * third / 1.5F}, 3);
    near(rotary.long_frequencies, (float[]){1 / 1.1F, third / 2.5F, third * third / 4}, 3);
    assert_int_equal(rotary.turned, 6);
    assert_int_equal(rotary.short_most, 16);
    assert_true(fabs(rotary.attention_factor - sqrt(1 + log(4) / log(16))) < 1e-12);
    done(&m);
  }
}

static void what_longrope_lacks_is_named(void **state) {
  static const char *const cases[][2] = {
      {"{\"rope_scaling\": {\"type\": \"longrope\", " LONGROPE "}}", "short_factor: it must have a number for each of"},
      {"{\"partial_rotary_factor\": 0.75, \"rope_scaling\": {\"type\": \"su\"}}", "short_factor"},
      {"{\"partial_rotary_factor\": 0.75, \"rope_scaling\": {\"type\": \"su\", \"short_factor\": [1, 1, 1], "
       "\"long_factor\": [1, 1, 0]}}",
       "long_factor: its numbers must be positive"},
      {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}", "\"linear\" is none of this model_type"},
      {"{\"partial_rotary_factor\": 0.4}", "is 3: rotary positions turn pairs"},
      {"{\"partial_rotary_factor\": 1.5}", "partial_rotary_factor 1.5 is not supported"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct model m;
    (void)read_all(&m, cases[i][0], &phi3, cases[i][1]);
    done(&m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(theta_is_found_where_it_stands),
      cmocka_unit_test(scaling_is_found_where_it_stands),
      cmocka_unit_test(llama3_s_length_is_found_where_it_stands),
      cmocka_unit_test(what_is_not_understood_is_named),
      cmocka_unit_test(yarn_blends),
      cmocka_unit_test(longrope_has_two_sets),
      cmocka_unit_test(what_longrope_lacks_is_named),
      cmocka_unit_test(kinds_of_layers_differ),
      cmocka_unit_test(a_kind_takes_the_scaling_or_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
