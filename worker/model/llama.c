/* The families of decoders, a row each: LLaMA 1 to 3 and SmolLM2 (Touvron et al., 2023), Mistral (Jiang et al., 2023),
   Mixtral (2024), Qwen2, 2.5, 3 and 3 MoE, SmolLM3, OLMo 2 (Walsh et al., 2024), Phi-3 and 4 (Abdin et al., 2024),
   Granite 3, Gemma 1 to 3 (Gemma Team, 2024 and 2025). Numbers are those of the classes in Transformers. */
#include "worker/model/decoder.h"

static const char *q_v[] = {"q_proj", "v_proj"}, *qkv[] = {"qkv_proj"};
#define TARGETS_Q_V .default_targets = {2, q_v}

static const struct decoder_family llama = {
    .initial = {.intermediate = 11008, .vocabulary = 32000, .positions = 2048},
    .rotary = {.theta = 10000},
    .attention_bias = BIAS_SWITCHED,
    .mlp_bias = BIAS_SWITCHED,
    TARGETS_Q_V,
};
const struct model_ops model_llama = {
    .model_type = "llama", .class_prefix = "Llama", .family = &llama, .classifier = true, OPS_OF_DECODER};

static const struct decoder_family mistral = {
    .initial = {.intermediate = 14336,
                .kv_heads = 8,
                .vocabulary = 32000,
                .positions = 131072,
                .window = 4096},
    .rotary = {.theta = 10000},
    .windows = WINDOWS_ALL,
    TARGETS_Q_V,
};
const struct model_ops model_mistral = {
    .model_type = "mistral", .class_prefix = "Mistral", .family = &mistral, .classifier = true, OPS_OF_DECODER};

static const struct mixture_class mixtral_experts = {
    .count = 8, .chosen = 2, .inner = 14336, .inner_member = "intermediate_size", .normalised = true};
static const struct decoder_family mixtral = {
    .initial = {.intermediate = 14336, .kv_heads = 8, .vocabulary = 32000, .positions = 131072, .epsilon = 1e-5},
    .rotary = {.theta = 1000000},
    .windows = WINDOWS_ALL,
    .mixture = &mixtral_experts,
    TARGETS_Q_V,
};
const struct model_ops model_mixtral = {
    .model_type = "mixtral", .class_prefix = "Mixtral", .family = &mixtral, .classifier = true, OPS_OF_DECODER};

static const struct decoder_family qwen2 = {
    .initial = {.intermediate = 22016,
                .kv_heads = 32,
                .vocabulary = 151936,
                .positions = 32768,
                .window = 4096},
    .rotary = {.theta = 10000},
    .windows = WINDOWS_SWITCHED,
    .attention_bias = BIAS_ALWAYS_QKV,
    TARGETS_Q_V,
};
const struct model_ops model_qwen2 = {
    .model_type = "qwen2", .class_prefix = "Qwen2", .family = &qwen2, .classifier = true, OPS_OF_DECODER};

static const struct decoder_family qwen3 = {
    .initial = {.intermediate = 22016,
                .kv_heads = 32,
                .head_size = 128,
                .vocabulary = 151936,
                .positions = 32768,
                .window = 4096},
    .rotary = {.theta = 10000},
    .qk_norm = QK_NORM_HEADS,
    .windows = WINDOWS_SWITCHED,
    .attention_bias = BIAS_SWITCHED,
    TARGETS_Q_V,
};
const struct model_ops model_qwen3 = {
    .model_type = "qwen3", .class_prefix = "Qwen3", .family = &qwen3, .classifier = true, OPS_OF_DECODER};

static const struct mixture_class qwen3_experts = {
    .count = 128, .chosen = 8, .inner = 768, .inner_member = "moe_intermediate_size", .dense_layers = true};
static const struct decoder_family qwen3_moe = {
    .initial = {.intermediate = 6144, .kv_heads = 4, .vocabulary = 151936, .positions = 32768, .window = 4096},
    .rotary = {.theta = 10000},
    .qk_norm = QK_NORM_HEADS,
    .windows = WINDOWS_ALL_SWITCHED,
    .attention_bias = BIAS_SWITCHED,
    .mixture = &qwen3_experts,
    TARGETS_Q_V,
};
const struct model_ops model_qwen3_moe = {
    .model_type = "qwen3_moe", .class_prefix = "Qwen3Moe", .family = &qwen3_moe, .classifier = true, OPS_OF_DECODER};

