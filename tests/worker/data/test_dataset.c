/* Labels mean what design and documentation say: strings, integers and floats, in files that declare
   them (JSONL) and files where they are found out (CSV, TSV). What cannot be used is refused at its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "tests/worker/data/data_file.h"
#include "worker/data/dataset.h"

static const struct dataset_columns columns = {"text", "text_pair", "label", PROBLEM_AUTO, false, NULL};

static enum status load(struct dataset *out, const char *name, const char *text, const struct dataset *labels_of,
                        struct error *err) {
  *err = (struct error){0};
  put_data(text);
  return dataset_load(out, data_file, name, &columns, labels_of, err);
}

/* "kind: names | text[/pair]=label ..." */
static void describe(struct str *out, const struct dataset *d) {
  str_clear(out);
  str_puts(out, d->label_kind == LABEL_CLASS ? d->numbered ? "numbered:" : "named:" : "float:");
  for (size_t i = 0; i < d->num_labels; i++)
    str_printf(out, " %s", d->label_names[i]);
  str_puts(out, " |");
  for (size_t i = 0; i < d->count; i++) {
    const struct example *e = &d->examples[i];
    assert_int_equal(e->text_length, strlen(e->text));
    str_printf(out, " %s%s%s=", e->text, e->pair ? "/" : "", e->pair ? e->pair : "");
    if (d->label_kind == LABEL_CLASS)
      str_printf(out, "%u", e->label);
    else
      str_printf(out, "%g", (double)e->target);
  }
}

static void reads_labels(void **state) {
  (void)state;
  static const struct {
    const char *name, *text, *want;
  } cases[] = {
      {"x.jsonl", "{\"text\":\"a\",\"label\":\"pos\"}\n{\"text\":\"b\",\"label\":\"neg\"}\n",
       "named: neg pos | a=1 b=0"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":\"10\"}\n{\"text\":\"b\",\"label\":\"9\"}\n", "named: 10 9 | a=0 b=1"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\",\"label\":0}\n",
       "numbered: LABEL_0 LABEL_1 | a=1 b=0"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":3.0}\n{\"text\":\"b\",\"label\":-0.5}\n", "float: LABEL_0 | a=3 b=-0.5"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":1.5}\n{\"text\":\"b\",\"label\":1}\n", "float: LABEL_0 | a=1.5 b=1"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":1.0}\n{\"text\":\"b\",\"label\":0.0}\n",
       "numbered: LABEL_0 LABEL_1 | a=1 b=0"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":3}\n{\"text\":\"b\",\"label\":\"4\"}\n{\"text\":\"c\",\"label\":\"3\"}\n",
       "named: 3 4 | a=0 b=1 c=0"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":true}\n{\"text\":\"b\",\"label\":false}\n", "named: false true | a=1 b=0"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":0}\n{\"text\":\"b\",\"label\":2}\n", "named: 0 2 | a=0 b=1"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":-1}\n{\"text\":\"b\",\"label\":1}\n", "named: -1 1 | a=0 b=1"},
      {"x.csv", "text,label\na,5\nb,10\nc,1\n", "named: 1 5 10 | a=1 b=2 c=0"},
      {"x.csv", "text,label\na,1.0\nb,0.0\nc,1\n", "numbered: LABEL_0 LABEL_1 | a=1 b=0 c=1"},
      {"x.csv", "text,label\na,1.1\nb,1.10\nc,beta\n", "named: 1.1 1.10 beta | a=0 b=1 c=2"},
      {"x.csv", "text,label\na,1234567890123456789\nb,2\n", "named: 1234567890123456789 2 | a=0 b=1"},
      {"x.csv", "text,text_pair,label\na,,x\nb,p,y\n", "named: x y | a=0 b/p=1"},
      {"x.jsonl", "{\"text\":\"a\",\"text_pair\":\"\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"y\"}\n",
       "named: x y | a=0 b=1"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":2.5}\n", "float: LABEL_0 | a=2.5"},
      {"x.jsonl",
       "{\"text\":\"a\",\"text_pair\":\"p\",\"label\":1}\n{\"text\":\"b\",\"label\":0}\n{\"text\":\"c\","
       "\"text_pair\":null,\"label\":0}",
       "numbered: LABEL_0 LABEL_1 | a/p=1 b=0 c=0"},
      {"x.csv", "text,label\na,1\nb,0\nc,2\n", "numbered: LABEL_0 LABEL_1 LABEL_2 | a=1 b=0 c=2"},
      {"x.csv", "text,label\na,1\nb,0.5\n", "float: LABEL_0 | a=1 b=0.5"},
      {"x.csv", "text,label\na,1e2\nb,-3\n", "named: -3 100 | a=1 b=0"},
      {"x.csv", "text,label\na,1\nb,x\nc,0.5\n", "named: 0.5 1 x | a=1 b=2 c=0"},
      {"x.csv", "text,label\na,007\nb,1\n", "named: 007 1 | a=0 b=1"},
      {"x.csv", "text,label\na,nan\nb,1.\nc,1e999\n", "named: 1. 1e999 nan | a=2 b=0 c=1"},
      {"x.csv", "label,other,text,text_pair\nx,1,a,p\ny,2,b,q\n", "named: x y | a/p=0 b/q=1"},
      {"x.tsv", "text\tlabel\nsay \"a\"\t\xC3\xA9\nb\tz\n", "named: z \xC3\xA9 | say \"a\"=1 b=0"},
  };
  struct str out;
  str_init(&out, 1 << 16);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset d;
    struct error err;
    if (load(&d, cases[i].name, cases[i].text, NULL, &err))
      fail_msg("%s: %s", cases[i].text, err.text);
    describe(&out, &d);
    assert_string_equal(out.text, cases[i].want);
    dataset_done(&d);
  }
  str_done(&out);
}

