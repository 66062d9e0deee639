/* DeBERTa v2 and v3 (He et al., 2021): attention has terms for relative positions, and the classifier's head is a
   pooler beside the model. */
#include "base/json.h"
#include "worker/model/encoder.h"

static enum status refuse(const char *member, int64_t value, const char *instead, struct error *err) {
  return error_set(err, STATUS_MODEL_INVALID, "model", "config.json: %s %lld is not supported, %s is", member,
                   (long long)value, instead);
}

static enum status check(const struct model *m, struct error *err) {
  const json_t *config = m->checkpoint.config, *kinds = json_object_get(config, "pos_att_type");
  int64_t hidden, heads, pooler, head_size;
  bool relative = false;
  enum { MOST = 1 << 20 };
  enum status s = load_count(&hidden, m, "hidden_size", 1536, 1, MOST, err);
  s = s ? s : load_count(&heads, m, "num_attention_heads", 24, 1, MOST, err);
  s = s ? s : load_count(&pooler, m, "pooler_hidden_size", hidden, 1, MOST, err);
  s = s ? s : load_count(&head_size, m, "attention_head_size", hidden / heads, 1, MOST, err);
  s = s ? s : load_bool(&relative, m, "relative_attention", false, err);
  if (s)
    return s;
  if (pooler != hidden)
    return refuse("pooler_hidden_size", pooler, "that of hidden_size", err);
  if (head_size != hidden / heads)
    return refuse("attention_head_size", head_size, "hidden_size / num_attention_heads", err);
  if (!relative && (json_array_size(kinds) || json_is_string(kinds)))
    return error_set(err, STATUS_MODEL_INVALID, "model",
                     "config.json: pos_att_type is there, but relative_attention is not true");
  return STATUS_OK;
}

static const char *query_value[] = {"query_proj", "value_proj"};

static const struct encoder_family deberta_v2 = {
    .layers = "encoder.layer",
    .module = {.query = "attention.self.query_proj",
               .key = "attention.self.key_proj",
               .value = "attention.self.value_proj",
               .attention_output = "attention.output.dense",
               .attention_norm = "attention.output.LayerNorm",
               .intermediate = "intermediate.dense",
               .output = "output.dense",
               .output_norm = "output.LayerNorm",
               .position_key = "attention.self.pos_key_proj",
               .position_query = "attention.self.pos_query_proj"},
    .config = {.hidden = "hidden_size",
               .heads = "num_attention_heads",
               .intermediate = "intermediate_size",
               .layers = "num_hidden_layers",
               .activation = "hidden_act",
               .hidden_dropout = "hidden_dropout_prob",
               .attention_dropout = "attention_probs_dropout_prob",
               .classifier_dropout = "cls_dropout",
               .positions = "position_biased_input",
               .head_dropout = "pooler_dropout",
               .head_activation = "pooler_hidden_act"},
    .initial = {.hidden = 1536,
                .heads = 24,
                .intermediate = 6144,
                .layers = 24,
                .vocabulary = 128100,
                .positions = 512,
                .dropout = 0.1,
                .classifier_dropout = -1,
                .epsilon = 1e-7},
    .token_types = true,
    .projection = "embeddings.embed_proj",
    .projection_first = true,
    .hidden_tag_dropout = true,
    .conv = "encoder.conv",
    .relative = RELATIVE_EMBEDDINGS,
    .head = {.prefix = "", .dense = "pooler.dense", .dropout_before = true},
    .check = check,
    .default_targets = {2, query_value},
};
const struct model_ops model_deberta_v2 = {.model_type = "deberta-v2",
                                           .class_prefix = "DebertaV2",
                                           .prefix = "deberta.",
                                           .head = "classifier",
                                           .family = &deberta_v2,
                                           OPS_OF_ENCODER};
