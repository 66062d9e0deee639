/* What a caller asks for: the body of POST /v1/fine_tuning/jobs, parsed, validated and complete
   (every default filled in), and the same written back as JSON. The daemon stores the written form;
   the worker parses it again. Pure data: no files, no SQL, no sockets. */
#ifndef API_JOB_H
#define API_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/field.h"

enum peft_type {
#define METHOD(name, lower) PEFT_##name,
#include "api/methods.def"
#undef METHOD
  PEFT_COUNT
};

/* The learning-rate schedule, Transformers' names and formulas (first step of a warm-up: 0). */
enum schedule {
  SCHEDULE_LINEAR,
  SCHEDULE_COSINE,
  SCHEDULE_CONSTANT,
  SCHEDULE_CONSTANT_WITH_WARMUP,
  SCHEDULE_WARMUP_LINEAR, /* BERT's first code: falls from the first step on, so that it jumps where the warm-up ends */
  SCHEDULE_COUNT
};
enum precision { PRECISION_FP32, PRECISION_BF16, PRECISION_COUNT };
/* What runs the matmuls with frozen weights on the CPU. AUTO: the processor's instruction set decides. */
enum matmul_library { MATMUL_AUTO, MATMUL_NATIVE, MATMUL_OPENBLAS, MATMUL_LIBRARY_COUNT };
extern const char *const job_matmul_names[]; /* by enum matmul_library, ended by NULL */
/* MATMUL_LIBRARY_COUNT where no row has that name. */
enum matmul_library job_matmul_parse(const char *name);
/* What labels make of a job, in Transformers' words; AUTO: the labels themselves decide. */
enum problem_type { PROBLEM_AUTO, PROBLEM_REGRESSION, PROBLEM_SINGLE_LABEL, PROBLEM_MULTI_LABEL, PROBLEM_COUNT };
extern const char *const job_problem_names[]; /* by enum problem_type, ended by NULL */
/* What an evaluation measures, in the words of its events without "valid_". */
enum validation_metric {
  METRIC_LOSS,
  METRIC_ACCURACY,
  METRIC_F1,
  METRIC_MATTHEWS,
  METRIC_PEARSON,
  METRIC_SPEARMAN,
  METRIC_PERPLEXITY,
  METRIC_TOKEN_ACCURACY,
  METRIC_ACCURACY_MATCHED, /* of MNLI's examples whose genre is one of the training set's, and of the others */
  METRIC_ACCURACY_MISMATCHED,
  METRIC_COMBINED,       /* of GLUE's tasks that have two metrics: their mean */
  METRIC_PEARSON_COSINE, /* of embeddings, in the words of sentence-transformers, as all that follow */
  METRIC_SPEARMAN_COSINE,
  METRIC_COSINE_ACCURACY,   /* of triplets */
  METRIC_COSINE_ACCURACY_1, /* of a search among all positives and negatives, as to NDCG */
  METRIC_COSINE_RECALL_10,
  METRIC_COSINE_MRR_10,
  METRIC_COSINE_NDCG_10,
  METRIC_AVERAGE_PRECISION, /* of rerankers: over all pairs */
  METRIC_MAP,               /* over each query's passages */
  METRIC_MRR_10,
  METRIC_NDCG_10,
  METRIC_F1_MICRO,        /* of lists of labels, in scikit-learn's words: over all of them */
  METRIC_F1_MACRO,        /* the mean over labels */
  METRIC_SUBSET_ACCURACY, /* lists that are right as a whole */
  METRIC_PRECISION,       /* of entities, that tags stand for */
  METRIC_RECALL,
  METRIC_EXACT_MATCH, /* of language models that evaluation.generate lets answer */
  METRIC_REWARDS_ACCURACIES, /* of preference tuning, in TRL's words: pairs whose chosen answer has the larger reward */
  METRIC_REWARDS_MARGINS,    /* mean reward of chosen answers, minus that of the rejected ones */
  METRIC_CANNY_IOU,          /* of previews whose hints are edges: theirs against the hints' */
  METRIC_CANNY_F1,
  METRIC_COUNT
};
extern const char *const job_metric_names[]; /* by enum validation_metric, ended by NULL */
/* How a text's embedding is made of its tokens'; AUTO: as the base model's folder says, or the mean. */
enum embedding_pooling { EMBEDDING_AUTO, EMBEDDING_MEAN, EMBEDDING_CLS, EMBEDDING_COUNT };
extern const char *const job_pooling_names[]; /* by enum embedding_pooling, ended by NULL */
/* METHOD_ONLY is written "hra_only" for HRA, as PEFT does. */
enum adapter_bias { BIAS_NONE, BIAS_ALL, BIAS_METHOD_ONLY, BIAS_COUNT };

