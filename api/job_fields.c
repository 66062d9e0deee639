/* Data only, but for the concatenation of an adapter's rows. */
#include "api/job_fields.h"

#include <string.h>

#include "api/job_task.h"
#include "api/objective.h"
#include "api/recipe.h"

#define FIELDS(rows)                                                                                                   \
  { .fields = (rows), .count = COUNT_OF(rows) }

#define AT(member) offsetof(struct job_spec, member)
static const struct field top[] = {
    {"model", NULL, FIELD_STRING, AT(model), FIELD_REQUIRED, 1, 256, .doc = "Id of a base model: see GET /v1/models."},
    {"training_file", NULL, FIELD_STRING, AT(training_file), FIELD_REQUIRED, 1, 128,
     .doc = "Id of an uploaded file of purpose fine-tune."},
    {"validation_file", NULL, FIELD_STRING, AT(validation_file), 0, 1, 128,
     .doc = "Id of a file to evaluate on; without one there is no evaluation."},
    {"task", NULL, FIELD_CHOICE, AT(task), 0, 0, 0, job_task_names, "auto",
     .doc = "What is learnt; auto: what the data have, and what the model can be. Data of another kind are refused."},
    {"recipe", NULL, FIELD_CHOICE, AT(recipe), 0, 0, 0, recipe_names, "none",
     .doc = "Settings of GLUE's tasks by name, for members that the job does not give: glue, or hra-glue as HRA's "
            "authors had them. All are written out in the job."},
    {"suffix", NULL, FIELD_STRING, AT(suffix), 0, 1, 64,
     .doc = "Part of the fine-tuned model's name: letters, digits, dot, dash and underscore."},
    {"display_name", NULL, FIELD_STRING, AT(display_name), 0, 1, 128, .doc = "What people call the job."},
    {"seed", NULL, FIELD_INT, AT(seed), FIELD_NULLABLE, 0, 2147483647, .initial = "-1",
     .doc = "The same seed on the same data and machine gives the same adapter, byte for byte; chosen at random when "
            "absent."},
    {"from_checkpoint", NULL, FIELD_STRING, AT(from_checkpoint), 0, 1, 511,
     .doc = "Start from this adapter: id of a finished job, of a checkpoint, or of an uploaded adapter archive; or "
            "the name of a fine-tuned model or checkpoint (\"ft:...\")."},
    {"exports", NULL, FIELD_STRING_LIST, AT(exports), 0, 0, 16,
     .doc = "Formats to leave the adapter in besides \"peft\", which is always made: \"lora\" (an equal LoRA; HRA and "
            "LoRA), \"merged\" or \"merged:f32|f16|bf16\" (the whole model as safetensors), \"gguf\" or "
            "\"gguf:f16|bf16|q8_0\" (the whole model as one GGUF file), \"gguf-lora\"; of image models "
            "\"diffusers-lora\" and \"kohya-lora\"."},
};
#undef AT
const struct field_table job_fields = FIELDS(top);

static const char *const schedules[] = {[SCHEDULE_LINEAR] = "linear",
                                        [SCHEDULE_COSINE] = "cosine",
                                        [SCHEDULE_CONSTANT] = "constant",
                                        [SCHEDULE_CONSTANT_WITH_WARMUP] = "constant_with_warmup",
                                        [SCHEDULE_WARMUP_LINEAR] = "warmup_linear",
                                        [SCHEDULE_COUNT] = NULL};