static void refuses_what_cannot_be_used(void **state) {
  (void)state;
  static const struct {
    const char *name, *text, *param, *says;
  } cases[] = {
      {"x.jsonl", "{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\",\"label\":\"x\"}\n", "label",
       "line 2, column 21: label is \"x\", but on line 1 it is a number"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":2}\n", "label",
       "line 2, column 21: label is a number, but on line 1 it is \"x\""},
      {"x.jsonl", "{\"text\":\"a\",\"label\":{}}\n", "label",
       "line 1, column 21: label must be a string, a number, true or false, not an object"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":null}\n", "label", "line 1, column 21: label is null"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":[0]}\n", "label", "not an array"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":\"\"}\n", "label", "label is empty"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":1e300}\n", "label", "too large for a 32-bit float"},
      {"x.jsonl", "{\"text\":\"a\"}\n", "label", "line 1, column 1: no member label"},
      {"x.jsonl", "{\"label\":1}\n", "text", "line 1, column 1: no member text"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":1}\n{\"text\":\"\",\"label\":0}\n", "text",
       "line 2, column 9: text is empty"},
      {"x.jsonl", "{\"text\":5,\"label\":1}\n", "text", "line 1, column 9: text must be a string, not an integer"},
      {"x.jsonl", "{\"text\":\"a\",\"text_pair\":1,\"label\":1}\n", "text_pair", "text_pair must be a string"},
      {"x.jsonl", "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"x\"}\n", "label",
       "every example has the label x"},
      {"x.csv", "text,label\na,1.0\nb,1\n", "label", "line 2, column 3: every example has the label 1"},
      {"x.csv", "text,label\na,x\nb,\n", "label", "line 3, column 3: label is empty"},
      {"x.csv", "text,label\n,x\n", "text", "line 2, column 1: text is empty"},
      {"x.csv", "text,category\na,x\n", "label",
       "line 1, column 1: no column is named label; there are: text, category"},
      {"x.csv", "sentence,label\na,x\n", "text", "no column is named text; there are: sentence, label"},
      {"x.csv", "", "", "the file is empty"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset d;
    struct error err;
    enum status status = load(&d, cases[i].name, cases[i].text, NULL, &err);
    if (status != STATUS_DATASET_INVALID || strcmp(err.param, cases[i].param) != 0 || !strstr(err.text, cases[i].says))
      fail_msg("%s: status %d, param %s, \"%s\" should say \"%s\"", cases[i].text, (int)status, err.param, err.text,
               cases[i].says);
    assert_int_equal(d.count, 0);
    dataset_done(&d);
  }
}

static void validates_with_the_training_labels(void **state) {
  (void)state;
  struct dataset train, valid;
  struct error err;
  struct str out;
  str_init(&out, 1 << 16);
  assert_int_equal(load(&train, "x.csv", "text,label\na,red\nb,blue\nc,3\n", NULL, &err), STATUS_OK);
  assert_int_equal(load(&valid, "x.csv", "text,label\nd,blue\ne,blue\nf,3\n", &train, &err), STATUS_OK);
  describe(&out, &valid);
  assert_string_equal(out.text, "named: 3 blue red | d=1 e=1 f=0");
  dataset_done(&valid);
  assert_int_equal(load(&valid, "x.csv", "text,label\nd,blue\ne,green\n", &train, &err), STATUS_DATASET_INVALID);
  assert_string_equal(err.text, "line 3, column 3: the label green does not occur in the training file");
  assert_int_equal(load(&valid, "x.jsonl", "{\"text\":\"d\",\"label\":3.0}", &train, &err), STATUS_OK);
  describe(&out, &valid);
  assert_string_equal(out.text, "named: 3 blue red | d=0");
  dataset_done(&valid);
  dataset_done(&train);

  assert_int_equal(load(&train, "x.csv", "text,label\na,0\nb,1\nc,2\n", NULL, &err), STATUS_OK);
  assert_int_equal(load(&valid, "x.jsonl", "{\"text\":\"d\",\"label\":2}", &train, &err), STATUS_OK);
  describe(&out, &valid);
  assert_string_equal(out.text, "numbered: LABEL_0 LABEL_1 LABEL_2 | d=2");
  dataset_done(&valid);
  assert_int_equal(load(&valid, "x.csv", "text,label\nd,3\n", &train, &err), STATUS_DATASET_INVALID);
  assert_string_equal(err.text, "line 2, column 3: the label 3 does not occur in the training file");
  assert_int_equal(load(&valid, "x.csv", "text,label\nd,1.0\ne,-1\n", &train, &err), STATUS_DATASET_INVALID);
  assert_string_equal(err.text, "line 3, column 3: the label -1 does not occur in the training file");
  static const char forms[] = "{\"text\":\"d\",\"label\":\"1\"}\n{\"text\":\"d\",\"label\":2.0}";
  assert_int_equal(load(&valid, "x.jsonl", forms, &train, &err), STATUS_OK);
  describe(&out, &valid);
  assert_string_equal(out.text, "numbered: LABEL_0 LABEL_1 LABEL_2 | d=1 d=2");
  dataset_done(&valid);
  dataset_done(&train);

  assert_int_equal(load(&train, "x.csv", "text,label\na,10\nb,-1\nc,9.0\n", NULL, &err), STATUS_OK);
  static const char others[] = "{\"text\":\"d\",\"label\":\"9\"}\n{\"text\":\"e\",\"label\":10.0}";
  assert_int_equal(load(&valid, "x.jsonl", others, &train, &err), STATUS_OK);
  describe(&out, &valid);
  assert_string_equal(out.text, "named: -1 9 10 | d=1 e=2");
  dataset_done(&valid);
  dataset_done(&train);

  assert_int_equal(load(&train, "x.jsonl", "{\"text\":\"a\",\"label\":0.5}", NULL, &err), STATUS_OK);
  assert_int_equal(load(&valid, "x.csv", "text,label\nd,3\n", &train, &err), STATUS_OK);
  describe(&out, &valid);
  assert_string_equal(out.text, "float: LABEL_0 | d=3");
  dataset_done(&valid);
  assert_int_equal(load(&valid, "x.csv", "text,label\nd,high\n", &train, &err), STATUS_DATASET_INVALID);
  dataset_done(&train);
  str_done(&out);
}

static void uses_the_columns_it_is_told(void **state) {
  (void)state;
  static const char text[] = "id,question,topic\n1,a,x\n2,b,y\n";
  const struct dataset_columns other = {"question", NULL, "topic", PROBLEM_AUTO, false, NULL};
  struct dataset d;
  struct error err;
  put_data(text);
  assert_int_equal(dataset_load(&d, data_file, "x.csv", &other, NULL, &err), STATUS_OK);
  assert_int_equal(d.count, 2);
  assert_string_equal(d.examples[1].text, "b");
  assert_string_equal(d.label_names[d.examples[1].label], "y");
  assert_int_equal(d.examples[1].line, 3);
  dataset_done(&d);
}

/* A text may have any of the labels, each once; a validation file has no others. */
static void reads_lists_of_labels(void **state) {
  (void)state;
  static const struct dataset_columns lists = {"text", NULL, "labels", PROBLEM_SINGLE_LABEL, true, NULL};
  static const struct {
    const char *text, *says;
  } bad[] = {
      {"{\"text\":\"a\",\"labels\":[\"z\"]}", "line 1, column 22: the label z does not occur in the training file"},
      {"{\"text\":\"a\",\"labels\":[\"x\",0]}", "labels has an integer as its entry 2; each label must be a string"},
      {"{\"text\":\"a\",\"labels\":[\"\"]}", "a label of 0 bytes as its entry 1"},
      {"{\"text\":\"a\",\"labels\":\"x\"}", "labels must be a list of labels, as [\"a\", \"b\"], not a string"},
      {"{\"text\":\"a\"}", "no member labels"},
  };
  struct dataset train, valid;
  struct error err;
  put_data("{\"text\":\"a\",\"labels\":[\"y\",\"x\",\"y\"]}\n{\"text\":\"b\",\"labels\":[]}\n"
           "{\"text\":\"c\",\"labels\":[\"0\"]}\n");
  assert_int_equal(dataset_load(&train, data_file, "x.jsonl", &lists, NULL, &err), STATUS_OK);
  assert_true(train.lists && train.num_labels == 3 && train.count == 3);
  assert_string_equal(train.label_names[0], "0");
  assert_string_equal(train.label_names[2], "y");
  assert_true(train.examples[0].mark_count == 2 && train.marks[0] == 2 && train.marks[1] == 1);
  assert_true(train.examples[1].mark_count == 0 && train.examples[2].mark_count == 1 && train.marks[2] == 0);
  put_data("{\"text\":\"d\",\"labels\":[\"x\"]}\n{\"text\":\"e\",\"labels\":[\"y\",\"0\"]}\n");
  assert_int_equal(dataset_load(&valid, data_file, "x.jsonl", &lists, &train, &err), STATUS_OK);
  assert_true(valid.num_labels == 3 && valid.marks[0] == 1 && valid.marks[1] == 2 && valid.marks[2] == 0);
  dataset_done(&valid);
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    put_data(bad[i].text);
    if (dataset_load(&valid, data_file, "x.jsonl", &lists, &train, &err) != STATUS_DATASET_INVALID ||
        !strstr(err.text, bad[i].says))
      fail_msg("%s: %s", bad[i].text, err.text);
  }
  put_data("{\"text\":\"a\",\"labels\":[\"x\"]}\n{\"text\":\"b\",\"labels\":[]}\n");
  assert_int_equal(dataset_load(&valid, data_file, "x.jsonl", &lists, NULL, &err), STATUS_DATASET_INVALID);
  dataset_done(&train);
}

