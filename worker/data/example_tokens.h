/* The tokens of a language model's example under construction: its text is tokenised as a whole, and each token learns
   from the bytes it covers whether it is in the loss mask. */
#ifndef WORKER_DATA_EXAMPLE_TOKENS_H
#define WORKER_DATA_EXAMPLE_TOKENS_H

#include "worker/chat/chat_template.h"
#include "worker/text/eos.h"
#include "worker/text/tokenizer.h"

struct example_tokens {
  const struct tokenizer *tokenizer;
  const struct eos *eos; /* its `id` ends a text or a completion; the others end turns */
  bool chats;            /* the text is a chat's, else a plain one */
  bool inputs;           /* every token is in the loss mask */
  struct chat_text text; /* what is tokenised, and which bytes of it are learnt */
  struct tokenizer_template template;
  struct encoding encoding;
  int32_t *token_ids; /* owned, as loss_mask */
  uint8_t *loss_mask;
  size_t count, size;
};

/* Of another thread's that was copied too. */
void example_tokens_init(struct example_tokens *example);
void example_tokens_done(struct example_tokens *example);

/* Tokenises the text, behind the tokens that are there. A token is in the loss mask if it covers a byte of a span. */
NODISCARD enum status example_tokens_add_text(struct example_tokens *example, struct error *err);
/* Plain texts have the post-processor's special tokens around them, and EOS, which is in the loss mask; `whole`: those
   before the text are too. */
NODISCARD enum status example_tokens_add_templated(struct example_tokens *example, bool whole, struct error *err);

#endif
