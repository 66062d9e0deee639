/* Encoders of BERT's kind (Devlin et al., 2019): a sum of embeddings, post-norm layers, and a classifier's head on the
   first token. One row tells such a model from another: names as Transformers has them, what its head does. */
#ifndef WORKER_MODEL_ENCODER_H
#define WORKER_MODEL_ENCODER_H

#include "worker/model/load.h"

struct encoder_family {
  const char *layers; /* the list of layers, or of groups of them, without the model's prefix */
  /* A group's list of layers where several layers are the same modules (ALBERT's num_hidden_groups); NULL: none are. */
  const char *group;
  struct { /* in a layer */
    const char *query, *key, *value, *attention_output, *attention_norm, *intermediate, *output, *output_norm;
  } module;
  struct { /* members of config.json; NULL: it has none */
    const char *hidden, *heads, *intermediate, *layers, *activation, *hidden_dropout, *attention_dropout,
        *classifier_dropout;
  } config;
  struct { /* where config.json does not say */
    size_t hidden, heads, intermediate, layers, vocabulary, positions, embedding;
    const char *activation;    /* NULL: gelu */
    double dropout;            /* of hidden states and attention */
    double classifier_dropout; /* negative: the hidden one's */
  } initial;
  bool token_types; /* has a table of them */
  /* The linear module that takes embeddings of another width (embedding_size) to hidden; NULL: they have hidden's. */
  const char *projection;
  bool projection_always; /* of the same width too */
  bool no_output_dropout; /* none between a layer's last linear module and its norm */
  /* Positions are counted from the padding token's id + 1, as fairseq does: the rows before are never read. */
  bool positions_after_padding;
  struct {
    const char *prefix, *dense;                                        /* of the dense layer: its full path */
    struct tensor *(*activation)(struct tape *tape, struct tensor *x); /* of it */
    bool dropout_before;                                               /* dropout on what it reads too */
    bool part_of_classifier;                                           /* PEFT saves it with the last layer */
  } head;
  const struct string_list default_targets;
};

/* For struct model_ops, whose `family` is the row. */
NODISCARD enum status encoder_load(struct model *model, uint64_t seed, struct error *err);
struct tensor *encoder_forward(struct tape *tape, const struct model *model, const struct sequences *sequences);
void encoder_disable_dropout(struct model *model);

#endif
