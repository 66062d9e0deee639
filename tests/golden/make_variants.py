#!/usr/bin/env python3
"""Reference cases of further architectures, in the form of make_golden.py's cases.

usage: make_variants.py OUT_DIR [NAME...]
"""
import functools, sys
import torch, transformers
from peft import HRAConfig, TaskType
import make_golden as golden

COMMON = dict(vocab_size=99, num_hidden_layers=2, max_position_embeddings=64, rms_norm_eps=1e-5, initializer_range=0.2,
              hidden_size=48, intermediate_size=80, num_attention_heads=6, num_key_value_heads=2)
T = transformers
ENCODER = dict(vocab_size=99, num_hidden_layers=2, hidden_size=48, intermediate_size=80, num_attention_heads=3,
               max_position_embeddings=40, hidden_dropout_prob=0, attention_probs_dropout_prob=0, initializer_range=0.2, num_labels=3)
# Every linear module beside the head. (PEFT's "all-linear" adapts heads of two layers as well as saving them.)
LINEAR = r".*(layers?\.\d+\..*(query|key|value|dense|query_proj|key_proj|value_proj|pos_key_proj|pos_query_proj|attn\.[qkvo]|q_lin|k_lin|v_lin|out_lin|lin1|lin2|ffn|ffn_output|Wqkv|Wo|Wi)|head\.dense|embeddings_project|embed_proj|embedding_hidden_mapping_in)"
FUSED = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
ENCODERS = {
    "roberta": (T.RobertaForSequenceClassification, lambda: T.RobertaConfig(type_vocab_size=1, **ENCODER)),
    "xlm-roberta": (T.XLMRobertaForSequenceClassification, lambda: T.XLMRobertaConfig(pad_token_id=2, hidden_act="gelu_new", **ENCODER)),
    "electra": (T.ElectraForSequenceClassification, lambda: T.ElectraConfig(embedding_size=24, **ENCODER)),
    "albert": (T.AlbertForSequenceClassification, lambda: T.AlbertConfig(
        embedding_size=24, num_hidden_groups=2, inner_group_num=2, classifier_dropout_prob=0, **ENCODER | dict(num_hidden_layers=4, initializer_range=0.15))),
    "distilbert": (T.DistilBertForSequenceClassification, lambda: T.DistilBertConfig(
        vocab_size=99, dim=48, n_heads=3, n_layers=2, hidden_dim=80, max_position_embeddings=40, dropout=0, attention_dropout=0,
        seq_classif_dropout=0, activation="relu", initializer_range=0.2, num_labels=3)),
}
DEBERTA = ENCODER | dict(relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm", pos_att_type="p2c|c2p", position_biased_input=False,
                         pooler_dropout=0, layer_norm_eps=1e-7)
deberta = lambda **members: (T.DebertaV2ForSequenceClassification, lambda: T.DebertaV2Config(**DEBERTA | members))
ENCODERS |= {
    # projections of their own for positions; embeddings of another width, with positions and token types
    "deberta-apart": deberta(share_att_key=False, embedding_size=24, position_biased_input=True, type_vocab_size=2, pooler_hidden_act="tanh"),
    "deberta-c2p": deberta(share_att_key=True, pos_att_type=["c2p"], norm_rel_ebd="none", position_buckets=16, max_relative_positions=20),
    "deberta-p2c": deberta(share_att_key=False, pos_att_type="p2c", hidden_act="gelu_new"),
    "deberta-no-buckets": deberta(share_att_key=True, position_buckets=-1, max_relative_positions=9),
    "deberta-absolute": (T.DebertaV2ForSequenceClassification, lambda: T.DebertaV2Config(type_vocab_size=2, **ENCODER)),
    # a convolution beside the first layer; beside the only one, of which one row is read, with every bias trained
    "deberta-conv": deberta(share_att_key=True, conv_kernel_size=3, conv_act="gelu", embedding_size=24),
    "deberta-conv-tanh": deberta(share_att_key=True, conv_kernel_size=5, num_hidden_layers=1),
    "mpnet": (T.MPNetForSequenceClassification, lambda: T.MPNetConfig(**ENCODER)),
}
MODERNBERT = dict(vocab_size=99, num_hidden_layers=4, hidden_size=48, intermediate_size=40, num_attention_heads=3, max_position_embeddings=40,
                  local_attention=6, initializer_range=0.2, num_labels=3, pad_token_id=0, bos_token_id=1, cls_token_id=1, eos_token_id=2, sep_token_id=2)
