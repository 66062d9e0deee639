/* The jobs of a sweep: every combination once and in order, fields where the job has them, methods at the size that
   matches; and what is refused, by the name of the member. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/sweep.h"
#include "base/json.h"

struct fixture {
  struct arena arena;
  json_t *body;
  struct sweep_spec sweep;
  struct fault_list faults;
  struct error err;
};

static int setup(void **state) {
  struct fixture *f = *state = calloc(1, sizeof *f);
  arena_init(&f->arena, 8 << 20);
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  json_decref(f->body);
  arena_done(&f->arena);
  free(f);
  return 0;
}

/* ' for ". */
static json_t *json_of(const char *text) {
  char quoted[4096];
  json_t *out = NULL;
  struct error err;
  snprintf(quoted, sizeof quoted, "%s", text);
  for (char *p = quoted; *p; p++)
    *p = *p == '\'' ? '"' : *p;
  assert_int_equal(json_parse(&out, quoted, strlen(quoted), NULL, &err), STATUS_OK);
  return out;
}

static void parse(struct fixture *f, const char *text) {
  json_decref(f->body);
  f->body = json_of(text);
  f->faults = (struct fault_list){0};
  sweep_parse(&f->sweep, f->body, &f->arena, &f->faults);
}

/* Combination `index` has this body and these values. */
static void makes(struct fixture *f, size_t index, const char *body, const char *values) {
  struct sweep_combination got;
  AUTO(json_release) json_t *want = json_of(body);
  AUTO(json_release) json_t *differs = json_of(values);
  assert_int_equal(f->faults.count, 0);
  assert_int_equal(sweep_combine(&got, &f->sweep, index, 7, &f->err), STATUS_OK);
  if (!json_equal(got.body, want) || !json_equal(got.values, differs))
    fail_msg("%zu: %s %s", index, json_dumps(got.body, 0), json_dumps(got.values, 0));
  sweep_combination_done(&got);
}

static void expands_a_grid(void **state) {
  struct fixture *f = *state;
  parse(f, "{'job':{'model':'m'},'grid':{'adapter.r':[4,8],'learning_rate':[1e-3,3e-4,1e-4]}}");
  assert_int_equal(f->sweep.count, 6);
  AUTO(json_release) json_t *varied = sweep_varied(&f->sweep);
  AUTO(json_release) json_t *want = json_of("['adapter.r','learning_rate']");
  assert_true(json_equal(varied, want));
  makes(f, 0,
        "{'model':'m','seed':7,'adapter':{'r':4},'method':{'type':'supervised','supervised':{'hyperparameters':"
        "{'learning_rate':1e-3}}}}",
        "{'adapter.r':4,'learning_rate':1e-3}");
  makes(f, 1,
        "{'model':'m','seed':7,'adapter':{'r':4},'method':{'type':'supervised','supervised':{'hyperparameters':"
        "{'learning_rate':3e-4}}}}",
        "{'adapter.r':4,'learning_rate':3e-4}");
  makes(f, 5,
        "{'model':'m','seed':7,'adapter':{'r':8},'method':{'type':'supervised','supervised':{'hyperparameters':"
        "{'learning_rate':1e-4}}}}",
        "{'adapter.r':8,'learning_rate':1e-4}");
}

static void finds_the_place_of_hyperparameters(void **state) {
  struct fixture *f = *state;
  parse(f, "{'job':{'seed':1,'hyperparameters':{'n_epochs':2}},'list':[{'batch_size':4}]}");
  makes(f, 0, "{'seed':1,'hyperparameters':{'n_epochs':2,'batch_size':4}}", "{'batch_size':4}");
  parse(f, "{'job':{'seed':1,'method':{'type':'lora','lora':{'hyperparameters':{'r':4}}}},'grid':{'n_epochs':[5]}}");
  makes(f, 0, "{'seed':1,'method':{'type':'lora','lora':{'hyperparameters':{'r':4,'n_epochs':5}}}}", "{'n_epochs':5}");
  parse(f, "{'job':{'seed':1},'grid':{'method.supervised.hyperparameters.n_epochs':[5]}}");
  makes(f, 0, "{'seed':1,'method':{'type':'supervised','supervised':{'hyperparameters':{'n_epochs':5}}}}",
        "{'n_epochs':5}");
  parse(f, "{'job':{},'grid':{'seed':[3,4],'model':['a']}}"); /* no hyperparameters */
  makes(f, 1, "{'seed':4,'model':'a'}", "{'seed':4,'model':'a'}");
}