/* Members of method.<type>.hyperparameters. */
struct hyperparameters {
  int64_t n_epochs;                     /* 1..100; default 3 */
  int64_t batch_size;                   /* examples a micro-batch, 1..256; default 16 */
  int64_t gradient_accumulation_steps;  /* micro-batches an optimiser step; default 1 */
  double learning_rate_multiplier;      /* times learning_rate; default 1 */
  double learning_rate;                 /* default: the method's (HRA 2e-3) */
  int64_t max_steps;                    /* optimiser steps; 0: n_epochs decides */
  int64_t max_seq_length;               /* tokens an example, truncated beyond; default 512 */
  int lr_scheduler_type;                /* enum schedule; default linear */
  double warmup_ratio;                  /* of all steps, [0, 1); default 0.06 */
  int64_t warmup_steps;                 /* > 0 wins over warmup_ratio */
  double min_lr_ratio;                  /* the schedule's floor as a share of the peak; default 0 */
  double weight_decay;                  /* decoupled; default 0 */
  double max_grad_norm;                 /* 0: no clipping; default 1 */
  double adam_beta1, adam_beta2, adam_epsilon;
  bool adam_bias_correction;            /* default true */
  bool train_head;                      /* classifiers: the head is trained; default true */
  int precision;                        /* enum precision: of products with frozen weights; default fp32 */
  bool packing;                         /* fill a micro-batch up to batch_size * max_seq_length tokens */
  int64_t max_batch_tokens;             /* tokens a micro-batch at most; 0: batch_size alone decides */
  bool train_on_inputs;                 /* language models: prompts are trained too */
  bool shuffle;                         /* each epoch in another order; default true */
  /* of preference tuning (api/objective.h) */
  double beta;                                 /* (0, 2]; default 0.1 */
  int loss_type;                               /* dpo: enum dpo_loss */
  double label_smoothing;                      /* dpo: [0, 0.5) */
  double rpo_alpha;                            /* dpo: weight of the chosen answers' token loss */
  double desirable_weight, undesirable_weight; /* kto; default 1 */
};

/* Which modules: a list of names (suffix match), a regular expression (PEFT: Python re.fullmatch on
   the module's path), the word "all-linear", or nothing (the architecture's default). */
struct module_match {
  const char *pattern;       /* regular expression or "all-linear"; NULL when a list or nothing */
  struct string_list names;  /* count 0 when a pattern or nothing */
};

struct hra_spec {
  int64_t r;           /* reflections, 1..256; default 8 */
  bool apply_GS;       /* Gram-Schmidt: H = I - 2 Q Q^T; excludes orth_lambda > 0 */
  bool init_weights;   /* true: paired start, W' = W (r even); false: random */
  double orth_lambda;  /* weight of sum over modules of ||I - Uh^T Uh||_F; input alias "lambda" */
};

/* LORA_INIT_PISSA + n, n from 1 to LORA_NITER_MAX, is "pissa_niter_n". */
enum { LORA_NITER_MAX = 16 };
enum lora_init {
  LORA_INIT_TRUE,
  LORA_INIT_FALSE,
  LORA_INIT_GAUSSIAN,
  LORA_INIT_OLORA,
  LORA_INIT_PISSA,
  LORA_INIT_COUNT = LORA_INIT_PISSA + LORA_NITER_MAX + 1
};
/* Do A and B begin as a part of the weight? (OLoRA, PiSSA) */
static inline bool lora_init_of_weight(int init) {
  return init >= LORA_INIT_OLORA;
}

