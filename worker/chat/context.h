/* The context of a run, as Jinja calls its variables: messages, tools and special tokens as values, and the check that
   what was given reached the text. */
#ifndef WORKER_CHAT_CONTEXT_H
#define WORKER_CHAT_CONTEXT_H

#include <jansson.h>

#include "worker/chat/chat_template.h"
#include "worker/jinja/run.h"

/* The origins of strings (struct jinja_string): the number of a message, from 1, whose content they are, or, with a bit
   set, something else of it. ORIGIN_TOOLS stands in place of a number for what is beside the messages. */
#define ORIGIN_CALL 0x40000000u      /* of an assistant's tool calls */
#define ORIGIN_REASONING 0x20000000u /* of its reasoning */
#define ORIGIN_MESSAGE 0x1FFFFFFFu   /* the bits of the number */
#define ORIGIN_TOOLS ORIGIN_MESSAGE

/* What is rendered; borrowed. */
struct chat {
  const json_t *messages, *tools, *special_tokens;
  bool add_generation_prompt;
  bool null_content; /* empty content beside tool calls is given as null */
};

/* STATUS_DATASET_INVALID naming the message when they are no list of objects. */
enum status chat_context_check(const json_t *messages, const json_t *tools, struct error *err);
/* Fills a scope. Strings stay in the JSON. */
bool chat_context_fill(struct jinja_run *run, struct jinja_scope *scope, const struct chat *chat);
/* STATUS_DATASET_INVALID for an assistant's message with content, or tool calls, of which no byte is in the text.
   *lost: enum chat_lost of everything that is not, until then. */
enum status chat_context_traces(unsigned *lost, const struct chat *chat, const struct jinja_string *text,
                                struct error *err);

#endif
