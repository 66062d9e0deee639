/* A data set as token ids: sequences one after the other, no padding. */
#ifndef WORKER_DATA_CORPUS_H
#define WORKER_DATA_CORPUS_H

#include <stdatomic.h>

#include "worker/data/dataset.h"
#include "worker/text/eos.h"
#include "worker/text/tokenizer.h"
#include "worker/thread/pool.h"

/* What a job says about its data once it has read them. */
enum corpus_note {
  NOTE_UNTAUGHT,  /* left out: the loss mask has nothing of them */
  NOTE_CUT_OFF,   /* left out: the loss mask has nothing of what the cut left */
  NOTE_REASONING, /* the chat template leaves reasoning out */
  NOTE_CONTENT,   /* the chat template leaves out the content of a message */
  NOTE_TOOLS,     /* the chat template leaves the tools out */
  NOTE_TURN,      /* it does not show where a turn begins and ends */
  NOTE_COUNT
};
struct note {
  size_t count, line; /* examples; the line of the first of them */
};

struct corpus {
  size_t count;                    /* examples */
  size_t texts;                    /* sequences of an example, one after the other: embeddings have several, and the
                                      completions of preference tuning (worker/train/preferences.h) two; 0 is 1 */
  size_t *cu_seqlens;              /* [sequences + 1] tokens before each sequence */
  int32_t *token_ids;              /* [tokens] */
  uint8_t *token_type_ids;         /* [tokens] */
  uint32_t *labels;                /* [count], or NULL */
  float *targets;                  /* [count], or NULL */
  uint32_t *marks;                 /* lists of labels: the classes of all examples, one after the other; or NULL */
  size_t *cu_marks;                /* [count + 1] marks before each example; or NULL */
  uint32_t *mark_rows;             /* words with tags, whose classes are the marks: [marks] the index of a word's first
                                      token in its sequence; WORD_NONE: it has none, or was cut off. Else NULL */
  uint32_t *groups;                /* [count] examples that share their query, from 0; or NULL */
  uint8_t *subsets;                /* classes: [count] enum glue_subset; else NULL */
  uint8_t *loss_mask;              /* language models: [tokens] 1 where the token must be predicted; else NULL */
  bool learns_prompts;             /* pairs: the chosen sequences' other tokens are predicted too, but not compared */
  bool shares_prompts;             /* completions: the two sequences of an example share rows (corpus_shared) */
  size_t short_most;               /* where they do: positions of a sequence of up to so many tokens have other values
                                      than those of a longer one; 0: they have not */
  uint8_t *desirable;              /* rated completions: [count] 0 or 1; else NULL */
  size_t desirable_size;           /* allocated */
  double *reference;               /* completions: [sequences] their log-probability by the reference; or NULL */
  size_t longest;                  /* tokens of the longest example */
  size_t truncated;                /* examples that were cut to max_length */
  struct note notes[NOTE_COUNT];   /* language models */
  size_t example_size, token_size; /* allocated */
};

static inline size_t corpus_texts(const struct corpus *c) {
  return c->texts ? c->texts : 1;
}

/* Tokens of all sequences of an example. */
static inline size_t corpus_tokens(const struct corpus *c, size_t example) {
  size_t texts = corpus_texts(c);
  return c->cu_seqlens[(example + 1) * texts] - c->cu_seqlens[example * texts];
}

/* How many tokens at the beginning of an example's two sequences need rows in the first one only: those of the prompt,
   but for the last, which predicts the completion. 0 where they share none. */
size_t corpus_shared(const struct corpus *corpus, size_t example);

/* Words of an example that have a token. */
static inline size_t corpus_words(const struct corpus *c, size_t example) {
  size_t words = 0;
  for (size_t k = c->cu_marks[example]; k < c->cu_marks[example + 1]; k++)
    words += c->mark_rows[k] != WORD_NONE;
  return words;
}

/* How a long reading is watched; the main thread calls `beat` several times a second. Anything but STATUS_OK ends the
   reading with that status. */
struct corpus_watch {
  enum status (*beat)(void *with, struct error *err);
  void *with;
  double last;      /* call, on clock_seconds */
  atomic_bool stop; /* the other threads end too */
};
/* `thread` 0 is the main one. `watch` may be NULL. */
NODISCARD enum status corpus_beat(struct corpus_watch *watch, int thread, struct error *err);

/* Encodes every example, cut to max_length tokens. `vocab_size` and `type_vocab_size` are the model's
   (type_vocab_size 0: it has no types): an id or a token type beyond them is STATUS_MODEL_INVALID. The pool's threads
   make parts of it; of several faults the first is reported. */
NODISCARD enum status corpus_make(struct corpus *out, const struct dataset *dataset, const struct tokenizer *tokenizer,
                                  size_t max_length, size_t vocab_size, size_t type_vocab_size, struct pool *pool,
                                  struct corpus_watch *watch, struct error *err);
void corpus_done(struct corpus *corpus);

/* What a language model's examples are made with. */
struct language_options {
  const char *text, *messages, *prompt, *completion; /* column or member names */
  const char *chat_template;                         /* dataset.chat_template: a name, a source, or NULL */
  struct eos eos;                                    /* its `id` ends a text or a completion */
  bool train_on_inputs;                              /* the loss mask has every token, not only answers */
  int objective;                                     /* enum objective */
  size_t group;                                      /* of KTO: examples of a micro-batch */
  size_t max_length;                                 /* tokens; longer examples are cut */
  size_t vocabulary;
};
/* Reads a data file of chats (`messages`), `prompt` with `completion`, or plain `text` into tokens:
     chat        the template renders it; the loss mask has what the assistant says (chat_template.h), with the token
                 that ends the turn: an added token, or one of the model's EOS; not the white space after it
     completion  prompt + completion + EOS as one text, with the special tokens of the post-processor; the loss mask
                 has the completion's tokens and EOS
     text        text + EOS with those special tokens; the loss mask has every token but the first
   A job of preference tuning reads records of completions.h instead, into two sequences an example (preferences.h), of
   which the loss mask has the answers; where either has nothing left after the cut, the example is left out.
   All records are of the first one's kind. EOS is added unless the post-processor's template ends in it.
   An example is cut at max_length and counted; one of which the loss mask has no token, or none after the cut, is left
   out and noted. A file of which nothing is left is a fault (STATUS_DATASET_INVALID), and so is what an upload
   would be refused for (naming line, column and field). `model_path` and `gguf` as chat_template_open, `pool` as above.
 */
NODISCARD enum status corpus_read(struct corpus *out, const char *path, const char *filename,
                                  const struct tokenizer *tokenizer, const struct language_options *options,
                                  const char *model_path, const struct gguf *gguf, struct pool *pool,
                                  struct corpus_watch *watch, struct error *err);
/* One more example. `token_type_ids` NULL: all 0; `loss_mask` is asked for language models. */
NODISCARD enum status corpus_append(struct corpus *corpus, const int32_t *token_ids, const int32_t *token_type_ids,
                                    const uint8_t *loss_mask, size_t count, size_t vocab_size, struct error *err);
/* Of rated completions: the newest example is wanted, or not. */
NODISCARD enum status corpus_rate(struct corpus *corpus, bool desirable, struct error *err);
/* What one task made. Joining frees the parts: the first fault in order, or all of them behind the corpus. */
struct corpus_part {
  struct corpus corpus;
  enum status status;
  struct error err;
};
NODISCARD enum status corpus_join(struct corpus *corpus, struct corpus_part *parts, size_t count, struct error *err);

#endif