struct lora_spec {
  int64_t r;                /* 1..1024, or 512 where lora_init_of_weight; default 8 */
  double lora_alpha;        /* the change is scaled by alpha / r; default 8 */
  double lora_dropout;      /* of the adapter's input, [0, 1) */
  bool use_rslora;          /* alpha / sqrt(r) instead */
  bool use_dora;            /* DoRA: lengths of the weight's rows are trained beside LoRA */
  int init_lora_weights;    /* enum lora_init */
  double loraplus_lr_ratio; /* LoRA+: B learns with so many times the learning rate, >= 1; default 1 */
  struct number_map rank_pattern, alpha_pattern; /* other r, alpha for modules whose path ends in a match of the key */
  struct int_list trainable_token_indices; /* tokens whose rows of the input embedding are trained too; different */
  const char *trainable_token_module;      /* what the body calls that embedding; NULL: nothing */
};

struct oft_spec {
  int64_t r;                /* blocks; 0: oft_block_size decides. Exactly one of the two is not 0 */
  int64_t oft_block_size;   /* default 32 */
  bool coft;                /* rotations stay near the identity: ||Q|| <= eps */
  double eps;               /* default 6e-5 */
  bool block_share;         /* one rotation for all blocks */
  bool init_weights;        /* true: start at the identity */
  bool use_cayley_neumann;  /* default true */
  int64_t num_cayley_neumann_terms; /* default 5 */
};

struct boft_spec {
  int64_t boft_block_size;  /* default 4; 0: boft_block_num decides. Exactly one of the two is not 0 */
  int64_t boft_block_num;
  int64_t boft_n_butterfly_factor; /* 1: what PEFT runs without a GPU */
  bool init_weights;        /* true: start at the identity */
};

struct adapter_spec {
  enum peft_type peft_type;
  struct module_match target_modules, exclude_modules;
  struct int_list layers_to_transform;
  struct string_list layers_pattern;
  struct string_list modules_to_save;
  int bias;                  /* enum adapter_bias */
  union {
    struct hra_spec hra;
    struct lora_spec lora;
    struct oft_spec oft;
    struct boft_spec boft;
  };
};

enum { JOB_KEEP_LAST_MAX = 1000, JOB_METADATA_PAIRS_MAX = 16 };

/* What is compared of an answer that a language model writes, and of the expected one. */
enum extractor {
  EXTRACT_EXACT,        /* the text, without white space around it */
  EXTRACT_FIRST_NUMBER, /* numbers are compared by their value */
  EXTRACT_LAST_NUMBER,
  EXTRACT_REGEX,  /* the last match of `pattern`, or its first group where it has one */
  EXTRACT_MATH,   /* LaTeX in the last \boxed of an answer, or behind `after`, compared as MATH's are */
  EXTRACT_CHOICE, /* nothing is generated: the likeliest of `choices` after the prompt */
  EXTRACT_COUNT
};
extern const char *const job_extractor_names[]; /* by enum extractor, ended by NULL */
enum generate_preset { GENERATE_PRESET_NONE, GENERATE_PRESET_GSM8K, GENERATE_PRESET_MATH, GENERATE_PRESET_COUNT };
extern const char *const job_generate_preset_names[]; /* ended by NULL */
/* HRA_AUTHORS: numbers are read as HRA's authors' evaluation of GSM8K does: the first that matches
   [\-+]?\d*[\.,/]?\d+ ("1,234" of "1,234,567"), rounded to a whole number, halves to even ones; answers of MATH are
   compared as theirs does (worker/data/math_answer.h). */
enum generate_compat { GENERATE_COMPAT_NONE, GENERATE_COMPAT_HRA_AUTHORS, GENERATE_COMPAT_COUNT };
extern const char *const job_generate_compat_names[]; /* ended by NULL */

#define GENERATE_PLACEHOLDER "{prompt}"

/* The body's member `evaluation.generate`: at each evaluation a language model answers prompts of the validation file,
   and what is extracted of its answers is compared with what is expected. */
struct generate_spec {
  bool present;                /* false: nothing is generated, and all else is zero */
  int preset;                  /* enum generate_preset: what it stands for is in the other members */
  int compat;                  /* enum generate_compat */
  const char *prompt, *answer; /* columns; NULL: a chat up to its last answer and that; the job's prompt, completion */
  const char *prompt_template; /* around the prompt of a column, in place of GENERATE_PLACEHOLDER; NULL: nothing is */
  int extractor;               /* enum extractor */
  const char *after;           /* an answer is what follows the last of these; NULL: all of it */
  const char *answer_after;    /* the same of the expected answer, which is taken whole where it has none */
  const char *pattern;         /* REGEX */
  struct string_list choices;  /* CHOICE */
  struct string_list stop;     /* texts that end an answer, and are no part of it */
  int64_t max_tokens;          /* of an answer; default 256 */
  int64_t max_examples;        /* 0: all; default 100 */
};