static const char *const precisions[] = {
    [PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16", [PRECISION_COUNT] = NULL};

const char *const job_metric_names[] = {[METRIC_LOSS] = "loss",
                                        [METRIC_ACCURACY] = "accuracy",
                                        [METRIC_F1] = "f1",
                                        [METRIC_MATTHEWS] = "matthews_correlation",
                                        [METRIC_PEARSON] = "pearson",
                                        [METRIC_SPEARMAN] = "spearman",
                                        [METRIC_PERPLEXITY] = "perplexity",
                                        [METRIC_TOKEN_ACCURACY] = "mean_token_accuracy",
                                        [METRIC_ACCURACY_MATCHED] = "accuracy_matched",
                                        [METRIC_ACCURACY_MISMATCHED] = "accuracy_mismatched",
                                        [METRIC_COMBINED] = "combined_score",
                                        [METRIC_PEARSON_COSINE] = "pearson_cosine",
                                        [METRIC_SPEARMAN_COSINE] = "spearman_cosine",
                                        [METRIC_COSINE_ACCURACY] = "cosine_accuracy",
                                        [METRIC_COSINE_ACCURACY_1] = "cosine_accuracy@1",
                                        [METRIC_COSINE_RECALL_10] = "cosine_recall@10",
                                        [METRIC_COSINE_MRR_10] = "cosine_mrr@10",
                                        [METRIC_COSINE_NDCG_10] = "cosine_ndcg@10",
                                        [METRIC_AVERAGE_PRECISION] = "average_precision",
                                        [METRIC_MAP] = "map",
                                        [METRIC_MRR_10] = "mrr@10",
                                        [METRIC_NDCG_10] = "ndcg@10",
                                        [METRIC_F1_MICRO] = "f1_micro",
                                        [METRIC_F1_MACRO] = "f1_macro",
                                        [METRIC_SUBSET_ACCURACY] = "subset_accuracy",
                                        [METRIC_PRECISION] = "precision",
                                        [METRIC_RECALL] = "recall",
                                        [METRIC_EXACT_MATCH] = "exact_match",
                                        [METRIC_REWARDS_ACCURACIES] = "rewards/accuracies",
                                        [METRIC_REWARDS_MARGINS] = "rewards/margins",
                                        [METRIC_CANNY_IOU] = "canny_iou",
                                        [METRIC_CANNY_F1] = "canny_f1",
                                        [METRIC_COUNT] = NULL};
const char *const job_pooling_names[] = {
    [EMBEDDING_AUTO] = "auto", [EMBEDDING_MEAN] = "mean", [EMBEDDING_CLS] = "cls", [EMBEDDING_COUNT] = NULL};
const char *const job_extractor_names[] = {[EXTRACT_EXACT] = "exact",
                                           [EXTRACT_FIRST_NUMBER] = "first_number",
                                           [EXTRACT_LAST_NUMBER] = "last_number",
                                           [EXTRACT_REGEX] = "regex",
                                           [EXTRACT_MATH] = "math",
                                           [EXTRACT_CHOICE] = "choice",
                                           [EXTRACT_COUNT] = NULL};
const char *const job_generate_preset_names[] = {[GENERATE_PRESET_NONE] = "none",
                                                 [GENERATE_PRESET_GSM8K] = "gsm8k",
                                                 [GENERATE_PRESET_MATH] = "math",
                                                 [GENERATE_PRESET_COUNT] = NULL};
const char *const job_generate_compat_names[] = {
    [GENERATE_COMPAT_NONE] = "none", [GENERATE_COMPAT_HRA_AUTHORS] = "hra-authors", [GENERATE_COMPAT_COUNT] = NULL};
const char *const job_matmul_names[] = {
    [MATMUL_AUTO] = "auto", [MATMUL_NATIVE] = "native", [MATMUL_OPENBLAS] = "openblas", [MATMUL_LIBRARY_COUNT] = NULL};

const char *const job_problem_names[] = {[PROBLEM_AUTO] = "auto",
                                         [PROBLEM_REGRESSION] = "regression",
                                         [PROBLEM_SINGLE_LABEL] = "single_label_classification",
                                         [PROBLEM_MULTI_LABEL] = "multi_label_classification",
                                         [PROBLEM_COUNT] = NULL};

#define AT(member) offsetof(struct hyperparameters, member)
static const struct field hyper[] = {
    {"n_epochs", NULL, FIELD_INT, AT(n_epochs), FIELD_AUTO, 1, 100, .initial = "3",
     .doc = "Passes over the training file."},
    {"batch_size", NULL, FIELD_INT, AT(batch_size), FIELD_AUTO, 1, 256, .initial = "16", .unit = "examples",
     .doc = "Examples in a micro-batch."},
    {"gradient_accumulation_steps", NULL, FIELD_INT, AT(gradient_accumulation_steps), 0, 1, 1024, .initial = "1",
     .doc = "Micro-batches in an optimiser step."},
    {"learning_rate_multiplier", NULL, FIELD_NUMBER, AT(learning_rate_multiplier), FIELD_AUTO | FIELD_EXCLUSIVE, 0,
     1000, .initial = "1", .doc = "Scales learning_rate."},
    {"learning_rate", NULL, FIELD_NUMBER, AT(learning_rate), FIELD_AUTO | FIELD_EXCLUSIVE | FIELD_NULLABLE, 0, 10,
     .doc = "Peak of the schedule; the default depends on the method (HRA 0.002, LoRA 0.0002, OFT and BOFT "
            "0.001; of preference tuning a tenth of these)."},
    {"max_steps", NULL, FIELD_INT, AT(max_steps), FIELD_NULLABLE, 0, 1e9, .unit = "optimiser steps",
     .doc = "Stop after so many; null or 0: n_epochs decides."},
    {"max_seq_length", NULL, FIELD_INT, AT(max_seq_length), 0, 4, 131072, .initial = "512", .unit = "tokens",
     .doc = "Longer examples are truncated."},
    {"lr_scheduler_type", NULL, FIELD_CHOICE, AT(lr_scheduler_type), 0, 0, 0, schedules, "linear",
     .doc = "Course of the learning rate after the warm-up; warmup_linear falls as if there had been none, with a jump "
            "where it ends."},
    {"warmup_ratio", NULL, FIELD_NUMBER, AT(warmup_ratio), 0, 0, 0.999999, .initial = "0.06",
     .doc = "Share of all steps in which the learning rate rises from 0, rounded up; none where that is one step."},
    {"warmup_steps", NULL, FIELD_INT, AT(warmup_steps), 0, 0, 1e9, .unit = "optimiser steps",
     .doc = "If above 0, used in place of warmup_ratio."},
    {"min_lr_ratio", NULL, FIELD_NUMBER, AT(min_lr_ratio), 0, 0, 1,
     .doc = "Where linear and cosine end, as a share of the peak."},
    {"weight_decay", NULL, FIELD_NUMBER, AT(weight_decay), 0, 0, 10, .doc = "Decoupled weight decay of AdamW."},
    {"max_grad_norm", NULL, FIELD_NUMBER, AT(max_grad_norm), 0, 0, 1e6, .initial = "1",
     .doc = "Gradients are clipped to this norm; 0: never."},
    {"adam_beta1", NULL, FIELD_NUMBER, AT(adam_beta1), 0, 0, 0.999999, .initial = "0.9",
     .doc = "Decay of AdamW's first moment."},
    {"adam_beta2", NULL, FIELD_NUMBER, AT(adam_beta2), 0, 0, 0.999999, .initial = "0.999",
     .doc = "Decay of AdamW's second moment."},
    {"adam_epsilon", NULL, FIELD_NUMBER, AT(adam_epsilon), FIELD_EXCLUSIVE, 0, 1, .initial = "1e-8",
     .doc = "Added to AdamW's denominator."},
    {"adam_bias_correction", NULL, FIELD_BOOL, AT(adam_bias_correction), .initial = "true",
     .doc = "AdamW's moments are divided by what they lack in the first steps; false: as BERT's first optimiser."},
    {"train_head", NULL, FIELD_BOOL, AT(train_head), .initial = "true",
     .doc = "Classifiers: train the head, and a pooler that the base lacks; false: they stay as they start, which of a "
            "base without them is at random."},
    {"packing", NULL, FIELD_BOOL, AT(packing),
     .doc = "Fill a micro-batch with examples up to batch_size * max_seq_length tokens; they never see each other."},
    {"max_batch_tokens", NULL, FIELD_INT, AT(max_batch_tokens), 0, 0, 1e9, .unit = "tokens",
     .doc = "A micro-batch ends before it would have more tokens; 0: no limit."},
    {"train_on_inputs", NULL, FIELD_BOOL, AT(train_on_inputs),
     .doc = "Language models: learn prompts too, not only what the assistant says."},
    {"shuffle", NULL, FIELD_BOOL, AT(shuffle), .initial = "true", .doc = "Another order of the examples each epoch."},
    {"precision", NULL, FIELD_CHOICE, AT(precision), 0, 0, 0, precisions, "fp32",
     .doc = "What products with the base model's weights multiply: floats, or numbers rounded to bfloat16 with float "
            "sums. All else, adapters and optimiser among it, is float."},
};
#undef AT
const struct field_table job_hyper_fields = FIELDS(hyper);

struct field_table job_hyper_fields_of(struct field rows[JOB_HYPER_ROWS], int objective) {
  const struct field_table own = objective_fields((enum objective)objective);
  CHECK(own.count + COUNT_OF(hyper) <= JOB_HYPER_ROWS);
  if (own.count)
    memcpy(rows, own.fields, own.count * sizeof *rows);
  memcpy(rows + own.count, hyper, sizeof hyper);
  return (struct field_table){.fields = rows, .count = own.count + COUNT_OF(hyper)};
}

/* Offsets into the section: the members of struct job_spec's anonymous structs. */
#define IN(section, member) (offsetof(struct job_spec, section.member) - offsetof(struct job_spec, section))
static const struct field dataset[] = {
    {"text", NULL, FIELD_STRING, IN(columns, text), 0, 1, 128, .initial = "text", .doc = "Column of the text."},
    {"text_pair", NULL, FIELD_STRING, IN(columns, text_pair), 0, 1, 128, .initial = "text_pair",
     .doc = "Column of a second text, used where it is present."},
    {"label", NULL, FIELD_STRING, IN(columns, label), 0, 1, 128, .initial = "label", .doc = "Column of the label."},
    {"negative", NULL, FIELD_STRING, IN(columns, negative), 0, 1, 128, .initial = "negative",
     .doc = "Column of a text that is unlike text (embeddings), used where it is present."},
    {"labels", NULL, FIELD_STRING, IN(columns, labels), 0, 1, 128, .initial = "labels",
     .doc = "Member with a list of labels, of multi_label."},
    {"tokens", NULL, FIELD_STRING, IN(columns, tokens), 0, 1, 128, .initial = "tokens",
     .doc = "Member with a list of a text's words, of token_classification."},
    {"tags", NULL, FIELD_STRING, IN(columns, tags), 0, 1, 128, .initial = "tags",
     .doc = "Member with a list of their tags; where the first line has no tags, ner_tags or labels is taken."},
    {"problem_type", NULL, FIELD_CHOICE, IN(columns, problem_type), 0, 0, 0, job_problem_names, "auto",
     .doc = "What labels are: numbers to come near to, or names of classes; auto: fractions make a regression, words "
            "and whole numbers make classes."},
    {"messages", NULL, FIELD_STRING, IN(columns, messages), 0, 1, 128, .initial = "messages",
     .doc = "Member with a chat's messages."},
    {"prompt", NULL, FIELD_STRING, IN(columns, prompt), 0, 1, 128, .initial = "prompt",
     .doc = "Column of what a completion follows on."},
    {"completion", NULL, FIELD_STRING, IN(columns, completion), 0, 1, 128, .initial = "completion",
     .doc = "Column of what is learnt after the prompt."},
    {"chat_template", NULL, FIELD_STRING, IN(columns, chat_template), 0, 1, 65536,
     .doc = "How chats become text: a name (chatml, llama-2, llama-3, mistral, zephyr, gemma, qwen, alpaca, smollm2) "
            "or a Jinja template; null: the model's own."},
};
static const struct field embedding[] = {
    {"pooling", NULL, FIELD_CHOICE, IN(embedding, pooling), 0, 0, 0, job_pooling_names, "auto",
     .doc = "What of a text's tokens is its embedding: their mean, or the first one's (cls); auto: as the folder of a "
            "sentence-transformers model says, of any other the mean."},
    {"scale", NULL, FIELD_NUMBER, IN(embedding, scale), FIELD_EXCLUSIVE, 0, 1000, .initial = "20",
     .doc = "Cosines are multiplied by it before the softmax over positives and negatives: one over its temperature."},
};
static const struct field evaluation[] = {
    {"every_steps", NULL, FIELD_INT, IN(evaluation, every_steps), 0, 0, 1e9, .unit = "optimiser steps",
     .doc = "How often the validation file is evaluated; 0: at the end of each epoch."},
    {"max_examples", NULL, FIELD_INT, IN(evaluation, max_examples), 0, 0, 1e9, .unit = "examples",
     .doc = "How many examples of it are used; 0: all."},
    {"metric", "metric_for_best_model", FIELD_CHOICE, IN(evaluation, metric), 0, 0, 0, job_metric_names, "loss",
     .doc = "What the best evaluation is judged by; the initial one does not count. loss and perplexity are better "
            "lower, the others higher."},
};
static const struct field generate[] = {
    {"preset", NULL, FIELD_CHOICE, IN(generate, preset), 0, 0, 0, job_generate_preset_names, "none",
     .doc = "Settings for members that are not given, all written out in the job: gsm8k and math, as HRA's "
            "authors ask them."},
    {"compat", NULL, FIELD_CHOICE, IN(generate, compat), 0, 0, 0, job_generate_compat_names, "none",
     .doc = "hra-authors: numbers are read as in HRA's authors' evaluation, its faults among it: at most one separator "
            "in a number, and rounded to whole ones; of math, 5 is also 500 and 0.05, and brackets are left out."},
    {"prompt", NULL, FIELD_STRING, IN(generate, prompt), 0, 1, 128,
     .doc = "Column of what is asked, for data of chats as a user's message; null: the chat up to its last answer, or "
            "what dataset.prompt names."},
    {"answer", NULL, FIELD_STRING, IN(generate, answer), 0, 1, 128,
     .doc = "Column of the expected answer; null: the last answer of the chat, or what dataset.completion names."},
    {"prompt_template", NULL, FIELD_STRING, IN(generate, prompt_template), 0, 1, 65536,
     .doc = "Text around the prompt of a column, which stands for " GENERATE_PLACEHOLDER " in it; null: none."},
    {"extractor", NULL, FIELD_CHOICE, IN(generate, extractor), 0, 0, 0, job_extractor_names, "exact",
     .doc = "What of an answer, and of the expected one, is compared: the text (exact), its first or last number, the "
            "last match of pattern (regex); math: what is in the last \\boxed, or behind `after`, as LaTeX that says "
            "the same; choice: the likeliest of choices after the prompt, nothing is generated."},
    {"after", NULL, FIELD_STRING, IN(generate, after), 0, 1, 1024,
     .doc = "An answer is what follows the last of these texts; one without it is wrong."},
    {"answer_after", NULL, FIELD_STRING, IN(generate, answer_after), 0, 1, 1024,
     .doc = "The same of the expected answer; one without it is taken whole."},
    {"pattern", NULL, FIELD_STRING, IN(generate, pattern), 0, 1, 4096,
     .doc = "Regular expression of the extractor regex; where it has a group, the first one is the answer."},
    {"choices", NULL, FIELD_STRING_LIST, IN(generate, choices), 0, 0, 64,
     .doc = "Texts of the extractor choice that may follow the prompt, white space before them among it."},
    {"stop", NULL, FIELD_STRING_LIST, IN(generate, stop), 0, 0, 4,
     .doc = "Texts that end an answer, and are no part of it."},
    {"max_tokens", NULL, FIELD_INT, IN(generate, max_tokens), 0, 1, 131072, .initial = "256", .unit = "tokens",
     .doc = "An answer is cut off there."},
    {"max_examples", NULL, FIELD_INT, IN(generate, max_examples), 0, 0, 1e9, .initial = "100", .unit = "examples",
     .doc = "How many examples of the validation file are answered; 0: all."},
};
static const struct field checkpointing[] = {
    {"every_steps", NULL, FIELD_INT, IN(checkpointing, every_steps), 0, 0, 1e9, .unit = "optimiser steps",
     .doc = "How often a checkpoint is written; 0: at the end of each epoch."},
    {"keep_last", NULL, FIELD_INT, IN(checkpointing, keep_last), 0, 1, JOB_KEEP_LAST_MAX, .initial = "3",
     .doc = "Checkpoints kept."},
    {"keep_best", NULL, FIELD_BOOL, IN(checkpointing, keep_best),
     .doc = "Keep the best checkpoint by evaluation.metric too, however old: each evaluation that is the best so far "
            "makes one. Needs validation_file."},
    {"load_best_at_end", "load_best_model_at_end", FIELD_BOOL, IN(checkpointing, load_best_at_end),
     .doc = "The job's adapter is the one of the best evaluation, not the last. Needs validation_file."},
    {"every_seconds", NULL, FIELD_INT, IN(checkpointing, every_seconds), 0, 0, 1e9, .initial = "300", .unit = "seconds",
     .doc = "How often, besides, the state that a paused or interrupted job goes on from is written, as far as that "
            "takes less than a hundredth of the time; 0: with checkpoints only."},
};
static const struct field early_stopping[] = {
    {"patience", "early_stopping_patience", FIELD_INT, IN(early_stopping, patience), 0, 0, 1e9, .unit = "evaluations",
     .doc = "Training ends after so many evaluations in a row without a better evaluation.metric; 0: it does not. "
            "Needs validation_file."},
    {"min_delta", "early_stopping_threshold", FIELD_NUMBER, IN(early_stopping, min_delta), 0, 0, 1e9,
     .doc = "Better means by more than this."},
};
static const struct field scheduling[] = {
    {"threads", NULL, FIELD_INT, IN(scheduling, threads), 0, 0, 1024,
     .doc = "Threads of the worker, at most as many as the server gives a job (`limits.threads_max` of its "
            "capabilities); 0: the server's choice."},
    {"priority", NULL, FIELD_INT, IN(scheduling, priority), 0, -100, 100,
     .doc = "Jobs of higher priority start first; where the server preempts (`preemption` of its capabilities), they "
            "make lower ones that run save their state and wait."},
    {"max_runtime", NULL, FIELD_INT, IN(scheduling, max_runtime), 0, 0, 1e9, .unit = "seconds",
     .doc = "Time that training may take, pauses not counted: then it ends after the step that runs, the job succeeds "
            "with the adapter so far and a warning says so; 0: no limit."},
    {"memory_limit", NULL, FIELD_INT, IN(scheduling, memory_limit), 0, 0, 1 << 24, .unit = "MiB",
     .doc = "Memory the worker may take: activations that do not fit are computed again instead of kept, which makes "
            "steps slower; 0: in proportion to the model."},
    {"matmul", NULL, FIELD_CHOICE, IN(scheduling, matmul), 0, 0, 0, job_matmul_names, "auto",
     .doc = "What multiplies by the base model's weights on the CPU: native (reflectd's own kernels) or openblas; "
            "auto: the server's choice. The results differ in the last bits."},
    {"device", NULL, FIELD_STRING, IN(scheduling, device), 0, 1, 15, .initial = "auto",
     .doc = "Where the job runs: cpu, a kind of GPU (opencl, cuda), or one device (opencl:0); auto: a GPU when one is "
            "free and the job's memory fits, else the CPU. The results differ in the last bits."},
};
#undef IN
const struct job_section job_sections[JOB_SECTION_COUNT] = {
    {"dataset", NULL, "dataset", offsetof(struct job_spec, columns), FIELDS(dataset)},
    {"embedding", NULL, "embedding", offsetof(struct job_spec, embedding), FIELDS(embedding)},
    {"image", NULL, "image", offsetof(struct job_spec, image), {.fields = job_image_rows, .count = JOB_IMAGE_ROWS}},
    {"evaluation", NULL, "evaluation", offsetof(struct job_spec, evaluation), FIELDS(evaluation)},
    {"evaluation.generate", "evaluation", "generate", offsetof(struct job_spec, generate), FIELDS(generate)},
    {"checkpointing", NULL, "checkpointing", offsetof(struct job_spec, checkpointing), FIELDS(checkpointing)},
    {"early_stopping", NULL, "early_stopping", offsetof(struct job_spec, early_stopping), FIELDS(early_stopping)},
    {"scheduling", NULL, "scheduling", offsetof(struct job_spec, scheduling), FIELDS(scheduling)},
};

#define AT(member) offsetof(struct adapter_spec, member)
static const struct field adapter_common[] = {
    {"layers_to_transform", NULL, FIELD_INT_LIST, AT(layers_to_transform), 0, 0, 1024,
     .doc = "Only modules of these layers, counted from 0; null: of all."},
    {"layers_pattern", NULL, FIELD_STRING_LIST, AT(layers_pattern), 0, 0, 16,
     .doc = "Names of the list of layers, where layers_to_transform could mean several."},
    {"modules_to_save", NULL, FIELD_STRING_LIST, AT(modules_to_save), 0, 0, 64,
     .doc = "Modules trained and saved in full beside the adapter; a classifier's head always is."},
};
#undef AT

struct field_table job_adapter_fields(struct field rows[JOB_ADAPTER_ROWS], const struct method *method) {
  size_t common = COUNT_OF(adapter_common);
  CHECK(common + method->fields.count <= JOB_ADAPTER_ROWS);
  memcpy(rows, method->fields.fields, method->fields.count * sizeof *rows);
  memcpy(rows + method->fields.count, adapter_common, sizeof adapter_common);
  return (struct field_table){.fields = rows, .count = common + method->fields.count};
}

const struct inert_member job_inert_top[] = {
    {"integrations",
     {"[]"},
     "integrations are not supported: nothing is sent to other services; metrics are in the job's events and "
     "in step_metrics.csv, which is one of its result_files"},
    {.name = NULL},
};
const struct inert_member job_inert_hyper[] = {
    {"optim", {"\"adamw\"", "\"adamw_torch\""}, "the only optimiser is adamw"},
    {.name = NULL},
};
