/* From options to the body of POST /v1/fine_tuning/jobs. The server validates; here only the shape
   is made. */
#include "cli/job_body.h"

#include <string.h>

#include "api/variant.h"
#include "base/json.h"

#define HYPER "method.supervised.hyperparameters."

static const struct option_row rows[] = {
  {"spec", OPTION_TEXT, offsetof(struct create_options, spec), NULL, "FILE", "a whole job as JSON; options go over it"},
  {"set", OPTION_MEMBER, 0, "", "MEMBER=VALUE",
   "any member of a job, as hyperparameters.adam_beta2=0.95; may be repeated"},
  {"model", OPTION_TEXT, 0, "model", "ID", "base model"},
  {"file", OPTION_TEXT, offsetof(struct create_options, file), NULL, "ID|PATH", "training data; a path is uploaded"},
  {"validation", OPTION_TEXT, offsetof(struct create_options, validation), NULL, "ID|PATH", "validation data"},
  {"task", OPTION_TEXT, 0, "task", "NAME", "classification, embedding, glue/cola, ...; else what the data are"},
  {"recipe", OPTION_TEXT, 0, "recipe", "NAME", "settings of a task of GLUE: glue, or hra-glue"},
  {"suffix", OPTION_TEXT, 0, "suffix", "NAME", "becomes part of the adapter's name"},
  {"display-name", OPTION_TEXT, 0, "display_name", "NAME", "what people call it"},
  {"seed", OPTION_INT, 0, "seed", "N", "0 to 2147483647"},
  {"metadata", OPTION_PAIR, 0, "metadata", "KEY=VALUE", "kept with the job; may be repeated"},
  {"method", OPTION_TEXT, 0, "adapter.peft_type", "NAME", "adapter method: hra, lora, oft, boft"},
  {"r", OPTION_INT, 0, "adapter.r", "N", "reflections a module (HRA), rank (LoRA), blocks (OFT)"},
  {"apply-gs", OPTION_FLAG, 0, "adapter.apply_GS", NULL, "orthogonal reflections (Gram-Schmidt)"},
  {"init-weights", OPTION_BOOL, 0, "adapter.init_weights", "BOOL", "true: start at the base model"},
  {"orth-lambda", OPTION_NUMBER, 0, "adapter.orth_lambda", "X", "weight of the orthogonality regulariser"},
  {"lora-alpha", OPTION_NUMBER, 0, "adapter.lora_alpha", "X", "LoRA: the change is scaled by this / r"},
  {"lora-dropout", OPTION_NUMBER, 0, "adapter.lora_dropout", "X", "LoRA: dropout of the adapter's input"},
  {"use-rslora", OPTION_FLAG, 0, "adapter.use_rslora", NULL, "LoRA: scale by alpha / sqrt(r)"},
  {"init-lora-weights", OPTION_TEXT, 0, "adapter.init_lora_weights", "NAME",
   "LoRA: true, false, gaussian, pissa, pissa_niter_4, olora, ..."},
  {"use-dora", OPTION_FLAG, 0, "adapter.use_dora", NULL, "DoRA: lengths of the rows are trained beside LoRA"},
  {"loraplus-lr-ratio", OPTION_NUMBER, 0, "adapter.loraplus_lr_ratio", "X", "LoRA+: B learns so much faster"},
  {"oft-block-size", OPTION_INT, 0, "adapter.oft_block_size", "N", "OFT: inputs that turn together"},
  {"boft-block-size", OPTION_INT, 0, "adapter.boft_block_size", "N", "BOFT: likewise"},
  {"from-checkpoint", OPTION_TEXT, 0, "from_checkpoint", "ID", "start from a job's, checkpoint's or uploaded adapter"},
  {"export", OPTION_LIST, 0, "exports", "A,B", "more formats: lora, merged[:TYPE], gguf[:TYPE], gguf-lora, "
                                             "diffusers-lora, kohya-lora"},
  {"target-modules", OPTION_LIST, 0, "adapter.target_modules", "A,B", "names of the modules to adapt, or all-linear"},
  {"target-regex", OPTION_TEXT, 0, "adapter.target_modules", "RE", "or a pattern"},
  {"exclude-modules", OPTION_LIST, 0, "adapter.exclude_modules", "A,B", "modules left alone"},
  {"modules-to-save", OPTION_LIST, 0, "adapter.modules_to_save", "A,B", "modules trained in full"},
  {"bias", OPTION_TEXT, 0, "adapter.bias", "NAME", "biases to train: none, all, METHOD_only"},
  {"lr", OPTION_NUMBER, 0, HYPER "learning_rate", "X", "peak learning rate"},
  {"epochs", OPTION_INT, 0, HYPER "n_epochs", "N", "passes over the data"},
  {"batch", OPTION_INT, 0, HYPER "batch_size", "N", "examples a micro-batch"},
  {"accumulation", OPTION_INT, 0, HYPER "gradient_accumulation_steps", "N", "micro-batches an optimiser step"},
  {"max-steps", OPTION_INT, 0, HYPER "max_steps", "N", "optimiser steps, instead of epochs"},
  {"max-length", OPTION_INT, 0, HYPER "max_seq_length", "N", "tokens an example"},
  {"schedule", OPTION_TEXT, 0, HYPER "lr_scheduler_type", "NAME", "linear, cosine, constant, ..."},
  {"warmup-ratio", OPTION_NUMBER, 0, HYPER "warmup_ratio", "X", "share of the steps"},
  {"warmup-steps", OPTION_INT, 0, HYPER "warmup_steps", "N", "or their number"},
  {"weight-decay", OPTION_NUMBER, 0, HYPER "weight_decay", "X", "decoupled"},
  {"clip", OPTION_NUMBER, 0, HYPER "max_grad_norm", "X", "largest gradient norm; 0: none"},
  {"precision", OPTION_TEXT, 0, HYPER "precision", "NAME", "fp32, or bf16: faster where the processor has it"},
  {"packing", OPTION_FLAG, 0, HYPER "packing", NULL, "fill micro-batches by tokens"},
  {"max-batch-tokens", OPTION_INT, 0, HYPER "max_batch_tokens", "N", "tokens a micro-batch at most"},
  {"train-on-inputs", OPTION_FLAG, 0, HYPER "train_on_inputs", NULL, "learn prompts too"},
  {"objective", OPTION_TEXT, 0, "method.type", "NAME", "supervised, or preference tuning: dpo, orpo, kto"},
  {"beta", OPTION_NUMBER, 0, HYPER "beta", "X", "preferences: how near the reference; ORPO: weight of the odds ratio"},
  {"loss-type", OPTION_TEXT, 0, HYPER "loss_type", "NAME", "DPO: sigmoid, ipo, robust"},
  {"label-smoothing", OPTION_NUMBER, 0, HYPER "label_smoothing", "X", "DPO: share of pairs the wrong way round"},
  {"rpo-alpha", OPTION_NUMBER, 0, HYPER "rpo_alpha", "X", "DPO: weight of the preferred answers' token loss"},
  {"desirable-weight", OPTION_NUMBER, 0, HYPER "desirable_weight", "X", "KTO: of completions labelled true"},
  {"undesirable-weight", OPTION_NUMBER, 0, HYPER "undesirable_weight", "X", "KTO: of completions labelled false"},
  {"shuffle", OPTION_BOOL, 0, HYPER "shuffle", "BOOL", "another order each epoch (true)"},
  {"chat-template", OPTION_TEXT, 0, "dataset.chat_template", "NAME", "chatml, llama-3, ... or a Jinja template"},
  {"messages-column", OPTION_TEXT, 0, "dataset.messages", "NAME", "member with a chat's messages"},
  {"prompt-column", OPTION_TEXT, 0, "dataset.prompt", "NAME", "column of the prompt"},
  {"completion-column", OPTION_TEXT, 0, "dataset.completion", "NAME", "column of the completion"},
  {"text-column", OPTION_TEXT, 0, "dataset.text", "NAME", "column of the text"},
  {"pair-column", OPTION_TEXT, 0, "dataset.text_pair", "NAME", "column of the second text"},
  {"label-column", OPTION_TEXT, 0, "dataset.label", "NAME", "column of the label"},
  {"negative-column", OPTION_TEXT, 0, "dataset.negative", "NAME", "column of a text unlike the first (embeddings)"},
  {"pooling", OPTION_TEXT, 0, "embedding.pooling", "NAME", "of embeddings: mean or cls; else as the model says"},
  {"scale", OPTION_NUMBER, 0, "embedding.scale", "X", "of cosines in the loss of positives and negatives (20)"},
  {"instance-prompt", OPTION_TEXT, 0, "image.instance_prompt", "TEXT", "images: \"a photo of sks dog\""},
  {"with-prior-preservation", OPTION_FLAG, 0, "image.with_prior_preservation", NULL, "learn images of the class too"},
  {"prior-loss-weight", OPTION_NUMBER, 0, "image.prior_loss_weight", "X", "of these in the loss (1)"},
  {"class-prompt", OPTION_TEXT, 0, "image.class_prompt", "TEXT", "what the base makes these with"},
  {"num-class-images", OPTION_INT, 0, "image.num_class_images", "N", "how many (100)"},
  {"snr-gamma", OPTION_NUMBER, 0, "image.snr_gamma", "X", "min-SNR weighting of time steps; 5 is usual"},
  {"resolution", OPTION_INT, 0, "image.resolution", "N", "pixels of a side; else the model's own"},
  {"center-crop", OPTION_FLAG, 0, "image.center_crop", NULL, "crop from the middle, not anywhere"},
  {"conditioning", OPTION_TEXT, 0, "image.conditioning", "NAME", "hints: conditioning_image (of the data) or canny"},
  {"validation-prompt", OPTION_TEXT, 0, "image.validation_prompts", "TEXT", "make previews of it at each evaluation"},
  {"num-validation-images", OPTION_INT, 0, "image.num_validation_images", "N", "so many (4)"},
  {"num-inference-steps", OPTION_INT, 0, "image.num_inference_steps", "N", "sampler steps of an image (25)"},
  {"guidance-scale", OPTION_NUMBER, 0, "image.guidance_scale", "X", "classifier-free guidance of it (7.5)"},
  {"clip-model", OPTION_TEXT, 0, "image.clip_model", "MODEL", "measure previews by this CLIPModel: CLIP-T, CLIP-I"},
  {"dino-model", OPTION_TEXT, 0, "image.dino_model", "MODEL", "and by this ViTModel of DINO's, or Dinov2Model"},
  {"labels-column", OPTION_TEXT, 0, "dataset.labels", "NAME", "member with a list of labels"},
  {"tokens-column", OPTION_TEXT, 0, "dataset.tokens", "NAME", "member with a text's words"},
  {"tags-column", OPTION_TEXT, 0, "dataset.tags", "NAME", "member with the words' tags"},
  {"problem-type", OPTION_TEXT, 0, "dataset.problem_type", "NAME", "regression, single_ or multi_label_classification"},
  {"eval-steps", OPTION_INT, 0, "evaluation.every_steps", "N", "evaluate so often; 0: each epoch"},
  {"eval-examples", OPTION_INT, 0, "evaluation.max_examples", "N", "at most so many; 0: all"},
  {"eval-preset", OPTION_TEXT, 0, "evaluation.generate.preset", "NAME", "let a language model answer: gsm8k, math"},
  {"eval-extractor", OPTION_TEXT, 0, "evaluation.generate.extractor", "NAME",
   "let it answer, and compare: exact, first_number, last_number, regex, math, choice"},
  {"eval-prompt-column", OPTION_TEXT, 0, "evaluation.generate.prompt", "NAME", "column of what is asked then"},
  {"eval-answer-column", OPTION_TEXT, 0, "evaluation.generate.answer", "NAME", "column of the expected answer"},
  {"eval-max-tokens", OPTION_INT, 0, "evaluation.generate.max_tokens", "N", "of an answer (256)"},
  {"eval-answers", OPTION_INT, 0, "evaluation.generate.max_examples", "N", "at most so many (100); 0: all"},
  {"checkpoint-steps", OPTION_INT, 0, "checkpointing.every_steps", "N", "checkpoint so often; 0: each epoch"},
  {"keep-checkpoints", OPTION_INT, 0, "checkpointing.keep_last", "N", "checkpoints kept"},
  {"keep-best", OPTION_FLAG, 0, "checkpointing.keep_best", NULL, "and the best one"},
  {"load-best-at-end", OPTION_FLAG, 0, "checkpointing.load_best_at_end", NULL, "the adapter is the best, not the last"},
  {"metric", OPTION_TEXT, 0, "evaluation.metric", "NAME", "what the best is judged by: loss, accuracy, f1, ..."},
  {"patience", OPTION_INT, 0, "early_stopping.patience", "N", "end after N evaluations without a better one"},
  {"min-delta", OPTION_NUMBER, 0, "early_stopping.min_delta", "X", "better by more than this"},
  {"max-runtime", OPTION_INT, 0, "scheduling.max_runtime", "SECONDS", "end training then, with the adapter so far"},
  {"threads", OPTION_INT, 0, "scheduling.threads", "N", "0: the server's choice"},
  {"priority", OPTION_INT, 0, "scheduling.priority", "N", "higher runs first"},
  {"memory-limit", OPTION_INT, 0, "scheduling.memory_limit", "MIB", "of the worker; 0: in proportion to the model"},
  {"matmul", OPTION_TEXT, 0, "scheduling.matmul", "NAME", "native or openblas; auto: the server's choice"},
  {"device", OPTION_TEXT, 0, "scheduling.device", "NAME", "auto, cpu, a kind of GPU (opencl), or one (opencl:0)"},
  {"dry-run", OPTION_FLAG, offsetof(struct create_options, dry_run), NULL, NULL, "estimate it; create none"},
  {"watch", OPTION_FLAG, offsetof(struct create_options, watch), NULL, NULL, "follow the job until it ends"},
  /* of a sweep alone */
  {"grid", OPTION_PAIR, 0, "grid", "OPTION=A,B", "a job for each value of that option (lr=1e-4,3e-4); may be repeated"},
  {"methods", OPTION_LIST, 0, "methods", "A,B", "compare " VARIANT_NAMES ", at as many parameters"},
  {"name", OPTION_TEXT, 0, "name", "NAME", "what people know the sweep by"},
  {"sweep", OPTION_TEXT, offsetof(struct create_options, sweep), NULL, "FILE",
   "the sweep as JSON, for all else; options go over it"},
};
enum { OF_SWEEPS = 4 };
const struct option_table create_option_table = {rows, COUNT_OF(rows) - OF_SWEEPS};
const struct option_table sweep_option_table = {rows, COUNT_OF(rows)};