/* The body's member `dataset`. */
struct job_columns {
  const char *text, *text_pair, *label;  /* column names in CSV, TSV and JSONL; defaults "text",
                                            "text_pair" (used only where present), "label" */
  const char *negative;       /* default "negative" (used only where present) */
  const char *labels;         /* member of JSONL with a list of labels; default "labels" */
  const char *tokens, *tags;  /* members of JSONL with a text's words and their tags; defaults the same words */
  const char *messages, *prompt, *completion; /* defaults: the same words */
  int problem_type;           /* enum problem_type */
  const char *chat_template;  /* a built-in name, a Jinja source, or NULL: the model's own */
};

/* Where the hints of controllable generation come from: pictures of the archive, or edges that are found in the picture
   itself. */
enum conditioning { CONDITIONING_IMAGE, CONDITIONING_CANNY, CONDITIONING_COUNT };
extern const char *const job_conditioning_names[]; /* by enum conditioning, ended by NULL */

/* The body's member `image`, of tasks that learn from pictures; in the words of diffusers' train_dreambooth. */
struct image_spec {
  const char *instance_prompt;            /* of pictures that have no text of their own; NULL: each has one */
  bool with_prior_preservation;           /* pictures of the class, which the base makes, are learnt beside them */
  double prior_loss_weight;               /* of these in the loss; default 1 */
  const char *class_prompt;               /* what they are made and learnt with */
  int64_t num_class_images;               /* default 100 */
  double snr_gamma;                       /* min-SNR weighting (Hang et al., 2023); 0: none */
  int64_t resolution;                     /* pixels of a side; 0: the model's own */
  bool center_crop;                       /* false: a square anywhere, by the seed */
  int conditioning;                       /* enum conditioning; of the task "controllable" */
  struct string_list validation_prompts;  /* a preview of each is made at every evaluation; count 0: none */
  int64_t num_validation_images;          /* of a prompt; default 4 */
  int64_t num_inference_steps;            /* of previews and class images; default 25 */
  double guidance_scale;                  /* likewise; default 7.5 */
  const char *clip_model, *dino_model;    /* encoders that previews are measured with, ids of models; NULL: none */
};

struct job_spec {
  const char *model;            /* a base model's id: a folder's name under the models directory */
  const char *training_file;    /* file id */
  const char *validation_file;  /* file id or NULL */
  const char *suffix;           /* 1..64 bytes or NULL */
  const char *display_name;     /* 1..128 bytes or NULL */
  int objective;                /* enum objective (api/objective.h): method.type; default supervised */
  int task;                     /* enum job_task (api/job_task.h); default: what the data say */
  int recipe;                   /* enum recipe (api/recipe.h): what it stands for is in the other members */
  int64_t seed;                 /* 0..2147483647; chosen at random when absent (see job_spec_parse) */
  struct hyperparameters hyperparameters;
  struct adapter_spec adapter;
  struct job_columns columns;
  struct {
    int pooling;                /* enum embedding_pooling */
    double scale;               /* of cosines in the loss of positives and negatives; default 20 */
  } embedding;
  struct image_spec image;
  struct {
    int64_t every_steps;        /* 0: at the end of each epoch only */
    int64_t max_examples;       /* 0: all */
    int metric;                 /* enum validation_metric: what the best is judged by; default loss */
  } evaluation;
  struct generate_spec generate; /* evaluation.generate */
  struct {
    int64_t every_steps;        /* 0: at the end of each epoch */
    int64_t keep_last;          /* checkpoints kept; default 3 */
    bool keep_best;             /* the best one too: each evaluation that is the best so far makes one */
    bool load_best_at_end;      /* the job's adapter is the best evaluated one, not the last */
    int64_t every_seconds;      /* besides, what training goes on from is written so often; 0: never; default 300 */
  } checkpointing;
  struct {
    int64_t patience;           /* evaluations in a row that may bring no better metric; 0: training is not stopped */
    double min_delta;           /* better means by more than this */
  } early_stopping;
  struct {
    int64_t threads;            /* 0: the server's choice */
    int64_t priority;           /* higher first; -100..100 */
    int64_t max_runtime;        /* seconds of training, over all runs of the job; 0: no limit */
    int64_t memory_limit;       /* MiB that the worker may take; 0: in proportion to the model */
    int matmul;                 /* enum matmul_library; AUTO: the server's choice */
    const char *device;         /* "auto", a kind, or one device (api/device.h) */
  } scheduling;
  const char *from_checkpoint;  /* start from this adapter: a finished job, a checkpoint, an uploaded file; or NULL */
  struct string_list exports;   /* see job_exports_settle; "peft" is always the first */
  const json_t *metadata;       /* object of string to string (at most 16), or NULL; borrowed from the body */
};

