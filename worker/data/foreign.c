/* A table of names; what needs a look at the values as well comes before it. */
#include "worker/data/foreign.h"

#include <jansson.h>

enum { MEMBERS_MAX = 4 };

#define WRITE_MESSAGES                                                                                                 \
  "{\"messages\": [{\"role\": \"user\", \"content\": ...}, {\"role\": \"assistant\", \"content\": ...}]}"

/* The first row whose members a line has all. Rows with more members stand before those with fewer. */
static const struct {
  const char *members[MEMBERS_MAX];
  const char *advice;
} known[] = {
    {{"custom_id", "body"},
     "the lines are requests of OpenAI's Batch API, which have no answers: write each body's messages and the "
     "assistant's answer as " WRITE_MESSAGES},
    {{"custom_id", "response"},
     "the lines are results of OpenAI's Batch API: write each request's messages and the answer's message "
     "as " WRITE_MESSAGES},
    {{"preferred_output", "non_preferred_output"}, NULL},
    {{"chosen", "rejected"}, NULL},
    {{"prompt", "completion", "label"},
     "the lines are rated completions: method.type \"kto\" learns from their labels; a supervised job would learn "
     "those that were rated bad too"},
    {{"prompt", "completion", "text"}, NULL},
    {{"prompt", "completion"}, NULL},
    {{"instruction", "input", "output"},
     "the lines are Alpaca's (instruction, input, output): write the instruction and the input as prompt and the "
     "output "
     "as completion; where every input is empty, dataset.prompt \"instruction\" and dataset.completion \"output\" do"},
    {{"instruction", "context", "response"},
     "the lines are Dolly's (instruction, context, response): write the instruction and the context as prompt and the "
     "response as completion"},
    {{"instruction", "output"},
     "the lines are instructions with outputs: name them by dataset.prompt \"instruction\" and dataset.completion "
     "\"output\""},
    {{"instruction", "response"},
     "the lines are instructions with responses: name them by dataset.prompt \"instruction\" and dataset.completion "
     "\"response\""},
    {{"question", "answer"},
     "the lines are questions with answers: name them by dataset.prompt \"question\" and dataset.completion "
     "\"answer\""},
    {{"query", "response"},
     "the lines are queries with responses: name them by dataset.prompt \"query\" and dataset.completion \"response\""},
    {{"prompt", "response"},
     "the lines are prompts with responses: name the response by dataset.completion \"response\""},
    {{"input", "target"},
     "the lines are inputs with targets: name them by dataset.prompt \"input\" and dataset.completion \"target\""},
    {{"inputs", "targets"},
     "the lines are inputs with targets: name them by dataset.prompt \"inputs\" and dataset.completion \"targets\""},
    {{"input", "output"},
     "the lines are inputs with outputs: name them by dataset.prompt \"input\" and dataset.completion \"output\""},
    {{"input_ids"},
     "the lines are token ids: write the text itself, as {\"text\": ...}; each model has a tokenizer of its own"},
    {{"embedding"}, "the lines hold embeddings: models here learn from texts, as {\"text\": ..., \"label\": ...}"},
    {{"anchor", "positive"}, NULL},
    {{"query", "positive"}, NULL},
    {{"query", "passage"}, NULL},
    {{"query", "document"}, NULL},
    {{"query", "pos"},
     "the lines are queries with lists of passages: write each query with one of its pos as {\"anchor\": ..., "
     "\"positive\": ...}, and with one of its neg as \"negative\""},
    {{"sentence1", "sentence2", "score"}, NULL},
    {{"sentence1", "sentence2"},
     "the lines are pairs of sentences: name them by dataset.text \"sentence1\" and dataset.text_pair \"sentence2\""},
    {{"sentence"}, "the texts are in sentence: name it by dataset.text \"sentence\""},
    {{"contents"},
     "the lines are Gemini's (contents with parts): write them as " WRITE_MESSAGES ", the role model as assistant"},
};

static bool has(const struct records *records, const struct record *record, const char *name) {
  return record->object ? json_object_get(record->object, name) != NULL : records_column(records, name) >= 0;
}

/* Messages under another name. */
static const char *conversations(const json_t *turns) {
  const json_t *turn = json_array_get(turns, 0);
  if (json_object_get(turn, "role") && json_object_get(turn, "content"))
    return "the messages are in conversations: name it by dataset.messages \"conversations\"";
  return NULL;
}

/* {"data": [{...}, {...}]}: a whole data set as one object. */
static bool is_wrapped(const json_t *object) {
  json_t *value = json_object_iter_value(json_object_iter((json_t *)(uintptr_t)object));
  return json_object_size(object) == 1 && json_is_object(json_array_get(value, 0));
}

const char *foreign_advice(const struct records *records, const struct record *record) {
  if (record->object) {
    const json_t *turns = json_object_get(record->object, "conversations");
    const char *advice = json_object_get(record->object, "messages") ? NULL : conversations(turns);
    if (advice)
      return advice;
    if (!turns && !json_object_get(record->object, "messages") && is_wrapped(record->object))
      return "the line is one object around a list of objects: write each of them as a line of its own (jq -c '.[][]')";
  }
  bool useful = has(records, record, "text");
  for (size_t i = 0; i < COUNT_OF(known) && !useful; i++) {
    size_t j = 0;
    while (j < MEMBERS_MAX && known[i].members[j] && has(records, record, known[i].members[j]))
      j++;
    if (j == MEMBERS_MAX || !known[i].members[j])
      return known[i].advice;
  }
  return NULL;
}