modernbert = lambda **members: (T.ModernBertForSequenceClassification, lambda: T.ModernBertConfig(**MODERNBERT | members))
ENCODERS |= {
    "modernbert": modernbert(local_rope_theta=300.0),
    # every bias; a last layer with a window of which each row sees two keys on either side
    "modernbert-biases": modernbert(attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True, classifier_activation="tanh",
                                    local_attention=5, num_hidden_layers=3),
    "modernbert-mean": modernbert(classifier_pooling="mean", num_hidden_layers=3, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                  rope_parameters=dict(full_attention=dict(rope_type="linear", rope_theta=5000.0, factor=2.5),
                                                       sliding_attention=dict(rope_type="default", rope_theta=100.0))),
}
PHI3 = dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
LONGROPE = dict(rope_type="longrope", rope_theta=500.0, partial_rotary_factor=0.75, short_factor=[1.0, 1.25, 1.5], long_factor=[1.1, 2.5, 4.0])
MIXTURE = COMMON | dict(intermediate_size=40)
VARIANTS = {
    **ENCODERS,
    # heads wider than hidden_size / heads, every bias, an untied head, LLaMA 3's scaling of the frequencies
    "llama3": (T.LlamaForCausalLM, lambda: T.LlamaConfig(
        head_dim=16, attention_bias=True, mlp_bias=True, tie_word_embeddings=False,
        rope_parameters=dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=16), **COMMON)),
    "llama-linear": (T.LlamaForCausalLM, lambda: T.LlamaConfig(
        tie_word_embeddings=True, rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.5), **COMMON)),
    "mistral": (T.MistralForCausalLM, lambda: T.MistralConfig(sliding_window=5, attn_implementation="eager", **COMMON)),
    "qwen2": (T.Qwen2ForCausalLM, lambda: T.Qwen2Config(tie_word_embeddings=True, **COMMON)),
    "qwen3": (T.Qwen3ForCausalLM, lambda: T.Qwen3Config(head_dim=12, tie_word_embeddings=True, **COMMON)),
    # every fourth layer without rotary positions, and these with a window
    "smollm3": (T.SmolLM3ForCausalLM, lambda: T.SmolLM3Config(
        use_sliding_window=True, sliding_window=5, no_rope_layer_interval=2, mlp_bias=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        attn_implementation="eager", **COMMON)),
    "olmo2": (T.Olmo2ForCausalLM, lambda: T.Olmo2Config(attention_bias=True, **COMMON)),
    "phi3": (T.Phi3ForCausalLM, lambda: T.Phi3Config(
        sliding_window=5, pad_token_id=0, bos_token_id=1, eos_token_id=2, attn_implementation="eager", **COMMON)),
    # a part of each head turns, by other angles in sequences of more than 12 tokens, or (mini) of more than 30
    "phi3-long": (T.Phi3ForCausalLM, lambda: T.Phi3Config(original_max_position_embeddings=12, rope_parameters=LONGROPE, **PHI3 | COMMON)),
    "phi4-mini": (T.Phi3ForCausalLM, lambda: T.Phi3Config(
        original_max_position_embeddings=30, tie_word_embeddings=True, rope_parameters=LONGROPE, **PHI3 | COMMON)),
    "qwen3-yarn": (T.Qwen3ForCausalLM, lambda: T.Qwen3Config(head_dim=12, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="yarn", rope_theta=300.0, factor=4.0, original_max_position_embeddings=16, beta_fast=4.0, beta_slow=0.5), **COMMON)),
    # all layers have experts, four of which two are chosen
    "mixtral": (T.MixtralForCausalLM, lambda: T.MixtralConfig(
        num_local_experts=4, sliding_window=5, attn_implementation="eager", **MIXTURE)),
    # of every second layer one has experts, whose weights do not sum to 1
    "qwen3moe": (T.Qwen3MoeForCausalLM, lambda: T.Qwen3MoeConfig(
        head_dim=12, moe_intermediate_size=24, num_experts=6, num_experts_per_tok=3, decoder_sparse_step=2, mlp_only_layers=[3],
        **MIXTURE | dict(num_hidden_layers=4, intermediate_size=32))),
    "qwen3moe-normalised": (T.Qwen3MoeForCausalLM, lambda: T.Qwen3MoeConfig(
        head_dim=12, moe_intermediate_size=20, num_experts=6, num_experts_per_tok=3, norm_topk_prob=True, attention_bias=True,
        tie_word_embeddings=True, **MIXTURE)),
    "granite": (T.GraniteForCausalLM, lambda: T.GraniteConfig(
        embedding_multiplier=1.5, attention_multiplier=0.25, residual_multiplier=0.22, logits_scaling=0.5, attention_bias=True, **COMMON)),
    "gemma": (T.GemmaForCausalLM, lambda: T.GemmaConfig(head_dim=12, **COMMON)),
    # windows in every second layer, scores and logits soft-capped
    "gemma2": (T.Gemma2ForCausalLM, lambda: T.Gemma2Config(
        head_dim=12, query_pre_attn_scalar=20, sliding_window=5, attn_logit_softcapping=2.0, final_logit_softcapping=3.0,
        attn_implementation="eager", **COMMON)),
    # windows in all but every second layer, with rotary positions of their own; norms around
    "gemma3": (T.Gemma3ForCausalLM, lambda: T.Gemma3TextConfig(
        head_dim=12, query_pre_attn_scalar=20, sliding_window=5, sliding_window_pattern=2, attn_implementation="eager",
        rope_parameters=dict(full_attention=dict(rope_type="linear", rope_theta=5000.0, factor=2.5),
                             sliding_attention=dict(rope_type="default", rope_theta=100.0)), **COMMON)),
    "gpt2": (T.GPT2LMHeadModel, lambda: T.GPT2Config(
        n_embd=48, n_inner=80, n_head=6, n_layer=2, n_positions=64, vocab_size=99, initializer_range=0.2, scale_attn_by_inverse_layer_idx=True,
        embd_pdrop=0, attn_pdrop=0, resid_pdrop=0, bos_token_id=1, eos_token_id=2)),
    "llama-classifier": (T.LlamaForSequenceClassification, lambda: T.LlamaConfig(num_labels=3, pad_token_id=0, **COMMON)),
}
MIXTURES = {"mixtral": "hra", "qwen3moe": "lora", "qwen3moe-normalised": "oft"}
DECODERS = "mixtral", "qwen3moe", "qwen3moe-normalised", "smollm3", "olmo2", "phi3", "phi3-long", "phi4-mini", "granite", "gemma", "gemma2", "gemma3"  # their norms have numbers of their own

