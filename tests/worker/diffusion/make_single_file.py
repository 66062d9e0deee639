#!/usr/bin/env python3
"""Makes single_file.safetensors, the tiny pipeline (pipeline/) as Stable Diffusion 1.x's single-file checkpoints have it; and single_file.json: under which names such files have its tensors, of 1.x
and of 2.x: version -> component -> [[name in the file, [names in diffusers, whose rows it has one after the other]]]. What the names
mean is diffusers' word: its own conversion, as `from_single_file` runs it, must give back every tensor of the pipeline from them.
Needs `pip install diffusers transformers safetensors torch`:

    python3 -B tests/worker/diffusion/make_single_file.py
"""
import json
import os
import re
from types import SimpleNamespace

import torch
from diffusers.loaders.single_file_utils import (convert_ldm_clip_checkpoint, convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint,
                                                 convert_open_clip_checkpoint)
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
PIPELINE = os.path.join(HERE, "pipeline")
RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0", "conv2": "out_layers.3",
          "conv_shortcut": "skip_connection"}
VAE = {"conv_shortcut": "nin_shortcut", "conv_norm_out": "norm_out", "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v",
       "to_out.0": "proj_out"}
CLIP = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj"}


def renamed(name, table):
    for key, value in table.items():
        name = re.sub(rf"(^|\.){re.escape(key)}\.", lambda m: f"{m[1]}{value}.", name)
    return name


def unet_name(name, layers, levels):
    for a, b in {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
                 "conv_norm_out": "out.0", "conv_out": "out.2", "mid_block.attentions.0": "middle_block.1"}.items():
        if name.startswith(a + "."):
            return b + name[len(a):]
    if m := re.match(r"mid_block\.resnets\.(\d)\.(.*)", name):
        return f"middle_block.{2 * int(m[1])}.{renamed(m[2], RESNET)}"
    if m := re.match(r"down_blocks\.(\d)\.downsamplers\.0\.conv\.(.*)", name):
        return f"input_blocks.{(int(m[1]) + 1) * (layers + 1)}.0.op.{m[2]}"
    if m := re.match(r"down_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.*)", name):
        rest = renamed(m[4], RESNET) if m[2] == "resnets" else m[4]
        return f"input_blocks.{int(m[1]) * (layers + 1) + int(m[3]) + 1}.{int(m[2] == 'attentions')}.{rest}"
    if m := re.match(r"up_blocks\.(\d)\.upsamplers\.0\.conv\.(.*)", name):
        part = 2 if f"up_blocks.{m[1]}.attentions" in levels else 1
        return f"output_blocks.{int(m[1]) * (layers + 1) + layers}.{part}.conv.{m[2]}"
    m = re.match(r"up_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.*)", name)
    rest = renamed(m[4], RESNET) if m[2] == "resnets" else m[4]
    return f"output_blocks.{int(m[1]) * (layers + 1) + int(m[3])}.{int(m[2] == 'attentions')}.{rest}"


def vae_name(name, levels):
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name).replace("mid_block.attentions.0", "mid.attn_1")
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{levels - 1 - int(m[1])}.block", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", name)
    return renamed(name, VAE)


def open_clip_names(names):
    """[[name there, [names here]]]: q, k and v are one tensor."""
    out = {}
    for name in names:
        short = name.removeprefix("text_model.")
        if m := re.match(r"encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)", short):
            out.setdefault(f"transformer.resblocks.{m[1]}.attn.in_proj_{m[3]}", {})[m[2]] = name
        elif m := re.match(r"encoder\.layers\.(\d+)\.(.*)", short):
            out[f"transformer.resblocks.{m[1]}.{renamed(m[2], CLIP)}"] = {"": name}
        else:
            out[{"embeddings.token_embedding.weight": "token_embedding.weight", "embeddings.position_embedding.weight": "positional_embedding",
                 "final_layer_norm.weight": "ln_final.weight", "final_layer_norm.bias": "ln_final.bias"}[short]] = {"": name}
    return [[key, [parts[k] for k in sorted(parts, key="qkv".find)]] for key, parts in out.items()]


def config(name):
    with open(os.path.join(PIPELINE, name, "config.json")) as f:
        return json.load(f)


def check(got, want, what):
    """Every tensor of the pipeline, bit by bit; a linear layer may be a convolution of one pixel."""
    got = {k.removeprefix("text_model."): v for k, v in got.items() if not k.endswith("position_ids")}
    want = {k.removeprefix("text_model."): v for k, v in want.items()}
    assert set(got) == set(want), (what, set(got) ^ set(want))
    for k in want:
        assert torch.equal(got[k].reshape(want[k].shape), want[k]), (what, k)


def main():
    unet = load_file(f"{PIPELINE}/unet/diffusion_pytorch_model.safetensors")
    vae = load_file(f"{PIPELINE}/vae/diffusion_pytorch_model.safetensors")
    text = load_file(f"{PIPELINE}/text_encoder/model.safetensors")
    levels = " ".join(unet)
    layers, blocks = config("unet")["layers_per_block"], len(config("vae")["block_out_channels"])
    names = {"unet": [["model.diffusion_model." + unet_name(k, layers, levels), [k]] for k in unet],
             "vae": [["first_stage_model." + vae_name(k, blocks), [k]] for k in vae]}
    full = {k: k if k.startswith("text_model.") else "text_model." + k for k in text}
    out = {"1": dict(names, text_encoder=[["cond_stage_model.transformer." + full[k], [k]] for k in text]),
           "2": dict(names, text_encoder=[["cond_stage_model.model." + a, b] for a, b in open_clip_names(text)])}
    for version, components in out.items():
        file = {}
        for part, have in ("unet", unet), ("vae", vae), ("text_encoder", text):
            file |= {a: torch.cat([have[n] for n in b]) for a, b in components[part]}
            for a, _ in components[part]:  # older files have the attention's linear layers as convolutions
                if part == "vae" and re.search(r"attn_1\.(q|k|v|proj_out)\.weight", a):
                    file[a] = file[a][:, :, None, None]
        check(convert_ldm_unet_checkpoint(dict(file), config=config("unet")), unet, "unet")
        check(convert_ldm_vae_checkpoint(dict(file), config=config("vae")), vae, "vae")
        if version == "1":
            check(convert_ldm_clip_checkpoint(dict(file)), text, "text_encoder")
        else:
            like = SimpleNamespace(config=SimpleNamespace(hidden_size=config("text_encoder")["hidden_size"]))
            check(convert_open_clip_checkpoint(like, dict(file)), text, "text_encoder")
        print(f"{version}.x: {len(file)} tensors, and diffusers makes the pipeline of them")
        if version == "1":
            save_file({k: v.contiguous() for k, v in file.items()}, os.path.join(HERE, "single_file.safetensors"))
    with open(os.path.join(HERE, "single_file.json"), "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
