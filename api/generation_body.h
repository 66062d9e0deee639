/* Bodies of what is asked of a model: /v1/chat/completions, /v1/completions, /v1/embeddings and /v1/images/generations
   as OpenAI's API has them, and /v1/classify. What a request is to a worker is api/generation.h. */
#ifndef API_GENERATION_BODY_H
#define API_GENERATION_BODY_H

#include "api/endpoint.h"
#include "api/generation.h"
#include "api/inert.h"

enum {
  GENERATION_CHOICES_MAX = 16,
  GENERATION_INPUTS_MAX = 2048,
  GENERATION_COMPLETION_LOGPROBS_MAX = 5,
  GENERATION_IMAGES_MAX = 10,
};

/* What a model reads, but for a chat's messages. */
struct generation_input {
  const char *text; /* NULL: `ids` */
  const char *pair; /* of a classification; NULL: none */
  struct int_list ids;
};

struct generation_body {
  const char *model;
  struct generation_request request; /* of all choices: without id, adapter and prompt. A seed of -1: none was given */
  struct generation_input *input;    /* not of a chat, nor of an image, whose prompt is the request's */
  size_t input_count;
  int64_t n;                   /* choices of each input, or images */
  const char *size;            /* of an image, as it was written; NULL: auto */
  int64_t completion_logprobs; /* of a completion; -1: none are wanted */
  int64_t best_of;             /* of a completion: n, or 0 */
  bool echo;                   /* of a completion: the prompt comes first */
  bool stream, include_usage;
  int base64;         /* of an embedding: encoding_format is base64, not float */
  int64_t dimensions; /* of an embedding: that it must have; 0: as many as the model gives */
  const char *user;   /* these three say nothing to a model */
  bool parallel_tool_calls, include_obfuscation;
};

/* Into *out; strings live in `arena`, messages and tools are borrowed from `body`. All faults are found. */
void generation_body_parse(struct generation_body *out, enum operation op, const json_t *body, struct arena *arena,
                           struct fault_list *faults);

/* For the description: the table of the operation's plain members, and those that must be at one value. NULL: it is not
   one of these. */
const struct field_table *generation_body_fields(enum operation op);
const struct inert_member *generation_body_inert(enum operation op);
extern const struct field_table generation_stream_fields; /* of the member stream_options */

#endif