static void takes_combinations_one_by_one(void **state) {
  struct fixture *f = *state;
  parse(f, "{'job':{'seed':1,'adapter':{'r':2,'apply_GS':true,'target_modules':['q']}},"
           "'list':[{},{'adapter.peft_type':'LORA','adapter.lora_alpha':16},{'adapter.r':null}]}");
  assert_int_equal(f->sweep.count, 3);
  makes(f, 0, "{'seed':1,'adapter':{'r':2,'apply_GS':true,'target_modules':['q']}}", "{}");
  makes(f, 1, "{'seed':1,'adapter':{'peft_type':'LORA','lora_alpha':16,'target_modules':['q']}}",
        "{'adapter.peft_type':'LORA','adapter.lora_alpha':16}");
  makes(f, 2, "{'seed':1,'adapter':{'apply_GS':true,'target_modules':['q']}}", "{'adapter.r':null}");
}

static void matches_methods(void **state) {
  struct fixture *f = *state;
  parse(f, "{'job':{'seed':1,'adapter':{'peft_type':'HRA','r':16,'init_weights':true,'target_modules':['q']}},"
           "'methods':['hra','hra-gs','hra-lambda','lora','oft','boft'],'match':'trainable_parameters',"
           "'grid':{'learning_rate':[1,2]},'metric':'f1','goal':'maximize'}");
  static const char *const adapters[] = {"'peft_type':'HRA','r':16",
                                         "'peft_type':'HRA','r':16,'apply_GS':true",
                                         "'peft_type':'HRA','r':16,'orth_lambda':1e-4",
                                         "'peft_type':'LORA','r':8",
                                         "'peft_type':'OFT','oft_block_size':32",
                                         "'peft_type':'BOFT','boft_block_size':16"};
  static const char *const values[] = {"'hra','size':'r 16'", "'hra-gs','size':'r 16'",  "'hra-lambda','size':'r 16'",
                                       "'lora','size':'r 8'", "'oft','size':'block 32'", "'boft','size':'block 16'"};
  assert_int_equal(f->sweep.count, 12);
  for (size_t i = 0; i < COUNT_OF(adapters); i++) {
    char body[400], differs[100];
    snprintf(body, sizeof body,
             "{'seed':1,'adapter':{%s,'target_modules':['q']},'evaluation':{'metric':'f1'},'method':{'type':"
             "'supervised','supervised':{'hyperparameters':{'learning_rate':2}}}}",
             adapters[i]);
    snprintf(differs, sizeof differs, "{'method':%s,'learning_rate':2}", values[i]);
    makes(f, 2 * i + 1, body, differs);
  }
  parse(f, "{'job':{'seed':1},'methods':['lora']}"); /* HRA of 8 reflections, as a job has it by itself */
  makes(f, 0, "{'seed':1,'adapter':{'peft_type':'LORA','r':4}}", "{'method':'lora','size':'r 4'}");
  parse(f, "{'job':{'seed':1,'adapter':{'peft_type':'lora'}},'methods':['hra']}");
  makes(f, 0, "{'seed':1,'adapter':{'peft_type':'HRA','r':16}}", "{'method':'hra','size':'r 16'}");
}