/* problem_type decides what numbers are. */
static void makes_what_is_asked_for(void **state) {
  (void)state;
  struct dataset_columns asked = columns;
  struct dataset d;
  struct error err;
  struct str out;
  str_init(&out, 1 << 16);
  asked.problem_type = PROBLEM_REGRESSION;
  put_data("text,label\na,1\nb,3\n");
  assert_int_equal(dataset_load(&d, data_file, "x.csv", &asked, NULL, &err), STATUS_OK);
  describe(&out, &d);
  assert_string_equal(out.text, "float: LABEL_0 | a=1 b=3");
  dataset_done(&d);
  put_data("text,label\na,1\nb,n/a\n");
  assert_int_equal(dataset_load(&d, data_file, "x.csv", &asked, NULL, &err), STATUS_DATASET_INVALID);
  assert_string_equal(err.text, "line 3, column 3: label is \"n/a\", not a number: a regression cannot learn it");
  asked.problem_type = PROBLEM_SINGLE_LABEL;
  put_data("text,label\na,1.5\nb,0.50\nc,1\nd,0.5\n");
  assert_int_equal(dataset_load(&d, data_file, "x.csv", &asked, NULL, &err), STATUS_OK);
  describe(&out, &d);
  assert_string_equal(out.text, "named: 0.5 1 1.5 | a=2 b=0 c=1 d=0");
  dataset_done(&d);
  str_done(&out);
}

