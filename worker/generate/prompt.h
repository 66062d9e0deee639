/* What a base model reads and where it stops: its tokenizer, chat template and end tokens. */
#ifndef WORKER_GENERATE_PROMPT_H
#define WORKER_GENERATE_PROMPT_H

#include "worker/chat/chat_template.h"
#include "worker/generate/active.h"
#include "worker/text/eos.h"

struct prompts {
  const struct tokenizer *tokenizer;
  struct tokenizer *own;      /* NULL: it is somebody else's */
  struct chat_template *chat; /* what was asked for last; NULL: nothing yet */
  char *chat_name;            /* its name or source; NULL: the model's own */
  struct eos eos;
  size_t vocabulary;
  const char *path; /* of the base model; borrowed */
  struct checkpoint *checkpoint;
  struct encoding encoding;
};

/* `checkpoint` is the base's, and outlives it; so does `tokenizer` (NULL: it opens one). */
NODISCARD enum status prompts_open(struct prompts *out, const char *path, struct checkpoint *checkpoint,
                                   const struct tokenizer *tokenizer, size_t vocabulary, struct error *err);
void prompts_done(struct prompts *prompts);

struct prompt_room {
  size_t most;       /* tokens of a prompt */
  const char *bound; /* what they are: "as many as the model reads" */
  size_t beside;     /* tokens that follow on it */
};

/* Sets the request's ids (with room for those beside it; its limit is not set), type_ids and prompt.
   STATUS_CONTEXT_LENGTH for more tokens than there is room for. */
NODISCARD enum status prompts_read(struct active *active, struct prompts *prompts, const struct prompt_room *room,
                                   struct error *err);

#endif