static void refuses(void **state) {
  struct fixture *f = *state;
  static const struct {
    const char *body, *param;
  } rows[] = {
      {"{'grid':{'seed':[1]}}", "job"},
      {"{'job':[],'grid':{'seed':[1]}}", "job"},
      {"{'job':{}}", "grid"},
      {"{'job':{},'grid':{}}", "grid"},
      {"{'job':{},'grid':[1]}", "grid"},
      {"{'job':{},'grid':{'seed':[]}}", "grid.seed"},
      {"{'job':{},'grid':{'seed':5}}", "grid.seed"},
      {"{'job':{},'grid':{'seed':[1,2,1]}}", "grid.seed"},
      {"{'job':{},'grid':{'':[1]}}", "grid."},
      {"{'job':{},'grid':{'a..b':[1]}}", "grid.a..b"},
      {"{'job':{},'grid':{'adapter.r.':[1]}}", "grid.adapter.r."},
      {"{'job':{},'grid':{'evaluation.metric':['f1']}}", "grid.evaluation.metric"},
      {"{'job':{},'grid':{'adapter':[{'r':1}],'adapter.r':[2]}}", "grid"},
      {"{'job':{},'grid':{'n_epochs':[1],'method.supervised.hyperparameters.n_epochs':[2]}}", "grid"},
      {"{'job':{},'grid':{'seed':[1]},'list':[{'seed':2}]}", "list"},
      {"{'job':{},'list':[]}", "list"},
      {"{'job':{},'list':{'seed':1}}", "list"},
      {"{'job':{},'list':[{'seed':1},5]}", "list[1]"},
      {"{'job':{},'list':[{'seed':1},{'seed':2},{'seed':1}]}", "list[2]"},
      {"{'job':{},'list':[{'seed':1},{'adapter.':1}]}", "list[1].adapter."},
      {"{'job':{},'methods':['qlora']}", "methods[0]"},
      {"{'job':{},'methods':['hra','lora','hra']}", "methods[2]"},
      {"{'job':{},'methods':['hra'],'grid':{'adapter.r':[1]}}", "grid.adapter.r"},
      {"{'job':{'adapter':{'peft_type':'OFT','r':4}},'methods':['hra']}", "methods"},
      {"{'job':{'adapter':{'r':'8'}},'methods':['hra']}", "methods"},
      {"{'job':{},'methods':['hra'],'match':'time'}", "match"},
      {"{'job':{},'grid':{'seed':[1]},'metric':'beauty'}", "metric"},
      {"{'job':{'evaluation':{'metric':'f1'}},'grid':{'seed':[1]},'metric':'loss'}", "metric"},
      {"{'job':{},'grid':{'seed':[1]},'metric':'loss','goal':'maximize'}", "goal"},
      {"{'job':{},'grid':{'seed':[1]},'goal':'most'}", "goal"},
      {"{'job':{},'grid':{'seed':[1]},'gird':{}}", "gird"},
      {"{'job':{},'grid':{'a':[1,2,3,4,5],'b':[1,2,3,4,5],'c':[1,2,3,4,5]}}", "grid"},
      {"{'job':{},'methods':['hra','lora'],'grid':{'a':[1,2,3,4,5,6,7,8],'b':[1,2,3,4,5,6,7]}}", "grid"},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    parse(f, rows[i].body);
    if (f->faults.count != 1 || strcmp(f->faults.item[0].param, rows[i].param) != 0)
      fail_msg("%s: %zu faults, %s: %s", rows[i].body, f->faults.count, f->faults.item[0].param,
               f->faults.item[0].text);
  }
}

static void describes(void **state) {
  char text[40];
  AUTO(json_release) json_t *values = json_of("{'adapter.r':8,'learning_rate':0.001,'model':'ä'}");
  (void)state;
  sweep_describe(text, sizeof text, values);
  assert_string_equal(text, "adapter.r = 8, learning_rate = 0.001, m");
  sweep_describe(text, 15, values);
  assert_string_equal(text, "adapter.r = 8,");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(expands_a_grid, setup, teardown),
      cmocka_unit_test_setup_teardown(finds_the_place_of_hyperparameters, setup, teardown),
      cmocka_unit_test_setup_teardown(takes_combinations_one_by_one, setup, teardown),
      cmocka_unit_test_setup_teardown(matches_methods, setup, teardown),
      cmocka_unit_test_setup_teardown(refuses, setup, teardown),
      cmocka_unit_test(describes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
