/* A base model with what is trained on it. The weights are mapped from the file and stay frozen;
   parameters (adapters, a new head, biases) have memory of their own. */
#ifndef WORKER_MODEL_MODEL_H
#define WORKER_MODEL_MODEL_H

#include <jansson.h>

#include "api/data_use.h"
#include "worker/adapter/adapter.h"
#include "worker/model/checkpoint.h"
#include "worker/model/classes.h"
#include "worker/op/op.h"

struct model_ops;

struct model {
  struct arena arena;
  const struct model_ops *ops;
  void *state;                  /* the architecture's own struct */
  struct checkpoint checkpoint; /* config and weights */
  struct backend *backend;
  struct buffers buffers;         /* on the backend: what the model has there beside mapped weights */
  enum job_output output;         /* what it is trained to give */
  bool component;                 /* of a diffusion pipeline (model_open_component): it has no output of those */
  bool language;                  /* OUTPUT_TEXT: a causal language model */
  enum pooling pooling;           /* OUTPUT_EMBEDDING: of the last layer's rows; MEAN or CLS */
  size_t num_labels;              /* classifiers */
  const char *const *label_names; /* classifiers: [num_labels], borrowed; NULL: LABEL_0, LABEL_1, ... */
  size_t vocabulary;              /* rows of the token embedding */
  size_t token_types;             /* rows of the table of token types; 0: there is none */
  size_t positions;               /* longest sequence it can take */
  size_t weight_bytes;            /* of all tensors, as floats */
  size_t mapped_bytes;            /* of the matrices that are used where the files have them */
  size_t kv_layers, kv_cols;      /* language: layers of a KV cache, and floats of a token's keys in one of them */
  size_t cache_most;              /* language: keys of sequences of up to so many tokens are others than those of longer
                                     ones, so that a KV cache does not outlast that length; 0: they are not */
  size_t blocks;                  /* recompute priorities of tape_segment_begin that its forward uses */
  const struct linear *head; /* language: lm_head, always frozen and not among `linears`; classifiers: the last of them;
                                embeddings: NULL */
  struct linear *convolution; /* a Conv1d, whose bias alone can be trained: not among `linears`; NULL: there is none */
  struct token_rows *token_rows; /* decoders: which rows of the token embedding are trained; else NULL */
  struct linear **linears;       /* every linear module that can be adapted, in the model's order */
  size_t linear_count;
  struct {
    const char *name;
    struct norm *norm;
    bool made; /* the files have none */
  } * norms;
  size_t norm_count;
  size_t module_max; /* room in linears and in norms */
  /* Paths of the modules that tensors were read for, in that order: linear ones, norms, embeddings. */
  const char **owners;
  size_t owner_count;
  const struct string_list *default_targets;
  const char *not_adapted; /* target.h's: why its other modules "cannot be adapted here"; NULL: target_not_adapted */
  struct string_list modules_to_save; /* names, as adapter_config.json lists them */
  bool head_frozen;                   /* before model_adapt: what a classifier always saves is not trained */
  struct adapter **adapters;
  size_t adapter_count;
  struct parameter_list parameters;
};

/* What one architecture is: a row in model.c's table, the code in its own file. */
struct model_ops {
  const char *model_type;        /* config.json's; of a component the same, or its _class_name */
  const char *class_prefix;      /* of Transformers' classes: "Bert" */
  const char *classifier_prefix; /* of its ForSequenceClassification where that is another; NULL: it is not */
  const char *part;              /* a part of CLIPModel: the member of config.json that has its own */
  const char *prefix;            /* of tensor names: "bert." */
  const char *head;              /* a classifier's last layer: "classifier.out_proj"; that of tags is "classifier" */
  const void *family;            /* tells architectures of one file apart, which knows what it is */
  /* Fills linears, norms, sizes and state from config and weights. `seed` for what the file lacks. */
  enum status (*load)(struct model *model, uint64_t seed, struct error *err);
  bool language, classifier, embeds, tags; /* what it can be */
  /* Classifiers: (B, num_labels) logits, of tags (row_count, num_labels). Language models: (N, C), what the head reads.
   * Embeddings: (B, C). */
  struct tensor *(*forward)(struct tape *tape, const struct model *model, const struct sequences *sequences);
  /* Makes tables for sequences of that many tokens; NULL: none are needed. Before the first forward. */
  enum status (*reserve)(struct model *model, size_t longest, struct error *err);
  /* Sets every dropout probability to 0 (benchmarks, comparisons). */
  void (*disable_dropout)(struct model *model);
};