# Embeddings: texts an example, is there a score, pooling. One logit of a pair with binary cross-entropy: a reranker.
EMBEDDING = {"embedding-pairs": (2, False, "mean"), "embedding-triplets": (3, False, "mean"), "embedding-scored": (2, True, "cls")}
BERT = ENCODER | dict(num_attention_heads=4)
VARIANTS |= {name: (T.BertModel, lambda: T.BertConfig(**BERT)) for name in EMBEDDING}
VARIANTS["reranking"] = (T.BertForSequenceClassification, lambda: T.BertConfig(**BERT | dict(num_labels=1, problem_type="multi_label_classification")))

# Tags of the tokens that have a label.
TAGS = {kind + "-tags": (getattr(T, base.__name__.replace("Sequence", "Token")), config)
        for kind, (base, config) in ENCODERS.items() if kind in ("roberta", "deberta-apart", "modernbert-mean")}
TAGS["bert-tags"] = (T.BertForTokenClassification, lambda: T.BertConfig(**BERT))
VARIANTS |= TAGS

plain_batch, plain_loss, plain_adapter = golden.batch, golden.loss_of, golden.adapter


def tiny(kind, **kw):
    make, config = VARIANTS[kind]
    config = config()
    model = make(config)
    for name, p in model.named_parameters() if kind in DECODERS else ():
        if "norm" in name:
            p.data += 0.2 * torch.randn_like(p)
    if kind == "qwen3moe-normalised":  # the file has the experts of a layer side by side, as Transformers does in memory
        model.save_pretrained = functools.partial(model.save_pretrained, save_original_format=False)
    return model, config


