/* What a template sees of the world: messages, tools and special tokens as values, and the check that
   every answer reached the text. */
#ifndef WORKER_CHAT_CHAT_CONTEXT_H
#define WORKER_CHAT_CHAT_CONTEXT_H

#include <jansson.h>

#include "worker/chat/jinja_run.h"

/* STATUS_DATASET_INVALID naming the message when they are no list of objects. */
enum status chat_context_check(const json_t *messages, const json_t *tools, struct error *err);
/* Fills a scope. Strings stay in the JSON. */
bool chat_context_fill(struct run *run, struct scope *scope, const json_t *messages, const json_t *tools,
                       const json_t *specials, bool add_generation_prompt);
/* STATUS_DATASET_INVALID for an assistant's message with content of which no byte is in the text. */
enum status chat_context_traces(const json_t *messages, const struct marked *text, struct error *err);

#endif