extern const struct model_ops model_bert, model_roberta, model_xlm_roberta, model_camembert, model_electra,
    model_distilbert, model_albert, model_deberta_v2, model_mpnet, model_modernbert, model_llama, model_mistral,
    model_mixtral, model_qwen2, model_qwen3, model_qwen3_moe, model_smollm3, model_olmo2, model_phi3, model_granite,
    model_gemma, model_gemma2, model_gemma3_text, model_gpt2;
extern const struct model_ops model_clip_text, model_unet_2d_condition, model_autoencoder_kl;
extern const struct model_ops model_clip_vision, model_vit, model_dinov2;

/* Loads the model at `path` (checkpoint.h) with the head that gives `output`, of num_labels outputs (OUTPUT_NUMBER: 1;
   OUTPUT_TEXT: 0). STATUS_MODEL_INVALID names the file, tensor or member at fault, STATUS_UNSUPPORTED_VALUE an output
   that the architecture has not. */
NODISCARD enum status model_open(struct model *out, const char *path, enum job_output output, size_t num_labels,
                                 uint64_t seed, struct backend *backend, struct error *err);
/* The component `part` ("unet") of the diffusion pipeline at `path` (checkpoint_open_component), or the one that the
   folder `path` is (NULL): CLIPTextModel (its forward gives (N, C): the rows of all
   tokens), UNet2DConditionModel (unet.h) or AutoencoderKL (autoencoder_kl.h). On the CPU alone: of a device
   STATUS_UNSUPPORTED_VALUE names "scheduling.device". */
NODISCARD enum status model_open_component(struct model *out, const char *path, const char *part,
                                           struct backend *backend, struct error *err);
/* The encoder in the folder `path` that is of those ops: by its model_type, or the part of a CLIPModel. Likewise on the
   CPU alone. */
NODISCARD enum status model_open_encoder(struct model *out, const char *path, const struct model_ops *ops,
                                         struct backend *backend, struct error *err);
void model_close(struct model *model);
/* What the model at `path` can be trained as: a look at its config alone. */
NODISCARD enum status model_tasks(struct data_tasks *out, const char *path, struct error *err);

/* The head for classes or numbers, or with OUTPUT_TAGS for tags, that the files at `path` have: a look at its config
 * and its tensors' names. */
struct base_head {
  struct classes classes;   /* count 0: there is none */
  const char *architecture; /* set where it judges something else (a word, a text): "BertForTokenClassification" */
  bool multi_label;         /* each class yes or no by itself */
};
/* Strings live in `arena`. */
NODISCARD enum status model_base_head(struct base_head *out, const char *path, enum job_output output,
                                      struct arena *arena, struct error *err);
/* The classifier's head starts at random instead of from the base's. Before model_adapt. */
NODISCARD enum status model_new_head(struct model *model, uint64_t seed, struct error *err);
struct classes model_classes(const struct model *model);
/* The path of the last layer of the head that gives `output`. */
const char *model_head(const struct model_ops *ops, enum job_output output);

/* Puts the adapter on its target modules and makes the head and the biases it names trainable.
   STATUS_UNSUPPORTED_TARGET where the spec names what this model has not, or what cannot be adapted (target_check). */
NODISCARD enum status model_adapt(struct model *model, const struct adapter_spec *spec, uint64_t seed,
                                  struct error *err);
/* The same for an adapter that is there already: names that mean nothing here are passed over, as PEFT did when it was
   made; its tensors say what it is on (peft_load). */
NODISCARD enum status model_adapt_again(struct model *model, const struct adapter_spec *spec, uint64_t seed,
                                        struct error *err);

/* What the architectures load themselves with is in load.h. */

#endif
