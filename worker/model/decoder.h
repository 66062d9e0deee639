/* Decoders of LLaMA's kind: RMSNorm, rotary positions, a gated feed-forward layer. What tells one family from another
   is a row (llama.c); what they share is in decoder.c. Module and tensor names are Transformers'. */
#ifndef WORKER_MODEL_DECODER_H
#define WORKER_MODEL_DECODER_H

#include "worker/model/load.h"
#include "worker/model/mixture.h"
#include "worker/model/rotary.h"

/* Where a layer has RMSNorms: before attention and feed-forward (pre-norm), after them (post-norm), or both. */
enum decoder_norms { NORMS_BEFORE, NORMS_AFTER, NORMS_AROUND, NORMS_COUNT };

/* RMSNorm of q and k: none, of each head, or of all heads together. */
enum decoder_qk_norm { QK_NORM_NONE, QK_NORM_HEADS, QK_NORM_ROWS };

/* Which layers see a window of the sequence alone. Where layer_types may be given, it decides. */
enum decoder_windows {
  WINDOWS_NONE,         /* none, whatever config.json says */
  WINDOWS_ALL,          /* all, where sliding_window is a number */
  WINDOWS_ALL_SWITCHED, /* where use_sliding_window is true: all */
  WINDOWS_SWITCHED,     /* where use_sliding_window is true: from max_window_layers on */
  WINDOWS_NO_ROPE,      /* where use_sliding_window is true: those without rotary positions */
  WINDOWS_PATTERN,      /* all but every sliding_window_pattern-th; these have rotary positions of their own */
  WINDOWS_EVERY_SECOND, /* from the first on */
};

/* Biases of the modules of attention, and of the feed-forward layer. */
enum decoder_bias {
  BIAS_NEVER,     /* config.json must not ask for it: Transformers' class has none */
  BIAS_SWITCHED,  /* as config.json says */
  BIAS_ALWAYS_QKV /* q, k and v have it */
};

struct decoder_family {
  /* What Transformers takes where config.json lacks a member. 0: as many as heads; hidden_size / heads; no window;
     1e-6. */
  struct {
    size_t intermediate, kv_heads, head_size, vocabulary, positions, window;
    double attention_softcap, logits_softcap, epsilon;
    bool tied;
  } initial;
  struct rotary_class rotary;
  enum decoder_norms norms;
  enum decoder_qk_norm qk_norm;
  enum decoder_windows windows;
  enum decoder_bias attention_bias, mlp_bias;
  const struct mixture_class *mixture; /* of experts, in all layers or some; NULL: in none */
  bool fused;                          /* q, k and v are one module, gate and up too */
  bool no_rope_layers;                 /* some layers have no rotary positions (NoPE, Kazemnejad et al., 2023) */
  bool residual_dropout;
  bool gelu;              /* the gate's activation is GELU by tanh, not SiLU */
  const char *activation; /* config.json's member for it; NULL: hidden_act */
  bool norms_from_one;    /* files have the norms' weights minus one */
  bool scaled_embeddings; /* times sqrt(hidden_size) */
  bool attention_scalar;  /* scores are divided by sqrt(query_pre_attn_scalar), not sqrt(head_dim) */
  bool softcaps;          /* config.json may have attn_logit_softcapping and final_logit_softcapping */
  bool multipliers;       /* config.json has embedding_multiplier, attention_multiplier, residual_multiplier and
                             logits_scaling */
  struct string_list default_targets;
};

/* What config.json says of a decoder that is loaded, with what its class takes where it says nothing. */
struct decoder_shape {
  size_t hidden, heads, kv_heads, head_size, intermediate, layer_count;
  double epsilon;
  size_t window;     /* of the first layer; 0: none */
  bool same_windows; /* all layers have that one */
  bool mixture;      /* some have experts */
  const struct rotary_config *rotary;
};
/* Of a model whose ops are OPS_OF_DECODER, which must outlive *out. */
void decoder_shape(struct decoder_shape *out, const struct model *model);

NODISCARD enum status decoder_load(struct model *model, uint64_t seed, struct error *err);
NODISCARD enum status decoder_reserve(struct model *model, size_t longest, struct error *err);
struct tensor *decoder_forward(struct tape *tape, const struct model *model, const struct sequences *sequences);
void decoder_disable_dropout(struct model *model);

/* The same members of every row of struct model_ops. */
#define OPS_OF_DECODER                                                                                                 \
  .prefix = "model.", .head = "score", .language = true, .load = decoder_load, .forward = decoder_forward,             \
  .reserve = decoder_reserve, .disable_dropout = decoder_disable_dropout

#endif
