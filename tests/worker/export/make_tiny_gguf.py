#!/usr/bin/env python3
"""Writes tiny.gguf: the tiny LLaMA of the golden case llama-hra as a GGUF file in F32, q and k rows interleaved as
llama.cpp wants them, with the keys of a tokenizer of 99 tokens: ASCII's, one that is made of two, special ones.

usage: make_tiny_gguf.py GOLDEN_MODEL_DIR OUT_FILE
"""
import json, sys
import gguf
from safetensors.numpy import load_file

folder, out = sys.argv[1:]
config, tensors = json.load(open(folder + "/config.json")), load_file(folder + "/model.safetensors")
names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm"}
w = gguf.GGUFWriter(out, "llama")
w.add_name("tiny"); w.add_file_type(0)
w.add_block_count(config["num_hidden_layers"]); w.add_context_length(config["max_position_embeddings"])
w.add_embedding_length(config["hidden_size"]); w.add_feed_forward_length(config["intermediate_size"])
w.add_head_count(config["num_attention_heads"]); w.add_head_count_kv(config["num_key_value_heads"])
w.add_layer_norm_rms_eps(config["rms_norm_eps"]); w.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
w.add_rope_dimension_count(config["head_dim"]); w.add_vocab_size(config["vocab_size"])
w.add_tokenizer_model("gpt2"); w.add_tokenizer_pre("smollm")
w.add_token_list([chr(33 + i) if i < 93 else '!"' if i == 93 else f"<s{i}>" for i in range(99)]); w.add_token_types([1] * 94 + [3] * 5)
w.add_token_merges(['! "'])
w.add_bos_token_id(94); w.add_eos_token_id(95)
for name, data in tensors.items():
    if name.startswith("model.layers."):
        _, _, layer, rest = name.split(".", 3)
        stem = rest.removesuffix(".weight")
        heads = {"self_attn.q_proj": config["num_attention_heads"], "self_attn.k_proj": config["num_key_value_heads"]}.get(stem)
        if heads:
            rows, cols = data.shape
            data = data.reshape(heads, 2, rows // heads // 2, cols).swapaxes(1, 2).reshape(rows, cols).copy()
        target = f"blk.{layer}.{names[stem]}.weight"
    else:
        target = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]
    w.add_tensor(target, data)
w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