/* A task of GLUE: its files' own names, its classes in its order, also those that no example has. */
static void reads_glue(void **state) {
  (void)state;
  static const struct {
    const char *task, *name, *text, *want;
  } cases[] = {
      {"cola", "x.tsv", "gj04\t1\t\tA b.\ngj04\t0\t*\tB.\n", "named: unacceptable acceptable | A b.=1 B.=0"},
      {"sst2", "x.tsv", "sentence\tlabel\na \t1\nb\t0\n", "named: negative positive | a =1 b=0"},
      {"mrpc", "x.txt",
       "\xEF\xBB\xBFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tsaid \"a\t\"b\n0\t7\t8\tc\td\n",
       "named: not_equivalent equivalent | said \"a/\"b=1 c/d=0"},
      {"mrpc", "x.jsonl",
       "{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":1,\"idx\":0}\n{\"sentence1\":\"c\",\"sentence2\":\"d\","
       "\"label\":0,\"idx\":1}\n",
       "named: not_equivalent equivalent | a/b=1 c/d=0"},
      {"stsb", "x.tsv", "index\tgenre\tsentence1\tsentence2\tscore\n0\tg\ta\tb\t5.000\n1\tg\tc\td\t2\n",
       "float: LABEL_0 | a/b=5 c/d=2"},
      {"qqp", "x.tsv", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta\tb\t0\n1\t1\t2\tc\td\t1\n",
       "named: not_duplicate duplicate | a/b=0 c/d=1"},
      {"mnli", "x.tsv",
       "index\tsentence1\tsentence2\tlabel1\tgold_"
       "label\n0\ta\tb\tneutral\tcontradiction\n1\tc\td\tneutral\tentailment\n",
       "named: entailment neutral contradiction | a/b=2 c/d=0"},
      {"mnli", "x.jsonl",
       "{\"premise\":\"a\",\"hypothesis\":\"b\",\"label\":2}\n{\"premise\":\"c\",\"hypothesis\":\"d\",\"label\":0}\n",
       "named: entailment neutral contradiction | a/b=2 c/d=0"},
      {"qnli", "x.tsv", "index\tquestion\tsentence\tlabel\n0\tq\ts\tnot_entailment\n1\tr\tt\tentailment\n",
       "named: entailment not_entailment | q/s=1 r/t=0"},
      {"rte", "x.jsonl",
       "{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":\"not_entailment\"}\n{\"sentence1\":\"c\",\"sentence2\":"
       "\"d\",\"label\":\"entailment\"}\n",
       "named: entailment not_entailment | a/b=1 c/d=0"},
      {"cola", "x.tsv", "index\tsentence\n0\tA b.\n",
       "! line 1, column 1: no column is named label: GLUE's test files have no labels (they are not published); train "
       "and validate on the others"},
      {"cola", "x.jsonl", "{\"sentence\":\"a\",\"label\":-1}\n",
       "! line 1, column 25: the label is -1, which is none: GLUE's test files have no labels (they are not "
       "published); train and validate on the others"},
      {"stsb", "x.jsonl", "{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":-1.0}\n",
       "! line 1, column 42: a score below 0: GLUE's test files have no labels (they are not published); train and "
       "validate on the others"},
      {"mnli", "x.jsonl", "{\"premise\":\"a\",\"hypothesis\":\"b\",\"label\":\"-\"}\n",
       "! line 1, column 41: the label - is none of glue/mnli's: entailment (or 0), neutral (or 1), contradiction (or "
       "2)"},
      {"sst2", "x.tsv", "sentence\tlabel\na\t1\nb\t1\n",
       "! line 2, column 3: every example has the label 1; at least two are needed"},
  };
  struct str out;
  str_init(&out, 1 << 16);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    const struct glue_task *task = glue_find(cases[i].task);
    const struct dataset_columns asked = {task->text[0], task->pair[0], task->label[0],
                                          task->class_count ? PROBLEM_SINGLE_LABEL : PROBLEM_REGRESSION, false, task};
    struct dataset d, again;
    struct error err;
    put_data(cases[i].text);
    if (dataset_load(&d, data_file, cases[i].name, &asked, NULL, &err)) {
      str_clear(&out);
      str_printf(&out, "! %s", err.text);
    } else {
      describe(&out, &d);
      assert_int_equal(dataset_load(&again, data_file, cases[i].name, &asked, &d, &err), STATUS_OK);
      assert_int_equal(again.examples[1].label, d.examples[1].label);
      assert_int_equal(again.num_labels, d.num_labels);
      dataset_done(&again);
    }
    assert_string_equal(out.text, cases[i].want);
    dataset_done(&d);
  }
  str_done(&out);
}