def batch(kind, config):
    b = plain_batch("llama", config)
    if kind in ENCODERS or kind in TAGS:
        b["input_ids"][b["attention_mask"] == 0] = config.pad_token_id
    if kind == "llama-classifier" or kind in ENCODERS:
        b["labels"] = torch.randint(0, 3, (4,), generator=torch.Generator().manual_seed(8))
    if kind in TAGS:
        g = torch.Generator().manual_seed(10)
        tags, first = torch.randint(0, 3, (4, 24), generator=g), torch.rand(4, 24, generator=g) < 0.6
        b["labels"], b["tags"] = torch.where(first & (b["attention_mask"] == 1), tags, -100), torch.tensor([1])
    if kind == "reranking":
        b["labels"] = torch.tensor([1.0, 0.0, 0.25, 1.0])
    if kind in EMBEDDING:
        texts, scored, pooling = EMBEDDING[kind]
        g = torch.Generator().manual_seed(9)
        ids, mask = torch.randint(3, config.vocab_size, (4 * texts, 24), generator=g), torch.ones(4 * texts, 24, dtype=torch.long)
        for i in range(4 * texts):
            mask[i, 1 + (i * 7) % 24:] = 0
        b = dict(input_ids=ids * mask, attention_mask=mask, labels=torch.tensor([1.0, -0.5, 0.25, 0.0]) if scored else torch.arange(4),
                 texts=torch.tensor([texts]), cls=torch.tensor([int(pooling == "cls")]))
    return b


def embedding_loss(embeddings, labels, scored):
    """CosineSimilarityLoss, MultipleNegativesRankingLoss of sentence-transformers."""
    F = torch.nn.functional
    if scored:
        return F.mse_loss(F.cosine_similarity(*embeddings), labels)
    a, documents = F.normalize(embeddings[0]), F.normalize(torch.cat(embeddings[1:]))
    return F.cross_entropy(20 * a @ documents.T, labels)


def loss_of(kind, model, b, reg):
    if kind == "reranking":
        o = model(input_ids=b["input_ids"], attention_mask=b["attention_mask"], labels=b["labels"][:, None])
        return o.logits, o.loss
    if kind in TAGS:
        b = {k: v for k, v in b.items() if k != "tags"}
    if kind not in EMBEDDING:
        return plain_loss(kind, model, b, reg)
    texts, scored, pooling = EMBEDDING[kind]
    mask = b["attention_mask"][:, :, None]
    rows = model(input_ids=b["input_ids"], attention_mask=b["attention_mask"]).last_hidden_state
    out = rows[:, 0] if pooling == "cls" else (rows * mask).sum(1) / mask.sum(1)
    return out, embedding_loss(out.chunk(texts), b["labels"], scored)


def adapter(kind, method, r):
    task = TaskType.SEQ_CLS if kind in ("llama-classifier", "reranking") or kind in ENCODERS else TaskType.CAUSAL_LM
    if kind in TAGS:
        return HRAConfig(r=r, target_modules=LINEAR, task_type=TaskType.TOKEN_CLS)
    if kind in EMBEDDING or kind == "reranking":
        task = TaskType.FEATURE_EXTRACTION if kind in EMBEDDING else task
        return HRAConfig(r=r, target_modules=golden.TARGETS["bert"], task_type=task)
    if kind == "gpt2":  # PEFT has LoRA alone for its modules
        return golden.LoraConfig(r=r, lora_alpha=2 * r, target_modules=["c_attn", "c_proj", "c_fc"], task_type=task, fan_in_fan_out=True)
    if kind in MIXTURES:  # PEFT's target_modules does not reach experts
        config = plain_adapter("llama", method, r)
        config.target_modules = set(golden.TARGETS["llama"][:4])
        return config
    targets = LINEAR if kind in ENCODERS else FUSED if kind.startswith("phi") else golden.TARGETS["llama"]
    return HRAConfig(r=r, target_modules=targets, task_type=task, bias="all" if kind == "deberta-conv-tanh" else "none")


golden.tiny, golden.batch, golden.adapter, golden.loss_of = tiny, batch, adapter, loss_of
if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in VARIANTS:
        method = "lora" if name == "gpt2" else MIXTURES.get(name, "hra")
        if not sys.argv[2:] or f"{name}-{method}" in sys.argv[2:]:
            golden.run(sys.argv[1], f"{name}-{method}", name, method, r=4)