static const struct decoder_family smollm3 = {
    .initial = {.intermediate = 11008,
                .kv_heads = 4,
                .vocabulary = 128256,
                .positions = 32768,
                .tied = true},
    .rotary = {.theta = 2000000},
    .windows = WINDOWS_NO_ROPE,
    .attention_bias = BIAS_SWITCHED,
    .mlp_bias = BIAS_SWITCHED,
    .no_rope_layers = true,
    TARGETS_Q_V,
};
const struct model_ops model_smollm3 = {
    .model_type = "smollm3", .class_prefix = "SmolLM3", .family = &smollm3, .classifier = true, OPS_OF_DECODER};

static const struct decoder_family olmo2 = {
    .initial = {.intermediate = 11008, .vocabulary = 50304, .positions = 2048},
    .rotary = {.theta = 10000},
    .norms = NORMS_AFTER,
    .qk_norm = QK_NORM_ROWS,
    .attention_bias = BIAS_SWITCHED,
    TARGETS_Q_V,
};
const struct model_ops model_olmo2 = {
    .model_type = "olmo2", .class_prefix = "Olmo2", .family = &olmo2, .classifier = true, OPS_OF_DECODER};

static const struct decoder_family phi3 = {
    .initial = {.intermediate = 8192, .vocabulary = 32064, .positions = 4096},
    .rotary = {.theta = 10000, .original_positions = 4096, .partial = true, .longrope_alone = true},
    .windows = WINDOWS_ALL,
    .fused = true,
    .residual_dropout = true,
    .default_targets = {1, qkv},
};
const struct model_ops model_phi3 = {
    .model_type = "phi3", .class_prefix = "Phi3", .family = &phi3, .classifier = true, OPS_OF_DECODER};

static const struct decoder_family granite = {
    .initial = {.intermediate = 11008, .vocabulary = 32000, .positions = 2048},
    .rotary = {.theta = 10000},
    .attention_bias = BIAS_SWITCHED,
    .mlp_bias = BIAS_SWITCHED,
    .multipliers = true,
    TARGETS_Q_V,
};
const struct model_ops model_granite = {
    .model_type = "granite", .class_prefix = "Granite", .family = &granite, OPS_OF_DECODER};

static const struct decoder_family gemma = {
    .initial = {.intermediate = 24576,
                .kv_heads = 16,
                .head_size = 256,
                .vocabulary = 256000,
                .positions = 8192,
                .tied = true},
    .rotary = {.theta = 10000},
    .attention_bias = BIAS_SWITCHED,
    .gelu = true,
    .norms_from_one = true,
    .scaled_embeddings = true,
    TARGETS_Q_V,
};
const struct model_ops model_gemma = {
    .model_type = "gemma", .class_prefix = "Gemma", .family = &gemma, .classifier = true, OPS_OF_DECODER};

static const struct decoder_family gemma2 = {
    .initial = {.intermediate = 9216,
                .kv_heads = 4,
                .head_size = 256,
                .vocabulary = 256000,
                .positions = 8192,
                .window = 4096,
                .attention_softcap = 50,
                .logits_softcap = 30,
                .tied = true},
    .rotary = {.theta = 10000},
    .norms = NORMS_AROUND,
    .windows = WINDOWS_EVERY_SECOND,
    .attention_bias = BIAS_SWITCHED,
    .gelu = true,
    .activation = "hidden_activation",
    .norms_from_one = true,
    .scaled_embeddings = true,
    .attention_scalar = true,
    .softcaps = true,
    TARGETS_Q_V,
};
const struct model_ops model_gemma2 = {
    .model_type = "gemma2", .class_prefix = "Gemma2", .family = &gemma2, .classifier = true, OPS_OF_DECODER};

static const struct decoder_family gemma3_text = {
    .initial = {.intermediate = 9216,
                .kv_heads = 4,
                .head_size = 256,
                .vocabulary = 262208,
                .positions = 131072,
                .window = 4096,
                .tied = true},
    .norms = NORMS_AROUND,
    .qk_norm = QK_NORM_HEADS,
    .windows = WINDOWS_PATTERN,
    .attention_bias = BIAS_SWITCHED,
    .gelu = true,
    .activation = "hidden_activation",
    .norms_from_one = true,
    .scaled_embeddings = true,
    .attention_scalar = true,
    .softcaps = true,
    TARGETS_Q_V,
};
const struct model_ops model_gemma3_text = {.model_type = "gemma3_text",
                                            .class_prefix = "Gemma3",
                                            .classifier_prefix = "Gemma3Text",
                                            .family = &gemma3_text,
                                            .classifier = true,
                                            OPS_OF_DECODER};
