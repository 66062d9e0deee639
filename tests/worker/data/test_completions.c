/* Records of preference tuning: what each form is read as, what is refused and where, and what becomes of them in a
   corpus: a pair whole or not at all, KTO's second sequences with the completion of the one before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/objective.h"
#include "base/json.h"
#include "tests/worker/data/data_file.h"
#include "tests/worker/text/family.h"
#include "worker/data/completions.h"
#include "worker/data/corpus.h"

/* The first record of lines with ' for ". */
static enum status read_line(struct completions_record *out, enum completions_kind *kind, const char *lines,
                             enum record_format format, struct records **records, struct error *err) {
  static char text[4000];
  const struct record *record;
  snprintf(text, sizeof text, "%s", lines);
  for (char *c = text; *c; c++)
    *c = *c == '\'' ? '"' : *c;
  *err = (struct error){0};
  assert_int_equal(records_open_memory(records, text, strlen(text), format, err), STATUS_OK);
  assert_int_equal(records_next(*records, &record, err), STATUS_OK);
  *kind = completions_kind_of(*records, record);
  return completions_read(out, *records, record, *kind == COMPLETIONS_NONE ? COMPLETIONS_PAIR : *kind, err);
}

static void texts_are_read(void **state) {
  (void)state;
  static const struct {
    const char *lines, *prompt, *chosen, *rejected;
    enum record_format format;
  } cases[] = {
      {"{'prompt':'p ','chosen':'a','rejected':'b'}", "p ", "a", "b", RECORD_JSONL},
      {"{'prompt':'','chosen':'a','rejected':'b'}", "", "a", "b", RECORD_JSONL},
      {"{'chosen':'one two three','rejected':'one two four'}", "one two", " three", " four", RECORD_JSONL},
      {"{'chosen':'one two','rejected':'one'}", "on", "e two", "e", RECORD_JSONL},
      {"{'chosen':'h\xc3\xa9','rejected':'h\xc3\xa8'}", "h", "\xc3\xa9", "\xc3\xa8", RECORD_JSONL},
      {"prompt,chosen,rejected\np,a,b\n", "p", "a", "b", RECORD_CSV},
      {"{'prompt':'p','completion':'c','label':true}", "p", "c", NULL, RECORD_JSONL},
      {"prompt,completion,label\np,c,False\n", "p", "c", NULL, RECORD_CSV},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct completions_record c;
    struct records *records;
    struct error err;
    enum completions_kind kind;
    if (read_line(&c, &kind, cases[i].lines, cases[i].format, &records, &err))
      fail_msg("%s: %s", cases[i].lines, err.text);
    assert_int_equal(kind, cases[i].rejected ? COMPLETIONS_PAIR : COMPLETIONS_RATED);
    assert_int_equal(c.prompt_length, strlen(cases[i].prompt));
    assert_true(c.prompt_length == 0 || memcmp(c.prompt, cases[i].prompt, c.prompt_length) == 0);
    assert_int_equal(c.lengths[0], strlen(cases[i].chosen));
    assert_memory_equal(c.texts[0], cases[i].chosen, c.lengths[0]);
    if (cases[i].rejected)
      assert_memory_equal(c.texts[1], cases[i].rejected, c.lengths[1]);
    else
      assert_int_equal(c.desirable, strstr(cases[i].lines, "true") != NULL);
    completions_done(&c);
    records_close(records);
  }
}

#define ASK "{'role':'user','content':'q'}"
#define SAY(text) "{'role':'assistant','content':'" text "'}"