static void tells_mnlis_subsets_apart(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"x.tsv", "index\tgenre\tsentence1\tsentence2\tgold_label\n0\tslate\ta\tb\tneutral\n"
                "1\toup\ta\tb\tentailment\n2\t\ta\tb\tneutral\n"},
      {"x.jsonl", "{\"genre\":\"slate\",\"premise\":\"a\",\"hypothesis\":\"b\",\"label\":1}\n"
                  "{\"genre\":\"oup\",\"premise\":\"a\",\"hypothesis\":\"b\",\"label\":0}\n"
                  "{\"premise\":\"a\",\"hypothesis\":\"b\",\"label\":1}\n"}};
  const struct dataset_columns asked = {"premise", "hypothesis", "label", PROBLEM_SINGLE_LABEL, false,
                                        glue_find("mnli")};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset d;
    struct error err;
    put_data(cases[i][1]);
    assert_int_equal(dataset_load(&d, data_file, cases[i][0], &asked, NULL, &err), STATUS_OK);
    assert_int_equal(d.examples[0].subset, GLUE_MATCHED);
    assert_int_equal(d.examples[1].subset, GLUE_MISMATCHED);
    assert_int_equal(d.examples[2].subset, GLUE_SUBSET_NONE);
    dataset_done(&d);
  }
}

