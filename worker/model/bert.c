/* BERT and its kin, a row each: RoBERTa (Liu et al., 2019) with XLM-R and CamemBERT, ELECTRA (Clark et al., 2020),
   DistilBERT (Sanh et al., 2019) and ALBERT (Lan et al., 2020). */
#include "worker/model/encoder.h"

#define MODULES_OF_BERT                                                                                                \
  {                                                                                                                    \
    .query = "attention.self.query", .key = "attention.self.key", .value = "attention.self.value",                     \
    .attention_output = "attention.output.dense", .attention_norm = "attention.output.LayerNorm",                      \
    .intermediate = "intermediate.dense", .output = "output.dense", .output_norm = "output.LayerNorm"                  \
  }
#define CONFIG_OF_BERT                                                                                                 \
  {                                                                                                                    \
    .hidden = "hidden_size", .heads = "num_attention_heads", .intermediate = "intermediate_size",                      \
    .layers = "num_hidden_layers", .activation = "hidden_act", .hidden_dropout = "hidden_dropout_prob",                \
    .attention_dropout = "attention_probs_dropout_prob", .classifier_dropout = "classifier_dropout"                    \
  }
static const char *query_value[] = {"query", "value"};

static const struct encoder_family bert = {
    .layers = "encoder.layer",
    .module = MODULES_OF_BERT,
    .config = CONFIG_OF_BERT,
    .initial = {.hidden = 768,
                .heads = 12,
                .intermediate = 3072,
                .layers = 12,
                .vocabulary = 30522,
                .positions = 512,
                .dropout = 0.1,
                .classifier_dropout = -1,
                .token_types = 2},
    .token_types = true,
    .head = {.prefix = "bert.", .dense = "pooler.dense", .activation = op_tanh},
    .default_targets = {2, query_value},
};
const struct model_ops model_bert = {.model_type = "bert",
                                     .class_prefix = "Bert",
                                     .prefix = "bert.",
                                     .head = "classifier",
                                     .family = &bert,
                                     OPS_OF_ENCODER};

static const struct encoder_family roberta = {
    .layers = "encoder.layer",
    .module = MODULES_OF_BERT,
    .config = CONFIG_OF_BERT,
    .initial = {.hidden = 768,
                .heads = 12,
                .intermediate = 3072,
                .layers = 12,
                .vocabulary = 50265,
                .positions = 512,
                .dropout = 0.1,
                .classifier_dropout = -1,
                .token_types = 2},
    .token_types = true,
    .positions_after_padding = true,
    .head = {.prefix = "",
             .dense = "classifier.dense",
             .activation = op_tanh,
             .dropout_before = true,
             .part_of_classifier = true},
    .default_targets = {2, query_value},
};
#define OPS_OF_ROBERTA .prefix = "roberta.", .head = "classifier.out_proj", .family = &roberta, OPS_OF_ENCODER
const struct model_ops model_roberta = {.model_type = "roberta", .class_prefix = "Roberta", OPS_OF_ROBERTA};
const struct model_ops model_xlm_roberta = {.model_type = "xlm-roberta", .class_prefix = "XLMRoberta", OPS_OF_ROBERTA};
const struct model_ops model_camembert = {.model_type = "camembert", .class_prefix = "Camembert", OPS_OF_ROBERTA};

static const struct encoder_family electra = {
    .layers = "encoder.layer",
    .module = MODULES_OF_BERT,
    .config = CONFIG_OF_BERT,
    .initial = {.hidden = 256,
                .embedding = 128,
                .heads = 4,
                .intermediate = 1024,
                .layers = 12,
                .vocabulary = 30522,
                .positions = 512,
                .dropout = 0.1,
                .classifier_dropout = -1,
                .token_types = 2},
    .token_types = true,
    .projection = "embeddings_project",
    .head = {.prefix = "",
             .dense = "classifier.dense",
             .activation = op_gelu,
             .dropout_before = true,
             .part_of_classifier = true},
    .default_targets = {2, query_value},
};
const struct model_ops model_electra = {.model_type = "electra",
                                        .class_prefix = "Electra",
                                        .prefix = "electra.",
                                        .head = "classifier.out_proj",
                                        .family = &electra,
                                        OPS_OF_ENCODER};

static const char *q_v_lin[] = {"q_lin", "v_lin"};

static const struct encoder_family distilbert = {
    .layers = "transformer.layer",
    .module = {.query = "attention.q_lin",
               .key = "attention.k_lin",
               .value = "attention.v_lin",
               .attention_output = "attention.out_lin",
               .attention_norm = "sa_layer_norm",
               .intermediate = "ffn.lin1",
               .output = "ffn.lin2",
               .output_norm = "output_layer_norm"},
    .config = {.hidden = "dim",
               .heads = "n_heads",
               .intermediate = "hidden_dim",
               .layers = "n_layers",
               .activation = "activation",
               .hidden_dropout = "dropout",
               .attention_dropout = "attention_dropout",
               .classifier_dropout = "seq_classif_dropout"},
    .initial = {.hidden = 768,
                .heads = 12,
                .intermediate = 3072,
                .layers = 6,
                .vocabulary = 30522,
                .positions = 512,
                .dropout = 0.1,
                .classifier_dropout = 0.2},
    .hidden_tag_dropout = true,
    .head = {.prefix = "", .dense = "pre_classifier", .activation = op_relu, .part_of_classifier = true},
    .default_targets = {2, q_v_lin},
};
const struct model_ops model_distilbert = {.model_type = "distilbert",
                                           .class_prefix = "DistilBert",
                                           .prefix = "distilbert.",
                                           .head = "classifier",
                                           .family = &distilbert,
                                           OPS_OF_ENCODER};

static const struct encoder_family albert = {
    .layers = "encoder.albert_layer_groups",
    .group = "albert_layers",
    .module = {.query = "attention.query",
               .key = "attention.key",
               .value = "attention.value",
               .attention_output = "attention.dense",
               .attention_norm = "attention.LayerNorm",
               .intermediate = "ffn",
               .output = "ffn_output",
               .output_norm = "full_layer_layer_norm"},
    .config = {.hidden = "hidden_size",
               .heads = "num_attention_heads",
               .intermediate = "intermediate_size",
               .layers = "num_hidden_layers",
               .activation = "hidden_act",
               .hidden_dropout = "hidden_dropout_prob",
               .attention_dropout = "attention_probs_dropout_prob",
               .classifier_dropout = "classifier_dropout_prob"},
    .initial = {.hidden = 4096,
                .heads = 64,
                .intermediate = 16384,
                .layers = 12,
                .vocabulary = 30000,
                .positions = 512,
                .embedding = 128,
                .activation = "gelu_new",
                .classifier_dropout = 0.1,
                .token_types = 2},
    .token_types = true,
    .projection = "encoder.embedding_hidden_mapping_in",
    .projection_always = true,
    .no_output_dropout = true,
    .head = {.prefix = "albert.", .dense = "pooler", .activation = op_tanh},
    .default_targets = {2, query_value},
};
const struct model_ops model_albert = {.model_type = "albert",
                                       .class_prefix = "Albert",
                                       .prefix = "albert.",
                                       .head = "classifier",
                                       .family = &albert,
                                       OPS_OF_ENCODER};