static void chats_are_read(void **state) {
  (void)state;
  static const struct {
    const char *line, *chosen;
  } cases[] = {
      {"{'input':{'messages':[" ASK "," SAY("x") "," ASK "],'tools':[{'type':'function'}]},'preferred_output':[" SAY(
           "a") "],'non_preferred_output':[" SAY("b") "]}",
       "{'messages':[{'role':'user','content':'q','weight':0},{'role':'assistant','content':'x','weight':0},"
       "{'role':'user','content':'q','weight':0}," SAY("a") "],'tools':[{'type':'function'}]}"},
      {"{'prompt':[" ASK "],'chosen':[" SAY("a") "],'rejected':[" SAY("b") "]}",
       "{'messages':[{'role':'user','content':'q','weight':0}," SAY("a") "]}"},
      {"{'chosen':[" ASK "," SAY("a") "],'rejected':[" ASK "," SAY("b") "]}",
       "{'messages':[{'role':'user','content':'q','weight':0}," SAY("a") "]}"},
      {"{'prompt':[" ASK "],'completion':[" SAY("a") "],'label':false}",
       "{'messages':[{'role':'user','content':'q','weight':0}," SAY("a") "]}"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct completions_record c;
    struct records *records;
    struct error err;
    enum completions_kind kind;
    if (read_line(&c, &kind, cases[i].line, RECORD_JSONL, &records, &err))
      fail_msg("%s: %s", cases[i].line, err.text);
    char *text = json_dumps(c.chats[0], JSON_COMPACT);
    for (char *at = text; *at; at++)
      *at = *at == '"' ? '\'' : *at;
    assert_string_equal(text, cases[i].chosen);
    free(text);
    completions_done(&c);
    records_close(records);
  }
}

static void is_refused(void **state) {
  (void)state;
  static const struct {
    const char *line, *param, *says;
  } cases[] = {
      {"{'prompt':'p','chosen':'a','rejected':'a'}", "rejected", "line 1, column 39: chosen and rejected are equal"},
      {"{'prompt':'p','chosen':'a'}", "rejected", "line 1, column 1: no member rejected"},
      {"{'prompt':'p','chosen':'','rejected':'a'}", "chosen", "line 1, column 24: chosen is empty"},
      {"{'prompt':['p'],'chosen':'a','rejected':'b'}", "prompt", "prompt must be a string as the rest of the line"},
      {"{'prompt':'p','chosen':[" SAY("a") "],'rejected':[" SAY("b") "]}", "prompt",
       "prompt must be a list of messages"},
      {"{'prompt':[" ASK "],'chosen':[" SAY("a") "],'rejected':'b'}", "rejected", "as the other answer, not a string"},
      {"{'input':[],'preferred_output':[" SAY("a") "],'non_preferred_output':[" SAY("b") "]}", "input",
       "line 1, column 10: input must be an object with messages, not an array"},
      {"{'input':{'messages':[" ASK "]},'preferred_output':[" ASK "],'non_preferred_output':[" SAY("b") "]}",
       "preferred_output", "no message has the role assistant"},
      {"{'input':{'messages':[" ASK "]},'preferred_output':[" SAY("a") "]}", "non_preferred_output",
       "no member non_preferred_output"},
      {"{'input':{'messages':[" ASK
       "],'tools':{}},'preferred_output':[" SAY("a") "],'non_preferred_output':[" SAY("b") "]}",
       "tools", "tools must be a list"},
      {"{'input':{'messages':[" ASK "]},'preferred_output':[" SAY("a") "],'non_preferred_output':[" SAY("a") "]}",
       "non_preferred_output", "preferred_output and non_preferred_output are equal"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct completions_record c;
    struct records *records;
    struct error err;
    enum completions_kind kind;
    enum status status = read_line(&c, &kind, cases[i].line, RECORD_JSONL, &records, &err);
    if (status != STATUS_DATASET_INVALID || strcmp(err.param, cases[i].param) != 0 || !strstr(err.text, cases[i].says))
      fail_msg("%s: %d, %s: %s", cases[i].line, (int)status, err.param, err.text);
    records_close(records);
  }
}

/* --- corpora -------------------------------------------------------------------------------------- */

static enum status read_corpus(struct corpus *out, const char *text, enum objective objective, size_t max_length,
                               struct error *err) {
  struct tokenizer *tokenizer = open_family("smollm");
  struct pool *pool;
  const struct language_options options = {.text = "text",
                                           .messages = "messages",
                                           .prompt = "prompt",
                                           .completion = "completion",
                                           .chat_template = "chatml",
                                           .eos = {.id = -1},
                                           .objective = (int)objective,
                                           .group = 2,
                                           .max_length = max_length,
                                           .vocabulary = 100000};
  *err = (struct error){0};
  put_data(text);
  assert_int_equal(pool_new(&pool, 2, err), STATUS_OK);
  enum status status =
      corpus_read(out, data_file, "x.jsonl", tokenizer, &options, FAMILIES "smollm", NULL, pool, NULL, err);
  pool_free(pool);
  tokenizer_free(tokenizer);
  return status;
}

static size_t learnt(const struct corpus *c, size_t sequence) {
  size_t n = 0;
  for (size_t t = c->cu_seqlens[sequence]; t < c->cu_seqlens[sequence + 1]; t++)
    n += c->loss_mask[t];
  return n;
}

static void pairs_are_two_sequences(void **state) {
  (void)state;
  struct corpus c;
  struct error err;
  static const char text[] = "{\"prompt\":\"a \",\"chosen\":\"b c\",\"rejected\":\"d\"}\n"
                             "{\"prompt\":\"a b c d e f g h i j k l\",\"chosen\":\" x\",\"rejected\":\" y\"}\n"
                             "{\"prompt\":\"say \",\"chosen\":\"a b c d e f g h i j k l\",\"rejected\":\"b\"}\n";
  if (read_corpus(&c, text, OBJECTIVE_DPO, 8, &err))
    fail_msg("%s", err.text);
  assert_int_equal(c.count, 2);
  assert_int_equal(c.texts, 2);
  assert_int_equal(c.notes[NOTE_CUT_OFF].count, 1);
  assert_int_equal(c.notes[NOTE_CUT_OFF].line, 2);
  assert_int_equal(c.truncated, 1);
  for (size_t s = 0; s < 4; s++)
    assert_true(learnt(&c, s) > 0 && c.cu_seqlens[s + 1] - c.cu_seqlens[s] <= 8 && !c.loss_mask[c.cu_seqlens[s]]);
  assert_int_equal(c.token_ids[c.cu_seqlens[0]], c.token_ids[c.cu_seqlens[1]]);
  corpus_done(&c);
  assert_int_equal(read_corpus(&c, "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n{\"text\":\"a\"}\n",
                               OBJECTIVE_ORPO, 100, &err),
                   STATUS_DATASET_INVALID);
  assert_non_null(strstr(err.text, "line 2"));
  assert_int_equal(read_corpus(&c, "{\"text\":\"a\"}\n", OBJECTIVE_DPO, 100, &err), STATUS_DATASET_INVALID);
  assert_non_null(strstr(err.text, "method.type dpo learns from pairs of answers"));
}

/* Two groups of two, and a rest of one whose completion is its own. */
static void rated_ones_are_mismatched(void **state) {
  (void)state;
  struct corpus c;
  struct error err;
  char text[1000] = "";
  for (int i = 0; i < 5; i++)
    snprintf(text + strlen(text), sizeof text - strlen(text),
             "{\"prompt\":\"say %d\",\"completion\":\" one%.*s\",\"label\":%s}\n", i, 4 * i, " two two two two",
             i % 2 ? "false" : "true");
  if (read_corpus(&c, text, OBJECTIVE_KTO, 100, &err))
    fail_msg("%s", err.text);
  assert_int_equal(c.count, 5);
  static const size_t others[] = {1, 0, 3, 2, 4};
  for (size_t e = 0; e < 5; e++) {
    assert_int_equal(c.desirable[e], e % 2 == 0);
    assert_int_equal(learnt(&c, 2 * e + 1), learnt(&c, 2 * others[e]));
    size_t own = c.cu_seqlens[2 * e + 1] - c.cu_seqlens[2 * e],
           mixed = c.cu_seqlens[2 * e + 2] - c.cu_seqlens[2 * e + 1];
    assert_int_equal(own - learnt(&c, 2 * e), mixed - learnt(&c, 2 * e + 1));
    assert_int_equal(c.token_ids[c.cu_seqlens[2 * e + 2] - 1], c.token_ids[c.cu_seqlens[2 * others[e] + 1] - 1]);
  }
  corpus_done(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(texts_are_read), cmocka_unit_test(chats_are_read),
                                     cmocka_unit_test(is_refused), cmocka_unit_test(pairs_are_two_sequences),
                                     cmocka_unit_test(rated_ones_are_mismatched)};
  return cmocka_run_group_tests(tests, make_data_file, remove_data_file);
}