static void counts_classes_up_to_a_limit(void **state) {
  (void)state;
  struct str text;
  struct dataset d;
  struct error err;
  str_init(&text, 16 << 20);
  str_puts(&text, "text,label\n");
  for (int i = 0; i < 70000; i++)
    str_printf(&text, "t,%d.5\n", i);
  assert_int_equal(load(&d, "x.csv", text.text, NULL, &err), STATUS_OK);
  assert_int_equal(d.label_kind, LABEL_FLOAT);
  assert_int_equal(d.count, 70000);
  assert_true(d.examples[69999].target == 69999.5f);
  dataset_done(&d);
  str_puts(&text, "t,word\n");
  assert_int_equal(load(&d, "x.csv", text.text, NULL, &err), STATUS_DATASET_INVALID);
  assert_string_equal(err.text, "line 65538, column 3: more than 65536 different labels");
  str_done(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_lists_of_labels),
      cmocka_unit_test(reads_labels),
      cmocka_unit_test(refuses_what_cannot_be_used),
      cmocka_unit_test(validates_with_the_training_labels),
      cmocka_unit_test(uses_the_columns_it_is_told),
      cmocka_unit_test(makes_what_is_asked_for),
      cmocka_unit_test(reads_glue),
      cmocka_unit_test(tells_mnlis_subsets_apart),
      cmocka_unit_test(counts_classes_up_to_a_limit),
  };
  return cmocka_run_group_tests(tests, make_data_file, remove_data_file);
}
