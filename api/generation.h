/* What a worker that generates (TASK_GENERATE) is told, a line each on its standard input, and what it answers
   (EVENT_GENERATION of api/event.h). It holds one base model and, beside it, the adapters that requests name. Several
   requests run at a time, each joins and leaves by itself; answers to one request come in order. */
#ifndef API_GENERATION_H
#define API_GENERATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/job.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/field.h"
#include "base/str.h"

enum {
  GENERATION_LINE_MAX = 4 << 20, /* bytes of a line to the worker, its newline included */
  GENERATION_TOP_LOGPROBS_MAX = 20,
  GENERATION_STOP_MAX = 4,
  GENERATION_STOP_BYTES = 1024, /* of each */
  GENERATION_LOGIT_BIAS_MAX = 300,
  GENERATION_IMAGE_SIDE_MAX = 4096,
  GENERATION_IMAGE_PIXELS_MAX = 1 << 20, /* so that its PNG goes into an answer */
  GENERATION_STEPS_MAX = 1000,
  GENERATION_HINT_BYTES = 3 << 20, /* of a conditioning image in base64: a line has room for it */
};

enum generation_kind {
  GENERATION_CHAT,           /* `messages` by the model's chat template */
  GENERATION_COMPLETION,     /* what follows `prompt` */
  GENERATION_EMBEDDING,      /* of `prompt` */
  GENERATION_CLASSIFICATION, /* of `prompt`, or of the pair of it and `prompt_pair` */
  GENERATION_IMAGE,          /* a picture of `prompt` */
  GENERATION_KIND_COUNT
};

/* What the body of a request calls that from which it is answered, by enum generation_kind. */
extern const char *const generation_prompt_names[];

/* How the next token is chosen: Transformers' names and order of logits processors and warpers. */
struct sampling {
  double temperature;                         /* 0 to 2; 0: the token of the largest logit (greedy) */
  double top_p;                               /* (0, 1]; 1: off */
  int64_t top_k;                              /* 0: off */
  double min_p;                               /* [0, 1]; 0: off */
  double repetition_penalty;                  /* (0, 10], over prompt and completion; 1: off */
  double presence_penalty, frequency_penalty; /* -2 to 2, over the completion, as OpenAI defines them */
  struct number_map logit_bias;               /* token ids as text: -100 to 100 */
  int64_t seed;                               /* the same seed gives the same tokens, whatever else runs */
};

/* diffusers' classes of samplers. */
enum image_scheduler {
  IMAGE_SCHEDULER_AUTO, /* the model's; where it names none of these, DPM-Solver++ */
  IMAGE_SCHEDULER_DDIM,
  IMAGE_SCHEDULER_DPM,
  IMAGE_SCHEDULER_PNDM,
  IMAGE_SCHEDULER_EULER,
  IMAGE_SCHEDULER_COUNT
};
extern const char *const image_scheduler_names[]; /* by enum image_scheduler, ended by NULL */

/* How a picture is made: diffusers' names. */
struct image_options {
  const char *negative_prompt;    /* NULL: "" */
  const char *conditioning_image; /* a PNG, JPEG or WebP in base64; NULL: none */
  int64_t width, height;          /* pixels; 0: the conditioning image's, or the model's size */
  int64_t num_inference_steps;
  double guidance_scale; /* 1 and less: no classifier-free guidance */
  int scheduler;         /* enum image_scheduler */
};

struct generation_request {
  int64_t id;
  enum generation_kind kind;
  const char *adapter;       /* the name of its folder below the task's output_dir; NULL: the base model alone */
  json_t *messages, *tools;  /* CHAT: arrays, as OpenAI's API has them; borrowed; tools may be NULL */
  const char *chat_template; /* CHAT: as the job of the adapter named it; NULL: the model's own */
  const char *prompt;        /* text; NULL: prompt_ids */
  const char *prompt_pair;
  struct int_list prompt_ids; /* token ids */
  int pooling;                /* EMBEDDING: enum embedding_pooling, as the job of the adapter had it */
  int64_t max_tokens;         /* of the completion; 0: as many as the context has room for */
  struct string_list stop;    /* texts that end the completion, and are no part of it */
  struct sampling sampling;   /* of an IMAGE the seed alone */
  struct image_options image; /* IMAGE */
  bool logprobs;              /* each token's, of the model's own distribution: before penalties and warpers */
  int64_t top_logprobs;       /* and so many of the likeliest */
};

/* A line to the worker. */
struct generation_line {
  enum generation_line_kind {
    GENERATION_LINE_REQUEST, /* `request` */
    GENERATION_LINE_CANCEL,  /* request `id` ends, with GENERATION_CANCELLED */
    GENERATION_LINE_FORGET,  /* `adapter` is not asked for again: its memory is free when its requests have ended */
  } kind;
  struct generation_request request;
  int64_t id;
  const char *adapter;
};

/* One line with its newline, appended. False when it does not fit. */
bool generation_line_write(struct str *out, const struct generation_line *line);
/* A line without its newline. Strings live in `arena`, JSON in *document, which the caller releases after use. */
NODISCARD enum status generation_line_parse(struct generation_line *out, json_t **document, const char *text,
                                            size_t length, struct arena *arena, struct error *err);

enum finish_reason {
  FINISH_STOP,   /* the model ended it, or a stop text */
  FINISH_LENGTH, /* max_tokens, or the context is full */
  FINISH_CANCELLED,
  FINISH_TOOL_CALLS, /* the model ended it, and calls functions */
  FINISH_REASON_COUNT
};
extern const char *const generation_finish_names[]; /* by enum finish_reason, ended by NULL */

/* What is said of a request. STARTED comes once before its DELTAs; FINISHED, EMBEDDING, CLASSIFICATION and FAILED are
   the last of it. */
struct generation_event {
  enum generation_event_type {
    GENERATION_STARTED,  /* prompt_tokens */
    GENERATION_DELTA,    /* text, tokens, logprobs */
    GENERATION_FINISHED, /* finish_reason, tokens: of the whole completion */
    GENERATION_VECTOR,   /* vector, prompt_tokens */
    GENERATION_SCORES,   /* scores, prompt_tokens */
    GENERATION_FAILED,   /* code, param, message */
    GENERATION_EVENT_COUNT
  } type;
  int64_t id;
  int64_t prompt_tokens, tokens;
  const char *text;   /* whole characters of UTF-8; may be ""; of an IMAGE a part of its PNG in base64 */
  json_t *tool_calls; /* DELTA: an array of calls as OpenAI's streams have them, each whole; NULL: none */
  json_t *logprobs;   /* an array of what OpenAI's chat completions have in logprobs.content; NULL: not asked for */
  enum finish_reason finish_reason;
  const char *vector;  /* little-endian fp32 in base64, as OpenAI's embeddings with encoding_format "base64" */
  json_t *scores;      /* an array of {"label", "score"}, the highest first */
  enum status code;    /* FAILED: not STATUS_OK */
  const char *param;   /* FAILED: a member of the request, or NULL */
  const char *message; /* FAILED */
};

/* The `data` of an EVENT_GENERATION; NULL when memory runs out. */
NODISCARD json_t *generation_event_json(const struct generation_event *event);
/* The daemon trusts none of it. Strings and JSON are borrowed from `data`. */
NODISCARD enum status generation_event_parse(struct generation_event *out, const json_t *data, struct error *err);

#endif