/* Parses and validates a request body (already parsed JSON). Accepts OpenAI's deprecated top-level
   `hyperparameters`, and method {"type":"hra","hra":{...}} as sugar for `adapter`. All faults are
   gathered; *out is complete only if faults->count == 0. A seed that is absent is made from
   `seed_if_absent`. Strings live in `arena`; `metadata` borrows from `body`. */
void job_spec_parse(struct job_spec *out, const json_t *body, int64_t seed_if_absent, struct arena *arena,
                    struct fault_list *faults);

/* What may be changed of a job that exists (suffix, display_name, metadata, scheduling.priority), by the rules of JSON
   merge patch: `document`, as job_spec_json wrote it, is changed and read into *out. Adds a fault for each change that
   is none of these or has a wrong value. *out borrows metadata from `document`. */
void job_spec_amend(struct job_spec *out, json_t *document, const json_t *changes, struct arena *arena,
                    struct fault_list *faults);

/* The body of a job like the one whose spec `document` is (job_spec_json), with `changes` as a JSON merge patch. Of
   another method only what all methods have is kept of the adapter, and not the old method's own learning rate. A new
   reference; NULL: no memory. */
json_t *job_spec_derive(const json_t *document, const json_t *changes);
/* What is left of an adapter when its method becomes another: a new reference; NULL: no memory. */
json_t *job_adapter_shared(const json_t *adapter);

/* A spec back from the text of job_spec_json that the store keeps: nothing that was judged then is judged again, and a
   member that an older version did not write has its default. *document is a new reference, from which `metadata`
   borrows; `out` NULL: it alone is wanted. STATUS_DAMAGED: this is not such a text. */
NODISCARD enum status job_spec_restore(struct job_spec *out, json_t **document, const char *text, struct arena *arena,
                                       struct error *err);

/* What a trained adapter is written as, besides PEFT's own format. */
enum export_format {
  EXPORT_PEFT,           /* "peft": as trained */
  EXPORT_LORA,           /* "lora": an equal LoRA adapter (HRA, LoRA) */
  EXPORT_MERGED,         /* "merged:TYPE": the base with the adapter in it, as safetensors; TYPE f32, f16, bf16 */
  EXPORT_GGUF,           /* "gguf:TYPE": the same as one GGUF file; TYPE f16, bf16, q8_0 */
  EXPORT_GGUF_LORA,      /* "gguf-lora": the equal LoRA as GGUF */
  EXPORT_DIFFUSERS_LORA, /* "diffusers-lora": the equal LoRA of a UNet as diffusers' load_lora_weights reads it */
  EXPORT_KOHYA_LORA,     /* "kohya-lora": the same under the names of kohya's sd-scripts */
  EXPORT_FORMAT_COUNT
};
enum export_type { EXPORT_TYPE_NONE, EXPORT_TYPE_F32, EXPORT_TYPE_F16, EXPORT_TYPE_BF16, EXPORT_TYPE_Q8_0 };
struct export_choice {
  enum export_format format;
  enum export_type type; /* NONE where the format has one type */
};
/* Parses "merged" (default type bf16), "gguf" (default f16), "gguf:q8_0", ... False for anything else. */
bool export_parse(struct export_choice *out, const char *text);
/* The normal spelling, "merged:bf16". */
enum { EXPORT_NAME_MAX = 32 };
void export_name(char out[EXPORT_NAME_MAX], struct export_choice choice);
/* Normalises a list (defaults written out, duplicates dropped, "peft" first); faults name the item and what the
   adapter cannot be ("lora" of OFT and BOFT, which have no low-rank form; "gguf-lora" and what is for image models of
   what is trained in full). */
