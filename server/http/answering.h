/* A request that asks something of a model, from its body to the end of the answer: the parts that it asks for
   (choices, vectors), what came of them so far, and how that is told: as a whole, or in server-sent events as it comes.
   What an answer looks like is its kind's (chat.c, completions.c, embeddings.c, classify.c, images.c). */
#ifndef SERVER_HTTP_ANSWERING_H
#define SERVER_HTTP_ANSWERING_H

#include "api/generation_body.h"
#include "server/http/stream.h"
#include "server/served.h"

struct answering;
struct generation;

struct answer_part {
  struct answering *whole;
  struct generation *generation; /* NULL: not asked yet, or ended */
  const struct generation_input *input; /* NULL: a chat's messages */
  size_t index;
  bool started, ended;
  struct str text;   /* of a stream: what is not told yet; of an image: its PNG in base64 */
  json_t *logprobs;   /* likewise; NULL: none */
  json_t *tool_calls; /* likewise */
  bool calls;         /* there were some */
  size_t text_offset; /* characters of tokens whose log-probabilities were told */
  int64_t prompt_tokens, tokens;
  enum finish_reason finish_reason;
  char *vector;   /* as generation_event has it */
  json_t *scores; /* likewise */
  int64_t first_ms; /* boot clock: its first token; 0: none came yet */
  bool greeted, told; /* of a stream: its first chunk, its last */
};

struct answer_kind {
  const char *id; /* "chatcmpl-"; NULL: it has none */
  NODISCARD enum status (*whole)(json_t **out, const struct answering *answering, struct error *err);
  /* What is in the part now as a choice of a chunk: its first one, its last one (both may be); NULL: no streams. */
  json_t *(*choice)(struct answer_part *part, bool first, bool last);
  const char *chunk_object;
};

struct answering {
  struct stream stream; /* first: of an answer that is one */
  struct request *request;
  const struct answer_kind *kind;
  struct generation_body body;
  json_t *document; /* that the body borrows from */
  struct served model;
  struct answer_part *part;
  size_t part_count, asked, ended;
  int64_t seed;
  char id[48], key[48];
  char fingerprint[16];
  int64_t created;
  int64_t give_up_ms; /* boot clock: when nothing has started until then */
  struct error error; /* of the first part that failed */
};

/* The handler's part: asks, waits, answers. */
void answering_reply(struct request *request, const struct answer_kind *kind);
/* Its request is over: what is not there yet is not wanted any more. NULL is fine. */
void answering_free(struct answering *answering);

/* Of all parts so far: {"prompt_tokens", "completion_tokens", "total_tokens"}. */
json_t *answering_usage(const struct answering *answering);
/* {"id", "object", "created", "model", "system_fingerprint", "choices"}; takes the reference of `choices`. */
json_t *answering_object(const struct answering *answering, const char *object, json_t *choices);

#endif
