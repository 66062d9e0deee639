/* What evaluation.generate asks a language model: prompts of the validation file as tokens, and the expected
   answers. */
#ifndef WORKER_DATA_QUESTIONS_H
#define WORKER_DATA_QUESTIONS_H

#include "api/job.h"
#include "worker/data/corpus.h"
#include "worker/data/extract.h"

struct question {
  size_t line;          /* of the file */
  const char *prompt;   /* all that the model is given, as text */
  const char *expected; /* what is compared of the expected answer */
};

struct questions {
  struct arena arena;
  struct question *item;
  size_t count, size;
  /* An example a question, its prompt; EXTRACT_CHOICE: one for each choice, the prompt with that choice behind it,
     whose tokens the loss mask has. */
  struct corpus corpus;
};

/* What the prompts are made with, as corpus_read makes examples. */
struct questions_source {
  const char *path, *filename, *model_path;
  const struct gguf *gguf; /* NULL: the model is none */
  const struct tokenizer *tokenizer;
  const struct job_spec *spec;
  size_t longest; /* tokens of an example at most */
  size_t vocabulary;
};
/* STATUS_DATASET_INVALID names the line of a record without prompt or answer, of an answer from which nothing can be
   extracted or that is none of the choices, and of a prompt that is too long. */
NODISCARD enum status questions_read(struct questions *out, const struct questions_source *source,
                                     struct extract *extract, struct error *err);
void questions_done(struct questions *questions);

#endif