void job_exports_settle(struct string_list *exports, const struct adapter_spec *adapter, struct arena *arena,
                        struct fault_list *faults);

/* What is known of the model that is trained. */
enum export_model { EXPORT_MODEL_ANY, EXPORT_MODEL_LANGUAGE, EXPORT_MODEL_TEXT, EXPORT_MODEL_IMAGE };
/* The same for what depends on the model; ANY: not known yet, TEXT: no language model (a classifier, an encoder). */
void job_exports_judge(const struct string_list *exports, enum export_model model, struct fault_list *faults);

/* An array of {name, types, default_type, always, needs_exact_lora, needs_language_model, needs_image_model}: what a
   list may have. A new reference; NULL: no memory. */
NODISCARD json_t *export_formats_json(void);

/* The normalised document: the same shape job_spec_parse reads, every default written out, method
   always {"type":<objective>,...} and `adapter` beside it. A new reference. */
NODISCARD json_t *job_spec_json(const struct job_spec *spec);
/* The `adapter` member of that document. A new reference. */
NODISCARD json_t *job_spec_adapter(const struct adapter_spec *adapter);
/* The same for adapter_config.json: PEFT's field names only, so without orth_lambda. Whoever writes
   the file adds what depends on the model (task_type, base_model_name_or_path). A new reference. */
NODISCARD json_t *job_spec_peft_config(const struct adapter_spec *adapter);

/* Steps of the warm-up of a run of `total`: warmup_steps, or ceil(warmup_ratio * total) as in Transformers. A share of
   one step is none: it would be a step at 0 and nothing else, and a run of a few steps would lose it for nothing. */
int64_t job_warmup_steps(const struct hyperparameters *h, int64_t total);

/* The learning rate of optimiser step `step` (0-based) of `total`, peak learning_rate *
   learning_rate_multiplier: pure, shared with `dry_run` estimates. */
double job_learning_rate(const struct hyperparameters *h, int64_t step, int64_t total);

/* A member of PEFT's config that is understood at one value only. */
struct method_fixed {
  const char *name;
  const char *value; /* JSON text; null is accepted too, and an empty list where it is null: PEFT writes either */
};

/* One row a method, in api/method_<name>.c. */
struct method {
  const char *peft_type;                /* "HRA" */
  const char *name;                     /* "hra" */
  const char *bias_only;                /* "hra_only" */
  double learning_rate;                 /* default */
  struct field_table fields;            /* the method's own members and `bias`, offsets into struct adapter_spec */
  bool low_rank;                        /* an adapter of it is exactly a LoRA */
  bool on_conv2d, on_conv1d;            /* it may be on torch's Conv2d, on Transformers' Conv1D, as in PEFT */
  const char *const *not_peft;          /* members that adapter_config.json must not carry, ended by NULL */
  const struct method_fixed *fixed;     /* PEFT's members that can only have one value here, ended by a NULL name */
  /* Rules between fields: adds faults, and settles defaults that depend on other fields. `given` is
     the object the adapter was read from and `path` its name in the body. */
  void (*validate)(struct adapter_spec *adapter, const json_t *given, const char *path, struct fault_list *faults);
};
const struct method *method_of(enum peft_type type);
/* Is an adapter of it exactly a LoRA? A DoRA is none, whatever its method says. */
bool adapter_spec_low_rank(const struct adapter_spec *adapter);
/* Do its parameters begin as a part of the weights? (LoRA with lora_init_of_weight) */
bool adapter_spec_of_weight(const struct adapter_spec *adapter);
/* What a trained adapter of it is saved as: itself; where it began as a part of the weights, the LoRA of twice the rank
   that is its change of the unchanged weights, with the scale that it was trained with. New arrays are in `arena`;
   false when that is full. */
NODISCARD bool adapter_spec_saved(struct adapter_spec *out, const struct adapter_spec *adapter, struct arena *arena);
/* May an adapter of it be on torch's Conv2d? */
bool adapter_spec_on_conv2d(const struct adapter_spec *adapter);
/* What messages call it: the method's name, or "lora with use_dora", or with such an init_lora_weights. */
const char *adapter_spec_name(const struct adapter_spec *adapter);
/* PEFT_COUNT when no row has that peft_type (case does not matter). */
enum peft_type method_parse(const char *peft_type);

#endif
