/* MPNet (Song et al., 2020): BERT whose layers share one table of biases by distance. */
#include "worker/model/encoder.h"

static enum status check(const struct model *m, struct error *err) {
  int64_t padding;
  enum status s = load_count(&padding, m, "pad_token_id", 1, 0, 1 << 24, err);
  return s || padding == 1 ? s
                           : error_set(err, STATUS_MODEL_INVALID, "model",
                                       "config.json: pad_token_id %lld is not supported, 1 is: MPNet counts positions "
                                       "from there",
                                       (long long)padding);
}

static const char *q_v[] = {"q", "v"};

static const struct encoder_family mpnet = {
    .layers = "encoder.layer",
    .module = {.query = "attention.attn.q",
               .key = "attention.attn.k",
               .value = "attention.attn.v",
               .attention_output = "attention.attn.o",
               .attention_norm = "attention.LayerNorm",
               .intermediate = "intermediate.dense",
               .output = "output.dense",
               .output_norm = "output.LayerNorm"},
    .config = {.hidden = "hidden_size",
               .heads = "num_attention_heads",
               .intermediate = "intermediate_size",
               .layers = "num_hidden_layers",
               .activation = "hidden_act",
               .hidden_dropout = "hidden_dropout_prob",
               .attention_dropout = "attention_probs_dropout_prob",
               .classifier_dropout = "hidden_dropout_prob"},
    .initial = {.hidden = 768,
                .heads = 12,
                .intermediate = 3072,
                .layers = 12,
                .vocabulary = 30527,
                .positions = 512,
                .dropout = 0.1,
                .classifier_dropout = -1},
    .positions_after_padding = true,
    .relative = RELATIVE_BIAS,
    .head = {.prefix = "",
             .dense = "classifier.dense",
             .activation = op_tanh,
             .dropout_before = true,
             .part_of_classifier = true},
    .check = check,
    .default_targets = {2, q_v},
};
const struct model_ops model_mpnet = {.model_type = "mpnet",
                                      .class_prefix = "MPNet",
                                      .prefix = "mpnet.",
                                      .head = "classifier.out_proj",
                                      .family = &mpnet,
                                      OPS_OF_ENCODER};
