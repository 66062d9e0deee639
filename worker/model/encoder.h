/* Encoders of BERT's kind (Devlin et al., 2019): a sum of embeddings, post-norm layers, and a classifier's head on the
   first token, or one linear layer on the tokens that have tags. One row tells such a model from another: names as
   Transformers has them, what its head does. */
#ifndef WORKER_MODEL_ENCODER_H
#define WORKER_MODEL_ENCODER_H

#include "worker/model/relative.h"

/* What attention adds to scores by distance (relative.h). */
enum encoder_relative { RELATIVE_NONE, RELATIVE_EMBEDDINGS, RELATIVE_BIAS };

struct encoder_family {
  const char *layers; /* the list of layers, or of groups of them, without the model's prefix */
  /* A group's list of layers where several layers are the same modules (ALBERT's num_hidden_groups); NULL: none are. */
  const char *group;
  struct { /* in a layer */
    const char *query, *key, *value, *attention_output, *attention_norm, *intermediate, *output, *output_norm;
    const char *position_key, *position_query; /* of relative embeddings that have projections of their own */
  } module;
  struct { /* members of config.json; NULL: it has none */
    const char *hidden, *heads, *intermediate, *layers, *activation, *hidden_dropout, *attention_dropout,
        *classifier_dropout;
    const char *positions;       /* whether there is a table of them, true where it does not say */
    const char *head_dropout;    /* before the head's dense layer; NULL: the classifier's */
    const char *head_activation; /* of it */
  } config;
  struct { /* where config.json does not say */
    size_t hidden, heads, intermediate, layers, vocabulary, positions, embedding;
    const char *activation;    /* NULL: gelu */
    double dropout;            /* of hidden states and attention */
    double classifier_dropout; /* negative: the hidden one's */
    double epsilon;            /* 0: 1e-12 */
    size_t token_types;
  } initial;
  bool token_types; /* may have a table of them */
  /* The linear module that takes embeddings of another width (embedding_size) to hidden; NULL: they have hidden's. */
  const char *projection;
  bool projection_always;  /* of the same width too */
  bool projection_first;   /* before the embeddings' norm, and without a bias */
  bool hidden_tag_dropout; /* before the head of tags it is the hidden one, not the classifier's */
  const char *conv;        /* the module of a convolution beside the first layer, which may have one (conv_layer.h) */
  bool no_output_dropout;  /* none between a layer's last linear module and its norm */
  /* Positions are counted from the padding token's id + 1, as fairseq does: the rows before are never read. */
  bool positions_after_padding;
  enum encoder_relative relative;
  struct {
    const char *prefix, *dense;                                        /* of the dense layer: its full path */
    struct tensor *(*activation)(struct tape *tape, struct tensor *x); /* of it; NULL: config.json says */
    bool dropout_before;                                               /* dropout on what it reads too */
    bool part_of_classifier;                                           /* PEFT saves it with the last layer */
  } head;
  /* Refuses members of config.json that would make another model of it; NULL: there are none. */
  enum status (*check)(const struct model *model, struct error *err);
  const struct string_list default_targets;
};

/* For struct model_ops, whose `family` is the row. */
NODISCARD enum status encoder_reserve(struct model *model, size_t longest, struct error *err);
NODISCARD enum status encoder_load(struct model *model, uint64_t seed, struct error *err);
struct tensor *encoder_forward(struct tape *tape, const struct model *model, const struct sequences *sequences);
void encoder_disable_dropout(struct model *model);

#define OPS_OF_ENCODER                                                                                                 \
  .classifier = true, .embeds = true, .tags = true, .load = encoder_load, .forward = encoder_forward,                  \
  .reserve = encoder_reserve, .disable_dropout = encoder_disable_dropout

#endif