/* PEFT's shorthand is a string; as a list it would name a module. */
static void name_all_linear(json_t *document) {
  json_t *adapter = json_object_get(document, "adapter"), *targets = json_object_get(adapter, "target_modules");
  const char *only = json_array_size(targets) == 1 ? json_string_value(json_array_get(targets, 0)) : NULL;
  if (only && strcmp(only, "all-linear") == 0)
    json_object_set_new(adapter, "target_modules", json_string("all-linear"));
}

/* --set names hyperparameters at the top, as OpenAI's older bodies do. */
static bool fold_hyperparameters(json_t *document) {
  struct error err;
  json_t *given = json_object_get(document, "hyperparameters"), *value;
  const char *name;
  char path[192];
  bool done = true;
  if (!json_is_object(given)) /* where it is there at all the server says what is wrong */
    return true;
  json_object_foreach(given, name, value) {
    snprintf(path, sizeof path, HYPER "%s", name);
    done = done && options_set_path(document, path, json_incref(value), &err) == STATUS_OK;
  }
  return done && json_object_del(document, "hyperparameters") == 0;
}

/* Options write hyperparameters in one place; they belong below the type that the method has. */
static bool name_objective(json_t *method) {
  json_t *given = json_object_get(method, "supervised");
  const char *type = json_string_value(json_object_get(method, "type"));
  if (!json_is_object(method))
    return true;
  if (!json_object_get(method, "type"))
    return json_object_set_new(method, "type", json_string("supervised")) == 0;
  if (!type || !given || strcmp(type, "supervised") == 0)
    return true;
  json_t *own = json_object_get(method, type);
  bool done =
      json_is_object(own) ? json_object_update_recursive(own, given) == 0 : json_object_set(method, type, given) == 0;
  return done && json_object_del(method, "supervised") == 0;
}

enum status job_body_make(json_t **out, const struct create_options *options, json_t *document,
                          struct error *err) {
  json_t *body = NULL;
  *out = NULL;
  name_all_linear(document);
  if (!fold_hyperparameters(document))
    return error_no_memory(err, "the job");
  if (options->spec) {
    enum status status = json_parse_file(&body, options->spec, NULL, err);
    if (status != STATUS_OK)
      return status;
    if (!json_is_object(body)) {
      status = error_set(err, STATUS_INVALID_VALUE, "spec", "%s: expected an object, found %s", options->spec,
                         json_kind(body));
      json_decref(body);
      return status;
    }
  } else {
    body = json_object();
  }
  if (!body || json_object_update_recursive(body, document) != 0) {
    json_decref(body);
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
  }
  if (!name_objective(json_object_get(body, "method"))) {
    json_decref(body);
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
  }
  *out = body;
  return STATUS_OK;
}

bool job_body_is_file_id(const char *text) {
  return strncmp(text, "file-", 5) == 0 && !strchr(text, '/');
}
