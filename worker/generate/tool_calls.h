/* Calls of functions in what a model writes, as it comes: what is none is text. The three ways of writing them:
     <tool_call>{"name": ..., "arguments": {...}}</tool_call>    Hermes, Qwen
     [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]        Mistral; no marker where that is a special token
     {"name": ..., "parameters": {...}}                          Llama 3.1: the whole answer */
#ifndef WORKER_GENERATE_TOOL_CALLS_H
#define WORKER_GENERATE_TOOL_CALLS_H

#include <jansson.h>
#include <stdint.h>

#include "base/str.h"

struct tool_calls {
  const json_t *tools; /* the request's; NULL: there are none, and all is text */
  uint64_t seed;       /* of the calls' ids */
  struct str held;     /* what may be a call, or the beginning of one */
  bool begun;          /* something other than white space was told */
  size_t count;        /* calls that were told */
};

/* `tools` is borrowed. Requests of different `seed` have different ids. */
void tool_calls_init(struct tool_calls *out, const json_t *tools, uint64_t seed);
void tool_calls_done(struct tool_calls *calls);

/* Takes more text and leaves in it what can be told; all of the rest with `last`. *out: NULL, or a new array of calls,
   {"index", "id", "type": "function", "function": {"name", "arguments": the text of a JSON object}} as OpenAI's streams
   have them. False when memory runs out. */
NODISCARD bool tool_calls_next(struct tool_calls *calls, struct str *text, json_t **out, bool last);

#endif
